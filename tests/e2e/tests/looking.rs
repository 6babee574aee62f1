//! Commands that look at containers.

use homeostat_e2e::{Host, busybox_image, sleeper, wait_until, web};
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

/// A container that changes files of its image, and has something mounted.
fn changing_host() -> Host {
    let host = Host::new();
    busybox_image(&host);
    let script =
        "echo x > /added; rm /bin/yes; mkdir -p /deep/er; echo y > /deep/er/file; echo done; exec sleep 1000";
    let spec = format!(
        "[image.busybox]\nbuild = {{ context = \"./busybox\" }}\n\n[container.main]\nimage = \"busybox\"\n\
         command = [\"sh\", \"-c\", \"{script}\"]\ntmpfs = [\"/var/cache/memory\"]\n\
         stop = {{ signal = \"SIGKILL\" }}\n"
    );
    host.write("shop.toml", &spec);
    host.apply().expect_code(0);
    host
}

#[test]
fn changed_files_are_listed_with_and_without_an_agent() {
    let host = changing_host();
    let wanted = ["A /added", "C /bin", "D /bin/yes", "A /deep", "A /deep/er", "A /deep/er/file"];
    wait_until("its changes are told", || lines(&host, &["diff", "shop"]) == wanted);
    let agent = host.agent();
    assert_eq!(lines(&host, &["diff", "shop/main"]), wanted);
    let told = host.homeostat(&["diff", "shop", "-o", "json"]).expect_code(0).json();
    assert_eq!(told[2], serde_json::json!({ "kind": "deleted", "path": "/bin/yes" }));
    drop(agent);
}

#[test]
fn a_container_is_exported_whole_or_not_at_all() {
    let host = changing_host();
    wait_until("it has changed all", || lines(&host, &["diff", "shop"]).len() == 6);
    let file = host.path("shop.tar");
    let name = file.to_str().unwrap_or_default();
    let export = host.homeostat(&["export", "shop/main", "--file", name]).expect_code(0);
    assert_eq!(export.stdout, "");
    let listed = homeostat_e2e::run("tar", &["-tf", name]);
    assert!(listed.contains("deep/er/file\n") && listed.contains("bin/busybox\n"), "{listed}");
    assert!(!listed.contains("bin/yes\n"), "{listed}");
    let before = fs_err::read(&file).unwrap_or_default();
    host.homeostat(&["export", "shop/none", "--file", name]).expect_code(2);
    assert_eq!(fs_err::read(&file).unwrap_or_default(), before);
    let nowhere = host.path("missing/shop.tar");
    host.homeostat(&["export", "shop/main", "--file", nowhere.to_str().unwrap_or_default()]).expect_code(2);
}

#[test]
fn everything_is_counted() {
    let host = busy_host();
    let info = host.homeostat(&["info", "-o", "json"]).expect_code(0).json();
    assert_eq!(info["containers"], serde_json::json!({ "created": 1, "running": 2 }));
    assert_eq!((&info["apps"], &info["images"], &info["agent"]), (&1.into(), &1.into(), &false.into()));
    assert_eq!(info["engine"]["name"], "embedded");
    let kernel = homeostat_e2e::run("uname", &["-r"]);
    assert_eq!(info["host"]["kernel"], kernel.trim());
    let text = host.homeostat(&["info"]).expect_code(0).stdout;
    assert!(text.contains("containers  3: 1 created, 2 running\n"), "{text}");
}

/// The lines that a command prints.
fn lines(host: &Host, arguments: &[&str]) -> Vec<String> {
    host.homeostat(arguments).expect_code(0).stdout.lines().map(str::to_owned).collect()
}

