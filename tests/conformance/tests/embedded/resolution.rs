//! Names of containers: who answers them is a process that comes and goes on its own.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use homeostat_conformance::{PATIENCE, World, key, observe, run, shell};
use homeostat_embedded::EmbeddedConfig;
use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::Engine;
use homeostat_spec::{ContainerConfig, Network, NetworkMode, Protocol, PublishedPort};
use nix::mount::MsFlags;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::{Host, on_host, remove_everything};

/// The address that the host's name server of these tests tells of every name.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

fn bridged() -> ContainerConfig {
    ContainerConfig { network: NetworkMode::Bridge, ..shell("sleep infinity") }
}

/// A container, as somebody without an engine sees it.
#[derive(Debug, Clone, Copy)]
struct Inside {
    pid: u32,
    address: Ipv4Addr,
}

impl Inside {
    async fn of(engine: &dyn Engine, key: &ResourceKey) -> Self {
        let seen = observe(engine, key).await;
        Self { pid: seen.pid.unwrap(), address: seen.address.unwrap() }
    }

    /// Does something in its network.
    fn run<T: Send>(self, work: impl FnOnce(SocketAddr) -> T + Send) -> T {
        let file = format!("/proc/{}/root/etc/resolv.conf", self.pid);
        let text = fs_err::read_to_string(file).unwrap();
        let server: IpAddr =
            text.lines().find_map(|line| line.strip_prefix("nameserver ")).unwrap().parse().unwrap();
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let namespace = fs_err::File::open(format!("/proc/{}/ns/net", self.pid)).unwrap();
                setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
                work(SocketAddr::new(server, 53))
            });
            inside.join().unwrap()
        })
    }

    /// The address that a name has for it; nothing where there is no answer, or another one.
    fn look_up(self, name: &str) -> Option<Ipv4Addr> {
        self.look_up_within(name, Duration::from_secs(5))
    }

    fn look_up_within(self, name: &str, time: Duration) -> Option<Ipv4Addr> {
        self.run(|server| {
            let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
            socket.set_read_timeout(Some(time)).ok()?;
            socket.connect(server).ok()?;
            socket.send(&query(name)).ok()?;
            let mut answer = [0; 512];
            let length = socket.recv(&mut answer).ok()?;
            address_in(&answer[..length])
        })
    }

    /// The same over TCP, several on one connection.
    fn look_up_over_tcp(self, names: &[&str]) -> Vec<Option<Ipv4Addr>> {
        self.run(|server| {
            let mut stream = TcpStream::connect(server).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut answers = Vec::new();
            for name in names {
                send(&mut stream, &query(name));
                answers.push(address_in(&receive(&mut stream).unwrap()));
            }
            answers
        })
    }

    /// Waits until a name has an address.
    fn wait_for(self, name: &str, address: Ipv4Addr) {
        let deadline = Instant::now() + PATIENCE;
        // A query to who is being killed is lost.
        while self.look_up_within(name, Duration::from_millis(100)) != Some(address) {
            assert!(Instant::now() < deadline, "{name} is not {address}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A query for the address of a name (RFC 1035).
fn query(name: &str) -> Vec<u8> {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).unwrap());
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    query
}

/// The address at the end of an answer with one record.
fn address_in(answer: &[u8]) -> Option<Ipv4Addr> {
    let has_record = answer.get(6..8)? == [0, 1] && answer.starts_with(&[0x12, 0x34]);
    let address: [u8; 4] = answer.last_chunk().copied()?;
    has_record.then(|| address.into())
}

fn send(stream: &mut TcpStream, message: &[u8]) {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, message].concat()).unwrap();
}

fn receive(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

/// The answer of the host's name server: whatever was asked, [`ELSEWHERE`].
fn answer(query: &[u8]) -> Vec<u8> {
    let mut answer = query.to_vec();
    answer[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
    answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    answer.extend_from_slice(&ELSEWHERE.octets());
    answer
}

/// Makes a name server at this address of the host the one that it asks. It goes with the test's process.
fn serve_the_host(host: &Host, address: &str) {
    let udp = UdpSocket::bind((address, 53)).unwrap();
    let tcp = TcpListener::bind((address, 53)).unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, asker)) = udp.recv_from(&mut query) {
            let _ = udp.send_to(&answer(&query[..length]), asker);
        }
    });
    std::thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            while let Some(query) = receive(&mut stream) {
                send(&mut stream, &answer(&query));
            }
        }
    });
    let file = host.run_directory().with_file_name("resolv.conf");
    fs_err::write(&file, format!("nameserver {address}\nsearch lan.example\noptions ndots:3\n")).unwrap();
    let none = None::<&str>;
    nix::mount::mount(Some(&file), "/etc/resolv.conf", none, MsFlags::MS_BIND, none).unwrap();
}

