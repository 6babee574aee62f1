//! The file systems of containers, with and without overlayfs.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::PathBuf;

use homeostat_e2e::{Host, busybox_image, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// An image that replaces, removes and adds files of its base, and a container that notes each of its starts.
const APP: &str = r#"
[image.app]
build = { context = "./busybox" }

[container.main]
image = "app"
command = ["sh", "-c", "echo start >> /starts; trap 'exit 0' TERM; while true; do sleep 1000 & wait $!; done"]
volumes = ["data:/kept"]

[volume.data]
retain = false
"#;

const MORE: &str = r"
RUN mkdir -p /gone/deep /kept && echo 1 > /gone/deep/file && echo old > /kept/file && echo 1 > /one && ln /one /two
RUN rm -r /gone && echo new > /kept/file && touch /added
COPY file /copied/file
";

fn write_app(host: &Host) {
    busybox_image(host);
    let dockerfile = fs_err::read_to_string(host.source().join("busybox/Dockerfile")).unwrap();
    host.write("busybox/Dockerfile", &format!("{dockerfile}{MORE}"));
    host.write("busybox/file", "from the context");
    host.write("app.toml", APP);
}

/// The directory of the one container.
fn directory(host: &Host) -> PathBuf {
    let mut containers = fs_err::read_dir(host.path("data/containers")).unwrap();
    let found = containers.next().expect("there is a container").unwrap().path();
    assert!(containers.next().is_none(), "there is one container");
    found
}

fn is_vfs(host: &Host) -> bool {
    let storage = &host.status()["engine_storage"];
    match storage["driver"].as_str() {
        Some("vfs") => {
            let reason = storage["reason"].as_str().unwrap();
            assert!(reason.contains("the kernel has no overlayfs") && reason.contains("slower"), "{reason}");
            true
        }
        driver => {
            assert_eq!((driver, storage["reason"].as_str()), (Some("overlayfs"), None));
            false
        }
    }
}

/// How often the container was started, as it has noted itself in its own file system.
fn starts(host: &Host) -> usize {
    let root = format!("/proc/{}/root/starts", host.pid("app/main"));
    fs_err::read_to_string(root).unwrap_or_default().lines().count()
}

#[test]
fn without_overlayfs_apps_live_on_copies_and_are_told_why() {
    let mut host = Host::new();
    host.set_overlayfs(false);
    write_app(&host);
    let agent = host.agent();
    agent.wait_converged();
    assert!(is_vfs(&host));
    let text = host.homeostat(&["status"]).stdout;
    assert!(text.contains("overlayfs cannot be used in"), "{text}");
    let told = agent.log().lines().filter(|line| line.contains("overlayfs cannot be used in")).count();
    assert_eq!(told, 1, "{}", agent.log());

    let copy = directory(&host).join("copy");
    assert!(!copy.join("gone").exists() && copy.join("added").exists() && copy.join("bin/busybox").exists());
    assert_eq!(fs_err::read_to_string(copy.join("copied/file")).unwrap(), "from the context");
    // What the image has there fills the volume.
    assert_eq!(fs_err::read_to_string(host.path("data/volumes/app/data/_data/file")).unwrap(), "new\n");
    let pid = host.pid("app/main");
    wait_until("it has noted its start", || starts(&host) == 1);
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    agent.wait_for("app/main", "running again", |status| {
        status["actual"] == "running" && status["pid"].as_i64() != Some(i64::from(pid))
    });
    wait_until("its files are those of its last run", || starts(&host) == 2);

    let taken =
        || host.homeostat(&["system", "df", "-o", "json"]).json()["containers"]["bytes"].as_u64().unwrap();
    assert!(taken() > 1_000_000, "a copy takes the room of its image: {}", taken());
    host.write("app.toml", "[volume.data]\n");
    wait_until("the container is gone", || {
        fs_err::read_dir(host.path("data/containers")).unwrap().count() == 0
    });
    assert_eq!(taken(), 0);
    drop(agent);
}

#[test]
fn containers_keep_their_files_when_overlayfs_goes_and_when_it_is_back() {
    let mut host = Host::new();
    write_app(&host);
    host.apply().expect_code(0);
    assert!(!is_vfs(&host));
    wait_until("it has noted its start", || starts(&host) == 1);
    let again = |host: &Host| {
        kill(Pid::from_raw(host.pid("app/main")), Signal::SIGKILL).unwrap();
        wait_until("it has ended", || host.container("app/main")["actual"] == "exited");
        wait_until("it runs again", || {
            host.apply();
            host.container("app/main")["actual"] == "running"
        });
    };

    host.set_overlayfs(false);
    assert!(is_vfs(&host));
    again(&host);
    wait_until("what it had written is there without overlayfs", || starts(&host) == 2);
    let (upper, copy) = (directory(&host).join("upper"), directory(&host).join("copy"));
    assert!(copy.join("bin/busybox").exists() && !upper.exists());

    host.set_overlayfs(true);
    assert!(!is_vfs(&host));
    again(&host);
    wait_until("it goes on with its copy", || starts(&host) == 3);
    host.homeostat(&["check"]).expect_code(0);
}

#[test]
fn a_dockerfile_makes_the_same_image_with_overlayfs_and_without() {
    let mut host = Host::new();
    write_app(&host);
    let context = host.source().join("busybox");
    let build = |host: &Host, tag| {
        let dated = "SOURCE_DATE_EPOCH=1700000000";
        let options = ["build", "--no-cache", "--build-arg", dated, "--tag", tag];
        host.homeostat(&[&options[..], &[context.to_str().unwrap()]].concat()).expect_code(0);
        host.homeostat(&["image", "inspect", "-o", "json", tag]).expect_code(0).json()[0].take()
    };
    let with = build(&host, "with");
    assert!(with["layers"].as_array().is_some_and(|layers| layers.len() == 5), "{with}");
    host.set_overlayfs(false);
    let without = build(&host, "without");
    assert_eq!(with["layers"], without["layers"]);
    assert_eq!(with["id"], without["id"]);
}
