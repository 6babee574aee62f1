//! Commands that look at containers.

use homeostat_e2e::{Host, busybox_image, sleeper};
use serde_json::Value;

/// A container that computes beside one that sleeps, and one that does not run.
fn busy_host() -> Host {
    let host = Host::new();
    busybox_image(&host);
    let more = "resources = { memory = \"64MiB\" }\n\n[container.busy]\nimage = \"busybox\"\n\
        command = [\"sh\", \"-c\", \"while true; do true; done\"]\nstop = { signal = \"SIGKILL\" }\n\n\
        [container.idle]\nimage = \"busybox\"\ncommand = [\"true\"]\nstate = \"created\"\n";
    host.write("shop.toml", &sleeper(more));
    host.apply().expect_code(0);
    host
}

fn measured(host: &Host, addresses: &[&str]) -> Vec<Value> {
    let stats = host.homeostat(&[&["stats", "--no-stream", "-o", "json"], addresses].concat());
    stats.expect_code(0).json().as_array().cloned().unwrap_or_default()
}

#[test]
fn what_containers_use_is_measured() {
    let host = busy_host();
    let all = measured(&host, &[]);
    let names: Vec<_> = all.iter().map(|line| line["container"].as_str().unwrap_or_default()).collect();
    assert_eq!(names, ["shop/busy", "shop/main"]);
    let percent = |line: &Value| line["cpu_percent"].as_f64().unwrap_or_default();
    assert!(percent(&all[0]) > 10.0 && percent(&all[1]) < percent(&all[0]), "{all:?}");
    assert_eq!(all[1]["memory_limit"], 64 << 20);
    assert!(all[1]["memory_working_set"].as_u64() > Some(0), "{all:?}");
    assert_eq!(measured(&host, &["shop/main"]).len(), 1);
    assert_eq!(measured(&host, &["shop/idle", "shop"]).len(), 2);
    let table = host.homeostat(&["stats", "--no-stream", "shop"]).expect_code(0).stdout;
    assert!(table.starts_with("CONTAINER  CPU %") && table.contains("\nshop/main"), "{table}");
    let unknown = host.homeostat(&["stats", "--no-stream", "shop/none"]).expect_code(2);
    assert!(unknown.stderr.contains("there is no container shop/none"), "{}", unknown.stderr);
}

#[test]
fn processes_of_a_container_are_listed() {
    let host = busy_host();
    let listed = host.homeostat(&["top", "shop/busy", "-o", "json"]).expect_code(0).json();
    assert_eq!(listed[0]["pid"], host.container("shop/busy")["pid"]);
    assert_eq!((&listed[0]["user"], listed.as_array().map(Vec::len)), (&"root".into(), Some(1)));
    let table = host.homeostat(&["top", "shop/main"]).expect_code(0).stdout;
    assert!(table.starts_with("PID ") && table.contains("sleep 1000"), "{table}");
    let idle = host.homeostat(&["top", "shop/idle"]).expect_code(2);
    assert!(idle.stderr.contains("does not run"), "{}", idle.stderr);
}
