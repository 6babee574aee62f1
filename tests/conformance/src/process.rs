//! The first process: what it is, as whom, where, and with which privileges.

use homeostat_reconciler::ports::Engine;
use homeostat_spec::{Confinement, Profile};

use crate::exec::exec;
use crate::world::expect;
use crate::{
    PATIENCE, World, config, image_log, log_lines, observe, run, run_to_end, shell, wait_exited, wait_for_log,
};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

const IMAGE: &str = r#"ENV COLOUR=blue SHAPE="round thing"
WORKDIR /work
USER worker
ENTRYPOINT ["/bin/sh", "-c", "echo $0 $*; echo $COLOUR $SHAPE; pwd; id -un; echo $HOME"]
CMD ["one", "two"]"#;

/// Without anything in the spec, the image's configuration holds.
pub async fn the_image_gives_command_environment_and_directory(engine: &dyn Engine, world: &World) {
    let image = world.image(engine, "told", IMAGE).await;
    let lines = image_log(engine, world, "told", &image, config()).await;
    assert_eq!(lines, ["one two", "blue round thing", "/work", "worker", "/home/worker"]);
}

/// What the spec says wins over the image; what it does not say stays the image's.
pub async fn the_spec_wins_over_the_image(engine: &dyn Engine, world: &World) {
    let image = world.image(engine, "told", IMAGE).await;
    let mut asked = config();
    asked.command = Some(words(&["three"]));
    asked.env.insert("COLOUR".to_owned(), "red".to_owned());
    asked.working_dir = Some("/www".to_owned());
    asked.user = Some("0".to_owned());
    let lines = image_log(engine, world, "own", &image, asked).await;
    assert_eq!(lines, ["three", "red round thing", "/www", "root", "/root"]);
}

/// As with Docker: another entrypoint makes nothing of the image's `CMD`.
pub async fn an_entrypoint_of_the_spec_drops_the_images_command(engine: &dyn Engine, world: &World) {
    let image = world.image(engine, "told", IMAGE).await;
    let mut asked = config();
    asked.entrypoint = Some(words(&["/bin/echo", "only"]));
    assert_eq!(image_log(engine, world, "only", &image, asked.clone()).await, ["only"]);
    asked.command = Some(words(&["this"]));
    assert_eq!(image_log(engine, world, "this", &image, asked).await, ["only this"]);
}

/// Names of users and groups are those of the image; numbers need not be known there.
pub async fn a_user_is_looked_up_in_the_image(engine: &dyn Engine, world: &World) {
    let cases = [
        ("by-name", "worker", "1000 1000 1000 2000"),
        ("by-name-and-group", "worker:crew", "1000 2000 2000"),
        ("by-number", "77:88", "77 88 88"),
        ("by-known-number", "1000", "1000 1000 1000 2000"),
    ];
    for (name, user, expected) in cases {
        let mut asked = shell("echo $(id -u) $(id -g) $(id -G)");
        asked.user = Some(user.to_owned());
        let (_, lines) = run_to_end(engine, world, name, asked).await;
        let mut told: Vec<&str> = lines[0].split(' ').collect();
        told[2..].sort_unstable();
        assert_eq!(told.join(" "), expected, "{user}");
    }
}

/// The host name is the container's own name, or the one that the spec gives.
pub async fn the_host_name_is_the_containers_name_unless_given(engine: &dyn Engine, world: &World) {
    let (_, lines) = run_to_end(engine, world, "web-1", shell("hostname")).await;
    assert_eq!(lines, ["web-1"]);
    let mut asked = shell("hostname; grep -c shop /etc/hosts");
    asked.hostname = Some("shop".to_owned());
    let (_, lines) = run_to_end(engine, world, "web-2", asked).await;
    assert_eq!(lines[0], "shop");
}

/// `no_new_privs` is off unless asked for.
pub async fn no_new_privileges_is_set_when_asked_for(engine: &dyn Engine, world: &World) {
    for (name, asked, expected) in [("free", false, "0"), ("held", true, "1")] {
        let mut config = shell("awk '/^NoNewPrivs/ { print $2 }' /proc/self/status");
        config.no_new_privileges = asked;
        assert_eq!(run_to_end(engine, world, name, config).await.1, [expected]);
    }
}

