//! `homeostat build` and builds of specs, with the binary.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::path::Path;

use homeostat_e2e::{Host, busybox_image, sleeper};

/// Stands nowhere but in the file that is the secret.
const PLANTED: &str = "correct-horse-battery-staple-7f3a";

/// Prints the secret, as a file and as a variable, as a careless build does.
const CARELESS: &str = "RUN --mount=type=secret,id=token --mount=type=secret,id=token,env=TOKEN \
    [\"/bin/busybox\", \"sh\", \"-c\", \"cat /run/secrets/token; echo it is $TOKEN; test -n \\\"$TOKEN\\\"\"]\n";

/// The files beneath a directory that have the planted secret in them.
fn holders(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.symlink_metadata().unwrap().file_type();
        if kind.is_dir() {
            found.extend(holders(&path));
        } else if kind.is_file() {
            let content = fs_err::read(&path).unwrap();
            if content.windows(PLANTED.len()).any(|bytes| bytes == PLANTED.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[test]
fn a_secret_of_a_build_is_used_and_stays_nowhere() {
    let host = Host::new();
    busybox_image(&host);
    let dockerfile = host.source().join("busybox/Dockerfile");
    let text = fs_err::read_to_string(&dockerfile).unwrap();
    fs_err::write(&dockerfile, text + CARELESS).unwrap();
    let secret = host.path("token");
    fs_err::write(&secret, format!("{PLANTED}\n")).unwrap();
    let context = host.source().join("busybox");
    let given = format!("id=token,src={}", secret.display());
    let arguments = ["build", context.to_str().unwrap(), "-t", "local/careless:1"];
    let built = host.homeostat(&[&arguments[..], &["--secret", &given]].concat()).expect_code(0);
    assert!(built.stderr.contains("it is ***") && !built.stderr.contains(PLANTED), "{}", built.stderr);
    let refused = host.homeostat(&[&arguments[..], &["--no-cache"]].concat()).expect_code(2);
    assert!(refused.stderr.contains("missed: the cache is not used"), "{}", refused.stderr);

    let spec =
        format!("build = {{ context = \"./busybox\", secrets = {{ token = \"{}\" }} }}", secret.display());
    host.write("one.toml", &sleeper("").replace("build = { context = \"./busybox\" }", &spec));
    host.apply().expect_code(0);
    let told = host.status().to_string();
    assert!(!told.contains(PLANTED));
    let place = secret.parent().unwrap();
    assert_eq!(holders(place), [secret.display().to_string()]);
}
