//! What a person made with Docker or Podman is taken over as it is, or left alone.

use nix::sys::signal::Signal;

use homeostat_e2e::{Agent, Host, busybox_image, busybox_in_docker, sleeper};

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

/// A volume `pg` with a row in it, a network `lan`, and a container `old-db` with both.
fn database_by_hand(host: &Host) -> String {
    busybox_in_docker(host);
    host.docker(&["volume", "create", "pg"]);
    host.docker(&["network", "create", "--subnet=10.99.7.0/24", "lan"]);
    let write = "echo row > /var/lib/db/row; exec sleep 1000";
    let options = ["run", "--detach", "--name=old-db", "--network=lan", "--volume=pg:/var/lib/db"];
    host.docker(&[&options[..], &["busybox:mine", "sh", "-c", write]].concat()).trim().to_owned()
}

const DATABASE: &str = r#"
[container.db]
image = "busybox:mine"
command = ["sh", "-c", "echo row > /var/lib/db/row; exec sleep 1000"]
network = "lan"
volumes = ["data:/var/lib/db"]
adopt = "old-db"
stop = { signal = "SIGKILL" }

[volume.data]
adopt = "pg"

[network.lan]
adopt = ["no-such", "lan"]
"#;

fn id(host: &Host, name: &str) -> String {
    host.docker(&["inspect", "--format={{.Id}}", name]).trim().to_owned()
}

/// Applies a source that has no specs any more.
fn apply_nothing(host: &Host) {
    let source = host.source();
    host.homeostat(&["apply", source.to_str().expect("a path in UTF-8"), "--allow-empty"]).expect_code(0);
}

fn names(host: &Host, what: &str) -> Vec<String> {
    let format = if what == "volume" { "--format={{.Name}}" } else { "--filter=type=custom" };
    let format = if what == "network" { &[format, "--format={{.Name}}"][..] } else { &[format] };
    let told = host.docker(&[&[what, "ls"], format].concat());
    told.lines().map(str::to_owned).collect()
}

#[test]
fn a_volume_and_a_network_are_taken_over_with_their_content_and_the_container_that_has_them() {
    let host = Host::with_docker();
    let before = database_by_hand(&host);
    host.write("shop.toml", DATABASE);
    let plan = host.plan().expect_code(1).stdout;
    assert!(plan.contains("takes over old-db"), "{plan}");
    host.apply().expect_code(0);
    assert_eq!(id(&host, "old-db"), before);
    host.plan().expect_code(0);
    // Another container in its place has the same volume.
    host.write("shop.toml", &DATABASE.replace("echo row > /var/lib/db/row", "cat /var/lib/db/row"));
    host.apply().expect_code(0);
    assert_eq!(host.docker(&["logs", "shop_db"]), "row\n");
    assert_eq!(names(&host, "volume"), ["pg"]);
    host.plan().expect_code(0);
    host.remove("shop.toml");
    apply_nothing(&host);
    assert_eq!(names(&host, "volume"), ["pg"]);
    assert!(!names(&host, "network").contains(&"lan".to_owned()));
    host.docker(&["volume", "rm", "pg"]);
}

#[test]
fn a_network_that_others_are_on_is_let_go_and_a_shared_volume_stays_until_nobody_has_it() {
    let host = Host::with_docker();
    database_by_hand(&host);
    // Not homeostat's, and not even running.
    host.docker(&["create", "--name=others", "--network=lan", "busybox:mine", "true"]);
    let spec = DATABASE.replace("adopt = \"pg\"", "adopt = \"pg\"\nretain = false");
    host.write("shop.toml", &spec);
    let second = "[container.backup]\nimage = \"busybox:mine\"\ncommand = [\"sleep\", \"1000\"]\nvolumes = [\"media:/m:ro\"]\n\
                  stop = { signal = \"SIGKILL\" }\n[volume.media]\nadopt = \"pg\"\nretain = false\n";
    host.write("backup.toml", second);
    host.apply().expect_code(0);
    host.plan().expect_code(0);
    host.remove("shop.toml");
    host.apply().expect_code(0);
    assert_eq!(names(&host, "volume"), ["pg"]);
    assert!(names(&host, "network").contains(&"lan".to_owned()));
    assert_eq!(host.container("backup/backup")["actual"], "running");
    host.plan().expect_code(0);
    host.docker(&["rm", "others"]);
    host.docker(&["network", "rm", "lan"]);
    host.remove("backup.toml");
    apply_nothing(&host);
    assert!(names(&host, "volume").is_empty());
}

#[test]
fn an_adopted_volume_or_container_that_is_removed_by_hand_is_made_anew_under_a_name_of_its_own() {
    let host = Host::with_docker();
    database_by_hand(&host);
    host.write("shop.toml", DATABASE);
    host.apply().expect_code(0);
    host.docker(&["rm", "--force", "old-db"]);
    host.docker(&["volume", "rm", "pg"]);
    host.docker(&["network", "rm", "lan"]);
    host.apply().expect_code(0);
    assert_eq!(host.container("shop/db")["actual"], "running");
    assert_eq!(names(&host, "volume"), ["shop_data"]);
    let mounted = host.docker(&["inspect", "--format={{range .Mounts}}{{.Name}}{{end}}", "shop_db"]);
    assert_eq!(mounted.trim(), "shop_data");
    host.plan().expect_code(0);
    host.remove("shop.toml");
    apply_nothing(&host);
    host.docker(&["volume", "rm", "shop_data"]);
}

