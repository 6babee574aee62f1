//! Bridges and veth pairs.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, but takes no helper of theirs for one"
)]

mod support;

use std::time::Instant;

use homeostat_network::{
    HostSocket, Subnet, attach, bridges, choose_subnet, detach, ensure_bridge, occupied_subnets,
    remove_bridge,
};
use support::{Host, Namespace, attachment, bridge, name, subnet, wait_until};

#[test]
fn a_bridge_is_made_once_and_follows_its_configuration() {
    let host = Namespace::new();
    host.run(|| {
        let socket = HostSocket::open().unwrap();
        ensure_bridge(&socket, &bridge("hs0", "172.29.0.0/24")).unwrap();
        ensure_bridge(&socket, &bridge("hs0", "172.29.0.0/24")).unwrap();
    });
    assert_eq!(
        host.command("ip -4 -br address show hs0 | tr -s ' ' | cut -d' ' -f3-").trim(),
        "172.29.0.1/24"
    );
    assert_eq!(host.command("cat /proc/sys/net/ipv4/ip_forward").trim(), "1");
    assert_eq!(host.command("cat /proc/sys/net/ipv4/conf/hs0/route_localnet").trim(), "1");
    assert_eq!(host.command("ip -6 -br address show hs0").trim(), "");
    host.run(|| ensure_bridge(&HostSocket::open().unwrap(), &bridge("hs0", "172.29.8.0/22")).unwrap());
    assert_eq!(
        host.command("ip -4 -br address show hs0 | tr -s ' ' | cut -d' ' -f3-").trim(),
        "172.29.8.1/22"
    );
}

#[test]
fn a_bridge_is_listed_and_removed_and_nothing_else_is() {
    let host = Namespace::new();
    host.command("ip link add hsveth type veth && ip link add br0 type bridge");
    host.run(|| {
        let socket = HostSocket::open().unwrap();
        ensure_bridge(&socket, &bridge("hs0", "172.29.0.0/24")).unwrap();
        assert_eq!(bridges(&socket, "hs").unwrap(), [name("hs0")]);
        remove_bridge(&socket, &name("hs0")).unwrap();
        remove_bridge(&socket, &name("hs0")).unwrap();
        assert_eq!(bridges(&socket, "hs").unwrap(), []);
        let error = remove_bridge(&socket, &name("hsveth")).unwrap_err();
        assert_eq!(error.to_string(), "cannot remove the bridge hsveth");
        ensure_bridge(&socket, &bridge("hsveth", "172.29.0.0/24")).unwrap_err();
        detach(&socket, &name("br0")).unwrap_err();
    });
    assert_eq!(host.command("ip -br link | grep -c -e ^hsveth -e ^br0").trim(), "2");
}

#[test]
fn routes_and_addresses_of_the_host_are_avoided() {
    let host = Host::new();
    host.inside.command(
        "ip route add 172.29.0.0/17 via 192.0.2.2 && ip route add 10.0.0.0/8 via 192.0.2.2 table 77",
    );
    host.inside.command("ip route add default via 192.0.2.2");
    let taken = host.inside.run(|| occupied_subnets(&HostSocket::open().unwrap()).unwrap());
    for expected in ["172.29.0.0/17", "10.0.0.0/8", "192.0.2.0/24", "127.0.0.0/8"] {
        assert!(taken.contains(&subnet(expected)), "{expected} in {taken:?}");
    }
    assert!(taken.iter().all(|net: &Subnet| net.prefix() > 0));
    assert_eq!(choose_subnet(&taken).unwrap(), subnet("172.29.128.0/24"));
}

#[test]
fn a_container_that_starts_again_at_once_takes_over_its_interface() {
    let host = Host::new();
    host.add_bridge(&bridge("hs0", "172.29.0.0/24"));
    let first = host.container(&attachment("hs0", "hs0web", "172.29.0.2"));
    let second = host.container(&attachment("hs0", "hs0web", "172.29.0.2"));
    assert!(host.inside.tcp(support::socket("172.29.0.2:80"), support::DEADLINE).is_ok());
    assert_eq!(first.command("ip -br link show type veth").trim(), "");
    assert_eq!(second.command("ip -6 address show dev eth0").trim(), "");
}

#[test]
fn nothing_is_left_when_the_namespace_ends() {
    let host = Namespace::new();
    host.run(|| ensure_bridge(&HostSocket::open().unwrap(), &bridge("hs0", "172.29.0.0/24")).unwrap());
    let socket = host.run(|| HostSocket::open().unwrap());
    drop(Namespace::with(move || attach(&socket, &attachment("hs0", "hs0web", "172.29.0.2")).unwrap()));
    wait_until("the kernel has removed the pair", || host.command("ip -br link show type veth").is_empty());
}

#[test]
fn a_missing_bridge_is_named() {
    let host = Namespace::new();
    let socket = host.run(|| HostSocket::open().unwrap());
    Namespace::with(move || {
        let error = attach(&socket, &attachment("hs0", "hs0web", "172.29.0.2")).unwrap_err();
        assert_eq!(error.to_string(), "cannot find the bridge hs0");
    });
}

#[test]
fn attaching_takes_a_few_milliseconds() {
    let host = Namespace::new();
    host.run(|| ensure_bridge(&HostSocket::open().unwrap(), &bridge("hs0", "172.29.0.0/24")).unwrap());
    let mut times: Vec<_> = (2..22)
        .map(|number| {
            let socket = host.run(|| HostSocket::open().unwrap());
            let wish = attachment("hs0", &format!("hs0n{number}"), &format!("172.29.0.{number}"));
            let mut time = None;
            let taken = &mut time;
            let namespace = Namespace::with(move || {
                let begin = Instant::now();
                attach(&socket, &wish).unwrap();
                *taken = Some(begin.elapsed());
            });
            (time.unwrap(), namespace)
        })
        .collect();
    times.sort_by_key(|(time, _)| *time);
    let median = times[times.len() / 2].0;
    println!("attach: median {median:?}, longest {:?}", times[times.len() - 1].0);
    // Ten times what it takes: machines under load are no reason to fail.
    assert!(median.as_millis() < 30, "{median:?}");
}
