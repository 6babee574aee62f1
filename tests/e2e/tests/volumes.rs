//! Volumes by hand.

use homeostat_e2e::{Host, web};

/// A volume of an app, and one that was left.
fn whole_life(host: &Host) {
    let do_it = |arguments: &[&str]| host.homeostat(arguments).expect_code(0).stdout;
    assert_eq!(do_it(&["volume", "ls", "-q"]), "kept/data\nshop/data\n");
    let told = host.homeostat(&["volume", "inspect", "shop/data", "kept/data"]).expect_code(0).json();
    assert_eq!(told[0]["used_by"], serde_json::json!(["shop/web"]));
    assert_eq!((&told[0]["declared"], &told[1]["declared"]), (&true.into(), &false.into()));
    let used = host.homeostat(&["volume", "rm", "shop/data", "kept/none"]).expect_code(2).stderr;
    assert!(
        used.contains("volume shop/data is declared") && used.contains("there is no volume kept/none"),
        "{used}"
    );
    assert_eq!(do_it(&["volume", "rm", "kept/data"]), "kept/data\n");
    assert_eq!(do_it(&["volume", "ls", "-q"]), "shop/data\n");
}

fn host_with(host: Host) -> Host {
    homeostat_e2e::busybox_image(&host);
    host.write("shop.toml", &web(18080, ""));
    host.write("kept.toml", &web(18081, ""));
    host.apply().expect_code(0);
    host.remove("kept.toml");
    host.apply().expect_code(0);
    host
}

#[test]
fn volumes_are_listed_and_removed_by_hand_without_an_agent() {
    whole_life(&host_with(Host::new()));
}

#[test]
fn volumes_are_listed_and_removed_by_hand_beside_an_agent() {
    let host = host_with(Host::new());
    let agent = host.agent();
    agent.wait_running("shop/web");
    whole_life(&host);
}

#[test]
fn volumes_of_docker_are_listed_and_removed_by_hand() {
    whole_life(&host_with(Host::with_docker()));
}
