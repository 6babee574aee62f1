//! Published ports: where they are, and of which protocol.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use homeostat_reconciler::ports::Engine;
use homeostat_spec::{NetworkMode, Protocol, PublishedPort};
use tokio::net::UdpSocket;

use crate::networks::{fetch, server, try_fetch};
use crate::world::expect;
use crate::{PATIENCE, World, key, observe, run, shell, wait_for_log};

/// Says once that a datagram has come that nobody in the container waits for.
const COUNTS_DATAGRAMS: &str = "until [ \"$(awk '/^Udp: [0-9]/ { print $3 }' /proc/net/snmp)\" -gt 0 ]; do usleep 10000; done; echo arrived; sleep infinity";

/// A port that is published on one address is not on another.
pub async fn a_port_is_published_on_the_address_asked_for(engine: &dyn Engine, world: &World) {
    let port = world.free_port();
    let mut asked = server("bound", port);
    asked.ports[0].host_ip = Some("127.0.0.2".parse().unwrap());
    run(engine, world, "server", asked).await;
    assert_eq!(fetch(&format!("127.0.0.2:{port}")).await, "bound");
    try_fetch(&format!("127.0.0.1:{port}")).await.unwrap_err();
}

/// What is sent to a published UDP port comes to the container.
pub async fn datagrams_reach_a_published_udp_port(engine: &dyn Engine, world: &World) {
    let mut asked = shell(COUNTS_DATAGRAMS);
    let port = world.free_port();
    asked.network = NetworkMode::Bridge;
    asked.ports.push(published(port, Protocol::Udp));
    let container = run(engine, world, "listener", asked).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let send = async {
        loop {
            // That nobody takes one may be told to the sender of the next.
            let _ = socket.send_to(b"there?", ("127.0.0.1", port)).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = wait_for_log(engine, &container, "arrived") => {}
        () = send => {}
    }
}

/// A port of TCP and one of UDP with the same number are two.
pub async fn one_number_is_a_port_of_each_protocol(engine: &dyn Engine, world: &World) {
    let port = world.free_port();
    let mut asked = shell("sleep infinity");
    asked.network = NetworkMode::Bridge;
    asked.ports.push(published(port, Protocol::Udp));
    run(engine, world, "datagrams", asked).await;
    run(engine, world, "server", server("streams", port)).await;
    let answer = tokio::time::timeout(PATIENCE, fetch(&format!("127.0.0.1:{port}"))).await;
    assert_eq!(answer.expect("it answers"), "streams");
}

/// A port of the host that is left to the engine is chosen by it, and told; after another start there is one too.
pub async fn a_port_that_is_left_open_is_chosen_and_told(engine: &dyn Engine, world: &World) {
    let mut asked = server("somewhere", 0);
    asked.ports.push(PublishedPort { host_ip: Some(Ipv4Addr::LOCALHOST), ..published(0, Protocol::Udp) });
    let container = run(engine, world, "server", asked.clone()).await;
    for _ in 0..2 {
        let seen = observe(engine, &container).await;
        assert_eq!(seen.config, asked);
        assert_eq!(seen.ports.len(), 2, "{:?}", seen.ports);
        assert!(seen.ports.iter().all(|port| !port.is_chosen() && port.container_port == 80));
        let port = seen.ports.iter().find(|port| port.protocol == Protocol::Tcp).unwrap().host_port;
        assert_eq!(fetch(&format!("127.0.0.1:{port}")).await, "somewhere");
        expect(engine.stop_container(&container, None, Duration::ZERO).await);
        assert_eq!(observe(engine, &container).await.ports, []);
        expect(engine.start_container(&container).await);
    }
}

/// Of a range for one port of the container, one that is free is taken.
pub async fn a_free_port_of_a_range_is_chosen(engine: &dyn Engine, world: &World) {
    let first = two_free_ports();
    let mut ports = Vec::new();
    for name in ["one", "other"] {
        let mut asked = server(name, first);
        asked.ports[0].host_port_last = Some(first + 1);
        let container = run(engine, world, name, asked.clone()).await;
        let seen = observe(engine, &container).await;
        assert_eq!(seen.config, asked);
        let port = seen.ports[0].host_port;
        assert_eq!(seen.ports, [published(port, Protocol::Tcp)]);
        assert_eq!(fetch(&format!("127.0.0.1:{port}")).await, name);
        ports.push(port);
    }
    ports.sort_unstable();
    assert_eq!(ports, [first, first + 1]);
}

/// The first of two ports, one after the other, that nobody has now.
fn two_free_ports() -> u16 {
    loop {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let first = listener.local_addr().unwrap().port();
        if first < u16::MAX && TcpListener::bind(("0.0.0.0", first + 1)).is_ok() {
            return first;
        }
    }
}

/// Where all ports are to be published, those are that the image exposes and that are not published already.
pub async fn every_exposed_port_is_published(engine: &dyn Engine, world: &World) {
    let dockerfile = format!("FROM {}\nEXPOSE 80 81/tcp 53/udp\n", world.base);
    let context = world.context("exposing", &dockerfile);
    world.build(engine, "localhost/exposing:1", &context).await.unwrap();
    let fixed = world.free_port();
    let mut asked = server("all", fixed);
    asked.ports[0].container_port = 81;
    asked.publish_all = true;
    let container = key("server");
    expect(engine.create_container(&world.request(&container, "localhost/exposing:1", asked.clone())).await);
    expect(engine.start_container(&container).await);
    let seen = observe(engine, &container).await;
    assert_eq!(seen.config, asked);
    let mut inside: Vec<_> = seen.ports.iter().map(|port| (port.container_port, port.protocol)).collect();
    inside.sort_unstable();
    assert_eq!(inside, [(53, Protocol::Udp), (80, Protocol::Tcp), (81, Protocol::Tcp)]);
    for port in &seen.ports {
        assert_eq!(port.host_port == fixed, port.container_port == 81);
    }
    let port = seen.ports.iter().find(|port| port.container_port == 80).unwrap().host_port;
    assert_eq!(fetch(&format!("127.0.0.1:{port}")).await, "all");
}

fn published(port: u16, protocol: Protocol) -> PublishedPort {
    PublishedPort { host_ip: None, host_port: port, host_port_last: None, container_port: 80, protocol }
}
