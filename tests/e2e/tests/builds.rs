//! `homeostat build` and builds of specs, with the binary.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use homeostat_e2e::{Host, busybox_image, run, sleeper};

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

/// Makes a context in a directory `app`, whose image has this text in `/said`, and gives the directory that `app` is in.
fn said(host: &Host, text: &str) -> std::path::PathBuf {
    let place = host.path("contexts");
    let context = place.join("app");
    fs_err::create_dir_all(&context).unwrap();
    fs_err::write(context.join("said"), text).unwrap();
    fs_err::write(context.join("Dockerfile"), "FROM scratch\nCOPY said /\nENV SAID=1\n").unwrap();
    place
}

/// What is in the environment of an image that was built.
fn environment(host: &Host, image: &str) -> String {
    let inspected = host.homeostat(&["image", "inspect", image]).expect_code(0);
    let images: serde_json::Value = serde_json::from_str(&inspected.stdout).unwrap();
    images[0]["config"]["Env"].to_string()
}

/// Everything that builds leave in the directory for temporary files.
fn left_behind(host: &Host) -> Vec<String> {
    let names = fs_err::read_dir(host.path("temporary")).unwrap();
    names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect()
}

fn with_temporary(host: &mut Host) {
    fs_err::create_dir(host.path("temporary")).unwrap();
    let place = host.path("temporary").display().to_string();
    host.set_variable("TMPDIR", &place);
}

#[test]
fn an_archive_is_a_context_as_a_file_and_by_a_pipe() {
    let mut host = Host::new();
    with_temporary(&mut host);
    let context = said(&host, "hello").join("app");
    let archive = host.path("context.tar.gz");
    let (context, archive) = (context.to_str().unwrap(), archive.to_str().unwrap());
    run("tar", &["-czf", archive, "-C", context, "."]);
    host.homeostat(&["build", archive, "-t", "local/file:1"]).expect_code(0);
    assert!(environment(&host, "local/file:1").contains("SAID=1"));
    host.homeostat_reading(&["build", "-", "-t", "local/pipe:1"], &fs_err::read(archive).unwrap())
        .expect_code(0);
    assert!(environment(&host, "local/pipe:1").contains("SAID=1"));
    let dockerfile = b"FROM local/pipe:1\nENV ALONE=1\n";
    host.homeostat_reading(&["build", "-", "-t", "local/alone:1"], dockerfile).expect_code(0);
    assert!(environment(&host, "local/alone:1").contains("ALONE=1"));

    // What leads out of an archive is refused, and nothing of it is left.
    run(
        "tar",
        &["-cPf", archive, "-C", context, "--transform", "s|^said|../../../../said|", "Dockerfile", "said"],
    );
    let refused = host.homeostat(&["build", archive, "-t", "local/out:1"]).expect_code(2);
    assert!(refused.stderr.contains(".."), "{}", refused.stderr);
    let unfit = host.path("contexts/app/said");
    let refused = host.homeostat(&["build", unfit.to_str().unwrap(), "-t", "local/out:1"]).expect_code(2);
    assert!(refused.stderr.contains("neither a directory nor an archive"), "{}", refused.stderr);
    assert_eq!(left_behind(&host), Vec::<String>::new());
}

#[test]
fn a_directory_of_a_git_repository_is_a_context() {
    let mut host = Host::new();
    with_temporary(&mut host);
    let work = said(&host, "tagged");
    let git = |arguments: &[&str]| {
        let identity =
            ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-C", work.to_str().unwrap()];
        run("git", &[&identity[..], arguments].concat())
    };
    git(&["init", "--quiet", "-b", "main"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "one"]);
    git(&["tag", "-a", "v1", "-m", "v1"]);
    fs_err::write(work.join("app/Dockerfile"), "FROM scratch\nCOPY said /\nENV SAID=2\n").unwrap();
    git(&["commit", "--quiet", "-am", "two"]);
    let url = format!("file://{}/.git", work.display());
    for (fragment, told) in [("#:app", "SAID=2"), ("#main:app", "SAID=2"), ("#v1:app", "SAID=1")] {
        host.homeostat(&["build", &format!("{url}{fragment}"), "-t", "local/git:1"]).expect_code(0);
        assert!(environment(&host, "local/git:1").contains(told), "{fragment}");
    }
    let refused = host.homeostat(&["build", &format!("{url}#v2:app"), "-t", "local/git:1"]).expect_code(2);
    assert!(refused.stderr.contains("v2") && refused.stderr.contains("main"), "{}", refused.stderr);
    let refused = host.homeostat(&["build", &format!("{url}#v1:web"), "-t", "local/git:1"]).expect_code(2);
    assert!(refused.stderr.contains("no directory web"), "{}", refused.stderr);
    assert_eq!(left_behind(&host), Vec::<String>::new());
}

