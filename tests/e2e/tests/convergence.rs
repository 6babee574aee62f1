//! Specs become containers, stay so, follow edits, and go when they are removed.

use homeostat_e2e::{Host, busybox_image, run, sleeper, web};

#[test]
fn plan_tells_what_apply_does_and_a_second_apply_changes_nothing() {
    let host = Host::new();
    busybox_image(&host);
    host.write("web.toml", &web(8080, ""));

    let before = host.plan().expect_code(1);
    for step in [
        "build image web/busybox",
        "create volume web/data",
        "create container web/web",
        "start container web/web",
    ] {
        assert!(before.stdout.contains(step), "{step} in\n{}", before.stdout);
    }
    host.apply().expect_code(0);
    let after = host.plan().expect_code(0);
    assert!(after.stdout.contains("nothing to do"), "{}", after.stdout);

    let pid = host.pid("web/web");
    host.apply().expect_code(0);
    assert_eq!(host.pid("web/web"), pid, "a second apply touches nothing");

    let page = host.path("data/volumes/web/data/_data/index.html");
    fs_err::write(page, "hello").expect("the volume is there");
    assert_eq!(
        run("curl", &["-sS", "--fail", "--max-time", "5", "http://127.0.0.1:8080/index.html"]),
        "hello"
    );
}

#[test]
fn an_edit_of_the_environment_recreates_that_container_alone_and_the_plan_names_the_field() {
    let host = Host::new();
    busybox_image(&host);
    host.write("one.toml", &sleeper("env = { COLOR = \"red\" }"));
    host.write("two.toml", &sleeper("env = { COLOR = \"red\" }"));
    host.apply().expect_code(0);
    let (one, two) = (host.pid("one/main"), host.pid("two/main"));

    host.write("one.toml", &sleeper("env = { COLOR = \"blue\" }"));
    let plan = host.plan().expect_code(1);
    assert!(plan.stdout.contains("env.COLOR"), "the field is named:\n{}", plan.stdout);
    assert!(!plan.stdout.contains("two/main"), "the other container is left alone:\n{}", plan.stdout);
    host.apply().expect_code(0);
    assert_ne!(host.pid("one/main"), one);
    assert_eq!(host.pid("two/main"), two);
    let inspection = host.homeostat(&["inspect", "one"]).expect_code(0).json();
    assert_eq!(inspection["observed"]["config"]["env"]["COLOR"], "blue");
}

#[test]
fn limits_are_changed_in_place() {
    let host = Host::new();
    busybox_image(&host);
    host.write("one.toml", &sleeper("resources = { memory = \"64MiB\", pids = 50 }"));
    host.apply().expect_code(0);
    let pid = host.pid("one/main");
    host.write("one.toml", &sleeper("resources = { memory = \"96MiB\", pids = 50 }"));
    let plan = host.plan().expect_code(1);
    assert!(plan.stdout.contains("update container one/main"), "{}", plan.stdout);
    host.apply().expect_code(0);
    assert_eq!(host.pid("one/main"), pid, "the container goes on running");
    host.plan().expect_code(0);
}

#[test]
fn removing_a_file_prunes_its_container_and_keeps_its_volume() {
    let host = Host::new();
    busybox_image(&host);
    host.write("web.toml", &web(8081, ""));
    host.write("other.toml", &sleeper(""));
    host.apply().expect_code(0);
    let kept = host.path("data/volumes/web/data/_data/kept");
    fs_err::write(&kept, "mine").expect("the volume is there");

    host.remove("web.toml");
    host.apply().expect_code(0);
    assert!(host.container("web/web").is_null(), "the container is gone");
    assert_eq!(fs_err::read_to_string(&kept).expect("the volume is kept"), "mine");
    host.plan().expect_code(0);
}

#[test]
fn a_volume_that_is_not_retained_goes_with_its_spec() {
    let host = Host::new();
    busybox_image(&host);
    let spec = sleeper("volumes = [\"data:/data\"]") + "\n[volume.data]\nretain = false\n";
    host.write("one.toml", &spec);
    host.write("other.toml", &sleeper(""));
    host.apply().expect_code(0);
    let volume = host.path("data/volumes/one/data");
    assert!(volume.exists());
    host.remove("one.toml");
    host.apply().expect_code(0);
    assert!(!volume.exists(), "the volume is gone");
}