#[test]
fn what_a_new_container_would_not_have_keeps_it_from_being_taken_over() {
    let host = Host::with_docker();
    busybox_in_docker(&host);
    let options = [
        "run",
        "--detach",
        "--name=old",
        "--shm-size=1m",
        "--add-host=a:10.0.0.1",
        "--tty",
        "--volume=/scratch",
    ];
    host.docker(&[&options[..], &["busybox:mine", "sleep", "1000"]].concat());
    let before = id(&host, "old");
    let spec = "[container.a]\nimage = \"busybox:mine\"\ncommand = [\"sleep\", \"1000\"]\nadopt = \"old\"\nstop = { signal = \"SIGKILL\" }\n";
    host.write("app.toml", spec);
    let told = host.apply().expect_code(2).stdout;
    for field in [
        "shm_size: \"1MiB\" -> unset",
        "extra_hosts: [\"a:10.0.0.1\"] -> unset",
        "tty: true -> false",
        "volumes./scratch: ",
    ] {
        assert!(told.contains(field), "{field}: {told}");
    }
    assert_eq!(id(&host, "old"), before);
    // A volume without a name has one all the same, by which it can be taken over.
    let volume = host.docker(&["inspect", "--format={{range .Mounts}}{{.Name}}{{end}}", "old"]);
    host.docker(&["rm", "--force", "old"]);
    let mount = format!("--volume={}:/scratch", volume.trim());
    host.docker(&["run", "--detach", "--name=old", &mount, "busybox:mine", "sleep", "1000"]);
    let before = id(&host, "old");
    let with_volume =
        format!("volumes = [\"scratch:/scratch\"]\n[volume.scratch]\nadopt = \"{}\"\n", volume.trim());
    host.write("app.toml", &format!("{spec}{with_volume}"));
    host.apply().expect_code(0);
    assert_eq!(id(&host, "old"), before);
    host.plan().expect_code(0);
    host.docker(&["volume", "inspect", volume.trim()]);
}

#[test]
fn an_agent_that_is_killed_around_an_adoption_has_taken_over_the_same_containers_after_its_restart() {
    let mut host = Host::with_docker();
    busybox_in_docker(&host);
    let mut before = Vec::new();
    for n in 0..6 {
        let name = format!("--name=many-c{n}-1");
        let options = ["run", "--detach", "--restart=always", &name, "busybox:mine", "sleep", "1000"];
        before.push(host.docker(&options).trim().to_owned());
    }
    let spec = |n: usize| {
        format!(
            "[container.c{n}]\nimage = \"busybox:mine\"\ncommand = [\"sleep\", \"1000\"]\nadopt = true\nstop = {{ signal = \"SIGKILL\" }}\n"
        )
    };
    host.write("many.toml", &(0..6).map(spec).collect::<String>());
    for _ in 0..3 {
        Agent::start(&host, host.source().to_str().expect("UTF-8"), &[]).end(Signal::SIGKILL);
    }
    // The daemon is away when it comes back.
    host.daemon().kill();
    let agent = Agent::start(&host, host.source().to_str().expect("UTF-8"), &[]);
    drop(agent);
    host.daemon().start();
    let agent = Agent::start(&host, host.source().to_str().expect("UTF-8"), &[]);
    agent.wait_converged();
    let after: Vec<String> = (0..6).map(|n| id(&host, &format!("many-c{n}-1"))).collect();
    assert_eq!(after, before);
    for id in &after {
        let policy = host.docker(&["inspect", "--format={{.HostConfig.RestartPolicy.Name}}", id]);
        assert_eq!(policy.trim(), "no");
    }
}

#[test]
fn a_container_of_podman_is_taken_over_with_its_volume_and_network() {
    let host = Host::with_podman();
    let before = database_by_hand(&host);
    // Podman 4.3 cannot be told to leave a restart to homeostat.
    host.docker(&[
        "run",
        "--detach",
        "--restart=always",
        "--name=restarted",
        "busybox:mine",
        "sleep",
        "1000",
    ]);
    host.write(
        "other.toml",
        "[container.a]\nimage = \"busybox:mine\"\ncommand = [\"sleep\", \"1000\"]\nadopt = \"restarted\"\n",
    );
    let told = host.apply().expect_code(2).stdout;
    assert!(told.contains("restart of the engine: always -> unset"), "{told}");
    host.docker(&["rm", "--force", "restarted"]);
    host.remove("other.toml");
    host.write("shop.toml", DATABASE);
    host.apply().expect_code(0);
    assert_eq!(id(&host, "old-db"), before);
    host.plan().expect_code(0);
    host.write("shop.toml", &DATABASE.replace("echo row > /var/lib/db/row", "cat /var/lib/db/row"));
    host.apply().expect_code(0);
    assert_eq!(host.homeostat(&["logs", "shop/db"]).expect_code(0).stdout.lines().last(), Some("row"));
    assert_eq!(names(&host, "volume"), ["pg"]);
    host.plan().expect_code(0);
}
