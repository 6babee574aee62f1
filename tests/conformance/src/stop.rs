//! Stops: a signal, a time of grace, a kill.

use std::time::{Duration, Instant};

use homeostat_reconciler::ContainerState;
use homeostat_reconciler::ports::Engine;

use crate::world::expect;
use crate::{World, create, image_log, key, log_lines, observe, run, shell, wait_exited, wait_for_log};

/// Says `ready` once all handlers are in place, then waits for signals.
fn handling(handlers: &str) -> String {
    format!("{handlers}\necho ready\nwhile :; do sleep 1000 & wait $!; done")
}

/// Grace is for a process that uses it; the stop is over as soon as the process is.
pub async fn a_process_that_heeds_the_signal_gives_its_own_code(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "polite", shell(&handling("trap 'echo bye; exit 7' TERM"))).await;
    wait_for_log(engine, &key, "ready").await;
    let began = Instant::now();
    expect(engine.stop_container(&key, None, Duration::from_mins(1)).await);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(observe(engine, &key).await.exit.unwrap().code, Some(7));
    assert_eq!(log_lines(engine, &key).await, ["ready", "bye"]);
}

/// After the grace comes the kill.
pub async fn a_process_that_ignores_the_signal_is_killed_after_the_grace(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "stubborn", shell(&handling("trap '' TERM"))).await;
    wait_for_log(engine, &key, "ready").await;
    let began = Instant::now();
    expect(engine.stop_container(&key, None, Duration::from_millis(300)).await);
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(observe(engine, &key).await.exit.unwrap().code, Some(137));
}

/// With no signal given, the image's `STOPSIGNAL` is sent.
pub async fn the_images_stop_signal_is_sent(engine: &dyn Engine, world: &World) {
    let image = world.image(engine, "quit", "STOPSIGNAL SIGQUIT").await;
    let key = key("quits");
    let config = shell(&handling("trap 'exit 3' QUIT; trap 'exit 4' TERM"));
    expect(engine.create_container(&world.request(&key, &image, config)).await);
    expect(engine.start_container(&key).await);
    wait_for_log(engine, &key, "ready").await;
    expect(engine.stop_container(&key, None, Duration::from_mins(1)).await);
    assert_eq!(observe(engine, &key).await.exit.unwrap().code, Some(3));
}

/// A signal given wins over the image's.
pub async fn a_given_signal_wins_over_the_images(engine: &dyn Engine, world: &World) {
    let image = world.image(engine, "quit", "STOPSIGNAL SIGQUIT").await;
    let key = key("interrupted");
    let config = shell(&handling("trap 'exit 3' QUIT; trap 'exit 5' INT"));
    expect(engine.create_container(&world.request(&key, &image, config)).await);
    expect(engine.start_container(&key).await);
    wait_for_log(engine, &key, "ready").await;
    expect(engine.stop_container(&key, Some("SIGINT"), Duration::from_mins(1)).await);
    assert_eq!(observe(engine, &key).await.exit.unwrap().code, Some(5));
}

/// A paused container is resumed for the signal, so that it can heed it.
pub async fn a_paused_container_is_stopped(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "frozen", shell(&handling("trap 'exit 7' TERM"))).await;
    wait_for_log(engine, &key, "ready").await;
    expect(engine.pause_container(&key).await);
    expect(engine.stop_container(&key, None, Duration::from_mins(1)).await);
    let seen = observe(engine, &key).await;
    assert_eq!(seen.state, ContainerState::Exited);
    assert_eq!(seen.exit.unwrap().code, Some(7));
}

/// Processes that the first one has started end with it, whatever they ignore.
pub async fn no_process_of_a_stopped_container_is_left(engine: &dyn Engine, world: &World) {
    let script = "(trap '' TERM; while :; do date +%s%N > /data/beat; usleep 10000; done) & \
                  trap 'exit 0' TERM; echo ready; while :; do sleep 1000 & wait $!; done";
    let data = world.directory.join("beat");
    fs_err::create_dir(&data).unwrap();
    let mut config = shell(script);
    config.mounts.push(crate::mounts::host(&data, "/data", false));
    let key = create(engine, world, "family", config).await;
    expect(engine.start_container(&key).await);
    wait_for_log(engine, &key, "ready").await;
    expect(engine.stop_container(&key, None, Duration::from_mins(1)).await);

    let beat = fs_err::read(data.join("beat")).unwrap_or_default();
    let lines = image_log(engine, world, "later", &world.base, shell("usleep 200000; echo later")).await;
    assert_eq!(lines, ["later"]);
    assert_eq!(fs_err::read(data.join("beat")).unwrap_or_default(), beat, "a process is left");
}

/// A signal reaches the first process, which goes on if it heeds it; it needs no `SIG`, and what does not run takes none.
pub async fn a_signal_is_sent_by_its_name(engine: &dyn Engine, world: &World) {
    let key =
        run(engine, world, "heeds", shell(&handling("trap 'echo heard' HUP; trap 'exit 9' USR1"))).await;
    wait_for_log(engine, &key, "ready").await;
    expect(engine.signal_container(&key, "SIGHUP").await);
    wait_for_log(engine, &key, "heard").await;
    assert_eq!(observe(engine, &key).await.state, ContainerState::Running);
    engine.signal_container(&key, "SIGNOTHING").await.unwrap_err();
    expect(engine.signal_container(&key, "USR1").await);
    assert_eq!(wait_exited(engine, &key).await.code, Some(9));
}
