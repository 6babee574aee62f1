//! Which engine is used, and what is told of one that is not there.

use homeostat_e2e::{Agent, Host, busybox_image, eventually, run, sleeper};

fn docker(host: &Host) -> Vec<String> {
    let socket = host.path("no.sock").display().to_string();
    ["--engine", "docker", "--engine-socket", &socket].map(str::to_owned).to_vec()
}

#[test]
fn an_engine_that_is_not_there_is_told_of_and_nothing_is_reported_gone() {
    let host = Host::new();
    host.write("one.toml", "[container.main]\nimage = \"busybox:1\"\n");
    let source = host.source();
    let options = docker(&host);
    let mut options: Vec<&str> = options.iter().map(String::as_str).collect();
    options.extend(["--listen", "127.0.0.1:9464"]);
    let _agent = Agent::start(&host, source.to_str().unwrap(), &options);
    let get = |path: &str| run("curl", &["-sS", "--max-time", "5", &format!("http://127.0.0.1:9464{path}")]);
    let reason = eventually("it is not ready, and says why", || {
        let text = get("/readyz");
        text.contains("no.sock cannot be reached").then_some(text)
    });
    assert!(reason.contains("since") && reason.contains("asked again at"), "{reason}");
    assert_eq!(get("/healthz"), "ok\n", "a restart of the agent would not help");
    let metrics = get("/metrics");
    for line in ["homeostat_engine_up 0", "homeostat_engine_info{engine=\"docker\",version=\"\"} 1"] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
    assert!(!metrics.contains("homeostat_engine_errors_total 0\n"), "{metrics}");
    let status = eventually("the source was read", || {
        let status = host.status();
        (status["apps"].as_array()?.len() == 1).then_some(status)
    });
    assert_eq!(status["engine"], "docker");
    assert_eq!(status["apps"][0]["synced"], false);
    assert_eq!(status["apps"][0]["containers"][0]["actual"], "unknown");
    assert!(status["engine_error"]["since"].is_string(), "{status}");
    let text = host.homeostat(&["status"]).expect_code(1).stdout;
    assert!(text.contains("cannot be reached"), "{text}");
}

#[test]
fn another_engine_is_refused_until_the_containers_of_the_one_in_use_are_removed() {
    let host = Host::new();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    host.apply().expect_code(0);
    let mut options = docker(&host);
    options.push("status".to_owned());
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let refused = host.homeostat(&options).expect_code(2).stderr;
    assert!(refused.contains("embedded has containers of homeostat"), "{refused}");
    assert!(refused.contains("homeostat agent --down --engine embedded"), "{refused}");
    host.homeostat(&["agent", "--down", "--engine", "embedded"]).expect_code(0);
    let free = host.homeostat(&options).expect_code(2).stderr;
    assert!(free.contains("no.sock cannot be reached"), "{free}");
}
