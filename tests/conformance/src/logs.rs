//! Logs: what a container writes to its two streams.

use futures::StreamExt as _;
use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::{Engine, LogLine, LogQuery, LogStream};

use crate::world::{expect, log};
use crate::{PATIENCE, World, key, log_lines, run, run_to_end, shell, wait_exited, wait_for_log};

/// Every line has its stream and the time it was written.
pub async fn both_streams_are_in_the_log_with_times(engine: &dyn Engine, world: &World) {
    let before = jiff::Timestamp::now();
    let key = run(
        engine,
        world,
        "speaker",
        shell("echo out; usleep 50000; echo err >&2; usleep 50000; printf tail"),
    )
    .await;
    wait_exited(engine, &key).await;
    let lines = log(engine, &key, &LogQuery::default()).await;
    assert_precise(&lines);
    assert!(lines.iter().all(|line| line.time >= before && line.time <= jiff::Timestamp::now()));
    let told: Vec<_> = lines.iter().map(|line| (line.text.as_str(), line.stream)).collect();
    assert_eq!(told, [("out", LogStream::Stdout), ("err", LogStream::Stderr), ("tail", LogStream::Stdout)]);
    assert!(lines.is_sorted_by_key(|line| line.time));
}

fn assert_precise(lines: &[LogLine]) {
    let is_whole = |line: &LogLine| line.time.subsec_nanosecond() == 0;
    assert!(!lines.iter().all(is_whole), "lines have times in whole seconds");
}

/// A tail is counted from the end.
pub async fn a_tail_is_the_last_lines(engine: &dyn Engine, world: &World) {
    run_to_end(engine, world, "counter", shell("seq 1 100")).await;
    let tail = |lines| LogQuery { tail: Some(lines), ..LogQuery::default() };
    let text = |lines: Vec<LogLine>| -> Vec<String> { lines.into_iter().map(|line| line.text).collect() };
    assert_eq!(text(log(engine, &key("counter"), &tail(2)).await), ["99", "100"]);
    assert_eq!(log(engine, &key("counter"), &tail(0)).await.len(), 0);
    assert_eq!(log(engine, &key("counter"), &tail(1000)).await.len(), 100);
}

/// A container that has said three lines, and these.
async fn three_lines(engine: &dyn Engine, world: &World) -> (ResourceKey, Vec<LogLine>) {
    let key =
        run(engine, world, "speaker", shell("echo one; usleep 50000; echo two; usleep 50000; echo three"))
            .await;
    wait_exited(engine, &key).await;
    let all = log(engine, &key, &LogQuery::default()).await;
    assert_precise(&all);
    (key, all)
}

/// Lines from before a time are left out.
pub async fn lines_before_a_time_are_left_out(engine: &dyn Engine, world: &World) {
    let (key, all) = three_lines(engine, world).await;
    let since = LogQuery { since: Some(all[1].time), ..LogQuery::default() };
    assert_eq!(log(engine, &key, &since).await, all[1..]);
}

/// Lines from after a time are left out, and a tail is that of the lines up to it.
pub async fn lines_after_a_time_are_left_out(engine: &dyn Engine, world: &World) {
    let (key, all) = three_lines(engine, world).await;
    let until = LogQuery { until: Some(all[1].time), ..LogQuery::default() };
    assert_eq!(log(engine, &key, &until).await, all[..2]);
    assert_eq!(log(engine, &key, &LogQuery { tail: Some(1), ..until.clone() }).await, all[1..2]);
    // What is over is not waited for.
    assert_eq!(log(engine, &key, &LogQuery { follow: true, ..until }).await, all[..2]);
}

/// A log is followed up to a time, whether or not anything is written.
pub async fn a_log_is_followed_up_to_a_time(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "speaker", shell("echo begin; sleep infinity")).await;
    wait_for_log(engine, &key, "begin").await;
    let until = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_secs(2)).unwrap();
    let query = LogQuery { follow: true, until: Some(until), ..LogQuery::default() };
    let lines = tokio::time::timeout(PATIENCE, log(engine, &key, &query)).await.expect("it ends in time");
    assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["begin"]);
    assert!(jiff::Timestamp::now() >= until);
}

/// The log belongs to the key: a new container goes on with it.
pub async fn a_log_survives_the_container(engine: &dyn Engine, world: &World) {
    run_to_end(engine, world, "speaker", shell("echo first")).await;
    expect(engine.remove_container(&key("speaker")).await);
    assert_eq!(log_lines(engine, &key("speaker")).await, ["first"]);
    let (_, lines) = run_to_end(engine, world, "speaker", shell("echo second")).await;
    assert_eq!(lines, ["first", "second"]);
}

/// A followed log gives what is there, then what comes, in order.
pub async fn a_followed_log_goes_on(engine: &dyn Engine, world: &World) {
    // It does not end: the end of a container is the end of what still runs in it.
    let script = "echo begin; while [ ! -e /go ]; do usleep 10000; done; seq 1 50; sleep infinity";
    let key = run(engine, world, "speaker", shell(script)).await;
    wait_for_log(engine, &key, "begin").await;
    let query = LogQuery { follow: true, tail: Some(1), ..LogQuery::default() };
    let mut lines = engine.logs(&key, &query);
    let mut next = async || {
        let line = tokio::time::timeout(PATIENCE, lines.next()).await.expect("a line comes in time");
        expect(line.expect("a followed log does not end")).text
    };
    assert_eq!(next().await, "begin");
    let go = homeostat_reconciler::ports::ExecRequest {
        command: vec!["touch".to_owned(), "/go".to_owned()],
        timeout: PATIENCE,
    };
    assert_eq!(expect(engine.exec(&key, &go).await).code, Some(0));
    for number in 1..=50 {
        assert_eq!(next().await, number.to_string());
    }
}

/// A key that never had a container has an empty log, not an error.
pub async fn a_log_of_nobody_is_empty(engine: &dyn Engine, _world: &World) {
    assert_eq!(log(engine, &key("nobody"), &LogQuery::default()).await, []);
}

/// A log is rotated: it holds the newest lines, and not more than was asked for.
pub async fn a_log_is_bounded_and_keeps_the_newest(engine: &dyn Engine, world: &World) {
    let mut asked = shell("seq -w 1 50000 | sed 's/^/a line with the number /'");
    asked.log = homeostat_spec::LogRotation { max_size: 256 << 10, max_files: 2 };
    let (_, lines) = run_to_end(engine, world, "talker", asked).await;
    let whole = "a line with the number 50000";
    let cut: Vec<_> =
        lines.iter().filter(|line| line.len() != whole.len() || line[..23] != whole[..23]).collect();
    assert!(cut.is_empty(), "these lines are not whole: {cut:?}");
    assert_eq!(lines.last().unwrap(), whole);
    assert!(lines.is_sorted(), "in the order in which they were written");
    let bytes: usize = lines.iter().map(String::len).sum();
    assert!(bytes <= 512 << 10 && lines.len() > 1000, "{} lines, {bytes} bytes", lines.len());
}
