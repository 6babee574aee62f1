//! Hosts and containers as network namespaces, made by threads of the test: they end with the test.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, but takes no helper of theirs for one"
)]

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fs_err::File;
use homeostat_network::{
    Attachment, BridgeConfig, BridgeRules, DesiredRules, HostPort, HostSocket, InterfaceName, Subnet, attach,
    ensure_bridge,
};
use homeostat_spec::Protocol;
use nix::sched::{CloneFlags, setns, unshare};

/// How long something that must not come is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_millis(300);
/// How long something that must come is waited for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// A network namespace. It ends when nothing refers to it any more.
pub(crate) struct Namespace(File);

impl Namespace {
    /// A new one, with its loopback interface up.
    pub(crate) fn new() -> Self {
        let namespace = Self::with(|| ());
        namespace.run(|| homeostat_network::loopback_up().unwrap());
        namespace
    }

    /// A new one in which this ran first.
    pub(crate) fn with(inside: impl FnOnce() + Send) -> Self {
        on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            inside();
            Self(File::open("/proc/thread-self/ns/net").unwrap())
        })
    }

    /// Runs this inside and waits for it.
    pub(crate) fn run<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        on_thread(|| {
            self.enter();
            inside()
        })
    }

    /// Starts a server that answers each TCP connection and each UDP packet with the address that it came from.
    pub(crate) fn serve(&self, port: u16) {
        let (tcp, udp) = self.run(|| {
            let address = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port);
            (TcpListener::bind(address).unwrap(), UdpSocket::bind(address).unwrap())
        });
        thread::spawn(move || {
            for connection in tcp.incoming().flatten() {
                thread::spawn(move || answer_lines(connection));
            }
        });
        thread::spawn(move || {
            let mut packet = [0; 64];
            while let Ok((_, from)) = udp.recv_from(&mut packet) {
                let _ = udp.send_to(from.ip().to_string().as_bytes(), from);
            }
        });
    }

    /// The address that a TCP server saw a connection from here come from.
    pub(crate) fn tcp(&self, to: SocketAddrV4, patience: Duration) -> io::Result<String> {
        self.connect(to, patience).and_then(|mut connection| ask(&mut connection))
    }

    pub(crate) fn connect(&self, to: SocketAddrV4, patience: Duration) -> io::Result<TcpStream> {
        self.run(|| {
            let connection = TcpStream::connect_timeout(&SocketAddr::V4(to), patience)?;
            connection.set_read_timeout(Some(DEADLINE))?;
            Ok(connection)
        })
    }

    /// The address that a UDP server saw a packet from here come from.
    pub(crate) fn udp(&self, to: SocketAddrV4, patience: Duration) -> io::Result<String> {
        self.run(|| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.set_read_timeout(Some(patience))?;
            socket.connect(to)?;
            socket.send(b"?")?;
            let mut answer = [0; 64];
            let length = socket.recv(&mut answer)?;
            Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
        })
    }

    /// Runs a program inside and returns what it wrote.
    pub(crate) fn command(&self, line: &str) -> String {
        self.run(|| {
            let output = Command::new("sh").args(["-c", line]).output().unwrap();
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        })
    }

    fn enter(&self) {
        setns(self.0.file(), CloneFlags::CLONE_NEWNET).unwrap();
    }
}

/// Asks over a connection that is open for the address that it came from.
pub(crate) fn ask(connection: &mut TcpStream) -> io::Result<String> {
    connection.write_all(b"?")?;
    let mut answer = [0; 64];
    let length = connection.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

fn answer_lines(mut connection: TcpStream) {
    let Ok(from) = connection.peer_addr() else { return };
    let mut question = [0; 64];
    while matches!(connection.read(&mut question), Ok(1..)) {
        let _ = connection.write_all(from.ip().to_string().as_bytes());
    }
}

fn on_thread<T: Send>(inside: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Waits until this is so.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < DEADLINE, "waited too long until {what}");
        thread::yield_now();
    }
}

pub(crate) fn name(text: &str) -> InterfaceName {
    text.parse().unwrap()
}

pub(crate) fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

pub(crate) fn socket(text: &str) -> SocketAddrV4 {
    text.parse().unwrap()
}

/// A published port: `8080` or `127.0.0.1:8080`.
pub(crate) fn port(protocol: Protocol, text: &str) -> HostPort {
    match text.split_once(':') {
        Some((address, port)) => {
            HostPort { address: Some(address.parse().unwrap()), protocol, port: port.parse().unwrap() }
        }
        None => HostPort { address: None, protocol, port: text.parse().unwrap() },
    }
}

/// The bridge's configuration.
pub(crate) fn bridge(bridge: &str, net: &str) -> BridgeConfig {
    BridgeConfig { name: name(bridge), subnet: subnet(net), mtu: None }
}

/// An attachment to the bridge of a /24.
pub(crate) fn attachment(bridge: &str, host_interface: &str, address: &str) -> Attachment {
    let address: Ipv4Addr = address.parse().unwrap();
    Attachment {
        bridge: name(bridge),
        host_interface: name(host_interface),
        interface: name("eth0"),
        address,
        prefix: 24,
        gateway: Some(Subnet::containing(address, 24).unwrap().gateway()),
        mtu: None,
    }
}

/// Bridges with the subnets 172.29.0.0/24, 172.29.1.0/24 and so on; none is internal.
pub(crate) fn rules(bridges: &[&str]) -> DesiredRules {
    let bridges: BTreeMap<_, _> =
        (0..).zip(bridges).map(|(number, bridge)| (name(bridge), bridge_rules(number, false))).collect();
    DesiredRules { bridges, published: BTreeMap::new() }
}

/// Rules of a bridge with the subnet 172.29.NUMBER.0/24.
pub(crate) fn bridge_rules(number: u8, internal: bool) -> BridgeRules {
    BridgeRules { subnet: subnet(&format!("172.29.{number}.0/24")), internal }
}

/// A host with a neighbour at 192.0.2.2; its own address there is 192.0.2.1.
pub(crate) struct Host {
    pub(crate) inside: Namespace,
    pub(crate) neighbour: Namespace,
}

impl Host {
    pub(crate) fn new() -> Self {
        let host = Self { inside: Namespace::new(), neighbour: Namespace::new() };
        // A veth pair is made here and its far end moved: by ip(8), not by what is tested.
        let file = format!("/proc/{}/fd/{}", std::process::id(), fd(&host.neighbour));
        host.inside.command(&format!(
            "ip link add out type veth peer name out netns {file} && ip address add 192.0.2.1/24 dev out && ip link set out up"
        ));
        host.neighbour.command("ip address add 192.0.2.2/24 dev out && ip link set out up");
        host
    }

    pub(crate) fn add_bridge(&self, config: &BridgeConfig) {
        self.inside.run(|| ensure_bridge(&HostSocket::open().unwrap(), config).unwrap());
    }

    /// A container that serves on its port 80.
    pub(crate) fn container(&self, attachment: &Attachment) -> Namespace {
        let host = self.inside.run(|| HostSocket::open().unwrap());
        let container = Namespace::with(move || attach(&host, attachment).unwrap());
        container.serve(80);
        container
    }
}

fn fd(namespace: &Namespace) -> i32 {
    use std::os::fd::AsRawFd;
    namespace.0.as_raw_fd()
}