/// Mounts of this test are its own.
fn leave_mount_namespace() {
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    nix::mount::mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
}

/// The processes that answer names for this host.
fn responders(host: &Host) -> Vec<Pid> {
    let directory = fs_err::canonicalize(host.run_directory()).unwrap().join("dns");
    let line = format!("homeostat\0dns\0{}\0", directory.display());
    let entries = fs_err::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let runs =
        |pid: &i32| fs_err::read(format!("/proc/{pid}/cmdline")).is_ok_and(|found| found == line.as_bytes());
    pids.filter(runs).map(Pid::from_raw).collect()
}

/// Two containers on the bridge, from inside.
async fn first_and_second(engine: &dyn Engine, world: &World) -> (Inside, Inside) {
    let first = run(engine, world, "first", bridged()).await;
    let second = run(engine, world, "second", bridged()).await;
    (Inside::of(engine, &first).await, Inside::of(engine, &second).await)
}

#[test]
fn who_answers_names_is_replaced_when_the_program_was() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let (first, second) = first_and_second(&engine, &world).await;
        let before = responders(host);
        drop(engine);
        let program = host.data().join("upgraded");
        fs_err::copy(host.config().program, &program).unwrap();
        let engine = host.open_with(&EmbeddedConfig { program, ..host.config() }).await;
        let after = responders(host);
        assert!(after.len() == 1 && after != before, "{before:?} {after:?}");
        assert_eq!(first.look_up("second"), Some(second.address));
        remove_everything(&engine).await;
    });
}

#[test]
fn names_resolve_while_no_engine_is_there_and_who_answers_is_adopted() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let (first, second) = first_and_second(&engine, &world).await;
        let before = responders(host);
        assert_eq!(before.len(), 1);
        drop(engine);
        assert_eq!(first.look_up("second"), Some(second.address));
        assert_eq!(second.look_up("first.homeostat.internal"), Some(first.address));
        assert_eq!(first.look_up_over_tcp(&["second", "first"]), [Some(second.address), Some(first.address)]);

        let engine = host.open().await;
        assert_eq!(responders(host), before);
        let third = run(&engine, &world, "third", bridged()).await;
        let third = Inside::of(&engine, &third).await;
        assert_eq!(first.look_up("third"), Some(third.address));
        remove_everything(&engine).await;
        assert!(responders(host).is_empty(), "it ends with the last bridge");
        assert!(!host.run_directory().join("dns").exists());
    });
}

#[test]
fn who_answers_names_is_started_again_when_it_was_killed() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let (first, second) = first_and_second(&engine, &world).await;
        for _ in 0..3 {
            let before = responders(host);
            kill(before[0], Signal::SIGKILL).unwrap();
            first.wait_for("second", second.address);
            assert_ne!(responders(host), before);
        }
        // While nobody looks, it stays away until somebody does.
        drop(engine);
        kill(responders(host)[0], Signal::SIGKILL).unwrap();
        let engine = host.open().await;
        assert_eq!(second.look_up("first"), Some(first.address));
        assert_eq!(responders(host).len(), 1);
        remove_everything(&engine).await;
    });
}

#[test]
fn who_answers_names_no_more_is_replaced_by_the_next_start() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        run(&engine, &world, "first", bridged()).await;
        let hanging = responders(host);
        kill(hanging[0], Signal::SIGSTOP).unwrap();
        let second = run(&engine, &world, "second", bridged()).await;
        let second = Inside::of(&engine, &second).await;
        assert_eq!(second.look_up("second"), Some(second.address));
        let now = responders(host);
        assert!(now.len() == 1 && now != hanging);
        remove_everything(&engine).await;
    });
}

