//! Reserving ports of the host.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, but takes no helper of theirs for one"
)]

mod support;

use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};

use homeostat_network::{HostPort, ReserveError, reserve};
use homeostat_spec::{Protocol, PublishedPort};
use support::Namespace;

/// `[IP:]PORT`, for the port of that number.
fn port(protocol: Protocol, text: &str) -> PublishedPort {
    let host = support::port(protocol, text);
    PublishedPort {
        host_ip: host.address,
        host_port: host.port,
        host_port_last: None,
        container_port: host.port,
        protocol,
    }
}

#[test]
fn a_port_that_is_left_open_is_chosen_and_stays() {
    let host = Namespace::new();
    host.run(|| {
        let wanted = [
            PublishedPort { host_port: 0, ..port(Protocol::Tcp, "80") },
            PublishedPort { host_port: 0, ..port(Protocol::Udp, "127.0.0.1:80") },
            PublishedPort { host_port_last: Some(8002), ..port(Protocol::Tcp, "8000") },
            port(Protocol::Tcp, "8000"),
        ];
        let first = reserve(&wanted, &[]).unwrap();
        assert!(first.ports[..2].iter().all(|port| port.host_port >= 1024 && !port.is_chosen()));
        assert_eq!((first.ports[2].host_port, first.ports[2].host_port_last), (8001, None));
        assert_eq!(first.ports[3], wanted[3]);
        let ports = first.ports.clone();
        // Held by the first: another has other ports.
        let other = reserve(&wanted[..3], &ports).unwrap();
        assert_eq!(other.ports[2].host_port, 8002);
        assert!(other.ports.iter().all(|port| !ports.contains(port)));
        let error = reserve(&wanted[2..3], &[]).unwrap_err();
        assert_eq!(error.to_string(), "no port of the host from 8000 to 8002 is free");
        drop((first, other));
        assert_eq!(reserve(&wanted, &ports).unwrap().ports, ports);
        // What was chosen for another port, or from another range, is not taken over.
        let moved = [PublishedPort { host_port: 9000, host_port_last: Some(9001), ..wanted[2].clone() }];
        assert_eq!(reserve(&moved, &ports).unwrap().ports[0].host_port, 9000);
    });
}

#[test]
fn a_reserved_port_is_refused_to_others_until_it_is_closed() {
    let host = Namespace::new();
    host.run(|| {
        let ports =
            [port(Protocol::Tcp, "8080"), port(Protocol::Udp, "8080"), port(Protocol::Tcp, "127.0.0.1:9000")];
        let reserved = reserve(&ports, &[]).unwrap();
        TcpListener::bind("127.0.0.1:8080").unwrap_err();
        TcpListener::bind("0.0.0.0:9000").unwrap_err();
        UdpSocket::bind("127.0.0.1:8080").unwrap_err();
        let error = reserve(&ports[2..], &[]).unwrap_err();
        assert_eq!(error.to_string(), "port 127.0.0.1:9000/tcp of the host is in use");
        TcpStream::connect("127.0.0.1:8080").unwrap_err();
        drop(reserved);
        reserve(&ports, &[]).unwrap();
    });
}

#[test]
fn the_process_that_has_the_port_is_named() {
    let host = Namespace::new();
    host.run(|| {
        let _tcp = TcpListener::bind("0.0.0.0:8080").unwrap();
        let _udp = UdpSocket::bind("127.0.0.1:53").unwrap();
        for wanted in [port(Protocol::Tcp, "127.0.0.1:8080"), port(Protocol::Udp, "53")] {
            match reserve(std::slice::from_ref(&wanted), &[]).unwrap_err() {
                ReserveError::InUse { port, owner: Some(owner) } => {
                    assert_eq!((port, owner.pid), (HostPort::from(&wanted), std::process::id()));
                    assert!(!owner.name.is_empty());
                }
                error => panic!("{error:?}"),
            }
        }
    });
}

#[test]
fn none_is_kept_when_one_cannot_be_had() {
    let host = Namespace::new();
    host.run(|| {
        let taken = TcpListener::bind("0.0.0.0:8081").unwrap();
        reserve(&[port(Protocol::Tcp, "8080"), port(Protocol::Tcp, "8081")], &[]).unwrap_err();
        drop(taken);
        TcpListener::bind("0.0.0.0:8080").unwrap();
    });
}

#[test]
fn a_connection_that_has_ended_does_not_block_a_start() {
    let host = Namespace::new();
    host.run(|| {
        leave_ended_connection(8080);
        let wanted = [port(Protocol::Tcp, "8080")];
        let _reserved = reserve(&wanted, &[]).unwrap();
        TcpListener::bind("0.0.0.0:8080").unwrap_err();
        reserve(&wanted, &[]).unwrap_err();
    });
}

/// The side that closes first keeps the port in `TIME_WAIT` for a minute.
fn leave_ended_connection(number: u16) {
    let listener = TcpListener::bind(("0.0.0.0", number)).unwrap();
    let mut client = TcpStream::connect(("127.0.0.1", number)).unwrap();
    drop(listener.accept().unwrap());
    drop(listener);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    drop(client);
}

#[test]
fn an_address_that_the_host_does_not_have_is_told() {
    let host = Namespace::new();
    let error = host.run(|| reserve(&[port(Protocol::Tcp, "192.0.2.1:80")], &[]).unwrap_err());
    assert!(matches!(error, ReserveError::NoSuchAddress { .. }), "{error:?}");
}
