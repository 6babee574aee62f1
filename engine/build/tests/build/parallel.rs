//! Stages side by side.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use homeostat_build::{BuildError, Cancel, RunError, RunStep, StepRunner, Stream, build};

use crate::support::{Chroot, Host};

/// How long commands wait for each other.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a command that says `meet` only when so many of them have begun, and one that says `after` when another has.
struct Meeting {
    expected: usize,
    begun: Mutex<BTreeSet<String>>,
    more: Condvar,
    /// What was mounted.
    mounts: Mutex<Vec<String>>,
}

impl Meeting {
    fn of(expected: usize) -> Self {
        Self { expected, begun: Mutex::default(), more: Condvar::new(), mounts: Mutex::default() }
    }
}

impl StepRunner for Meeting {
    fn run(
        &self,
        step: &RunStep,
        cancel: &Cancel,
        output: &mut dyn FnMut(Stream, &str),
    ) -> Result<i32, RunError> {
        self.mounts
            .lock()
            .unwrap()
            .extend(step.mounts.iter().map(|mount| mount.source.display().to_string()));
        let text = step.args.last().cloned().unwrap_or_default();
        let enough = if text.contains("meet") { self.expected } else { 0 };
        let mut begun = self.begun.lock().unwrap();
        begun.insert(text);
        self.more.notify_all();
        let (begun, time) =
            self.more.wait_timeout_while(begun, PATIENCE, |begun| begun.len() < enough).unwrap();
        drop(begun);
        if time.timed_out() {
            return Err("the others have not begun".into());
        }
        Chroot.run(step, cancel, output)
    }
}

#[test]
fn independent_stages_run_at_a_time_and_say_which_they_are() {
    let host = Host::with_base();
    host.write(
        "Dockerfile",
        "FROM base AS one\nRUN echo meet 1 > /1; cat /1\nFROM base AS two\nRUN echo meet 2 > /2; cat /2\n\
         FROM base AS unused\nRUN exit 1\nFROM scratch\nCOPY --from=one /1 /\nCOPY --from=two /2 /\n",
    );
    let outcome =
        build(&host.store, &host.options, &Meeting::of(2), &host.web, &host.log, &host.cancel).unwrap();
    assert_eq!(outcome.steps, 7);
    assert_eq!((host.read("1"), host.read("2")), ("meet 1\n".to_owned(), "meet 2\n".to_owned()));
    let log = host.log.take();
    for line in ["[2/7 one] RUN echo meet 1 > /1; cat /1", "2: Stdout: meet 1", "4: Stdout: meet 2"] {
        assert!(log.iter().any(|told| told == line), "{line}: {log:?}");
    }
    assert!(log.contains(&"[7/7 stage-3] COPY --from=two /2 /".to_owned()), "{log:?}");
}

#[test]
fn the_first_failure_ends_the_other_stages() {
    let host = Host::with_base();
    host.write(
        "Dockerfile",
        "FROM base AS long\nRUN echo meet; sleep 600\nRUN echo never\n\
         FROM base AS wrong\nRUN echo meet; exit 3\nFROM scratch\nCOPY --from=long / /\nCOPY --from=wrong / /\n",
    );
    let error =
        build(&host.store, &host.options, &Meeting::of(2), &host.web, &host.log, &host.cancel).unwrap_err();
    assert_eq!(error.to_string(), "line 5: RUN echo meet; exit 3");
    assert!(!host.log.take().iter().any(|line| line.contains("never")));
    host.assert_no_leftovers();
    // What was ended is not taken for done.
    let outcome = host.build("FROM base\nRUN echo meet; sleep 0\n").unwrap();
    assert_eq!(outcome.cached, 1);
}

#[test]
fn a_build_that_is_cancelled_says_so_and_leaves_nothing() {
    let host = Host::with_base();
    host.write("Dockerfile", "FROM base\nRUN sleep 600\n");
    let meeting = Meeting::of(1);
    let error = std::thread::scope(|scope| {
        let building =
            scope.spawn(|| build(&host.store, &host.options, &meeting, &host.web, &host.log, &host.cancel));
        let begun = meeting.begun.lock().unwrap();
        let none = meeting.more.wait_timeout_while(begun, PATIENCE, |begun| begun.is_empty()).unwrap();
        assert!(!none.1.timed_out());
        drop(none);
        host.cancel.cancel();
        building.join().unwrap().unwrap_err()
    });
    assert!(matches!(error, BuildError::Cancelled), "{error:?}");
    host.assert_no_leftovers();
    assert!(matches!(host.build("FROM base\nRUN true\n"), Err(BuildError::Cancelled)));
}

#[test]
fn a_step_that_several_stages_have_is_made_once() {
    let mut host = Host::with_base();
    let file = "FROM base AS one\nRUN echo once > /made; cat /made\nRUN echo 1 > /1\n\
        FROM base AS two\nRUN echo once > /made; cat /made\nRUN echo 2 > /2\n\
        FROM scratch\nCOPY --from=one / /1/\nCOPY --from=two / /2/\n";
    for no_cache in [false, true] {
        host.options.no_cache = no_cache;
        host.build(file).unwrap();
        let log = host.log.take();
        assert_eq!(log.iter().filter(|line| line.ends_with("Stdout: once")).count(), 1, "{log:?}");
        assert_eq!(host.read("1/made"), host.read("2/made"));
    }
}

/// Two stages that use a cache of one name at a time, and what they had mounted.
fn with_caches(sharing: &str) -> BTreeSet<String> {
    let host = Host::with_base();
    let run = |stage: u32| {
        format!("RUN --mount=type=cache,id=c,target=/c,sharing={sharing} echo meet {stage} > /{stage}\n")
    };
    host.write(
        "Dockerfile",
        &format!(
            "FROM base AS one\n{}FROM base AS two\n{}FROM scratch\nCOPY --from=one / /\nCOPY --from=two / /\n",
            run(1),
            run(2)
        ),
    );
    let meeting = Meeting::of(2);
    build(&host.store, &host.options, &meeting, &host.web, &host.log, &host.cancel).unwrap();
    meeting.mounts.into_inner().unwrap().into_iter().collect()
}

#[test]
fn caches_are_shared_as_they_say() {
    assert_eq!(with_caches("shared").len(), 1);
    assert_eq!(with_caches("private").len(), 2);
}

#[test]
fn a_locked_cache_is_waited_for_and_the_wait_ends_with_the_build() {
    let host = Host::with_base();
    let mount = "--mount=type=cache,id=c,target=/c,sharing=locked";
    let file = format!(
        "FROM base AS one\nRUN {mount} echo 1 > /1; sleep 0\nFROM base AS two\nRUN {mount} echo 2 > /2; sleep 0\n\
         FROM base AS three\nRUN echo meet > /3\n\
         FROM scratch\nCOPY --from=one / /\nCOPY --from=two / /\nCOPY --from=three / /\n"
    );
    host.write("Dockerfile", &file.replace("sleep 0", "sleep 600").replace("> /3", "; exit 1"));
    // The third begins when one of the others holds the cache, and the other of them cannot.
    let error =
        build(&host.store, &host.options, &Meeting::of(2), &host.web, &host.log, &host.cancel).unwrap_err();
    assert!(error.to_string().starts_with("line 6: "), "{error}");
    host.assert_no_leftovers();
    host.build(&file).unwrap();
    assert_eq!((host.read("1"), host.read("2")), ("1\n".to_owned(), "2\n".to_owned()));
}
