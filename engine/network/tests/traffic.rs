//! Real traffic between hosts and containers.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, but takes no helper of theirs for one"
)]

mod support;

use std::net::{SocketAddrV4, UdpSocket};

use homeostat_network::{Applied, DesiredRules, HostPort, Table, reserve};
use homeostat_spec::{Protocol, PublishedPort};
use support::{
    DEADLINE, Host, Namespace, PATIENCE, ask, attachment, bridge, bridge_rules, name, port, rules, socket,
};

/// A host with the bridges hs0 (172.29.0.0/24) and hs1 (172.29.1.0/24) and a container on each.
struct Site {
    host: Host,
    web: Namespace,
    other: Namespace,
    rules: DesiredRules,
}

impl Site {
    fn new() -> Self {
        let host = Host::new();
        host.add_bridge(&bridge("hs0", "172.29.0.0/24"));
        host.add_bridge(&bridge("hs1", "172.29.1.0/24"));
        let web = host.container(&attachment("hs0", "hs0web", "172.29.0.2"));
        let other = host.container(&attachment("hs1", "hs1other", "172.29.1.2"));
        let mut rules = rules(&["hs0", "hs1"]);
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            rules.published.insert(port(protocol, "8080"), socket("172.29.0.2:80"));
            rules.published.insert(port(protocol, "127.0.0.1:9000"), socket("172.29.0.2:80"));
        }
        let site = Self { host, web, other, rules };
        site.apply();
        site
    }

    fn apply(&self) -> Applied {
        self.host.inside.run(|| Table::new(name("homeostat")).apply(&self.rules).unwrap())
    }
}

/// The address that the server sees, the same over both protocols.
fn seen(from: &Namespace, to: &str) -> String {
    let tcp = from.tcp(socket(to), DEADLINE).unwrap();
    let udp = from.udp(socket(to), DEADLINE).unwrap();
    assert_eq!(tcp, udp, "tcp and udp to {to} differ");
    tcp
}

/// Neither protocol gets there.
fn blocked(from: &Namespace, to: &str) -> bool {
    from.tcp(socket(to), PATIENCE).is_err() && from.udp(socket(to), PATIENCE).is_err()
}

#[test]
fn the_host_reaches_a_published_port_on_loopback_and_on_its_address() {
    let site = Site::new();
    assert_eq!(seen(&site.host.inside, "127.0.0.1:8080"), "172.29.0.1");
    assert_eq!(seen(&site.host.inside, "192.0.2.1:8080"), "172.29.0.1");
    assert_eq!(seen(&site.host.inside, "172.29.1.1:8080"), "172.29.0.1");
    assert_eq!(seen(&site.host.inside, "127.0.0.1:9000"), "172.29.0.1");
    assert!(blocked(&site.host.inside, "192.0.2.1:9000"));
}

#[test]
fn a_neighbour_reaches_a_published_port_and_is_seen_with_its_own_address() {
    let site = Site::new();
    assert_eq!(seen(&site.host.neighbour, "192.0.2.1:8080"), "192.0.2.2");
    assert!(blocked(&site.host.neighbour, "192.0.2.1:9000"));
}

#[test]
fn a_neighbour_that_routes_to_a_container_reaches_nothing() {
    let site = Site::new();
    site.host.neighbour.command("ip route add 172.29.0.0/16 via 192.0.2.1");
    assert!(blocked(&site.host.neighbour, "172.29.0.2:80"));
}

#[test]
fn containers_of_one_bridge_reach_each_other() {
    let site = Site::new();
    let db = site.host.container(&attachment("hs0", "hs0db", "172.29.0.3"));
    assert_eq!(seen(&site.web, "172.29.0.3:80"), "172.29.0.2");
    assert_eq!(seen(&db, "172.29.0.2:80"), "172.29.0.3");
}

#[test]
fn containers_reach_published_ports_through_the_host_their_own_too() {
    let site = Site::new();
    let db = site.host.container(&attachment("hs0", "hs0db", "172.29.0.3"));
    seen(&site.web, "192.0.2.1:8080");
    seen(&site.web, "172.29.0.1:8080");
    seen(&db, "192.0.2.1:8080");
    seen(&site.other, "192.0.2.1:8080");
    seen(&site.other, "172.29.1.1:8080");
}

#[test]
fn bridges_are_isolated_from_each_other() {
    let site = Site::new();
    assert!(blocked(&site.web, "172.29.1.2:80"));
    assert!(blocked(&site.other, "172.29.0.2:80"));
}

#[test]
fn containers_reach_the_world_with_the_address_of_the_host() {
    let site = Site::new();
    site.host.neighbour.serve(8080);
    assert_eq!(seen(&site.web, "192.0.2.2:8080"), "192.0.2.1");
}

