//! A host for one test: a network namespace with a daemon of its own, a data directory, a base image.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::pin::Pin;

use homeostat_conformance::{UnderTest, World, hold_to, look_for_credentials_in};
use homeostat_docker::{Docker, DockerConfig, Flavour};
use homeostat_reconciler::ports::Engine;
use nix::sched::CloneFlags;

/// The host's busybox, which needs no libraries.
const BUSYBOX: &str = "/bin/busybox";

/// The directory of the case's world.
const WORLD: &str = "world";

/// What a case of the suite is.
type Case = for<'a> fn(&'a dyn Engine, &'a World) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs a case on a fresh daemon, which is taken down with all that came of it.
pub(crate) fn run(name: &str, case: Case) {
    // Before there are other threads: those of the runtime inherit it.
    nix::sched::unshare(CloneFlags::CLONE_NEWNET).unwrap();
    homeostat_network::loopback_up().unwrap();
    let directory = tempfile::tempdir().unwrap();
    look_for_credentials_in(&directory.path().join(WORLD));
    let daemon = crate::start(&directory.path().join("daemon"));
    let endpoint = Some(format!("unix://{}", daemon.socket().display()));
    let tried = catch_unwind(AssertUnwindSafe(|| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(hold(name, case, crate::UNDER_TEST, endpoint, directory.path()));
    }));
    if let Err(failed) = tried {
        eprintln!("the daemon's log:\n{}", daemon.logs());
        resume_unwind(failed);
    }
}

async fn hold(name: &str, case: Case, engine: UnderTest, endpoint: Option<String>, directory: &Path) {
    let flavour = match engine {
        UnderTest::Podman => Flavour::Podman,
        UnderTest::Docker | UnderTest::Embedded => Flavour::Docker,
    };
    let config = DockerConfig { flavour, endpoint, data_directory: directory.join("data") };
    let docker = Docker::open(&config).unwrap();
    let world = directory.join(WORLD);
    fs_err::create_dir(&world).unwrap();
    let world = World::prepare(&docker, Path::new(BUSYBOX), &world).await;
    hold_to(engine, name, case(&docker, &world)).await;
}
