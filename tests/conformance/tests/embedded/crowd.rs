//! Many containers, and much at once: nothing waits for what does not concern it, and nothing adds up.

use std::time::{Duration, Instant};

use futures::future::join_all;
use homeostat_conformance::{PATIENCE, create, key, observe, run, shell, state, wait_for_log};
use homeostat_reconciler::ports::{Engine, Keep, PruneRequest};
use homeostat_reconciler::{ContainerState, ResourceKey};
use homeostat_spec::{
    ContainerConfig, LogRotation, NetworkMode, Protocol, PruneKind, PruneRule, PublishedPort,
};
use jiff::Timestamp;

use crate::host::{on_host, remove_everything};

/// A container on the default bridge that publishes a port of the host.
fn bridged(port: u16) -> ContainerConfig {
    let published = PublishedPort {
        host_ip: None,
        host_port: port,
        host_port_last: None,
        container_port: 80,
        protocol: Protocol::Tcp,
    };
    ContainerConfig { network: NetworkMode::Bridge, ports: vec![published], ..shell("exec sleep infinity") }
}

fn keys(count: u16) -> Vec<ResourceKey> {
    (0..count).map(|number| key(&format!("one-of-many-{number}"))).collect()
}

#[test]
fn containers_come_and_go_beside_observations_builds_and_prunes() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let keys = keys(24);
        let one = async |number: u16, key: &ResourceKey| {
            for _ in 0..2 {
                engine
                    .create_container(&world.request(key, &world.base, bridged(30_000 + number)))
                    .await
                    .unwrap();
                engine.start_container(key).await.unwrap();
                assert_eq!(state(&engine, key).await, ContainerState::Running);
                engine.stop_container(key, Some("SIGKILL"), Duration::ZERO).await.unwrap();
                engine.remove_container(key).await.unwrap();
            }
        };
        let containers = join_all((0..).zip(&keys).map(|(number, key)| one(number, key)));
        let others = async {
            for number in 0..3 {
                world.image(&engine, &format!("built-{number}"), "RUN echo here > /file").await;
                let keep = Keep { images: [world.base.clone()].into(), ..Keep::default() };
                let rules = [(PruneKind::Image, PruneRule::older_than(Duration::ZERO))].into();
                let request = PruneRequest { rules, keep, now: Timestamp::now(), ..PruneRequest::default() };
                engine.prune(&request).await.unwrap();
                engine.observe().await.unwrap();
                engine.usage().await.unwrap();
            }
        };
        futures::join!(containers, others);
        assert!(engine.observe().await.unwrap().containers.is_empty());
        remove_everything(&engine).await;
    });
}

#[test]
fn starts_and_observations_do_not_wait_for_stops_that_take_their_time() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let stubborn = keys(20);
        for key in &stubborn {
            let script = "trap '' TERM; echo ready; while :; do sleep 1000; done";
            create(&engine, &world, key.name.as_str(), shell(script)).await;
        }
        assert!(
            join_all(stubborn.iter().map(|key| engine.start_container(key))).await.iter().all(Result::is_ok)
        );
        for key in &stubborn {
            wait_for_log(&engine, key, "ready").await;
        }
        let stops: Vec<_> = stubborn
            .iter()
            .map(|key| {
                let (engine, key) = (engine.clone(), key.clone());
                tokio::spawn(async move { engine.stop_container(&key, None, Duration::from_hours(1)).await })
            })
            .collect();
        let prompt = async {
            run(&engine, &world, "prompt", shell("sleep infinity")).await;
            engine.observe().await.unwrap();
            engine.stop_container(&key("prompt"), Some("SIGKILL"), Duration::ZERO).await.unwrap();
        };
        tokio::time::timeout(PATIENCE, prompt).await.expect("it does not wait for the others");
        for key in &stubborn {
            engine.stop_container(key, Some("SIGKILL"), Duration::ZERO).await.unwrap();
        }
        assert!(join_all(stops).await.into_iter().all(|stopped| stopped.unwrap().is_ok()));
        remove_everything(&engine).await;
    });
}

#[test]
fn starts_and_stops_leave_no_descriptor_process_or_rule_behind() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let keys = keys(4);
        for (number, key) in (0..).zip(&keys) {
            create(&engine, &world, key.name.as_str(), bridged(31_000 + number)).await;
        }
        let cycle = async || {
            assert!(
                join_all(keys.iter().map(|key| engine.start_container(key))).await.iter().all(Result::is_ok)
            );
            let stops = keys.iter().map(|key| engine.stop_container(key, Some("SIGKILL"), Duration::ZERO));
            assert!(join_all(stops).await.iter().all(Result::is_ok));
        };
        // The bridge stays, and who answers names on it.
        run(&engine, &world, "kept", ContainerConfig { ports: Vec::new(), ..bridged(0) }).await;
        let (descriptors_before, children_before) = (descriptors(), children());
        cycle().await;
        let before = (descriptors_before, children_before, rules());
        for _ in 0..5 {
            cycle().await;
        }
        let deadline = Instant::now() + PATIENCE;
        // The tasks that have watched a run let go of it a moment later.
        while (descriptors(), children(), rules()) != before {
            assert!(Instant::now() < deadline, "{:?}\nwas {before:?}", (descriptors(), children(), rules()));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        remove_everything(&engine).await;
    });
}

#[test]
fn a_container_that_talks_without_end_fills_no_disk_and_holds_nobody_up() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let mut config = shell("trap 'exit 3' TERM; yes a line of a program that has much to say & wait");
        config.log = LogRotation { max_size: 1 << 20, max_files: 2 };
        let talker = run(&engine, &world, "talker", config).await;
        let log = host.data().join("logs").join(talker.app.as_str()).join(talker.name.as_str());
        let deadline = Instant::now() + PATIENCE;
        while !log.join("current.log.1").exists() {
            assert!(Instant::now() < deadline, "it is not rotated");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for _ in 0..20 {
            let sizes = fs_err::read_dir(&log)
                .unwrap()
                .map(|file| file.unwrap().metadata().map_or(0, |file| file.len()));
            let sizes: Vec<u64> = sizes.collect();
            assert!(sizes.len() <= 2 && sizes.iter().sum::<u64>() <= 2 << 20, "{sizes:?}");
            assert_eq!(observe(&engine, &talker).await.state, ContainerState::Running);
        }
        engine.stop_container(&talker, None, PATIENCE).await.unwrap();
        assert_eq!(observe(&engine, &talker).await.exit.unwrap().code, Some(3));
        remove_everything(&engine).await;
    });
}

fn descriptors() -> usize {
    fs_err::read_dir("/proc/self/fd").unwrap().count()
}

/// Processes that this one has to reap.
fn children() -> usize {
    let tasks = fs_err::read_dir("/proc/self/task").unwrap();
    let of =
        |task: fs_err::DirEntry| fs_err::read_to_string(task.path().join("children")).unwrap_or_default();
    tasks.map(|task| of(task.unwrap()).split_whitespace().count()).sum()
}

fn rules() -> String {
    let output = std::process::Command::new("nft").args(["list", "ruleset"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
