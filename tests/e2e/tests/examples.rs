//! The examples on every engine: the same specs, and in the end the same status.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::{Path, PathBuf};

use homeostat_daemons::Release;
use homeostat_e2e::{Agent, Host, run, wait_until};
use serde_json::Value;

/// A host with an engine; none, and a word on why, where there is none of that release.
type Start = fn() -> Option<Host>;

const DOCKER_20: Start = || Some(Host::with_docker());
const DOCKER_26: Start = || Some(Host::with_docker_of(&Release::trixie()?));
const PODMAN_4: Start = || Some(Host::with_podman());
const PODMAN_5: Start = || Some(Host::with_podman_of(&Release::trixie()?));

/// Compares what an engine makes of an example with what the embedded one makes of it.
fn is_as_embedded(start: Start, example: &'static str, tell: fn(&Host, &Path) -> Value) {
    // Each on a thread of its own: a network namespace is a thread's.
    let on = move |start: Start| {
        let told = std::thread::spawn(move || {
            let host = start()?;
            let source = copy(&host, example);
            let mut status = tell(&host, &source);
            strip(&mut status);
            Some(status)
        });
        told.join().unwrap()
    };
    let Some(told) = on(start) else { return };
    assert_eq!(Some(told), on(|| Some(Host::new())));
}

/// The example as it is in the repository, with what its `prepare` adds to it.
fn copy(host: &Host, example: &str) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(example);
    run("cp", &["-r", from.to_str().unwrap(), host.source().to_str().unwrap()]);
    let source = host.source().join(example);
    run("cp", &["/bin/busybox", source.join("busybox/busybox").to_str().unwrap()]);
    source
}

/// Takes out what differs from run to run, and the engine's name.
fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                match name.as_str() {
                    // An engine that is a daemon says nothing of it.
                    "engine_storage" => *field = Value::Null,
                    "pid" | "image_id" | "started_at" | "engine" | "engine_version" => {
                        *field = Value::from(if field.is_null() { "absent" } else { "present" });
                    }
                    _ => strip(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// It converges, and then there is nothing left to do.
fn quickstart(host: &Host, source: &Path) -> Value {
    let source = source.to_str().unwrap();
    host.homeostat(&["apply", source]).expect_code(0);
    host.homeostat(&["plan", source]).expect_code(0);
    host.status()
}

/// It never converges: its container ends by itself again and again, and is started later each time. How often by the
/// moment that is looked at is a matter of time.
fn worker(host: &Host, source: &Path) -> Value {
    let _agent = Agent::start(host, source.to_str().unwrap(), &[]);
    let mut status = Value::Null;
    for times in 1..=3 {
        wait_until(&format!("it has been started again {times} times and waits"), || {
            status = host.status();
            let worker = &status["apps"][0]["containers"][0];
            worker["restarts"].as_i64() >= Some(times) && worker["actual"] == "restarting"
        });
    }
    // A directory of this run.
    status["source"].take();
    let app = &mut status["apps"][0];
    let restarts = app["containers"][0]["restarts"].take().as_i64().unwrap();
    for place in ["/message", "/containers/0/message"] {
        let text = app.pointer_mut(place).unwrap();
        *text = text.as_str().unwrap().replace(&format!("attempt {}", restarts + 1), "attempt N").into();
    }
    status
}

macro_rules! examples {
    ($($engine:ident: $start:ident),* $(,)?) => {
        $(mod $engine {
            #[test]
            fn quickstart_has_the_status_that_it_has_on_the_embedded_engine() {
                super::is_as_embedded(super::$start, "quickstart", super::quickstart);
            }

            #[test]
            fn worker_has_the_status_that_it_has_on_the_embedded_engine() {
                super::is_as_embedded(super::$start, "worker", super::worker);
            }
        })*
    };
}

examples! { docker_20: DOCKER_20, docker_26: DOCKER_26, podman_4: PODMAN_4, podman_5: PODMAN_5 }
