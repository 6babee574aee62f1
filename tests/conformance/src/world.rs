//! What the cases share: an image, and words for what they do.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt as _;
use homeostat_reconciler::ports::{
    BuildRequest, ContainerRequest, Engine, LogLine, LogQuery, Progress, ProgressStep,
};
use homeostat_reconciler::{ContainerState, ExitStatus, ObservedContainer, PortError, ResourceKey, chain};
use homeostat_spec::{ContainerConfig, NetworkMode};

use crate::Others;

/// The app of every case's resources.
pub const APP: &str = "case";

/// How long a case waits for what should happen at once.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Time between two looks at something that tells no events.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What a case finds on the host beside the engine.
#[derive(Debug)]
pub struct World {
    /// Reference of an image that has busybox with its usual applets in `/bin`, a user `worker` (1000:1000, member
    /// of the group `crew`, 2000) and `/www/index.html`.
    pub base: String,
    /// An empty directory of the host for what the case needs.
    pub directory: PathBuf,
    /// Somebody else who uses the same engine, where one serves others too.
    pub others: Option<Others>,
}

impl World {
    /// Builds the base image from the host's static busybox, at the path given.
    pub async fn prepare(engine: &dyn Engine, busybox: &Path, directory: &Path) -> Self {
        let world =
            Self { base: "localhost/base:1".to_owned(), directory: directory.to_owned(), others: None };
        let context = world.context("base", BASE);
        lay_out_base(&context.join("root"), busybox);
        world.build(engine, &world.base, &context).await.unwrap();
        world
    }

    /// A build context with only this Dockerfile.
    pub fn context(&self, name: &str, dockerfile: &str) -> PathBuf {
        let context = self.directory.join("contexts").join(name);
        fs_err::create_dir_all(&context).unwrap();
        fs_err::write(context.join("Dockerfile"), dockerfile).unwrap();
        context
    }

    /// Builds an image of a context and returns its id.
    ///
    /// # Errors
    /// As the engine says.
    pub async fn build(
        &self,
        engine: &dyn Engine,
        reference: &str,
        context: &Path,
    ) -> Result<String, PortError> {
        engine.build_image(&self.build_request(reference, context), &Silent).await
    }

    /// What [`build`](Self::build) asks for.
    pub fn build_request(&self, reference: &str, context: &Path) -> BuildRequest {
        BuildRequest {
            reference: reference.to_owned(),
            context: context.to_owned(),
            dockerfile: "Dockerfile".to_owned(),
            dockerfile_text: None,
            args: BTreeMap::new(),
            target: None,
            no_cache: false,
            secrets: BTreeMap::new(),
            ssh: BTreeMap::new(),
        }
    }

    /// Builds an image that is the base with these lines of Dockerfile, and returns its reference.
    pub async fn image(&self, engine: &dyn Engine, name: &str, lines: &str) -> String {
        let context = self.context(name, &format!("FROM {}\n{lines}\n", self.base));
        let reference = format!("localhost/{name}:1");
        self.build(engine, &reference, &context).await.unwrap();
        reference
    }

    /// Where the source's files lie by their digest.
    pub fn files(&self) -> PathBuf {
        self.directory.join("files")
    }

    /// Asks for a container of an image.
    pub fn request(&self, key: &ResourceKey, image: &str, config: ContainerConfig) -> ContainerRequest {
        ContainerRequest {
            key: key.clone(),
            image: image.to_owned(),
            config,
            files: self.files(),
            attended: false,
        }
    }

    /// A TCP port that nobody listens on now.
    pub fn free_port(&self) -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }
}

/// One layer and no `RUN`: every case builds it.
const BASE: &str = "FROM scratch\nCOPY root /\nCMD [\"sleep\", \"infinity\"]\n";

/// What is in `/bin`: what cases use of busybox, since every case makes and removes all of these links.
const APPLETS: &str = "[ awk cat chmod chown cp cut date dd dirname echo env expr false find getent grep groups head \
                       hostname httpd id ifconfig ip kill ln ls md5sum mkdir mkfifo mknod mktemp mount mv nc \
                       netstat nslookup od ping printf ps pwd readlink rm rmdir sed seq setsid sh sha256sum sleep \
                       sort stat sync tail tar tee test timeout touch tr true tty udhcpc umount uname unshare \
                       usleep wc wget which yes";

