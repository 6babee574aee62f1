//! Published ports: where they are, and of which protocol.

use std::time::Duration;

use homeostat_reconciler::ports::Engine;
use homeostat_spec::{NetworkMode, Protocol, PublishedPort};
use tokio::net::UdpSocket;

use crate::networks::{fetch, server, try_fetch};
use crate::{PATIENCE, World, run, shell, wait_for_log};

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

fn published(port: u16, protocol: Protocol) -> PublishedPort {
    PublishedPort { host_ip: None, host_port: port, container_port: 80, protocol }
}
