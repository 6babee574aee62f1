//! Damage on disk: found, told, and mended without touching what is the containers'.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use homeostat_e2e::{Host, busybox_image, sleeper, wait_until};
use serde_json::Value;

/// A host with a running container, a volume and an image.
fn host() -> Host {
    let host = Host::new();
    busybox_image(&host);
    let app = sleeper("volumes = [\"data:/data\"]\nstop = { signal = \"SIGKILL\" }\n[volume.data]\n");
    host.write("app.toml", &app);
    host.apply().expect_code(0);
    host
}

fn check(host: &Host, options: &[&str], code: i32) -> Value {
    host.homeostat(&[&["check", "-o", "json"], options].concat()).expect_code(code).json()
}

/// The unpacked layer with a file of this name.
fn layer_with(host: &Host, file: &str) -> std::path::PathBuf {
    let layers = fs_err::read_dir(host.path("data/image/layers")).unwrap();
    layers.map(|layer| layer.unwrap().path().join("diff").join(file)).find(|path| path.exists()).unwrap()
}

#[test]
fn a_sound_host_has_nothing_to_tell() {
    let host = host();
    let told = check(&host, &[], 0);
    assert_eq!((&told["sound"], &told["findings"]), (&true.into(), &serde_json::json!([])));
    for (kind, count) in [("image", 1), ("layer", 2), ("container", 1), ("volume", 1)] {
        assert_eq!(told["counts"][kind], count, "{told}");
    }
    let text = host.homeostat(&["check"]).expect_code(0).stdout;
    assert!(text.starts_with("checked ") && text.contains("1 × container"), "{text}");
}

#[test]
fn a_flipped_bit_is_found_and_mended_with_and_without_an_agent() {
    let host = host();
    let pid = host.pid("app/main");
    let file = layer_with(&host, "bin/busybox");
    let content = fs_err::read(&file).unwrap();
    let flip = || {
        let mut damaged = content.clone();
        damaged[1000] ^= 1;
        let modified = fs_err::metadata(&file).unwrap().modified().unwrap();
        fs_err::write(&file, damaged).unwrap();
        fs_err::File::options().write(true).open(&file).unwrap().file().set_modified(modified).unwrap();
    };
    let mend = || {
        flip();
        let told = check(&host, &[], 1);
        assert_eq!((&told["sound"], &told["findings"][0]["kind"]), (&false.into(), &"layer".into()));
        let text = host.homeostat(&["check"]).expect_code(1).stdout;
        assert!(text.contains("damaged: homeostat check --repair"), "{text}");
        assert_eq!(check(&host, &["--repair"], 0)["findings"][0]["repaired"], true);
        assert_eq!(fs_err::read(&file).unwrap(), content);
        assert_eq!(check(&host, &[], 0)["findings"], serde_json::json!([]));
    };
    mend();
    let agent = host.agent();
    agent.wait_converged();
    mend();
    assert_eq!(host.pid("app/main"), pid, "the container goes on");
}

#[test]
fn an_image_that_is_lost_for_good_is_built_again_and_volumes_stay() {
    let host = host();
    fs_err::write(host.path("data/volumes/app/data/_data/precious"), "mine").unwrap();
    let containers = fs_err::read_dir(host.path("data/containers")).unwrap();
    let container = containers.map(|entry| entry.unwrap().path()).next().unwrap();
    fs_err::write(container.join("upper/written"), "mine").unwrap();
    let layer = layer_with(&host, "bin/busybox");
    let layer = layer.ancestors().nth(3).unwrap();
    let archive = host.path("data/image/blobs/sha256").join(layer.file_name().unwrap());
    fs_err::write(&archive, "cut off").unwrap();
    fs_err::remove_file(layer.join("diff/bin/busybox")).unwrap();
    check(&host, &[], 1);
    let told = check(&host, &["--repair"], 1);
    let of_container = told["findings"].as_array().unwrap().iter().find(|found| found["kind"] == "container");
    let problem = of_container.and_then(|found| found["problem"].as_str()).unwrap_or_default();
    assert!(problem.contains("is not here any more"), "{told}");
    assert_eq!(fs_err::read_to_string(container.join("upper/written")).unwrap(), "mine");
    host.apply().expect_code(0);
    assert_eq!(check(&host, &[], 0)["findings"], serde_json::json!([]));
    wait_until("the container runs", || host.container("app/main")["actual"] == "running");
    assert_eq!(fs_err::read_to_string(host.path("data/volumes/app/data/_data/precious")).unwrap(), "mine");
}

#[test]
fn records_of_containers_are_mended_and_missing_volumes_are_told() {
    let host = host();
    let agent = host.agent();
    agent.wait_converged();
    let containers = fs_err::read_dir(host.path("data/containers")).unwrap();
    let record = containers.map(|entry| entry.unwrap().path()).next().unwrap().join("container.json");
    fs_err::write(&record, "torn").unwrap();
    assert_eq!(check(&host, &[], 1)["findings"][0]["name"], "app/main");
    assert_eq!(check(&host, &["--repair"], 0)["findings"][0]["repaired"], true);
    let volume = host.path("data/volumes/app/data/volume.json");
    let kept = fs_err::read(&volume).unwrap();
    fs_err::write(&volume, "torn").unwrap();
    let told = check(&host, &["--repair"], 1);
    assert_eq!(
        (&told["findings"][0]["kind"], &told["findings"][0]["name"]),
        (&"volume".into(), &"app/data".into())
    );
    fs_err::write(&volume, kept).unwrap();
    check(&host, &[], 0);
}

#[test]
fn an_engine_that_keeps_its_files_itself_refuses() {
    let host = Host::with_docker();
    let told = host.homeostat(&["check"]).expect_code(2).stderr;
    assert!(told.contains("docker keeps its files itself"), "{told}");
}