/// The files of the base image.
fn lay_out_base(root: &Path, busybox: &Path) {
    for directory in ["bin", "etc", "tmp", "www", "home/worker"] {
        fs_err::create_dir_all(root.join(directory)).unwrap();
    }
    fs_err::set_permissions(root.join("tmp"), Permissions::from_mode(0o1777)).unwrap();
    fs_err::copy(busybox, root.join("bin/busybox")).unwrap();
    for applet in APPLETS.split_whitespace() {
        fs_err::os::unix::fs::symlink("/bin/busybox", root.join("bin").join(applet)).unwrap();
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1000::/home/worker:/bin/sh\n";
    fs_err::write(root.join("etc/passwd"), passwd).unwrap();
    fs_err::write(root.join("etc/group"), "root:x:0:\nworker:x:1000:\ncrew:x:2000:worker\n").unwrap();
    fs_err::write(root.join("www/index.html"), "hello\n").unwrap();
}

/// Is not interested in how a build goes on.
#[derive(Debug)]
pub struct Silent;

impl Progress for Silent {
    fn step(&self, _step: &ProgressStep) {}
    fn cached(&self, _step: usize) {}
    fn missed(&self, _step: usize, _cause: &str) {}
    fn output(&self, _step: Option<usize>, _line: &str) {}
}

/// The key of a container, volume or network of the case.
pub fn key(name: &str) -> ResourceKey {
    ResourceKey::new(APP.parse().unwrap(), name.parse().unwrap())
}

/// Everything as the image says, no network, no limits.
pub fn config() -> ContainerConfig {
    ContainerConfig { network: NetworkMode::None, ..ContainerConfig::default() }
}

/// [`config`] that runs a script with `sh`.
pub fn shell(script: &str) -> ContainerConfig {
    let words = ["/bin/sh", "-c", script];
    ContainerConfig { command: Some(words.map(str::to_owned).to_vec()), ..config() }
}

/// Creates a container of the base image.
pub async fn create(engine: &dyn Engine, world: &World, name: &str, config: ContainerConfig) -> ResourceKey {
    let key = key(name);
    expect(engine.create_container(&world.request(&key, &world.base, config)).await);
    key
}

/// Creates and starts a container of the base image.
pub async fn run(engine: &dyn Engine, world: &World, name: &str, config: ContainerConfig) -> ResourceKey {
    let key = create(engine, world, name, config).await;
    expect(engine.start_container(&key).await);
    key
}

/// Runs a container of the base image until it has exited, and gives its status and the lines of both streams.
pub async fn run_to_end(
    engine: &dyn Engine,
    world: &World,
    name: &str,
    config: ContainerConfig,
) -> (ExitStatus, Vec<String>) {
    let key = run(engine, world, name, config).await;
    let status = wait_exited(engine, &key).await;
    (status, log_lines(engine, &key).await)
}

/// Runs a container of another image until it has exited, and gives the lines of both streams.
pub async fn image_log(
    engine: &dyn Engine,
    world: &World,
    name: &str,
    image: &str,
    config: ContainerConfig,
) -> Vec<String> {
    let key = key(name);
    expect(engine.create_container(&world.request(&key, image, config)).await);
    expect(engine.start_container(&key).await);
    wait_exited(engine, &key).await;
    log_lines(engine, &key).await
}

/// The container as it is observed now.
pub async fn observe(engine: &dyn Engine, key: &ResourceKey) -> ObservedContainer {
    let mut observed = expect(engine.observe().await);
    observed.containers.remove(key).unwrap_or_else(|| panic!("{key} is not observed"))
}

/// The state of the container now.
pub async fn state(engine: &dyn Engine, key: &ResourceKey) -> ContainerState {
    observe(engine, key).await.state
}

/// Waits until the container has exited, and says how.
pub async fn wait_exited(engine: &dyn Engine, key: &ResourceKey) -> ExitStatus {
    let exited = async {
        loop {
            let seen = observe(engine, key).await;
            if seen.state == ContainerState::Exited {
                return seen.exit.expect("an exited container says how its run ended");
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    if let Ok(status) = tokio::time::timeout(PATIENCE, exited).await {
        return status;
    }
    panic!("{key} has not exited; its log: {:#?}", log_lines(engine, key).await)
}

/// What the log holds now.
pub(crate) async fn log(engine: &dyn Engine, key: &ResourceKey, query: &LogQuery) -> Vec<LogLine> {
    engine.logs(key, query).map(expect).collect().await
}

/// The text of all lines of the log.
pub async fn log_lines(engine: &dyn Engine, key: &ResourceKey) -> Vec<String> {
    log(engine, key, &LogQuery::default()).await.into_iter().map(|line| line.text).collect()
}

/// Waits until the log has a line with this text.
pub async fn wait_for_log(engine: &dyn Engine, key: &ResourceKey, text: &str) {
    let query = LogQuery { follow: true, ..LogQuery::default() };
    let mut lines = engine.logs(key, &query);
    let found = async {
        while let Some(line) = lines.next().await {
            if expect(line).text == text {
                return;
            }
        }
        panic!("the log of {key} has ended without {text:?}");
    };
    tokio::time::timeout(PATIENCE, found)
        .await
        .unwrap_or_else(|_| panic!("the log of {key} has no line {text:?}"));
}

/// What an operation gives, or a panic with the error's whole chain.
pub(crate) fn expect<T>(result: Result<T, PortError>) -> T {
    result.unwrap_or_else(|error| panic!("{} (hint: {:?})", chain(&error), error.hint))
}