#[test]
fn an_empty_source_removes_nothing_unless_that_is_allowed() {
    let host = Host::new();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    host.apply().expect_code(0);
    let pid = host.pid("one/main");
    host.remove("one.toml");
    host.apply().expect_code(2);
    assert_eq!(host.pid("one/main"), pid);
    let source = host.source();
    host.homeostat(&["apply", "--allow-empty", source.to_str().expect("UTF-8")]).expect_code(0);
    assert!(host.container("one/main").is_null());
}

#[test]
fn a_container_can_be_created_paused_or_run_once() {
    let host = Host::new();
    busybox_image(&host);
    host.write("idle.toml", &sleeper("state = \"created\""));
    host.write("frozen.toml", &sleeper("state = \"paused\""));
    let once = sleeper("state = \"exited\"")
        .replace("echo started; trap 'exit 0' TERM; while true; do sleep 1000 & wait $!; done", "echo done");
    host.write("once.toml", &once);
    host.apply().expect_code(0);
    assert_eq!(host.container("idle/main")["actual"], "created");
    assert_eq!(host.container("frozen/main")["actual"], "paused");
    assert_eq!(host.container("once/main")["actual"], "exited");
    assert_eq!(host.homeostat(&["logs", "once"]).expect_code(0).stdout, "done\n");
    host.plan().expect_code(0);

    host.write("frozen.toml", &sleeper("state = \"running\""));
    host.apply().expect_code(0);
    assert_eq!(host.container("frozen/main")["actual"], "running");
    host.write("frozen.toml", &sleeper("state = \"exited\""));
    host.apply().expect_code(0);
    assert_eq!(host.container("frozen/main")["actual"], "exited");
}

#[test]
fn a_container_waits_for_the_health_of_another() {
    let host = Host::new();
    busybox_image(&host);
    let spec = r#"
[image.busybox]
build = { context = "./busybox" }

[container.db]
image = "busybox"
command = ["sh", "-c", "sleep 1; touch /ready; exec sleep 1000"]
health = { command = ["test", "-e", "/ready"], interval = "1s" }
stop = { signal = "SIGKILL" }

[container.web]
image = "busybox"
command = ["sleep", "1000"]
depends_on = { db = "healthy" }
stop = { signal = "SIGKILL" }
"#;
    host.write("shop.toml", spec);
    host.apply().expect_code(0);
    assert_eq!(host.container("shop/db")["health"], "healthy");
    assert_eq!(host.container("shop/web")["actual"], "running");
    let started = |key: &str| host.container(key)["started_at"].as_str().map(str::to_owned);
    assert!(started("shop/web") > started("shop/db"));
}

#[test]
fn changed_content_of_a_mounted_file_recreates_the_container() {
    let host = Host::new();
    busybox_image(&host);
    host.write("conf/motd", "one\n");
    let spec = sleeper("volumes = [\"./conf:/etc/conf:ro\"]").replace("echo started", "cat /etc/conf/motd");
    host.write("app.toml", &spec);
    host.apply().expect_code(0);
    let pid = host.pid("app/main");
    host.write("conf/motd", "two\n");
    let plan = host.plan().expect_code(1);
    assert!(plan.stdout.contains("conf"), "the cause is named:\n{}", plan.stdout);
    host.apply().expect_code(0);
    assert_ne!(host.pid("app/main"), pid);
    assert_eq!(host.homeostat(&["logs", "app"]).expect_code(0).stdout, "one\ntwo\n");
}

#[test]
fn http_and_tcp_probes_reach_a_container_by_its_address() {
    let host = Host::new();
    busybox_image(&host);
    host.write("page.toml", &web(8082, "health = { http = \"http://:80/\", interval = \"1s\" }"));
    host.write("port.toml", &web(8083, "health = { tcp = \":80\", interval = \"1s\" }"));
    host.write(
        "none.toml",
        &web(8084, "restart = \"no\"\nhealth = { tcp = \":81\", interval = \"1s\", retries = 1 }"),
    );
    // httpd answers 404 as long as there is no page, which is not healthy.
    let source = host.source();
    let outcome = host.homeostat(&["apply", source.to_str().unwrap(), "--timeout", "3s"]).expect_code(2);
    assert_eq!(host.container("port/web")["health"], "healthy", "{}", outcome.stderr);
    assert_eq!(host.container("none/web")["health"], "unhealthy");
    assert_ne!(host.container("page/web")["health"], "healthy");

    fs_err::write(host.path("data/volumes/page/data/_data/index.html"), "hello").unwrap();
    host.remove("none.toml");
    host.apply().expect_code(0);
    assert_eq!(host.container("page/web")["health"], "healthy");
}
