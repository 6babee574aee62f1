//! What a container is connected to.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::net::Ipv4Addr;

use homeostat_monitor::{FailureKind, Network};
use homeostat_network::{Attachment, BridgeConfig, HostSocket, InterfaceName, Subnet, ensure_bridge};
use nix::sched::{CloneFlags, unshare};
use support::{Container, shell, until};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 231, 7, 2);

fn attachment() -> Attachment {
    let subnet = Subnet::containing(ADDRESS, 24).unwrap();
    Attachment {
        bridge: InterfaceName::derive("hsb", "test").unwrap(),
        host_interface: InterfaceName::derive("hsv", "test").unwrap(),
        interface: "eth0".parse().unwrap(),
        address: ADDRESS,
        prefix: subnet.prefix(),
        gateway: Some(subnet.gateway()),
        mtu: None,
    }
}

/// A network namespace of this test's thread plays the host.
fn host_with_bridge() -> Attachment {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    let attachment = attachment();
    let subnet = Subnet::containing(ADDRESS, 24).unwrap();
    let bridge = BridgeConfig { name: attachment.bridge.clone(), subnet, mtu: None };
    ensure_bridge(&HostSocket::open().unwrap(), &bridge).unwrap();
    attachment
}

fn links() -> String {
    fs_err::read_to_string("/proc/thread-self/net/dev").unwrap()
}

#[test]
fn a_container_on_a_bridge_has_its_address_and_reaches_the_gateway() {
    let attachment = host_with_bridge();
    let interface = attachment.host_interface.clone();
    let mut container = Container::new(shell(
        "ip -4 -o addr show dev eth0 | awk '{print $4}'; ip route | grep -c '^default via 10.231.7.1'; \
         ping -c 1 -W 5 10.231.7.1 > /dev/null && echo reached; grep box /etc/hosts",
    ));
    container.request.network = Network::Bridges(vec![attachment]);
    let (record, output) = container.run();
    assert_eq!(record.code, 0);
    assert_eq!(output, "10.231.7.2/24\n1\nreached\n10.231.7.2\tbox\n");
    container.assert_nothing_left();
    until("the veth pair is gone", || !links().contains(interface.as_str()));
}

#[test]
fn a_bridge_that_is_not_there_is_said_and_nothing_is_left() {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    let mut container = Container::new(shell("true"));
    container.request.network = Network::Bridges(vec![attachment()]);
    assert_eq!(container.start().unwrap_err().kind, FailureKind::Network);
    assert_eq!(container.wait().code, 125);
    container.assert_nothing_left();
}

#[test]
fn the_hosts_network_is_the_hosts() {
    let mut container = Container::new(shell("readlink /proc/self/ns/net; id -u > /dev/null && hostname"));
    container.request.network = Network::Host;
    let own = fs_err::read_link("/proc/thread-self/ns/net").unwrap();
    assert_eq!(container.run().1, format!("{}\nbox\n", own.display()));
}

#[test]
fn a_user_may_open_any_port_in_its_own_network() {
    let mut process = shell("cat /proc/sys/net/ipv4/ip_unprivileged_port_start");
    process.user = Some("web".into());
    let mut container = Container::new(process);
    assert_eq!(container.run().1, "0\n");
}
