//! What only the embedded engine promises: it is files and processes, and the engine itself comes and goes.

use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use homeostat_conformance::{
    PATIENCE, create, key, log_lines, observe, run, shell, state, wait_exited, wait_for_log,
};
use homeostat_embedded::Embedded;
use homeostat_reconciler::ports::{Engine, ExecRequest};
use homeostat_reconciler::{ContainerState, ErrorKind};
use homeostat_spec::{ContainerConfig, Network, NetworkMode};
use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::{on_host, remove_everything};

/// The monitor of a container: the parent of its first process.
async fn monitor_of(engine: &dyn Engine, key: &homeostat_reconciler::ResourceKey) -> Pid {
    let pid = observe(engine, key).await.pid.unwrap();
    let status = fs_err::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    Pid::from_raw(parent.trim().parse().unwrap())
}

#[test]
fn an_engine_opened_again_adopts_what_runs() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let script = "n=0; while :; do echo $n; n=$((n+1)); usleep 5000; done";
        let counter = run(&engine, &world, "counter", shell(script)).await;
        let paused = run(&engine, &world, "paused", shell(script)).await;
        engine.pause_container(&paused).await.unwrap();
        create(&engine, &world, "created", shell("exit 0")).await;
        run(&engine, &world, "done", shell("exit 5")).await;
        wait_exited(&engine, &key("done")).await;
        let before = engine.observe().await.unwrap();
        drop(engine);

        let engine = host.open().await;
        assert_eq!(engine.observe().await.unwrap(), before);
        let seen = log_lines(&engine, &counter).await.len();
        wait_for_log(&engine, &counter, &(seen + 5).to_string()).await;
        // What was adopted can be stopped, and its end is told.
        engine.resume_container(&paused).await.unwrap();
        for container in [&counter, &paused] {
            engine.stop_container(container, None, Duration::ZERO).await.unwrap();
            assert_eq!(observe(&engine, container).await.exit.unwrap().code, Some(137));
        }
        remove_everything(&engine).await;
    });
}

#[test]
fn an_exit_that_nobody_saw_is_known_when_the_engine_is_opened_again() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let key = run(
            &engine,
            &world,
            "brief",
            shell("while [ ! -e /go ]; do usleep 5000; done; echo late; exit 6"),
        )
        .await;
        let seen = observe(&engine, &key).await;
        drop(engine);
        let pid = seen.pid.unwrap();
        fs_err::write(format!("/proc/{pid}/root/go"), "").unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::path::Path::new(&format!("/proc/{pid}")).exists() {
            assert!(Instant::now() < deadline, "it does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }

        let engine = host.open().await;
        assert_eq!(wait_exited(&engine, &key).await.code, Some(6));
        assert_eq!(observe(&engine, &key).await.started_at, seen.started_at);
        assert_eq!(log_lines(&engine, &key).await, ["late"]);
        remove_everything(&engine).await;
    });
}

#[test]
fn a_killed_monitor_takes_its_container_with_it_and_leaves_nothing() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let key = run(&engine, &world, "orphan", shell("sleep 1000 & sleep 1000 & wait")).await;
        kill(monitor_of(&engine, &key).await, Signal::SIGKILL).unwrap();
        let status = wait_exited(&engine, &key).await;
        assert_eq!(status.code, None, "nobody saw the end");
        let before = observe(&engine, &key).await;
        drop(engine);
        let engine = host.open().await;
        assert_eq!(observe(&engine, &key).await, before);
        engine.start_container(&key).await.unwrap();
        assert_eq!(state(&engine, &key).await, ContainerState::Running);
        remove_everything(&engine).await;
    });
}

#[test]
fn a_monitor_killed_while_the_engine_is_closed_is_a_run_that_has_ended() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let key = run(&engine, &world, "orphan", shell("sleep 1000")).await;
        let monitor = monitor_of(&engine, &key).await;
        drop(engine);
        kill(monitor, Signal::SIGKILL).unwrap();
        nix::sys::wait::waitpid(monitor, None).unwrap();
        let engine = host.open().await;
        let seen = observe(&engine, &key).await;
        assert_eq!(seen.state, ContainerState::Exited);
        assert_eq!(seen.exit.unwrap().code, None);
        remove_everything(&engine).await;
    });
}

