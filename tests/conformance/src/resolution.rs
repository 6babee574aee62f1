//! Names of containers, as others of their network resolve them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::{Engine, ExecRequest};
use homeostat_spec::{ContainerConfig, Network, NetworkMode};

use crate::world::expect;
use crate::{PATIENCE, World, create, key, observe, run, shell};

pub(crate) async fn create_network(engine: &dyn Engine, name: &str, internal: bool) {
    let network = Network { subnet: None, internal, adopt: None, labels: BTreeMap::new() };
    expect(engine.create_network(&key(name), &network).await);
}

/// A container that does nothing, on a network.
pub(crate) fn on(network: &str) -> ContainerConfig {
    ContainerConfig { network: NetworkMode::Named(network.parse().unwrap()), ..shell("sleep infinity") }
}

/// What the container's name server says of a name.
async fn look_up(engine: &dyn Engine, asker: &ResourceKey, name: &str) -> String {
    let request = ExecRequest {
        command: ["/bin/nslookup", "-type=a", name].map(str::to_owned).to_vec(),
        timeout: Duration::from_secs(20),
    };
    expect(engine.exec(asker, &request).await).output
}

/// Whether one of the addresses that follow the name is this one: the server's own comes before it.
fn tells(output: &str, address: Ipv4Addr) -> bool {
    let mut lines = output.lines().skip_while(|line| !line.starts_with("Name:"));
    lines.any(|line| line.starts_with("Address") && line.ends_with(&format!(" {address}")))
}

/// Whether a name is that of this address now.
pub(crate) async fn finds(engine: &dyn Engine, asker: &ResourceKey, name: &str, address: Ipv4Addr) -> bool {
    tells(&look_up(engine, asker, name).await, address)
}

/// Waits until a name is the container's address now.
pub(crate) async fn resolves(engine: &dyn Engine, asker: &ResourceKey, container: &ResourceKey) {
    let address = observe(engine, container).await.address.unwrap();
    let resolved = async {
        while !finds(engine, asker, container.name.as_str(), address).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, resolved).await.is_err() {
        let output = look_up(engine, asker, container.name.as_str()).await;
        panic!("{asker} does not find {container} at {address}: {output}");
    }
}

/// Each of two finds the other, whichever was started first.
pub async fn a_name_resolves_whoever_was_started_first(engine: &dyn Engine, world: &World) {
    create_network(engine, "front", false).await;
    let first = run(engine, world, "first", on("front")).await;
    let second = run(engine, world, "second", on("front")).await;
    resolves(engine, &first, &second).await;
    resolves(engine, &second, &first).await;
}

/// A container that is made anew is found by who runs on, at the address that it has now.
pub async fn a_name_follows_its_container_when_it_is_made_anew(engine: &dyn Engine, world: &World) {
    create_network(engine, "front", false).await;
    let asker = run(engine, world, "asker", on("front")).await;
    let container = run(engine, world, "moved", on("front")).await;
    resolves(engine, &asker, &container).await;
    let before = observe(engine, &container).await.address;
    expect(engine.stop_container(&container, Some("SIGKILL"), Duration::ZERO).await);
    expect(engine.remove_container(&container).await);
    // Whoever comes meanwhile may have the address.
    let other = run(engine, world, "other", on("front")).await;
    create(engine, world, "moved", on("front")).await;
    expect(engine.start_container(&container).await);
    assert_ne!(observe(engine, &container).await.address, before);
    resolves(engine, &asker, &container).await;
    resolves(engine, &asker, &other).await;
}

/// Who is on one network finds nobody by a name of another.
pub async fn names_of_two_networks_are_apart(engine: &dyn Engine, world: &World) {
    create_network(engine, "front", false).await;
    create_network(engine, "back", false).await;
    let front = run(engine, world, "in-front", on("front")).await;
    let back = run(engine, world, "in-back", on("back")).await;
    for (asker, other) in [(&front, &back), (&back, &front)] {
        resolves(engine, asker, asker).await;
        let address = observe(engine, other).await.address.unwrap();
        assert!(!finds(engine, asker, other.name.as_str(), address).await, "{asker} finds {other}");
    }
}

/// A network without a way out has its names too.
pub async fn names_of_an_internal_network_resolve(engine: &dyn Engine, world: &World) {
    create_network(engine, "back", true).await;
    let first = run(engine, world, "first", on("back")).await;
    let second = run(engine, world, "second", on("back")).await;
    resolves(engine, &first, &second).await;
    resolves(engine, &second, &first).await;
}