#[test]
fn containers_are_listed_by_what_they_are() {
    let host = busy_host();
    assert_eq!(lines(&host, &["ps", "-q"]), ["shop/busy", "shop/idle", "shop/main"]);
    assert_eq!(lines(&host, &["ps", "-q", "--filter", "state=created"]), ["shop/idle"]);
    assert_eq!(
        lines(&host, &["ps", "-q", "-f", "name=/main", "-f", "name=busy"]),
        ["shop/busy", "shop/main"]
    );
    let format = "{{.app}} {{.name}}: {{.actual}}";
    let formatted = lines(&host, &["ps", "--filter", "state=created", "--format", format]);
    assert_eq!(formatted, ["shop idle: created"]);
    let listed = host.homeostat(&["ps", "-f", "name=main", "-o", "json"]).expect_code(0).json();
    assert_eq!((&listed[0]["app"], &listed[0]["name"]), (&"shop".into(), &"main".into()));
    assert_eq!(listed[0]["pid"], host.container("shop/main")["pid"]);
    let table = host.homeostat(&["ps"]).expect_code(0).stdout;
    assert!(table.starts_with("CONTAINER  ID") && table.contains("created"), "{table}");
    let wrong = host.homeostat(&["ps", "--filter", "state=gone"]).expect_code(2);
    assert!(wrong.stderr.contains("none of unknown, absent"), "{}", wrong.stderr);
}

#[test]
fn a_part_of_what_is_known_of_a_container_is_printed() {
    let host = busy_host();
    let pid = host.pid("shop/main").to_string();
    for format in ["{{.observed.pid}}", "{.observed.pid}", "$.observed.pid", ".observed.pid"] {
        assert_eq!(lines(&host, &["inspect", "shop/main", "--format", format]), [pid.as_str()], "{format}");
    }
    assert_eq!(
        lines(&host, &["inspect", "shop/main", "-f", ".observed.state", "-o", "json"]),
        ["\"running\""]
    );
    let nowhere = host.homeostat(&["inspect", "shop/main", "-f", "{{.State.Pid}}"]).expect_code(2);
    assert!(nowhere.stderr.contains("homeostat inspect shop/main"), "{}", nowhere.stderr);
    host.homeostat(&["inspect", "shop/main", "-f", "{{range .}}"]).expect_code(2);
}

#[test]
fn published_ports_are_told() {
    let host = Host::new();
    busybox_image(&host);
    host.write("site.toml", &web(18_080, ""));
    host.apply().expect_code(0);
    assert_eq!(lines(&host, &["port", "site"]), ["80/tcp -> 0.0.0.0:18080"]);
    assert_eq!(lines(&host, &["port", "site", "80"]), ["0.0.0.0:18080"]);
    assert_eq!(host.container("site/web")["ports"][0]["host_port"], 18_080);
    let other = host.homeostat(&["port", "site", "80/udp"]).expect_code(2);
    assert!(other.stderr.contains("port 80/udp of container site/web is not published"), "{}", other.stderr);
}

#[test]
fn a_restart_that_is_waited_for_is_seen_everywhere() {
    let host = Host::new();
    busybox_image(&host);
    host.write("one.toml", &sleeper("").replace("echo started;", "echo started; exit 3;"));
    let source = host.source();
    let agent = homeostat_e2e::Agent::start(&host, source.to_str().unwrap(), &["--listen", "127.0.0.1:9465"]);
    // It is started again at once the first time, and later and later after that.
    homeostat_e2e::eventually("a restart is waited for", || {
        let listed = lines(&host, &["ps", "-q", "--filter", "status=restarting", "--filter", "exited=3"]);
        let events = host.homeostat(&["events", "-n", "1000", "-o", "json"]).expect_code(0).json();
        let text = homeostat_e2e::run("curl", &["-sS", "--max-time", "5", "http://127.0.0.1:9465/metrics"]);
        let series = "homeostat_container_state{app=\"one\",container=\"main\",state=\"restarting\"} 1";
        let is_told = |event: &Value| event["kind"] == "restarting" && event["resource"] == "one/main";
        let everywhere = listed == ["one/main"]
            && text.contains(series)
            && events.as_array().is_some_and(|events| events.iter().any(is_told));
        everywhere.then_some(())
    });
    drop(agent);
}