#[test]
fn a_data_directory_has_one_engine_at_a_time() {
    on_host(async |host| {
        let engine = host.open().await;
        let error = Embedded::open(host.config()).await.unwrap_err();
        let error = homeostat_reconciler::PortError::from(error);
        assert!(homeostat_reconciler::chain(&error).contains(&format!("process {}", std::process::id())));
        drop(engine);
        host.open().await;
    });
}

#[test]
fn what_a_cut_left_half_done_is_swept_when_the_engine_is_opened() {
    on_host(async |host| {
        let engine = host.open().await;
        drop(engine);
        for place in ["staging", "trash"] {
            let directory = host.data().join(place).join("0123456789abcdef0123456789abcdef/upper");
            fs_err::create_dir_all(&directory).unwrap();
            fs_err::write(directory.join("file"), "half").unwrap();
        }
        let engine = host.open().await;
        assert!(engine.observe().await.unwrap().containers.is_empty());
    });
}

#[test]
fn a_container_whose_record_is_damaged_is_removed_and_its_volumes_stay() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let volume =
            homeostat_spec::Volume { retain: true, adopt: None, labels: std::collections::BTreeMap::new() };
        engine.create_volume(&key("data"), &volume).await.unwrap();
        let container = create(&engine, &world, "damaged", shell("exit 0")).await;
        let record =
            host.data().join("containers").join(observe(&engine, &container).await.id).join("container.json");
        drop(engine);
        let text = fs_err::read(&record).unwrap();
        fs_err::write(&record, &text[..text.len() / 2]).unwrap();
        let engine = host.open().await;
        let observed = engine.observe().await.unwrap();
        assert!(observed.containers.is_empty());
        assert!(observed.volumes.contains(&key("data")));
        remove_everything(&engine).await;
    });
}

#[test]
fn fifty_containers_are_observed_quickly() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let (mut created, mut started) = (Duration::ZERO, Duration::ZERO);
        for number in 0..50 {
            let began = Instant::now();
            let key =
                create(&engine, &world, &format!("sleeper-{number}"), shell("exec sleep infinity")).await;
            created += began.elapsed();
            let began = Instant::now();
            engine.start_container(&key).await.unwrap();
            started += began.elapsed();
        }
        let mut times: Vec<Duration> = Vec::new();
        for _ in 0..20 {
            let began = Instant::now();
            assert_eq!(engine.observe().await.unwrap().containers.len(), 50);
            times.push(began.elapsed());
        }
        times.sort();
        let keys: Vec<_> = (0..50).map(|number| key(&format!("sleeper-{number}"))).collect();
        let began = Instant::now();
        let stops = keys.iter().map(|key| engine.stop_container(key, Some("SIGKILL"), Duration::ZERO));
        assert!(futures::future::join_all(stops).await.iter().all(Result::is_ok));
        let stopped = began.elapsed();
        let began = Instant::now();
        let starts = keys.iter().map(|key| engine.start_container(key));
        assert!(futures::future::join_all(starts).await.iter().all(Result::is_ok));
        println!("all at once: stopped in {stopped:?}, started in {:?}", began.elapsed());
        println!("create: {:?}, start: {:?}, observe all 50: {:?}", created / 50, started / 50, times[10]);
        // The aim is 5 ms; a debug build on a busy machine has room here.
        assert!(times[10] < Duration::from_millis(50), "{times:?}");
        remove_everything(&engine).await;
    });
}

#[test]
fn a_start_that_was_cut_off_is_undone_when_the_engine_is_opened() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let key = create(&engine, &world, "cut-off", shell("sleep infinity")).await;
        let directory = host.data().join("containers").join(observe(&engine, &key).await.id);
        drop(engine);
        // To the engine it looks as a monitor that has not told anybody yet that it runs the container.
        let mut stray = std::process::Command::new("yes")
            .args(["monitor", "run"])
            .arg(fs_err::canonicalize(directory).unwrap())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let engine = host.open().await;
        assert_eq!(stray.wait().unwrap().signal(), Some(9));
        assert_eq!(state(&engine, &key).await, ContainerState::Created);
        engine.start_container(&key).await.unwrap();
        remove_everything(&engine).await;
    });
}

