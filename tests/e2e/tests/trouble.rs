//! Bad input and bad luck: a clear message, a resource that backs off, and nothing else harmed.

use homeostat_e2e::{Host, busybox_image, run, sleeper};

/// One app is in trouble; the other converges, and apply says so.
fn apply_in_trouble(host: &Host, expected: &[&str]) {
    host.write("good.toml", &sleeper(""));
    let outcome = host.apply().expect_code(2);
    for text in expected {
        assert!(outcome.stderr.contains(text), "{text:?} in\n{}", outcome.stderr);
    }
    assert_eq!(host.container("good/main")["actual"], "running");
}

#[test]
fn a_dockerfile_that_fails_is_told_with_its_line() {
    let host = Host::new();
    busybox_image(&host);
    host.write("broken/Dockerfile", "FROM scratch\nCOPY Dockerfile /\nRUN [\"/nothing\"]\n");
    host.write("bad.toml", &sleeper("").replace("./busybox", "./broken"));
    apply_in_trouble(&host, &["bad/busybox", "3"]);
}

#[test]
fn a_missing_base_image_is_told_with_its_name() {
    let host = Host::new();
    busybox_image(&host);
    host.write("broken/Dockerfile", "FROM debian:nothing-here\n");
    host.write("bad.toml", &sleeper("").replace("./busybox", "./broken"));
    apply_in_trouble(&host, &["debian:nothing-here"]);
}

#[test]
fn an_image_that_is_not_there_is_told_with_its_name() {
    let host = Host::new();
    busybox_image(&host);
    host.write("bad.toml", "[container.main]\nimage = \"registry.invalid/nothing:1\"\n");
    apply_in_trouble(&host, &["registry.invalid/nothing:1"]);
}

#[test]
fn a_port_in_use_is_told_with_its_number() {
    let host = Host::new();
    busybox_image(&host);
    let taken = std::net::TcpListener::bind("0.0.0.0:8099").unwrap();
    host.write("bad.toml", &sleeper("ports = [\"8099:80\"]"));
    apply_in_trouble(&host, &["8099"]);
    drop(taken);
    host.apply().expect_code(0);
}

#[test]
fn a_full_disk_during_a_build_is_told_and_leaves_nothing_half_done() {
    let host = Host::new();
    busybox_image(&host);
    // The data directory is on a small file system, in a mount namespace of this test.
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    run("mount", &["--make-rprivate", "/"]);
    let data = host.path("data");
    run("mount", &["-t", "tmpfs", "-o", "size=24m", "tmpfs", data.to_str().unwrap()]);
    host.write("large/Dockerfile", "FROM scratch\nCOPY large /\n");
    host.write("large/large", &"x".repeat(30 << 20));
    host.write("bad.toml", &sleeper("").replace("./busybox", "./large"));
    apply_in_trouble(&host, &["space"]);
    let staging: Vec<_> = fs_err::read_dir(data.join("image/staging")).unwrap().collect();
    assert!(staging.is_empty(), "{staging:?}");
    host.homeostat(&["agent", "--down"]).expect_code(0);
    run("umount", &[data.to_str().unwrap()]);
}
