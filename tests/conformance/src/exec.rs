//! Commands in running containers.

use std::time::{Duration, Instant};

use homeostat_reconciler::ports::{Engine, ExecOutcome, ExecRequest};
use homeostat_reconciler::{PortError, ResourceKey};

use crate::world::expect;
use crate::{PATIENCE, World, create, run, shell};

pub(crate) async fn exec(
    engine: &dyn Engine,
    key: &ResourceKey,
    script: &str,
    timeout: Duration,
) -> Result<ExecOutcome, PortError> {
    let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    engine.exec(key, &ExecRequest { command, timeout }).await
}

/// The code and what was written to both streams come back.
pub async fn a_command_gives_its_code_and_output(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "host", shell("sleep infinity")).await;
    let outcome = expect(exec(engine, &key, "echo out; echo err >&2; exit 3", PATIENCE).await);
    assert_eq!(outcome.code, Some(3));
    let mut lines: Vec<_> = outcome.output.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["err", "out"]);
}

/// A command sees what the first process sees: environment, directory, host name, files.
pub async fn a_command_has_the_containers_environment_and_directory(engine: &dyn Engine, world: &World) {
    let mut asked = shell("echo here > /tmp/file; sleep infinity");
    asked.env.insert("COLOUR".to_owned(), "red".to_owned());
    asked.working_dir = Some("/tmp".to_owned());
    asked.user = Some("worker".to_owned());
    let key = run(engine, world, "host", asked).await;
    let script =
        "until [ -s file ]; do usleep 10000; done; echo $COLOUR $PWD $(hostname) $(id -u) $(cat file)";
    let outcome = expect(exec(engine, &key, script, PATIENCE).await);
    assert_eq!(outcome.output.trim(), "red /tmp host 1000 here");
}

/// A command that takes too long is killed with what it has started, and has no code.
pub async fn a_command_that_takes_too_long_is_killed(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "host", shell("sleep infinity")).await;
    let began = Instant::now();
    let outcome = expect(exec(engine, &key, "echo begun; sleep 987654", Duration::from_millis(500)).await);
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(outcome.code, None);
    assert_eq!(outcome.output.trim(), "begun");
    let script = "while pgrep -f 'sleep 98765[4]' > /dev/null; do usleep 10000; done";
    assert_eq!(expect(exec(engine, &key, script, PATIENCE).await).code, Some(0), "it is killed");
}

/// A program that is not there has the code a shell gives.
pub async fn a_command_that_does_not_exist_has_code_127(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "host", shell("sleep infinity")).await;
    let request = ExecRequest { command: vec!["no-such-program".to_owned()], timeout: PATIENCE };
    assert_eq!(expect(engine.exec(&key, &request).await).code, Some(127));
}

/// Of much output the end is kept.
pub async fn only_the_tail_of_much_output_is_kept(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "host", shell("sleep infinity")).await;
    let outcome = expect(exec(engine, &key, "seq 1 100000", PATIENCE).await);
    assert_eq!(outcome.code, Some(0));
    assert!(outcome.output.len() <= 64 << 10 && outcome.output.len() > 60 << 10, "{}", outcome.output.len());
    assert!(outcome.output.ends_with("99999\n100000\n"));
}

/// A container that does not run runs no command.
pub async fn nothing_is_run_in_a_container_that_does_not_run(engine: &dyn Engine, world: &World) {
    let key = create(engine, world, "idle", shell("sleep infinity")).await;
    exec(engine, &key, "true", PATIENCE).await.unwrap_err();
}