#[test]
fn an_internal_network_has_no_way_out_or_in_but_from_the_host() {
    let mut site = Site::new();
    site.rules.bridges.insert(name("hs1"), bridge_rules(1, true));
    site.rules.published.insert(port(Protocol::Tcp, "8081"), socket("172.29.1.2:80"));
    site.rules.published.insert(port(Protocol::Udp, "8081"), socket("172.29.1.2:80"));
    assert_eq!(site.apply(), Applied::Updated);
    let mut without_route = attachment("hs1", "hs1inner", "172.29.1.3");
    without_route.gateway = None;
    let inner = site.host.container(&without_route);
    site.host.neighbour.serve(8080);

    assert!(blocked(&site.other, "192.0.2.2:8080"));
    assert!(blocked(&site.other, "172.29.1.1:8080"), "the way over a published port");
    assert!(blocked(&inner, "192.0.2.2:8080"));
    assert_eq!(seen(&inner, "172.29.1.2:80"), "172.29.1.3");
    assert!(blocked(&site.host.neighbour, "192.0.2.1:8081"));
    assert_eq!(seen(&site.host.inside, "127.0.0.1:8081"), "172.29.1.1");
    assert_eq!(seen(&site.host.inside, "192.0.2.1:8081"), "172.29.1.1");
}

#[test]
fn a_container_cannot_reach_the_loopback_of_the_host() {
    let site = Site::new();
    let server = site.host.inside.run(|| UdpSocket::bind("127.0.0.1:7000").unwrap());
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    site.web.command(
        "ip route del table local 127.0.0.0/8 dev lo && ip route del table local 127.0.0.1 dev lo && \
         ip route add 127.0.0.1 via 172.29.0.1 src 172.29.0.2",
    );
    site.web.udp(socket("127.0.0.1:7000"), PATIENCE).unwrap_err();
    server.recv(&mut [0]).unwrap_err();
    site.host.inside.command("nft flush chain ip homeostat guard");
    site.web.udp(socket("127.0.0.1:7000"), PATIENCE).unwrap_err();
    server.recv(&mut [0]).expect("without the guard it would arrive");
}

#[test]
fn connections_live_through_a_change_and_a_replacement_of_the_table() {
    let mut site = Site::new();
    let mut connection = site.host.inside.connect(socket("127.0.0.1:8080"), DEADLINE).unwrap();
    ask(&mut connection).unwrap();
    site.rules.published.insert(port(Protocol::Tcp, "8088"), socket("172.29.0.2:80"));
    assert_eq!(site.apply(), Applied::Updated);
    ask(&mut connection).unwrap();
    // Not deleted: the kernel would translate nothing until it is there again, and reset the connection upon a late
    // acknowledgement.
    site.host.inside.command("nft add chain ip homeostat foreign");
    assert_eq!(site.apply(), Applied::Replaced);
    ask(&mut connection).unwrap();
    assert!(site.host.inside.tcp(socket("127.0.0.1:8088"), DEADLINE).is_ok());
}

#[test]
fn a_reserved_port_is_published_all_the_same() {
    let site = Site::new();
    let published = |(host, inside): (&HostPort, &SocketAddrV4)| PublishedPort {
        host_ip: host.address,
        host_port: host.port,
        host_port_last: None,
        container_port: inside.port(),
        protocol: host.protocol,
    };
    let ports: Vec<_> = site.rules.published.iter().map(published).collect();
    let _reserved = site.host.inside.run(|| reserve(&ports, &[]).unwrap());
    seen(&site.host.inside, "127.0.0.1:8080");
    seen(&site.host.inside, "127.0.0.1:9000");
    seen(&site.host.neighbour, "192.0.2.1:8080");
}

#[test]
fn a_port_that_is_no_longer_published_is_closed() {
    let mut site = Site::new();
    site.rules.published.clear();
    assert_eq!(site.apply(), Applied::Updated);
    assert!(blocked(&site.host.inside, "127.0.0.1:8080"));
    assert!(blocked(&site.host.neighbour, "192.0.2.1:8080"));
}

#[test]
fn traffic_through_the_host_to_others_is_not_taken_for_a_published_port() {
    let site = Site::new();
    site.host.neighbour.serve(8080);
    assert_eq!(seen(&site.other, "192.0.2.2:8080"), "192.0.2.1");
    assert_eq!(seen(&site.host.inside, "192.0.2.2:8080"), "192.0.2.1");
}

#[test]
fn a_udp_sender_that_goes_on_is_served_by_who_is_published() {
    let mut site = Site::new();
    site.rules.published.remove(&port(Protocol::Udp, "8080"));
    site.apply();
    let sender = site.host.neighbour.run(|| UdpSocket::bind("192.0.2.2:5000").unwrap());
    sender.connect(socket("192.0.2.1:8080")).unwrap();
    sender.set_read_timeout(Some(DEADLINE)).unwrap();
    let answered =
        |times: usize| (0..times).any(|_| sender.send(b"?").is_ok() && sender.recv(&mut [0; 64]).is_ok());
    assert!(!answered(3), "nobody is published yet");

    site.rules.published.insert(port(Protocol::Udp, "8080"), socket("172.29.0.2:80"));
    site.apply();
    assert!(answered(2), "after publication");

    let next = site.host.container(&attachment("hs0", "hs0next", "172.29.0.9"));
    site.rules.published.insert(port(Protocol::Udp, "8080"), socket("172.29.0.9:80"));
    site.apply();
    site.web.command("ip link set eth0 down");
    assert!(answered(2), "by the next container");
    drop(next);
}
