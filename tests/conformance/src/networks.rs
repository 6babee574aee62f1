//! Networks and published ports.

use std::collections::BTreeMap;
use std::time::Duration;

use homeostat_reconciler::ports::Engine;
use homeostat_spec::{ContainerConfig, Network, NetworkMode, Protocol, PublishedPort};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::expect;
use crate::{PATIENCE, World, key, log_lines, observe, run, shell, wait_exited};

const SERVE: &str = "echo $0 > /www/index.html; exec httpd -f -p 80 -h /www";

/// Serves its own name on port 80 of its network, and on a port of the host.
pub(crate) fn server(name: &str, port: u16) -> ContainerConfig {
    let words = ["/bin/sh", "-c", SERVE, name];
    let published = PublishedPort {
        host_ip: None,
        host_port: port,
        host_port_last: None,
        container_port: 80,
        protocol: Protocol::Tcp,
    };
    ContainerConfig {
        command: Some(words.map(str::to_owned).to_vec()),
        network: NetworkMode::Bridge,
        ports: vec![published],
        ..crate::config()
    }
}

/// The answer of a web server at an address of the host, as soon as there is one.
pub(crate) async fn fetch(address: &str) -> String {
    let answer = async {
        loop {
            match try_fetch(address).await {
                Ok(text) if !text.is_empty() => return text,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| panic!("{address} does not answer"))
}

pub(crate) async fn try_fetch(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.rsplit("\r\n\r\n").next().unwrap_or_default().trim().to_owned())
}

async fn create_network(engine: &dyn Engine, name: &str) {
    let network = Network { subnet: None, internal: false, adopt: None, labels: BTreeMap::new() };
    expect(engine.create_network(&key(name), &network).await);
}

/// A published port answers on the host's loopback address, and the container on its own.
pub async fn a_published_port_answers(engine: &dyn Engine, world: &World) {
    let port = world.free_port();
    let container = run(engine, world, "server", server("first", port)).await;
    assert_eq!(fetch(&format!("127.0.0.1:{port}")).await, "first");
    let address = observe(engine, &container).await.address.expect("it has an address while it runs");
    assert_eq!(fetch(&format!("{address}:80")).await, "first");
    expect(engine.stop_container(&container, None, Duration::ZERO).await);
    try_fetch(&format!("127.0.0.1:{port}")).await.unwrap_err();
}

/// A port that a container no longer has is the next one's.
pub async fn a_published_port_moves_to_the_next_container(engine: &dyn Engine, world: &World) {
    let port = world.free_port();
    for name in ["first", "second"] {
        let container = run(engine, world, name, server(name, port)).await;
        assert_eq!(fetch(&format!("127.0.0.1:{port}")).await, name);
        expect(engine.stop_container(&container, None, Duration::ZERO).await);
        expect(engine.remove_container(&container).await);
    }
}

/// Containers of one network reach each other; those of another network have other addresses.
pub async fn containers_of_one_network_reach_each_other(engine: &dyn Engine, world: &World) {
    create_network(engine, "front").await;
    let network = NetworkMode::Named("front".parse().unwrap());
    let mut serves = server("inside", 0);
    serves.ports.clear();
    serves.network = network.clone();
    let inside = run(engine, world, "server", serves).await;
    let address = observe(engine, &inside).await.address.unwrap();

    // The static busybox cannot resolve names, which wget tries even of a number.
    let ask = format!("printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {address} 80 > /answer");
    let script = format!("until {ask} && grep -q inside /answer; do usleep 10000; done; tail -n 1 /answer");
    let mut asks = shell(&script);
    asks.network = network;
    let client = run(engine, world, "client", asks).await;
    assert_ne!(observe(engine, &client).await.address, Some(address));
    wait_exited(engine, &client).await;
    assert_eq!(log_lines(engine, &client).await, ["inside"]);
}

/// Without a network there is loopback, which works, and nothing else.
pub async fn a_container_without_network_has_only_loopback(engine: &dyn Engine, world: &World) {
    let mut asked = shell("ls /sys/class/net; ping -c 1 -W 5 127.0.0.1 > /dev/null && echo up");
    asked.network = NetworkMode::None;
    let container = run(engine, world, "alone", asked).await;
    assert_eq!(observe(engine, &container).await.address, None);
    wait_exited(engine, &container).await;
    assert_eq!(log_lines(engine, &container).await, ["lo", "up"]);
}

/// A network stays while a container is on it, running or not.
pub async fn a_network_in_use_cannot_be_removed(engine: &dyn Engine, world: &World) {
    create_network(engine, "front").await;
    let mut asked = shell("sleep infinity");
    asked.network = NetworkMode::Named("front".parse().unwrap());
    let container = run(engine, world, "user", asked).await;
    let error = engine.remove_network(&key("front")).await.unwrap_err();
    assert!(error.to_string().contains("case/user"), "it says who uses it: {error}");
    expect(engine.stop_container(&container, None, Duration::ZERO).await);
    expect(engine.remove_container(&container).await);
    expect(engine.remove_network(&key("front")).await);
    assert!(expect(engine.observe().await).networks.is_empty());
}

/// Creating what exists and removing what does not changes nothing; it is observed as it was asked for.
pub async fn a_network_is_created_and_removed_twice(engine: &dyn Engine, _world: &World) {
    let network = Network {
        subnet: Some("10.99.7.0/24".to_owned()),
        internal: true,
        adopt: None,
        labels: BTreeMap::from([("zone".to_owned(), "back".to_owned())]),
    };
    for _ in 0..2 {
        expect(engine.create_network(&key("back"), &network).await);
        assert_eq!(expect(engine.observe().await).networks[&key("back")], network);
    }
    for _ in 0..2 {
        expect(engine.remove_network(&key("back")).await);
        assert!(expect(engine.observe().await).networks.is_empty());
    }
}

/// A container finds another of its network by its name in the app.
pub async fn containers_of_one_network_know_each_other_by_name(engine: &dyn Engine, world: &World) {
    create_network(engine, "front").await;
    let mut serves = server("inside", 0);
    serves.ports.clear();
    serves.network = NetworkMode::Named("front".parse().unwrap());
    let network = serves.network.clone();
    let inside = run(engine, world, "web-server", serves).await;
    let address = observe(engine, &inside).await.address.unwrap();
    let script = "for i in $(seq 1 20); do nslookup web-server > /answer 2>&1 && break; usleep 50000; done; cat /answer";
    let mut asks = shell(script);
    asks.network = network;
    let client = run(engine, world, "client", asks).await;
    wait_exited(engine, &client).await;
    let lines = log_lines(engine, &client).await;
    assert!(
        lines.iter().any(|line| line.starts_with("Address") && line.ends_with(&address.to_string())),
        "{lines:?}"
    );
}

/// Who is on an internal network reaches nobody beyond the host; who is on another does.
pub async fn an_internal_network_has_no_way_out(engine: &dyn Engine, world: &World) {
    let _outside = Outside::attach();
    for (name, internal, told) in [("front", false, "reached"), ("back", true, "not reached")] {
        let network = Network { subnet: None, internal, adopt: None, labels: BTreeMap::new() };
        expect(engine.create_network(&key(name), &network).await);
        let ask = format!("ping -c 3 -W 1 {OUTSIDE} > /dev/null 2>&1 && echo reached || echo not reached");
        let mut asked = shell(&ask);
        asked.network = NetworkMode::Named(name.parse().unwrap());
        let container = run(engine, world, name, asked).await;
        wait_exited(engine, &container).await;
        assert_eq!(log_lines(engine, &container).await, [told], "{name}");
    }
}

/// The address of [`Outside`].
const OUTSIDE: &str = "192.0.2.2";

/// Another host, on a cable: a network namespace as long as its process lives.
struct Outside(std::process::Child);

impl Outside {
    fn attach() -> Self {
        let mut process = std::process::Command::new("unshare");
        process.args(["--net", "sh", "-c", "echo there; exec sleep infinity"]);
        let mut host = Self(process.stdout(std::process::Stdio::piped()).spawn().unwrap());
        let mut there = String::new();
        let output = host.0.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut there).unwrap();
        let pid = host.0.id();
        let script = format!(
            "ip link add outside type veth peer name cable netns {pid} && ip link set outside up \
             && ip address add 192.0.2.1/24 dev outside \
             && nsenter --net=/proc/{pid}/ns/net sh -c 'ip link set cable up && ip address add {OUTSIDE}/24 dev cable'"
        );
        assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
        host
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
