//! Real traffic between hosts and containers.

mod support;

use std::net::UdpSocket;
use std::time::Duration;

use homeostat_network::{Applied, DesiredRules, Table, reserve};
use homeostat_spec::Protocol;
use support::{Host, Namespace, ask, attachment, bridge, bridge_rules, name, port, rules, socket};

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

/// Both protocols, from here to there: the address that the server saw.
fn seen(from: &Namespace, to: &str) -> Option<String> {
    let tcp = from.tcp(socket(to)).ok();
    let udp = from.udp(socket(to)).ok();
    assert_eq!(tcp, udp, "tcp and udp to {to} differ");
    tcp
}

#[test]
fn the_host_reaches_a_published_port_on_loopback_and_on_its_address() {
    let site = Site::new();
    assert_eq!(seen(&site.host.inside, "127.0.0.1:8080").as_deref(), Some("172.29.0.1"));
    assert_eq!(seen(&site.host.inside, "192.0.2.1:8080").as_deref(), Some("172.29.0.1"));
    assert_eq!(seen(&site.host.inside, "172.29.1.1:8080").as_deref(), Some("172.29.0.1"));
    assert_eq!(seen(&site.host.inside, "127.0.0.1:9000").as_deref(), Some("172.29.0.1"));
    assert_eq!(seen(&site.host.inside, "192.0.2.1:9000"), None);
}

#[test]
fn a_neighbour_reaches_a_published_port_and_is_seen_with_its_own_address() {
    let site = Site::new();
    assert_eq!(seen(&site.host.neighbour, "192.0.2.1:8080").as_deref(), Some("192.0.2.2"));
    assert_eq!(seen(&site.host.neighbour, "192.0.2.1:9000"), None);
}

#[test]
fn a_neighbour_that_routes_to_a_container_reaches_nothing() {
    let site = Site::new();
    site.host.neighbour.command("ip route add 172.29.0.0/16 via 192.0.2.1");
    assert_eq!(seen(&site.host.neighbour, "172.29.0.2:80"), None);
}

#[test]
fn containers_of_one_bridge_reach_each_other() {
    let site = Site::new();
    let db = site.host.container(&attachment("hs0", "hs0db", "172.29.0.3"));
    assert_eq!(seen(&site.web, "172.29.0.3:80").as_deref(), Some("172.29.0.2"));
    assert_eq!(seen(&db, "172.29.0.2:80").as_deref(), Some("172.29.0.3"));
}

#[test]
fn containers_reach_published_ports_through_the_host_their_own_too() {
    let site = Site::new();
    let db = site.host.container(&attachment("hs0", "hs0db", "172.29.0.3"));
    assert!(seen(&site.web, "192.0.2.1:8080").is_some());
    assert!(seen(&site.web, "172.29.0.1:8080").is_some());
    assert!(seen(&db, "192.0.2.1:8080").is_some());
    assert!(seen(&site.other, "192.0.2.1:8080").is_some());
    assert!(seen(&site.other, "172.29.1.1:8080").is_some());
}

#[test]
fn bridges_are_isolated_from_each_other() {
    let site = Site::new();
    assert_eq!(seen(&site.web, "172.29.1.2:80"), None);
    assert_eq!(seen(&site.other, "172.29.0.2:80"), None);
}

#[test]
fn containers_reach_the_world_with_the_address_of_the_host() {
    let site = Site::new();
    site.host.neighbour.serve(8080);
    assert_eq!(seen(&site.web, "192.0.2.2:8080").as_deref(), Some("192.0.2.1"));
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

    assert_eq!(seen(&site.other, "192.0.2.2:8080"), None);
    assert_eq!(seen(&site.other, "172.29.1.1:8080"), None, "the way over a published port");
    assert_eq!(seen(&inner, "192.0.2.2:8080"), None);
    assert_eq!(seen(&inner, "172.29.1.2:80").as_deref(), Some("172.29.1.3"));
    assert_eq!(seen(&site.host.neighbour, "192.0.2.1:8081"), None);
    assert_eq!(seen(&site.host.inside, "127.0.0.1:8081").as_deref(), Some("172.29.1.1"));
    assert_eq!(seen(&site.host.inside, "192.0.2.1:8081").as_deref(), Some("172.29.1.1"));
}

#[test]
fn a_container_cannot_reach_the_loopback_of_the_host() {
    let site = Site::new();
    let server = site.host.inside.run(|| UdpSocket::bind("127.0.0.1:7000").unwrap());
    server.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    site.web.command(
        "ip route del table local 127.0.0.0/8 dev lo && ip route del table local 127.0.0.1 dev lo && \
         ip route add 127.0.0.1 via 172.29.0.1 src 172.29.0.2",
    );
    site.web.udp(socket("127.0.0.1:7000")).unwrap_err();
    server.recv(&mut [0]).unwrap_err();
    site.host.inside.command("nft flush chain ip homeostat guard");
    site.web.udp(socket("127.0.0.1:7000")).unwrap_err();
    server.recv(&mut [0]).expect("without the guard it would arrive");
}

#[test]
fn connections_live_through_a_change_and_a_replacement_of_the_table() {
    let mut site = Site::new();
    let mut connection = site.host.inside.connect(socket("127.0.0.1:8080")).unwrap();
    ask(&mut connection).unwrap();
    site.rules.published.insert(port(Protocol::Tcp, "8088"), socket("172.29.0.2:80"));
    assert_eq!(site.apply(), Applied::Updated);
    ask(&mut connection).unwrap();
    site.host.inside.command("nft delete table ip homeostat");
    assert_eq!(site.apply(), Applied::Replaced);
    ask(&mut connection).unwrap();
    assert!(site.host.inside.tcp(socket("127.0.0.1:8088")).is_ok());
}

#[test]
fn a_reserved_port_is_published_all_the_same() {
    let site = Site::new();
    let ports: Vec<_> = site.rules.published.keys().copied().collect();
    let _reserved = site.host.inside.run(|| reserve(&ports).unwrap());
    assert!(seen(&site.host.inside, "127.0.0.1:8080").is_some());
    assert!(seen(&site.host.inside, "127.0.0.1:9000").is_some());
    assert!(seen(&site.host.neighbour, "192.0.2.1:8080").is_some());
}

#[test]
fn a_port_that_is_no_longer_published_is_closed() {
    let mut site = Site::new();
    site.rules.published.clear();
    assert_eq!(site.apply(), Applied::Updated);
    assert_eq!(seen(&site.host.inside, "127.0.0.1:8080"), None);
    assert_eq!(seen(&site.host.neighbour, "192.0.2.1:8080"), None);
}

#[test]
fn traffic_through_the_host_to_others_is_not_taken_for_a_published_port() {
    let site = Site::new();
    site.host.neighbour.serve(8080);
    assert_eq!(seen(&site.other, "192.0.2.2:8080").as_deref(), Some("192.0.2.1"));
    assert_eq!(seen(&site.host.inside, "192.0.2.2:8080").as_deref(), Some("192.0.2.1"));
}
