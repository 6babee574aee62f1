//! As many containers as a full host has.

use std::fmt::Write as _;

use homeostat_e2e::{Host, busybox_image, wait_until};
use serde_json::Value;

const APPS: usize = 4;
const OF_EACH: usize = 50;

/// An app with a network on which every container serves.
fn app() -> String {
    let mut spec = "[image.busybox]\nbuild = { context = \"./busybox\" }\n\n[network.own]\n".to_owned();
    for number in 0..OF_EACH {
        let _ = write!(
            spec,
            "\n[container.c{number}]\nimage = \"busybox\"\nnetwork = \"own\"\n\
             command = [\"httpd\", \"-f\", \"-p\", \"80\"]\nstop = {{ signal = \"SIGKILL\" }}\n\
             health = {{ tcp = \":80\", interval = \"5s\", timeout = \"5s\" }}\n"
        );
    }
    spec
}

fn containers(status: &Value) -> Vec<&Value> {
    let apps = status["apps"].as_array().into_iter().flatten();
    apps.filter_map(|app| app["containers"].as_array()).flatten().collect()
}

#[test]
fn two_hundred_containers_run_at_once_and_leave_nothing() {
    let host = Host::new();
    busybox_image(&host);
    for number in 0..APPS {
        host.write(&format!("app{number}.toml"), &app());
    }
    host.apply().expect_code(0);
    let status = host.status();
    assert_eq!(containers(&status).len(), APPS * OF_EACH);
    assert!(containers(&status).iter().all(|container| container["actual"] == "running"));

    let _agent = host.agent();
    let is_healthy = |container: &&Value| container["health"] == "healthy";
    wait_until("all are healthy", || containers(&host.status()).iter().all(is_healthy));
    let last = format!("c{}", OF_EACH - 1);
    for number in 0..APPS {
        let (first, other) = (format!("app{number}/c0"), format!("app{number}/{last}"));
        let address =
            host.homeostat(&["inspect", &other, "-f", "{{.observed.address}}"]).expect_code(0).stdout;
        let look_up = ["exec", &first, "/bin/busybox", "nslookup", "-type=a", &last];
        let told = host.homeostat(&look_up).expect_code(0).stdout;
        let own = format!("Address: {}", address.trim());
        assert!(told.lines().any(|line| line == own), "{other} is {address}: {told}");
    }
    // What is left when the host is taken down is a failure of any of these tests.
}