#[test]
fn a_full_disk_refuses_what_is_new_keeps_what_runs_and_works_again_when_it_has_room() {
    leave_mount_namespace();
    on_host(async |host| {
        fs_err::create_dir(host.data()).unwrap();
        let size = Some("size=32m");
        nix::mount::mount(Some("disk"), &host.data(), Some("tmpfs"), MsFlags::empty(), size).unwrap();
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let running = run(&engine, &world, "running", shell("sleep infinity")).await;
        let filler = host.data().join("filler");
        fill(&filler);

        let request = world.request(&key("new"), &world.base, shell("exit 0"));
        let error = engine.create_container(&request).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Transient, "{}", homeostat_reconciler::chain(&error));
        assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("disk is full")), "{error:?}");
        let context = world.context("big", &format!("FROM {}\nCOPY page /page\n", world.base));
        fs_err::write(context.join("page"), vec![1; 1 << 20]).unwrap();
        let error = world.build(&engine, "localhost/big:1", &context).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Transient, "{}", homeostat_reconciler::chain(&error));
        assert_eq!(engine.observe().await.unwrap().containers.len(), 1);
        assert_eq!(fs_err::read_dir(host.data().join("staging")).unwrap().count(), 0);
        assert_eq!(state(&engine, &running).await, ContainerState::Running);

        fs_err::remove_file(&filler).unwrap();
        engine.create_container(&request).await.unwrap();
        engine.start_container(&key("new")).await.unwrap();
        assert_eq!(wait_exited(&engine, &key("new")).await.code, Some(0));
        world.build(&engine, "localhost/big:1", &context).await.unwrap();
        remove_everything(&engine).await;
    });
}

/// Writes a file until the disk has no room.
fn fill(path: &std::path::Path) {
    let mut file = fs_err::File::create(path).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
}

#[test]
fn a_published_port_stays_reachable_while_the_engine_is_closed_and_goes_with_its_container() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let mut config = shell("echo ready; while :; do echo hello | nc -l -p 80; done");
        config.network = NetworkMode::Bridge;
        let host_port = world.free_port();
        config.ports.push(homeostat_spec::PublishedPort {
            host_ip: None,
            host_port,
            host_port_last: None,
            container_port: 80,
            protocol: homeostat_spec::Protocol::Tcp,
        });
        let key = run(&engine, &world, "server", config).await;
        wait_for_log(&engine, &key, "ready").await;
        let address = observe(&engine, &key).await.address;
        drop(engine);
        wait_for_hello(host_port).await;

        let engine = host.open().await;
        assert_eq!(observe(&engine, &key).await.address, address);
        wait_for_hello(host_port).await;
        engine.stop_container(&key, None, Duration::ZERO).await.unwrap();
        tokio::net::TcpStream::connect(("127.0.0.1", host_port)).await.unwrap_err();
        // The address is the container's own at the next start too.
        engine.start_container(&key).await.unwrap();
        assert_eq!(observe(&engine, &key).await.address, address);
        wait_for_hello(host_port).await;
        remove_everything(&engine).await;
    });
}

/// Asks until the server of that test answers: between two connections it does not listen for a moment.
async fn wait_for_hello(port: u16) {
    let answered = async {
        let mut answer = String::new();
        while answer != "hello\n" {
            answer.clear();
            if let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
                // A connection that is reset is tried again as well.
                let _ = tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("the port answers");
}

#[test]
fn a_monitor_that_dies_at_once_is_told_and_leaves_the_container_as_it_was() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let key = create(&engine, &world, "unlucky", shell("exit 0")).await;
        drop(engine);
        let config = homeostat_embedded::EmbeddedConfig { program: "/bin/false".into(), ..host.config() };
        let engine = Embedded::open(config).await.unwrap();
        let error = engine.start_container(&key).await.unwrap_err();
        assert!(error.to_string().contains("monitor has died"), "{error}");
        assert_eq!(error.kind, ErrorKind::Transient);
        assert_eq!(state(&engine, &key).await, ContainerState::Created);
        drop(engine);
        let engine = host.open().await;
        engine.start_container(&key).await.unwrap();
        assert_eq!(wait_exited(&engine, &key).await.code, Some(0));
        remove_everything(&engine).await;
    });
}

