//! What the kernel gives a container beside limits of control groups: limits of processes, parameters, groups.

use homeostat_reconciler::ports::Engine;
use homeostat_spec::{Device, NetworkMode, Ulimit};

use crate::exec::exec;
use crate::world::expect;
use crate::{PATIENCE, World, key, log_lines, observe, run, run_to_end, shell, wait_for_log};

/// The limits of processes are those asked for, also of a command that is run later.
pub async fn ulimits_are_those_asked_for(engine: &dyn Engine, world: &World) {
    let mut asked = shell("ulimit -n; ulimit -Hn; ulimit -c; sleep infinity");
    let limit = |soft, hard| Ulimit { soft: Some(soft), hard: Some(hard) };
    // Podman gives a limit of processes of its own with any that is asked for, which not every host can give.
    let limits = [("nofile", limit(100, 200)), ("core", limit(0, 0)), ("nproc", limit(1000, 1000))];
    asked.kernel.ulimits = limits.map(|(name, limit)| (name.to_owned(), limit)).into();
    let container = run(engine, world, "limited", asked.clone()).await;
    wait_for_log(engine, &container, "0").await;
    assert_eq!(log_lines(engine, &container).await, ["100", "200", "0"]);
    // Not that of open files: the Go runtime of older runc raises its own to the hard one, and a command may inherit that.
    let outcome = expect(exec(engine, &container, "cat /proc/self/limits", PATIENCE).await);
    let processes = outcome.output.lines().find(|line| line.starts_with("Max processes")).unwrap();
    assert_eq!(processes.split_whitespace().collect::<Vec<_>>()[2..4], ["1000", "1000"]);
    assert_eq!(observe(engine, &container).await.config, asked);
}

/// Parameters of the kernel are the container's own.
pub async fn parameters_of_the_kernel_are_the_containers_own(engine: &dyn Engine, world: &World) {
    let mut asked =
        shell("cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/shmmni /proc/sys/fs/mqueue/msg_max");
    let parameters =
        [("net.ipv4.ip_default_ttl", "77"), ("kernel.shmmni", "123"), ("fs.mqueue.msg_max", "15")];
    asked.network = NetworkMode::Bridge;
    asked.kernel.sysctls = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let (_, lines) = run_to_end(engine, world, "tuned", asked.clone()).await;
    assert_eq!(lines, ["77", "123", "15"]);
    assert_eq!(observe(engine, &key("tuned")).await.config, asked);
    let own = fs_err::read_to_string("/proc/sys/net/ipv4/ip_default_ttl").unwrap();
    assert_ne!(own.trim(), "77");
}

/// `/dev/shm` has the size asked for.
pub async fn shared_memory_has_the_size_asked_for(engine: &dyn Engine, world: &World) {
    let script = "awk '$2 == \"/dev/shm\" { print $4 }' /proc/mounts";
    for (name, size, shown) in
        [("narrow", Some(48 << 20), "size=49152k"), ("wide", Some(96 << 20), "size=98304k")]
    {
        let mut asked = shell(script);
        asked.kernel.shm_size = size;
        let (_, lines) = run_to_end(engine, world, name, asked.clone()).await;
        assert!(lines[0].split(',').any(|option| option == shown), "{lines:?}");
        assert_eq!(observe(engine, &key(name)).await.config, asked);
    }
}

/// A device can be used as far as it is permitted, and no other.
pub async fn a_device_is_given_with_its_permissions(engine: &dyn Engine, world: &World) {
    let script = "(: < /dev/own) && echo read; (: > /dev/own) 2>/dev/null || echo refused; \
                  ls /dev/loop-control 2>/dev/null || echo alone";
    let mut asked = shell(script);
    asked.kernel.devices = vec![Device {
        host: "/dev/loop-control".to_owned(),
        container: "/dev/own".to_owned(),
        permissions: "r".to_owned(),
    }];
    let (_, lines) = run_to_end(engine, world, "given", asked.clone()).await;
    assert_eq!(lines, ["read", "refused", "alone"]);
    assert_eq!(observe(engine, &key("given")).await.config, asked);
}

/// Groups that are added are those of every process, by name and by number.
pub async fn groups_are_added_to_those_of_the_user(engine: &dyn Engine, world: &World) {
    let mut asked = shell("id -G | tr ' ' '\\n' | sort -n; sleep infinity");
    asked.user = Some("1000:1000".to_owned());
    asked.group_add = vec!["3000".to_owned(), "crew".to_owned()];
    let container = run(engine, world, "member", asked.clone()).await;
    wait_for_log(engine, &container, "3000").await;
    assert_eq!(log_lines(engine, &container).await, ["1000", "2000", "3000"]);
    let outcome = expect(exec(engine, &container, "id -G | tr ' ' '\\n' | sort -n", PATIENCE).await);
    assert_eq!(outcome.output.split_whitespace().collect::<Vec<_>>(), ["1000", "2000", "3000"]);
    assert_eq!(observe(engine, &container).await.config, asked);
}
