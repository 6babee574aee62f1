//! Containers that a person made with Docker are taken over as they are, or left alone.

use homeostat_e2e::{Host, busybox_image, sleeper};

/// A container `shop-web-1`, as Compose names it, of an image `busybox:mine`. Returns its process id.
fn made_by_hand(host: &Host) -> String {
    busybox_image(host);
    host.write("one.toml", &sleeper(""));
    host.apply().expect_code(0);
    let reference = host.container("one/main")["image"].as_str().map(str::to_owned);
    host.docker(&["tag", &reference.expect("it has an image"), "busybox:mine"]);
    host.docker(&["run", "--detach", "--name", "shop-web-1", "busybox:mine", "sleep", "1000"]);
    pid(host)
}

fn pid(host: &Host) -> String {
    host.docker(&["inspect", "--format={{.State.Pid}}", "shop-web-1"]).trim().to_owned()
}

fn shop(more: &str) -> String {
    format!(
        "[container.web]\nimage = \"busybox:mine\"\ncommand = [\"sleep\", \"1000\"]\nadopt = true\n{more}\
         stop = {{ signal = \"SIGKILL\" }}\n"
    )
}

#[test]
fn a_container_of_docker_is_taken_over_with_its_process_and_goes_with_its_spec() {
    let host = Host::with_docker();
    let before = made_by_hand(&host);
    host.write("shop.toml", &shop(""));
    let plan = host.plan().expect_code(1).stdout;
    assert!(plan.contains("adopt") && plan.contains("takes over shop-web-1"), "{plan}");
    host.apply().expect_code(0);
    assert_eq!(host.pid("shop/web").to_string(), before);
    assert_eq!(pid(&host), before);
    host.plan().expect_code(0);
    host.remove("shop.toml");
    host.apply().expect_code(0);
    let left = host.docker(&["ps", "--all", "--format={{.Names}}"]);
    assert!(!left.contains("shop"), "{left}");
}

#[test]
fn a_container_of_docker_that_differs_is_left_alone_and_named_with_its_fields() {
    let host = Host::with_docker();
    let before = made_by_hand(&host);
    host.write("shop.toml", &shop("read_only = true\n"));
    let status = host.apply().expect_code(2).stdout;
    assert!(status.contains("shop-web-1 is there and cannot be taken over as it is"), "{status}");
    assert!(status.contains("read_only: false -> true"), "{status}");
    assert_eq!(pid(&host), before);
    let all = host.docker(&["ps", "--all", "--format={{.Names}}"]);
    assert_eq!(all.lines().filter(|name| name.contains("web")).count(), 1, "{all}");
    host.docker(&["rm", "--force", "shop-web-1"]);
    host.apply().expect_code(0);
}
