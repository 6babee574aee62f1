//! Images from registries. Each case has a registry of its own.

use std::sync::Mutex;

use homeostat_daemons::{PASSWORD, Registry, USER};
use homeostat_reconciler::ports::{Engine, Progress, ProgressStep};
use homeostat_reconciler::{ContainerState, chain};
use serde_json::json;

use crate::world::{Silent, expect};
use crate::{World, config, image_log, key, log_lines, state, wait_for_log};

/// Remembers what a pull told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Progress for Told {
    fn step(&self, step: &ProgressStep) {
        self.output(None, &step.text);
    }
    fn cached(&self, _step: usize) {}
    fn missed(&self, _step: usize, _cause: &str) {}
    fn output(&self, _step: Option<usize>, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

fn registry(world: &World) -> Registry {
    Registry::start(&world.directory.join("registry"))
}

/// A registry that asks for a password, and the reference of an image there.
fn with_password(world: &World) -> (Registry, String) {
    let registry = Registry::start_with_password(&world.directory.join("registry"));
    registry.push("app", "1", "kept from most");
    let reference = format!("{}/app:1", registry.address());
    (registry, reference)
}

async fn pull(engine: &dyn Engine, reference: &str) -> String {
    expect(engine.pull_image(reference, &Silent).await)
}

/// What a container of the image finds in `/version`.
async fn version(engine: &dyn Engine, world: &World, name: &str, reference: &str) -> Vec<String> {
    let command = Some(["cat", "/version"].map(str::to_owned).to_vec());
    image_log(engine, world, name, reference, homeostat_spec::ContainerConfig { command, ..config() }).await
}

/// A pull that is refused: why.
async fn refusal(engine: &dyn Engine, reference: &str) -> String {
    let error = engine.pull_image(reference, &Silent).await.unwrap_err();
    assert!(chain(&error).contains(reference), "{}", chain(&error));
    assert!(!expect(engine.observe().await).images.contains_key(reference));
    chain(&error)
}

/// An image is pulled by its tag, is known by that, and containers run from it with what it says.
pub async fn a_pulled_image_is_run_by_its_tag(engine: &dyn Engine, world: &World) {
    let registry = registry(world);
    registry.push("team/app", "1.0", "first");
    let reference = format!("{}/team/app:1.0", registry.address());
    let id = pull(engine, &reference).await;
    assert_eq!(expect(engine.observe().await).images[&reference].id, id);
    assert_eq!(version(engine, world, "reader", &reference).await, ["first"]);
    // By itself it sleeps.
    let sleeper = key("sleeper");
    expect(engine.create_container(&world.request(&sleeper, &reference, config())).await);
    expect(engine.start_container(&sleeper).await);
    assert_eq!(state(engine, &sleeper).await, ContainerState::Running);
}

/// A digest is that of one image for ever, also when its tag is another's.
pub async fn a_digest_names_one_image_whatever_its_tag_is(engine: &dyn Engine, world: &World) {
    let registry = registry(world);
    let digest = registry.push("app", "1", "first");
    registry.push("app", "1", "second");
    let by_digest = format!("{}/app@{digest}", registry.address());
    let id = pull(engine, &by_digest).await;
    assert_eq!(expect(engine.observe().await).images[&by_digest].id, id);
    assert_eq!(version(engine, world, "by-digest", &by_digest).await, ["first"]);
    let by_tag = format!("{}/app:1", registry.address());
    assert_ne!(pull(engine, &by_tag).await, id);
    assert_eq!(version(engine, world, "by-tag", &by_tag).await, ["second"]);
}

/// A pull asks what the tag means now; what was created before goes on as it is.
pub async fn a_tag_that_has_moved_is_pulled_again(engine: &dyn Engine, world: &World) {
    let registry = registry(world);
    registry.push("app", "latest", "first");
    let reference = format!("{}/app", registry.address());
    let first = pull(engine, &reference).await;
    let command = Some(["sh", "-c", "echo $(cat /version); sleep 1000"].map(str::to_owned).to_vec());
    let runs = key("runs");
    let asked = homeostat_spec::ContainerConfig { command, ..config() };
    expect(engine.create_container(&world.request(&runs, &reference, asked)).await);
    expect(engine.start_container(&runs).await);
    wait_for_log(engine, &runs, "first").await;

    registry.push("app", "latest", "second");
    let second = pull(engine, &reference).await;
    assert_ne!(first, second);
    assert_eq!(version(engine, world, "reader", &reference).await, ["second"]);
    assert_eq!(state(engine, &runs).await, ContainerState::Running);
    assert_eq!(log_lines(engine, &runs).await, ["first"]);
}

/// What the registry calls an image is observed of its tag, and moves with that.
pub async fn the_digest_at_the_registry_is_observed(engine: &dyn Engine, world: &World) {
    let registry = registry(world);
    let reference = format!("{}/app:1", registry.address());
    for version in ["first", "second"] {
        let digest = registry.push("app", "1", version);
        pull(engine, &reference).await;
        let images = expect(engine.observe().await).images;
        assert_eq!(images[&reference].digest.as_ref(), Some(&digest), "{images:?}");
    }
    let images = expect(engine.observe().await).images;
    assert_eq!(images[&world.base].digest, None, "no registry has it");
}

/// A reference with a tag and a digest means the digest, and is found by both.
pub async fn a_tag_beside_a_digest_means_nothing(engine: &dyn Engine, world: &World) {
    let registry = registry(world);
    let digest = registry.push("app", "1", "first");
    registry.push("app", "1", "second");
    let reference = format!("{}/app:1@{digest}", registry.address());
    let id = pull(engine, &reference).await;
    let observed = expect(engine.observe().await);
    assert_eq!(observed.image(&reference).map(|image| &image.id), Some(&id), "{:?}", observed.images);
    assert_eq!(version(engine, world, "reader", &reference).await, ["first"]);
}

/// The same pull twice gives the same image, and loads no layer again.
pub async fn a_pull_can_be_repeated(engine: &dyn Engine, world: &World) {
    let registry = registry(world);
    registry.push("app", "1", "first");
    let reference = format!("{}/app:1", registry.address());
    let first = pull(engine, &reference).await;
    let loaded = || registry.logs().matches("GET /v2/app/blobs/").count();
    let before = loaded();
    assert!(before >= 3, "two layers and a configuration were loaded: {}", registry.logs());
    assert_eq!(pull(engine, &reference).await, first);
    assert!(loaded() - before <= 1, "at most the configuration was loaded again: {}", registry.logs());
}

/// The same pull twice at once gives the same image twice.
pub async fn an_image_is_pulled_twice_at_once(engine: &dyn Engine, world: &World) {
    let registry = registry(world);
    registry.push("app", "1", "first");
    let reference = format!("{}/app:1", registry.address());
    let (one, other) = futures::join!(pull(engine, &reference), pull(engine, &reference));
    assert_eq!(one, other);
    assert_eq!(version(engine, world, "reader", &reference).await, ["first"]);
}

/// A pull tells how it goes on.
pub async fn a_pull_tells_its_progress(engine: &dyn Engine, world: &World) {
    let registry = registry(world);
    registry.push("app", "1", "first");
    let told = Told::default();
    expect(engine.pull_image(&format!("{}/app:1", registry.address()), &told).await);
    let lines = told.0.into_inner().unwrap();
    assert!(lines.len() >= 2, "there are two layers: {lines:?}");
    assert!(lines.iter().all(|line| !line.trim().is_empty()), "{lines:?}");
}

/// A pull that fails says of which image, and brings none.
pub async fn an_image_that_no_registry_has_is_named_by_a_pull(engine: &dyn Engine, world: &World) {
    // Nobody listens there.
    refusal(engine, &format!("127.0.0.1:{}/nowhere:9", world.free_port())).await;
}

/// A tag that the registry does not have is refused, until it has it.
pub async fn a_tag_is_pulled_as_soon_as_the_registry_has_it(engine: &dyn Engine, world: &World) {
    let registry = registry(world);
    registry.push("app", "1", "first");
    let reference = format!("{}/app:2", registry.address());
    let why = refusal(engine, &reference).await;
    assert!(why.contains("unknown") || why.contains("not found"), "{why}");
    registry.push("app", "2", "second");
    pull(engine, &reference).await;
    assert_eq!(version(engine, world, "reader", &reference).await, ["second"]);
}

/// A registry that has ended is no harm to what was pulled from it.
pub async fn a_pulled_image_needs_its_registry_no_more(engine: &dyn Engine, world: &World) {
    let mut registry = registry(world);
    registry.push("app", "1", "first");
    let reference = format!("{}/app:1", registry.address());
    pull(engine, &reference).await;
    registry.stop();
    assert_eq!(version(engine, world, "reader", &reference).await, ["first"]);
    let error = engine.pull_image(&reference, &Silent).await.unwrap_err();
    assert!(chain(&error).contains(&reference), "{}", chain(&error));
    assert!(expect(engine.observe().await).images.contains_key(&reference), "it is still there");
}

/// What a registry says to somebody whom it does not know.
fn assert_not_let_in(why: &str) {
    let words = ["authentication required", "unauthorized", "no basic auth credentials"];
    assert!(words.iter().any(|word| why.to_lowercase().contains(word)), "{why}");
}

/// Without credentials, or with wrong ones, nothing is pulled; they are read anew every time.
pub async fn a_registry_lets_in_only_with_the_right_credentials(engine: &dyn Engine, world: &World) {
    let (registry, reference) = with_password(world);
    assert_not_let_in(&refusal(engine, &reference).await);
    for (password, is_right) in [("wrong", false), (PASSWORD, true)] {
        // As `docker login` writes them: USER:PASSWORD in base64.
        let auth = if is_right { "dXNlcjpzZWNyZXQ=" } else { "dXNlcjp3cm9uZw==" };
        world.configure_docker(&json!({"auths": {registry.address(): {"auth": auth}}}));
        if is_right {
            pull(engine, &reference).await;
        } else {
            let why = refusal(engine, &reference).await;
            assert_not_let_in(&why);
            assert!(!why.contains(password), "a password is shown: {why}");
        }
    }
    assert_eq!(version(engine, world, "reader", &reference).await, ["kept from most"]);
}

/// A registry's own credential helper is asked.
pub async fn a_registrys_credential_helper_is_asked(engine: &dyn Engine, world: &World) {
    let (registry, reference) = with_password(world);
    world.install_helper("keeper", &registry.address(), USER, PASSWORD);
    world.configure_docker(&json!({"credHelpers": {registry.address(): "keeper"}}));
    pull(engine, &reference).await;
    assert_eq!(version(engine, world, "reader", &reference).await, ["kept from most"]);
}

/// The store of credentials is asked for every registry; one of which it knows nothing may do without.
pub async fn the_credential_store_is_asked(engine: &dyn Engine, world: &World) {
    let (registry, reference) = with_password(world);
    world.install_helper("store", &registry.address(), USER, PASSWORD);
    world.configure_docker(&json!({"credsStore": "store"}));
    pull(engine, &reference).await;
    let open = Registry::start(&world.directory.join("open"));
    open.push("app", "1", "for everybody");
    let reference = format!("{}/app:1", open.address());
    pull(engine, &reference).await;
    assert_eq!(version(engine, world, "reader", &reference).await, ["for everybody"]);
}

/// A build logs in for the image that it begins with, and says what the registry says if it cannot.
pub async fn a_build_logs_in_for_what_it_begins_with(engine: &dyn Engine, world: &World) {
    let (registry, reference) = with_password(world);
    let context =
        world.context("upon", &format!("FROM {reference}\nRUN echo ' and built upon' >> /version\n"));
    let request = world.build_request("localhost/upon:1", &context);
    let why = chain(&engine.build_image(&request, &Silent).await.unwrap_err());
    assert_not_let_in(&why);
    world.configure_docker(&json!({"auths": {registry.address(): {"auth": "dXNlcjpzZWNyZXQ="}}}));
    expect(engine.build_image(&request, &Silent).await);
    assert_eq!(version(engine, world, "reader", "localhost/upon:1").await, ["kept from most and built upon"]);
}
