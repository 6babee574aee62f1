//! What only the embedded engine promises of a container's fields.

use std::time::Duration;

use homeostat_conformance::{log_lines, observe, run, run_to_end, shell, wait_for_log};
use homeostat_reconciler::ports::Engine as _;
use homeostat_spec::{NetworkMode, Protocol, PublishedPort};
use nix::unistd::{AccessFlags, access};

use crate::host::{on_host, remove_everything};

/// The process of the init is a fork of the monitor: nothing of that one can be seen, and its program not be written, by
/// whoever may look into every process of the container.
#[test]
fn an_init_shows_nothing_of_the_host() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let script = "tr '\\0' '\\n' < /proc/1/cmdline | grep .; cat /proc/1/comm; ls /proc/1/fd | tr '\\n' ' '; echo; \
                      tr -d '\\0' < /proc/1/environ | wc -c; \
                      for p in 1 self; do grep -E '^(NoNewPrivs|Seccomp|CapEff|CapBnd):' /proc/$p/status | md5sum; done \
                      | sort -u | wc -l; echo told; sleep infinity";
        let mut asked = shell(script);
        asked.init = true;
        asked.cap_add = vec!["CAP_SYS_PTRACE".to_owned()];
        let container = run(&engine, &world, "guided", asked).await;
        wait_for_log(&engine, &container, "told").await;
        assert_eq!(log_lines(&engine, &container).await, ["init", "init", "0 1 2 ", "0", "1", "told"]);
        let pid = observe(&engine, &container).await.pid.unwrap();
        let writable = access(format!("/proc/{pid}/exe").as_str(), AccessFlags::W_OK);
        assert_eq!(writable, Err(nix::errno::Errno::EROFS));
        remove_everything(&engine).await;
    });
}

/// Name servers of its own are a container's only ones where nobody answers names for it, and where they are in it.
#[test]
fn own_name_servers_are_named_where_the_container_asks_them_itself() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        for (name, network, server, named) in [
            ("alone", NetworkMode::None, "10.9.9.9", true),
            ("inside", NetworkMode::Bridge, "127.0.0.1", true),
            ("bridged", NetworkMode::Bridge, "10.9.9.9", false),
        ] {
            let mut asked = shell("grep nameserver /etc/resolv.conf");
            asked.network = network;
            asked.names.servers = vec![server.parse().unwrap()];
            let (_, lines) = run_to_end(&engine, &world, name, asked).await;
            assert_eq!(lines == [format!("nameserver {server}")], named, "{name}: {lines:?}");
        }
        remove_everything(&engine).await;
    });
}

#[test]
fn a_chosen_port_stays_over_restarts_of_the_container_and_of_the_engine() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let mut asked = shell("sleep infinity");
        asked.network = NetworkMode::Bridge;
        asked.ports.push(PublishedPort {
            host_ip: None,
            host_port: 0,
            host_port_last: None,
            container_port: 80,
            protocol: Protocol::Tcp,
        });
        let container = run(&engine, &world, "server", asked).await;
        let chosen = observe(&engine, &container).await.ports;
        assert!(chosen[0].host_port >= 1024, "{chosen:?}");
        drop(engine);
        let engine = host.open().await;
        assert_eq!(observe(&engine, &container).await.ports, chosen);
        engine.stop_container(&container, None, Duration::ZERO).await.unwrap();
        engine.start_container(&container).await.unwrap();
        assert_eq!(observe(&engine, &container).await.ports, chosen);
        // Somebody else has taken it meanwhile: any other will do.
        engine.stop_container(&container, None, Duration::ZERO).await.unwrap();
        let taken = std::net::TcpListener::bind(("0.0.0.0", chosen[0].host_port)).unwrap();
        engine.start_container(&container).await.unwrap();
        assert_ne!(observe(&engine, &container).await.ports, chosen);
        drop(taken);
        remove_everything(&engine).await;
    });
}