#[test]
fn no_container_can_write_to_the_program_of_its_monitor() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let key = run(&engine, &world, "attacker", shell("sleep infinity")).await;
        // The mount that the program was started through decides, for whoever comes to it over `/proc/PID/exe`
        // (CVE-2019-5736). That the file is busy is no protection: it is only as long as it runs.
        let program = format!("/proc/{}/exe", monitor_of(&engine, &key).await);
        let writable = nix::unistd::access(program.as_str(), nix::unistd::AccessFlags::W_OK);
        assert_eq!(writable, Err(nix::errno::Errno::EROFS));
        remove_everything(&engine).await;
    });
}

/// Gives this process, before it has other threads, mounts that nobody else sees.
pub(crate) fn leave_mount_namespace() {
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    nix::mount::mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
}

#[test]
fn a_container_that_cannot_be_cleaned_up_holds_up_no_other() {
    leave_mount_namespace();
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let stuck = run(&engine, &world, "stuck", shell("sleep infinity")).await;
        let other = run(&engine, &world, "other", shell("sleep infinity")).await;
        // A directory that is busy cannot be removed, as a process that hangs in the kernel cannot.
        let busy = host.run_directory().join("oci").join(observe(&engine, &stuck).await.id).join("busy");
        fs_err::create_dir(&busy).unwrap();
        nix::mount::mount(Some("busy"), &busy, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        kill(monitor_of(&engine, &stuck).await, Signal::SIGKILL).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while engine.stop_container(&other, None, Duration::ZERO).await.is_err() {
            assert!(Instant::now() < deadline);
        }
        assert_eq!(state(&engine, &other).await, ContainerState::Exited);
        engine.start_container(&other).await.unwrap();
        drop(engine);

        let engine = host.open().await;
        assert_eq!(state(&engine, &other).await, ContainerState::Running);
        nix::mount::umount(&busy).unwrap();
        engine.start_container(&stuck).await.unwrap();
        assert_eq!(state(&engine, &stuck).await, ContainerState::Running);
        remove_everything(&engine).await;
    });
}

#[test]
fn after_a_reboot_every_container_has_ended_and_starts_again() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let ran = run(&engine, &world, "ran", shell("sleep infinity")).await;
        let bridged = ContainerConfig { network: NetworkMode::Bridge, ..shell("sleep infinity") };
        let bridged = run(&engine, &world, "bridged", bridged).await;
        let ended = run(&engine, &world, "ended", shell("exit 5")).await;
        wait_exited(&engine, &ended).await;
        let pids: Vec<_> =
            futures::future::join_all([&ran, &bridged].map(|key| monitor_of(&engine, key))).await;
        let directories: Vec<_> =
            futures::future::join_all([&ran, &bridged].map(|key| observe(&engine, key)))
                .await
                .into_iter()
                .map(|seen| host.data().join("containers").join(seen.id))
                .collect();
        drop(engine);
        // What a reboot leaves: no process of a container, nothing in the run directory, another boot's id; and the ids of processes are used again.
        for (pid, directory) in pids.iter().zip(&directories) {
            kill(*pid, Signal::SIGKILL).unwrap();
            nix::sys::wait::waitpid(*pid, None).unwrap();
            let file = directory.join("run.json");
            let mut run: serde_json::Value = serde_json::from_slice(&fs_err::read(&file).unwrap()).unwrap();
            for process in ["monitor", "init"] {
                let me = homeostat_monitor::ProcessIdentity::of(std::process::id()).unwrap();
                run[process] = serde_json::to_value(me).unwrap();
                run[process]["boot_id"] = "another".into();
            }
            fs_err::write(&file, run.to_string()).unwrap();
        }
        fs_err::remove_dir_all(host.run_directory()).unwrap();

        let engine = host.open().await;
        for key in [&ran, &bridged] {
            let seen = observe(&engine, key).await;
            assert_eq!((seen.state, seen.exit.unwrap().code), (ContainerState::Exited, None));
            assert!(seen.started_at.is_some());
        }
        assert_eq!(observe(&engine, &ended).await.exit.unwrap().code, Some(5));
        for key in [&ran, &bridged] {
            engine.start_container(key).await.unwrap();
            assert_eq!(state(&engine, key).await, ContainerState::Running);
        }
        remove_everything(&engine).await;
    });
}