#[test]
fn what_is_no_name_of_a_container_is_asked_of_the_hosts_name_server_on_loopback() {
    leave_mount_namespace();
    on_host(async |host| {
        serve_the_host(host, "127.0.0.53");
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let network = |internal| Network { subnet: None, internal, adopt: None, labels: BTreeMap::new() };
        for (name, internal) in [("front", false), ("back", true)] {
            engine.create_network(&key(name), &network(internal)).await.unwrap();
            let config = ContainerConfig {
                network: NetworkMode::Named(name.parse().unwrap()),
                ..shell("sleep infinity")
            };
            let container = Inside::of(&engine, &run(&engine, &world, name, config).await).await;
            let reached = (!internal).then_some(ELSEWHERE);
            assert_eq!(container.look_up("example.org"), reached);
            assert_eq!(container.look_up("nobody.homeostat.internal"), None, "it is asked of nobody");
            assert_eq!(container.look_up(name), Some(container.address));
            let over_tcp = container.look_up_over_tcp(&["example.org", name, "example.com"]);
            assert_eq!(over_tcp, [reached, Some(container.address), reached]);
            let file = format!("/proc/{}/root/etc/resolv.conf", container.pid);
            let text = fs_err::read_to_string(file).unwrap();
            let told = text.split_once('\n').unwrap().1;
            assert_eq!(told, "search homeostat.internal lan.example\noptions ndots:3\n");
        }
        // The host gets another name server, where nobody listens.
        let file = host.run_directory().with_file_name("resolv.conf");
        let container = Inside::of(&engine, &key("front")).await;
        fs_err::write(&file, "nameserver 127.0.0.54\n").unwrap();
        assert_eq!(container.look_up("example.org"), None);
        fs_err::write(&file, "nameserver 127.0.0.54\nnameserver 127.0.0.53\n").unwrap();
        assert_eq!(container.look_up("example.org"), Some(ELSEWHERE), "the next one is asked");
        nix::mount::umount("/etc/resolv.conf").unwrap();
        remove_everything(&engine).await;
    });
}

#[test]
fn a_port_53_that_the_host_or_a_container_has_is_in_nobodys_way() {
    on_host(async |host| {
        let of_the_host = UdpSocket::bind("0.0.0.0:53").unwrap();
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let asker = run(&engine, &world, "asker", bridged()).await;
        let asker = Inside::of(&engine, &asker).await;
        assert_eq!(asker.look_up("asker"), Some(asker.address));
        drop(of_the_host);
        let mut config = bridged();
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            config.ports.push(PublishedPort {
                host_ip: None,
                host_port: 53,
                host_port_last: None,
                container_port: 53,
                protocol,
            });
        }
        let server = Inside::of(&engine, &run(&engine, &world, "server", config).await).await;
        assert_eq!(asker.look_up("server"), Some(server.address));
        assert_eq!(asker.look_up_over_tcp(&["server"]), [Some(server.address)]);
        remove_everything(&engine).await;
    });
}

#[test]
fn names_of_apps_on_one_bridge_are_told_apart_and_other_bridges_get_no_answer() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let mut databases = Vec::new();
        for app in ["shop", "blog"] {
            for name in ["web", "db"] {
                let key = ResourceKey::new(app.parse().unwrap(), name.parse().unwrap());
                engine.create_container(&world.request(&key, &world.base, bridged())).await.unwrap();
                engine.start_container(&key).await.unwrap();
                databases.push(Inside::of(&engine, &key).await);
            }
        }
        let [shop_web, shop_db, blog_web, blog_db] = databases[..] else { panic!("there are four") };
        assert_eq!(shop_web.look_up("db"), Some(shop_db.address));
        assert_eq!(blog_web.look_up("db"), Some(blog_db.address));
        assert_eq!(blog_web.look_up("db.shop"), Some(shop_db.address));
        let network = Network { subnet: None, internal: false, adopt: None, labels: BTreeMap::new() };
        engine.create_network(&key("front"), &network).await.unwrap();
        let config = ContainerConfig { network: NetworkMode::Named("front".parse().unwrap()), ..bridged() };
        let stranger = Inside::of(&engine, &run(&engine, &world, "stranger", config).await).await;
        let other_bridge = shop_web.run(|server| server);
        let refused = stranger.run(|_| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            socket.connect(other_bridge).unwrap();
            socket.send(&query("db.shop")).unwrap();
            socket.recv(&mut [0; 512]).is_err()
        });
        assert!(refused, "a container of another bridge got an answer");
        remove_everything(&engine).await;
    });
}

#[test]
fn a_firewall_that_drops_input_lets_queries_in_by_the_rule_that_the_documentation_tells() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let asker = Inside::of(&engine, &run(&engine, &world, "asker", bridged()).await).await;
        let nft = |text: &str| {
            assert!(std::process::Command::new("nft").arg(text).status().unwrap().success(), "{text}");
        };
        nft("add table inet filter");
        nft("add chain inet filter input { type filter hook input priority 0; policy drop; }");
        assert_eq!(asker.look_up_within("asker", Duration::from_millis(100)), None);
        nft("add rule inet filter input iifname { \"homeostat0\", \"hs-*\" } ct status dnat accept");
        assert_eq!(asker.look_up("asker"), Some(asker.address));
        nft("delete table inet filter");
        remove_everything(&engine).await;
    });
}
