//! Names and labels: what may be used for names, and what the user writes on things.

use std::collections::BTreeMap;
use std::time::Duration;

use homeostat_reconciler::ports::Engine;
use homeostat_reconciler::{ContainerState, ResourceKey};
use homeostat_spec::{Mount, MountSource, Network, NetworkMode, Volume};

use crate::world::expect;
use crate::{World, create, log_lines, observe, run, shell, state, wait_exited};

/// As long as a name can be.
const LONGEST: usize = 63;

fn longest(letter: &str, last: &str) -> String {
    letter.repeat(LONGEST - last.len()) + last
}

/// The longest names of app, container, volume and network work, and names that differ in their last letter only are
/// two.
pub async fn the_longest_names_work(engine: &dyn Engine, world: &World) {
    let key = |last: &str| {
        ResourceKey::new(longest("a", "1").parse().unwrap(), longest("n", last).parse().unwrap())
    };
    let (first, second) = (key("1"), key("2"));
    expect(engine.create_volume(&first, &volume(&[])).await);
    expect(engine.create_network(&first, &network(&[])).await);
    for key in [&first, &second] {
        let mut asked = shell("cat /data/file 2>/dev/null; echo $0 > /data/file");
        asked.mounts.push(Mount {
            source: MountSource::Volume(first.name.clone()),
            target: "/data".to_owned(),
            read_only: false,
        });
        asked.network = NetworkMode::Named(first.name.clone());
        expect(engine.create_container(&world.request(key, &world.base, asked)).await);
        expect(engine.start_container(key).await);
        wait_exited(engine, key).await;
    }
    assert_eq!(log_lines(engine, &first).await, Vec::<String>::new());
    assert_eq!(log_lines(engine, &second).await, ["/bin/sh"]);
    for key in [&first, &second] {
        expect(engine.remove_container(key).await);
    }
    expect(engine.remove_volume(&first).await);
    expect(engine.remove_network(&first).await);
    let observed = expect(engine.observe().await);
    assert!(observed.containers.is_empty() && observed.volumes.is_empty() && observed.networks.is_empty());
}

/// The shortest names work, also of things that have the same name.
pub async fn things_of_different_kinds_can_have_one_name(engine: &dyn Engine, world: &World) {
    let key = crate::key("x");
    expect(engine.create_volume(&key, &volume(&[])).await);
    expect(engine.create_network(&key, &network(&[])).await);
    run(engine, world, "x", shell("sleep infinity")).await;
    assert_eq!(state(engine, &key).await, ContainerState::Running);
    expect(engine.remove_volume(&key).await);
    expect(engine.remove_network(&key).await);
    assert_eq!(state(engine, &key).await, ContainerState::Running);
}

/// One name in two apps is two containers.
pub async fn the_same_name_in_another_app_is_another_container(engine: &dyn Engine, world: &World) {
    let keys = ["one", "other"].map(|app| ResourceKey::new(app.parse().unwrap(), "web".parse().unwrap()));
    for key in &keys {
        let asked = world.request(key, &world.base, shell("sleep infinity"));
        expect(engine.create_container(&asked).await);
        expect(engine.start_container(key).await);
    }
    expect(engine.stop_container(&keys[0], None, Duration::ZERO).await);
    expect(engine.remove_container(&keys[0]).await);
    assert_eq!(expect(engine.observe().await).containers.keys().collect::<Vec<_>>(), [&keys[1]]);
    assert_eq!(state(engine, &keys[1]).await, ContainerState::Running);
}

/// The user's labels are observed as they were asked for, whatever is in them.
pub async fn labels_are_observed_as_they_were_given(engine: &dyn Engine, world: &World) {
    let labels = [("com.example/zone", "back yard"), ("empty", ""), ("odd", "a=b,c \"d\"\nß")];
    let mut asked = shell("sleep infinity");
    asked.labels = map(&labels);
    let key = create(engine, world, "labelled", asked.clone()).await;
    assert_eq!(observe(engine, &key).await.config.labels, asked.labels);
    expect(engine.create_network(&key, &network(&labels)).await);
    assert_eq!(expect(engine.observe().await).networks[&key].labels, map(&labels));
    // Labels of a volume are not observed; it is enough that they are taken.
    expect(engine.create_volume(&key, &volume(&labels)).await);
    assert!(expect(engine.observe().await).volumes.contains(&key));
}

fn map(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn volume(labels: &[(&str, &str)]) -> Volume {
    Volume { retain: true, adopt: None, labels: map(labels) }
}

fn network(labels: &[(&str, &str)]) -> Network {
    Network { subnet: None, internal: false, adopt: None, labels: map(labels) }
}