/// Root in a container has the default capabilities less those dropped, and with those added.
pub async fn dropped_capabilities_are_gone(engine: &dyn Engine, world: &World) {
    let script = "awk '/^CapEff/ { print $2 }' /proc/self/status";
    let (_, default) = run_to_end(engine, world, "default", shell(script)).await;
    // Docker's fourteen: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service,
    // net_raw, sys_chroot, mknod, audit_write, setfcap. An engine that does not control devices leaves mknod out.
    let default: Vec<_> = default.iter().map(String::as_str).collect();
    assert!(matches!(default[..], ["00000000a80425fb" | "00000000a00425fb"]), "{default:?}");
    let mut none = shell(script);
    none.cap_drop = vec!["ALL".to_owned()];
    assert_eq!(run_to_end(engine, world, "none", none).await.1, ["0000000000000000"]);
    let mut one = shell(script);
    one.cap_drop = vec!["ALL".to_owned()];
    one.cap_add = vec!["CAP_NET_BIND_SERVICE".to_owned()];
    assert_eq!(run_to_end(engine, world, "one", one).await.1, ["0000000000000400"]);
}

/// System calls and parts of `/proc` are kept from programs, unless a spec says otherwise: of commands that are run later too.
pub async fn system_calls_and_paths_can_be_left_unconfined(engine: &dyn Engine, world: &World) {
    let mut asked = shell("sleep infinity");
    let script = "awk '/^Seccomp:/ { print $2 }' /proc/self/status; grep -c ' /proc/' /proc/self/mountinfo";
    let usual = run(engine, world, "usual", asked.clone()).await;
    let outcome = expect(exec(engine, &usual, script, PATIENCE).await);
    let told: Vec<u32> = outcome.output.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!((told[0], told[1] > 3), (2, true), "{told:?}");
    asked.confinement = Confinement { seccomp: Profile::Unconfined, system_paths: Profile::Unconfined };
    let free = run(engine, world, "free", asked.clone()).await;
    let outcome = expect(exec(engine, &free, script, PATIENCE).await);
    assert_eq!(outcome.output.lines().collect::<Vec<_>>(), ["0", "0"]);
    assert_eq!(observe(engine, &free).await.config, asked);
}

/// With an init the program is not the first process, and is asked to stop all the same.
pub async fn an_init_starts_the_program_and_passes_signals_on(engine: &dyn Engine, world: &World) {
    let mut asked =
        shell("trap 'echo asked; exit 7' TERM; [ $$ = 1 ] || echo beside; while :; do usleep 10000; done");
    asked.init = true;
    let container = run(engine, world, "guided", asked.clone()).await;
    wait_for_log(engine, &container, "beside").await;
    assert_eq!(observe(engine, &container).await.config, asked);
    expect(engine.stop_container(&container, None, PATIENCE).await);
    assert_eq!(wait_exited(engine, &container).await.code, Some(7));
    assert_eq!(log_lines(engine, &container).await, ["beside", "asked"]);
}

/// A process that has lost its parent leaves nothing behind.
pub async fn an_init_takes_in_processes_that_nobody_waits_for(engine: &dyn Engine, world: &World) {
    // `sleep` waits for nobody.
    let mut asked = shell("(sh -c 'echo orphaned' &); exec sleep infinity");
    asked.init = true;
    let container = run(engine, world, "guided", asked).await;
    wait_for_log(engine, &container, "orphaned").await;
    let script = "for i in $(seq 1000); do grep -q '^State:.Z' /proc/[0-9]*/status || exit 0; usleep 10000; done; exit 1";
    let outcome = expect(exec(engine, &container, script, PATIENCE).await);
    assert_eq!(outcome.code, Some(0));
    let status = expect(exec(engine, &container, "kill -9 1; echo still here", PATIENCE).await);
    assert_eq!(status.output.trim(), "still here");
}

/// The process that is told is the container's first.
pub async fn the_process_told_is_the_first_of_the_container(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "sleeper", shell("exec sleep 424242")).await;
    let pid = observe(engine, &key).await.pid.unwrap();
    let told = async {
        loop {
            let line = fs_err::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
            if line == "sleep\x00424242\0" {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("it runs the command");
    let status = fs_err::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let within = status.lines().find(|line| line.starts_with("NSpid:")).unwrap();
    assert_eq!(within.split_whitespace().last(), Some("1"), "{within}");
}
