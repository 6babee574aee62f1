//! How a run ends, and what is told of it.

use homeostat_reconciler::ContainerState;
use homeostat_reconciler::ports::Engine;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::world::expect;
use crate::{World, config, create, observe, run, run_to_end, shell, state, wait_exited};

/// The code of the first process is the container's.
pub async fn an_exit_code_is_told(engine: &dyn Engine, world: &World) {
    for code in [0, 1, 42, 255] {
        let name = format!("code-{code}");
        let (status, _) = run_to_end(engine, world, &name, shell(&format!("exit {code}"))).await;
        assert_eq!(status.code, Some(code));
        assert!(!status.oom_killed && status.error.is_none(), "{status:?}");
        let seen = observe(engine, &crate::key(&name)).await;
        assert!(seen.started_at.unwrap() <= status.finished_at);
    }
}

/// A first process that a signal ended has the code a shell gives: 128 and the signal's number.
pub async fn a_signal_is_told_as_128_and_its_number(engine: &dyn Engine, world: &World) {
    // To its own first process a namespace only delivers signals that it handles, except those of the kernel: SIGSEGV
    // of a jump to nowhere cannot be had from a shell, so the signal comes from the host, where that does not hold.
    let key = run(engine, world, "aborted", shell("sleep infinity")).await;
    let pid = observe(engine, &key).await.pid.unwrap();
    kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
    assert_eq!(wait_exited(engine, &key).await.code, Some(128 + 9));
}

/// A process killed from outside is an exit like any other, and takes all processes of the container with it.
pub async fn a_killed_first_process_has_code_137(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "killed", shell("sleep 1000 & sleep 1000 & wait")).await;
    let pid = observe(engine, &key).await.pid.unwrap();
    kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
    let status = wait_exited(engine, &key).await;
    assert_eq!(status.code, Some(137));
    assert!(!status.oom_killed);
}

/// A start after an exit is a new run of the same container.
pub async fn an_exited_container_starts_again(engine: &dyn Engine, world: &World) {
    let script = "n=$(cat /runs 2>/dev/null); n=$((n+1)); echo $n > /runs; exit $n";
    let (first, _) = run_to_end(engine, world, "again", shell(script)).await;
    assert_eq!(first.code, Some(1));
    let key = crate::key("again");
    let before = observe(engine, &key).await;
    expect(engine.start_container(&key).await);
    assert_eq!(wait_exited(engine, &key).await.code, Some(2));
    let after = observe(engine, &key).await;
    assert_eq!(after.id, before.id);
    assert!(after.started_at > before.started_at);
}

/// A start that fails says why, and leaves a container that exited with the code a shell gives.
pub async fn a_command_that_does_not_exist_cannot_be_started(engine: &dyn Engine, world: &World) {
    let mut asked = config();
    asked.command = Some(vec!["no-such-program".to_owned()]);
    let key = create(engine, world, "missing", asked).await;
    let error = engine.start_container(&key).await.unwrap_err();
    let message = homeostat_reconciler::chain(&error);
    assert!(message.contains("no-such-program"), "{message}");
    assert_eq!(state(engine, &key).await, ContainerState::Exited);
    let status = observe(engine, &key).await.exit.unwrap();
    assert_eq!(status.code, Some(127));
    assert!(status.error.is_some());
    expect(engine.remove_container(&key).await);
}
