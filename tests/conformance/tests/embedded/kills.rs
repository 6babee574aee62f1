//! The engine's process killed at any moment.

use std::process::{Command, Stdio};
use std::time::Duration;

use homeostat_conformance::{key, shell, wait_exited};
use homeostat_reconciler::ContainerState;
use homeostat_reconciler::ports::Engine as _;

use crate::host::{on_host, remove_everything};

/// How often it is killed, each time a little later than the last.
const KILLS: u32 = 24;

#[test]
fn an_engine_killed_at_any_moment_is_opened_again_and_leaves_nothing() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        drop(engine);
        for kill in 0..KILLS {
            let config = host.config();
            let mut churn = Command::new(&config.program)
                .arg("churn")
                .args([&config.data_directory, &config.run_directory])
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            // Not a wait for something: the moment of the kill is what differs.
            tokio::time::sleep(Duration::from_millis(20) + Duration::from_millis(7) * kill).await;
            churn.kill().unwrap();
            let output = churn.wait_with_output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "it failed before it was killed");

            let engine = host.open().await;
            let observed = engine.observe().await.unwrap();
            if let Some(seen) = observed.containers.get(&key("churn")) {
                let usable = observed.volumes.contains(&key("churn"));
                assert!(usable, "its volume is there: {seen:?}");
                engine.start_container(&key("churn")).await.unwrap();
                let now = engine.observe().await.unwrap().containers.remove(&key("churn")).unwrap();
                assert_eq!(now.state, ContainerState::Running);
            }
            remove_everything(&engine).await;
        }
        let engine = host.open().await;
        let key = homeostat_conformance::run(&engine, &world, "after", shell("exit 3")).await;
        assert_eq!(wait_exited(&engine, &key).await.code, Some(3));
        remove_everything(&engine).await;
    });
}
