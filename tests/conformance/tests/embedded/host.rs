//! A host for one test: a network namespace, a data directory, a base image.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::{Duration, Instant};

use homeostat_conformance::{PATIENCE, UnderTest, World, hold_to, look_for_credentials_in};
use homeostat_embedded::{Embedded, EmbeddedConfig, EmbeddedError};
use homeostat_reconciler::ports::Engine;
use homeostat_reconciler::{PortError, chain};
use nix::sched::CloneFlags;
use tokio::runtime::Runtime;

use crate::leaks;

/// The host's busybox, which needs no libraries.
const BUSYBOX: &str = "/bin/busybox";

/// The directory of the case's world.
const WORLD: &str = "world";

/// One test's part of the host.
#[derive(Debug)]
pub(crate) struct Host {
    directory: tempfile::TempDir,
}

/// What a case of the suite is.
type Case = for<'a> fn(&'a dyn Engine, &'a World) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs a case on a fresh engine, then looks for leaks.
pub(crate) fn run(name: &str, case: Case) {
    on_host(async |host: &Host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        hold_to(UnderTest::Embedded, name, case(&engine, &world)).await;
        remove_everything(&engine).await;
    });
}

/// Runs a test on a host of its own, then looks for leaks.
pub(crate) fn on_host(test: impl AsyncFnOnce(&Host)) {
    // Before there are other threads: those of the runtime inherit it.
    nix::sched::unshare(CloneFlags::CLONE_NEWNET).unwrap();
    homeostat_network::loopback_up().unwrap();
    let host = Host { directory: tempfile::tempdir().unwrap() };
    look_for_credentials_in(&host.directory.path().join(WORLD));
    let failed = catch_unwind(AssertUnwindSafe(|| runtime().block_on(test(&host)))).err();
    if let Some(failed) = failed {
        // What runs would outlive the test.
        runtime().block_on(async { remove_everything(&host.open().await).await });
        resume_unwind(failed);
    }
    leaks::assert_none(&host);
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

impl Host {
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) fn run_directory(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    pub(crate) fn config(&self) -> EmbeddedConfig {
        EmbeddedConfig {
            data_directory: self.data(),
            run_directory: self.run_directory(),
            program: PathBuf::from(env!("CARGO_BIN_EXE_conformance-monitor")),
            registries: homeostat_embedded::RegistryConfig::default(),
        }
    }

    pub(crate) async fn open(&self) -> Embedded {
        self.open_with(&self.config()).await
    }

    pub(crate) async fn open_with(&self, config: &EmbeddedConfig) -> Embedded {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Embedded::open(config.clone()).await {
                Ok(engine) => return engine,
                // The one before is let go of when what it was doing is done.
                Err(EmbeddedError::Locked(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("{}", chain(&PortError::from(error))),
            }
        }
    }

    pub(crate) async fn prepare(&self, engine: &dyn Engine) -> World {
        let directory = self.directory.path().join(WORLD);
        fs_err::create_dir(&directory).unwrap();
        World::prepare(engine, Path::new(BUSYBOX), &directory).await
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // A test may have mounted a disk of its own there.
        let _ = nix::mount::umount2(&self.data(), nix::mount::MntFlags::MNT_DETACH);
    }
}

/// Stops and removes all that an engine has.
pub(crate) async fn remove_everything(engine: &dyn Engine) {
    let observed = engine.observe().await.unwrap();
    for key in observed.containers.keys() {
        engine.stop_container(key, None, Duration::ZERO).await.unwrap();
        engine.remove_container(key).await.unwrap();
    }
    for key in &observed.volumes {
        engine.remove_volume(key).await.unwrap();
    }
    for key in observed.networks.keys() {
        engine.remove_network(key).await.unwrap();
    }
}
