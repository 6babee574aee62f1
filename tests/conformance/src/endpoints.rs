//! How containers are on networks: on several, by other names, at addresses of their choice.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use homeostat_reconciler::ports::{Engine, ExecRequest};
use homeostat_spec::{ContainerConfig, Endpoint, Network, NetworkMode};

use crate::networks::{fetch, server};
use crate::resolution::{create_network, finds, on, resolves};
use crate::world::expect;
use crate::{PATIENCE, World, key, observe, run};

/// What the container `middle` serves. The static busybox resolves names with nslookup only.
const GET: &str = "address=$(nslookup -type=a middle | awk '/^Name/ { found = 1 } found && /^Address/ { print $NF; exit }')\n\
                   until printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc -w 5 $address 80 | grep middle; do usleep 10000; done";

fn and_on(config: ContainerConfig, network: &str, endpoint: Endpoint) -> ContainerConfig {
    ContainerConfig { networks: BTreeMap::from([(network.parse().unwrap(), endpoint)]), ..config }
}

fn at(address: Ipv4Addr) -> Endpoint {
    Endpoint { address: Some(address), ..Endpoint::default() }
}

/// A container on two networks is found on both and finds who is on either; those keep apart, and its ports are published.
pub async fn a_container_is_on_several_networks(engine: &dyn Engine, world: &World) {
    create_network(engine, "back", true).await;
    create_network(engine, "front", false).await;
    let port = world.free_port();
    let served = ContainerConfig {
        network: NetworkMode::Named("front".parse().unwrap()),
        ..server("in the middle", port)
    };
    let asked = and_on(served, "back", Endpoint::default());
    let front = run(engine, world, "in-front", on("front")).await;
    let back = run(engine, world, "in-back", on("back")).await;
    let middle = run(engine, world, "middle", asked.clone()).await;
    for _ in ["when it is new", "when it was stopped"] {
        resolves(engine, &middle, &front).await;
        resolves(engine, &middle, &back).await;
        for asker in [&front, &back] {
            let command = ["/bin/sh", "-c", GET].map(str::to_owned).to_vec();
            let told = expect(engine.exec(asker, &ExecRequest { command, timeout: PATIENCE }).await);
            assert!(told.output.contains("in the middle"), "{asker}: {}", told.output);
        }
        let address = observe(engine, &back).await.address.unwrap();
        assert!(!finds(engine, &front, "in-back", address).await);
        assert_eq!(fetch(&format!("127.0.0.1:{port}")).await, "in the middle");
        let observed = observe(engine, &middle).await.config;
        assert_eq!((observed.network, observed.networks), (asked.network.clone(), asked.networks.clone()));
        expect(engine.stop_container(&middle, Some("SIGKILL"), Duration::ZERO).await);
        expect(engine.start_container(&middle).await);
    }
    engine.remove_network(&key("back")).await.unwrap_err();
}

/// A container is found by other names too, on the network where it has them.
pub async fn a_container_has_other_names(engine: &dyn Engine, world: &World) {
    create_network(engine, "front", false).await;
    let names = ["database", "db.example.org"];
    let aliases = names.map(str::to_owned).into();
    let container =
        run(engine, world, "db", and_on(on("front"), "front", Endpoint { aliases, address: None })).await;
    let asker = run(engine, world, "asker", on("front")).await;
    resolves(engine, &asker, &container).await;
    let address = observe(engine, &container).await.address.unwrap();
    for name in names {
        assert!(finds(engine, &asker, name, address).await, "{name}");
    }
}

/// A container has the address that it asked for, also when another came first, and when it is made anew.
pub async fn a_container_has_the_address_asked_for(engine: &dyn Engine, world: &World) {
    let subnet = Some("10.213.77.0/24".to_owned());
    let network = Network { subnet, internal: false, adopt: None, labels: BTreeMap::new() };
    expect(engine.create_network(&key("front"), &network).await);
    let address = Ipv4Addr::new(10, 213, 77, 20);
    let asked = and_on(on("front"), "front", at(address));
    let other = run(engine, world, "other", on("front")).await;
    for _ in ["when it is new", "when it is made anew"] {
        let fixed = run(engine, world, "fixed", asked.clone()).await;
        assert_eq!(observe(engine, &fixed).await.address, Some(address));
        resolves(engine, &other, &fixed).await;
        expect(engine.stop_container(&fixed, Some("SIGKILL"), Duration::ZERO).await);
        expect(engine.remove_container(&fixed).await);
    }
    assert_ne!(observe(engine, &other).await.address, Some(address));
}
