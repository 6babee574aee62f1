//! A host for one test: a network namespace with a daemon of its own, a data directory, a base image.

use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::pin::Pin;

use homeostat_conformance::{Others, UnderTest, World, hold_to, look_for_credentials_in};
use homeostat_daemons::{Daemon, Docker, Podman, Release};
use homeostat_docker::{Docker as Engine, DockerConfig, Flavour};
use homeostat_reconciler::ports;
use nix::sched::CloneFlags;

/// The host's busybox, which needs no libraries.
const BUSYBOX: &str = "/bin/busybox";

/// The directory of the case's world.
const WORLD: &str = "world";

/// What a case of the suite is.
type Case = for<'a> fn(&'a dyn ports::Engine, &'a World) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs a case on a fresh daemon, which is taken down with all that came of it. Says why if there is none of that release.
pub(crate) fn run(engine: UnderTest, name: &str, case: Case) {
    let Some(release) = release(engine) else { return };
    // Before there are other threads: those of the runtime inherit it.
    nix::sched::unshare(CloneFlags::CLONE_NEWNET).unwrap();
    homeostat_network::loopback_up().unwrap();
    let directory = tempfile::tempdir().unwrap();
    look_for_credentials_in(&directory.path().join(WORLD));
    let (flavour, daemon) = start(engine, &release, &directory.path().join("daemon"));
    let config = DockerConfig {
        flavour,
        endpoint: Some(format!("unix://{}", daemon.socket().display())),
        data_directory: directory.path().join("data"),
    };
    let tried = catch_unwind(AssertUnwindSafe(|| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(hold(name, case, engine, &config, directory.path()));
    }));
    if let Err(failed) = tried {
        eprintln!("the daemon's log:\n{}", daemon.logs());
        resume_unwind(failed);
    }
}

fn release(engine: UnderTest) -> Option<Release> {
    match engine {
        UnderTest::Docker26 | UnderTest::Podman5 => Release::trixie(),
        _ => Some(Release::Host),
    }
}

fn start(
    engine: UnderTest,
    release: &Release,
    directory: &Path,
) -> (Flavour, Box<dyn Deref<Target = Daemon>>) {
    match engine {
        UnderTest::Podman4 | UnderTest::Podman5 => {
            (Flavour::Podman, Box::new(Podman::start_of(release, directory)))
        }
        _ => (Flavour::Docker, Box::new(Docker::start_of(release, directory))),
    }
}

async fn hold(name: &str, case: Case, engine: UnderTest, config: &DockerConfig, directory: &Path) {
    let docker = Engine::open(config).unwrap();
    let world = directory.join(WORLD);
    fs_err::create_dir(&world).unwrap();
    let mut world = World::prepare(&docker, Path::new(BUSYBOX), &world).await;
    world.others = config
        .endpoint
        .as_deref()
        .and_then(|it| it.strip_prefix("unix://"))
        .map(|socket| Others::at(Path::new(socket)));
    hold_to(engine, name, case(&docker, &world)).await;
}
