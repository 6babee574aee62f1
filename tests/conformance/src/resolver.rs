//! What names mean in a container: what the spec says of `/etc/hosts` and of the resolver.

use std::net::IpAddr;

use homeostat_reconciler::ports::Engine;
use homeostat_spec::{ExtraHost, Names, NetworkMode};

use crate::{World, key, observe, run_to_end, shell};

const FILES: &str = "cat /etc/hosts /etc/resolv.conf";

/// Names, name servers, domains and options of the spec are in the container's files.
pub async fn the_resolver_is_told_what_the_spec_says(engine: &dyn Engine, world: &World) {
    let mut asked = shell(FILES);
    asked.network = NetworkMode::Bridge;
    let host = |name: &str, address: &str| ExtraHost {
        name: name.to_owned(),
        address: Some(address.parse().unwrap()),
    };
    asked.names = Names {
        extra_hosts: vec![host("db", "10.0.0.9"), host("six", "fd00::9")],
        servers: vec!["10.9.9.9".parse().unwrap()],
        search: vec!["example.org".to_owned()],
        options: vec!["ndots:3".to_owned()],
    };
    let (_, lines) = run_to_end(engine, world, "asker", asked.clone()).await;
    let lines: Vec<Vec<&str>> = lines.iter().map(|line| line.split_whitespace().collect()).collect();
    // Domains and options of an engine's own may stand beside them, as may its own name server before those asked for.
    for expected in
        [["10.0.0.9", "db"], ["fd00::9", "six"], ["search", "example.org"], ["options", "ndots:3"]]
    {
        let is_there = |line: &Vec<&str>| expected.iter().all(|word| line.contains(word));
        assert!(lines.iter().any(is_there), "{expected:?}: {lines:?}");
    }
    assert_eq!(observe(engine, &key("asker")).await.config, asked);
}

/// The host has a name in a container, with an address on its network.
pub async fn the_host_can_have_a_name(engine: &dyn Engine, world: &World) {
    let mut asked = shell(FILES);
    asked.network = NetworkMode::Bridge;
    asked.names.extra_hosts = vec![ExtraHost { name: "outside".to_owned(), address: None }];
    let (_, lines) = run_to_end(engine, world, "asker", asked.clone()).await;
    let address = lines.iter().find_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next()?;
        words.any(|word| word == "outside").then_some(address)
    });
    assert!(address.is_some_and(|text| text.parse::<IpAddr>().is_ok()), "{lines:?}");
    assert_eq!(observe(engine, &key("asker")).await.config, asked);
}