#[test]
fn a_dockerfile_comes_from_outside_and_by_a_pipe() {
    let host = Host::new();
    let context = said(&host, "hello").join("app");
    let outside = host.path("contexts/Dockerfile.other");
    fs_err::write(&outside, "FROM scratch\nCOPY said /\nENV SAID=outside\n").unwrap();
    let (context, outside) = (context.to_str().unwrap(), outside.to_str().unwrap());
    host.homeostat(&["build", context, "-f", outside, "-t", "local/outside:1"]).expect_code(0);
    assert!(environment(&host, "local/outside:1").contains("SAID=outside"));
    let dockerfile = b"FROM scratch\nCOPY said /\nENV SAID=piped\n";
    host.homeostat_reading(&["build", context, "-f", "-", "-t", "local/piped:1"], dockerfile).expect_code(0);
    assert!(environment(&host, "local/piped:1").contains("SAID=piped"));
    let wrong =
        host.homeostat_reading(&["build", context, "-f", "-", "-t", "local/w:1"], b"FROM scratch\nCPY a b");
    let wrong = wrong.expect_code(2);
    assert!(wrong.stderr.contains("standard input") && wrong.stderr.contains("line 2"), "{}", wrong.stderr);
    let both =
        host.homeostat_reading(&["build", "-", "-f", "-", "-t", "local/w:1"], dockerfile).expect_code(2);
    assert!(both.stderr.contains("cannot be both"), "{}", both.stderr);
}

#[test]
fn a_repository_is_added_at_its_commit_and_fetched_once() {
    let host = Host::new();
    let work = said(&host, "from git");
    let git = |arguments: &[&str]| {
        let identity =
            ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-C", work.to_str().unwrap()];
        run("git", &[&identity[..], arguments].concat()).trim().to_owned()
    };
    git(&["init", "--quiet", "-b", "main"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "one"]);
    let commit = git(&["rev-parse", "HEAD"]);
    run(
        "git",
        &["clone", "--quiet", "--bare", work.to_str().unwrap(), host.path("site.git").to_str().unwrap()],
    );
    let server = GitServer::start(host.path("").as_path());
    let url = format!("http://127.0.0.1:{}/site.git", server.port);

    let context = host.path("adding");
    fs_err::create_dir(&context).unwrap();
    let context = context.to_str().unwrap();
    let build = |flags: &str, fragment: &str| {
        let dockerfile = format!("FROM scratch\nADD {flags} {url}{fragment} /site\n");
        host.homeostat_reading(&["build", context, "-f", "-", "-t", "local/site:1"], dockerfile.as_bytes())
    };
    build("", "#:app").expect_code(0);
    let image = host.homeostat(&["image", "save", "local/site:1"]);
    assert!(image.expect_code(0).stdout.contains("site/said"));
    let again = build("", "#main:app").expect_code(0);
    assert!(!again.stderr.contains("missed"), "the commit is the same: {}", again.stderr);
    build(&format!("--checksum={commit}"), "#main").expect_code(0);
    let other = build(&format!("--checksum={}", "1".repeat(40)), "#main").expect_code(2);
    assert!(other.stderr.contains(&format!("gives {commit}, and not 1111")), "{}", other.stderr);
    let unknown = build("", "#v9").expect_code(2);
    assert!(unknown.stderr.contains("line 2") && unknown.stderr.contains("v9"), "{}", unknown.stderr);
    drop(server);
    // What is named by its commit needs nobody any more.
    build("", &format!("#{commit}")).expect_code(0);
}

/// Git over HTTP, until it is dropped.
struct GitServer {
    child: std::process::Child,
    /// It tells of every request, and must be able to.
    _told: BufReader<std::process::ChildStdout>,
    port: u16,
}

impl GitServer {
    fn start(root: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../source/tests/support/git_http.py");
        let mut child = std::process::Command::new("python3")
            .args([&script, root])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        Self { child, _told: told, port: line.trim().parse().unwrap() }
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// More than the 127 that Docker mounts.
const LAYERS: usize = 140;

#[test]
fn an_image_of_more_than_127_layers_runs_and_its_top_hides_what_its_bottom_has() {
    let host = Host::new();
    busybox_image(&host);
    let context = host.source().join("busybox");
    let mut dockerfile = fs_err::read_to_string(context.join("Dockerfile")).unwrap();
    dockerfile += "RUN mkdir /emptied /files && echo lower > /emptied/file && echo lower > /gone\n";
    for number in 0..LAYERS {
        fs_err::write(context.join(format!("file{number}")), format!("of layer {number}\n")).unwrap();
        writeln!(dockerfile, "COPY file{number} /files/").unwrap();
    }
    dockerfile += "RUN rm -r /gone /emptied && mkdir /emptied && echo upper > /emptied/other\n";
    fs_err::write(context.join("Dockerfile"), dockerfile).unwrap();
    host.write(
        "tall.toml",
        r#"
[image.tall]
build = { context = "./busybox" }

[container.main]
image = "tall"
command = "cat /files/file0 /files/file139; ls /emptied; test ! -e /gone && echo none; ls /files | tail -n 1; rm /files/file0; ls /files | head -n 1"
restart = "no"
state = "exited"
"#,
    );
    host.apply().expect_code(0);
    let lines = "of layer 0\nof layer 139\nother\nnone\nfile99\nfile1\n";
    assert_eq!(host.homeostat(&["logs", "tall"]).expect_code(0).stdout, lines);
}