#[test]
fn records_of_another_version_are_lost_and_nothing_else() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let container = run(&engine, &world, "future", shell("sleep infinity")).await;
        let kept = run(&engine, &world, "kept", shell("sleep infinity")).await;
        let network =
            Network { subnet: None, internal: false, adopt: None, labels: std::collections::BTreeMap::new() };
        engine.create_network(&key("net"), &network).await.unwrap();
        let monitor = monitor_of(&engine, &container).await;
        let directory = host.data().join("containers").join(observe(&engine, &container).await.id);
        let of_kept = host.data().join("containers").join(observe(&engine, &kept).await.id);
        drop(engine);
        let network = host.data().join("networks").join(key("net").app.as_str()).join("net/network.json");
        for record in [directory.join("container.json"), network] {
            assert!(record.exists(), "{}", record.display());
            homeostat_files::write_json_durably(&record, &serde_json::json!({ "version": 2 })).unwrap();
        }
        fs_err::write(of_kept.join("exit.json"), "torn").unwrap();
        let engine = host.open().await;
        let observed = engine.observe().await.unwrap();
        assert_eq!(observed.containers.keys().collect::<Vec<_>>(), [&kept]);
        assert_eq!(state(&engine, &kept).await, ContainerState::Running);
        assert!(observed.networks.is_empty() && !directory.exists());
        nix::sys::wait::waitpid(monitor, None).unwrap();
        remove_everything(&engine).await;
    });
}

#[test]
fn rules_that_a_restart_of_the_firewall_has_flushed_are_back_with_the_next_observation() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let bridged = ContainerConfig { network: NetworkMode::Bridge, ..shell("sleep infinity") };
        run(&engine, &world, "bridged", bridged).await;
        let nft = |arguments: &[&str]| {
            let output = std::process::Command::new("/usr/sbin/nft").args(arguments).output().unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout).unwrap()
        };
        let before = nft(&["list", "ruleset"]);
        assert!(before.contains("table ip hs-"));
        nft(&["flush", "ruleset"]);
        engine.observe().await.unwrap();
        assert_eq!(nft(&["list", "ruleset"]), before);
        remove_everything(&engine).await;
    });
}

#[test]
fn a_command_that_leaves_a_process_behind_has_ended_when_it_ends() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let key = run(&engine, &world, "daemon", shell("sleep infinity")).await;
        let words = ["/bin/sh", "-c", "setsid sleep 1000 & echo told"];
        let request =
            ExecRequest { command: words.map(str::to_owned).to_vec(), timeout: Duration::from_secs(100) };
        let began = Instant::now();
        let outcome = engine.exec(&key, &request).await.unwrap();
        assert_eq!((outcome.code, outcome.output.as_str()), (Some(0), "told\n"));
        assert!(began.elapsed() < Duration::from_secs(50));
        remove_everything(&engine).await;
    });
}

#[test]
fn a_monitor_has_no_descriptor_of_the_engine() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let bridged = ContainerConfig { network: NetworkMode::Bridge, ..shell("sleep infinity") };
        run(&engine, &world, "first", bridged.clone()).await;
        let second = run(&engine, &world, "second", bridged).await;
        let monitor = monitor_of(&engine, &second).await;
        // It listens for those who attach.
        let sockets = fs_err::read_to_string(format!("/proc/{monitor}/net/unix")).unwrap();
        let listening = sockets.lines().find(|line| line.ends_with("/attach.sock")).unwrap();
        let inode = listening.split_whitespace().nth(6).unwrap();
        let listener = format!("socket:[{inode}]");
        let links = fs_err::read_dir(format!("/proc/{monitor}/fd"))
            .unwrap()
            .filter_map(|entry| fs_err::read_link(entry.unwrap().path()).ok());
        let open: Vec<String> = links.map(|link| link.to_string_lossy().into_owned()).collect();
        let own = host.data().join("containers").join(observe(&engine, &second).await.id);
        let log = host.data().join("logs").join(second.app.as_str()).join(second.name.as_str());
        let expected = |link: &String| {
            let path = std::path::Path::new(link);
            link == "/dev/null"
                || link.starts_with("pipe:")
                || link == "anon_inode:[signalfd]"
                || *link == listener
                || path.starts_with(&own)
                || path.starts_with(&log)
        };
        let others: Vec<_> = open.iter().filter(|link| !expected(link)).collect();
        assert!(others.is_empty(), "{others:?} of {open:?}");
        remove_everything(&engine).await;
    });
}
