//! How long a step may take: one that never ends must not keep others from their turn for ever.

use std::future::Future;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use homeostat_reconciler::ports::{Progress, ProgressStep};
use homeostat_reconciler::{Action, ErrorKind, PortError};
use tokio::time::Instant;

/// For what takes milliseconds, or a minute on a bad disk. What is written out or removed may be large.
const CHANGE: Duration = Duration::from_mins(10);
/// For builds and pulls that say nothing. A compiler may be silent for long.
const SILENCE: Duration = Duration::from_hours(1);

/// How long a step may go on without a word.
fn patience(action: &Action) -> Duration {
    match action {
        Action::BuildImage { .. } | Action::PullImage { .. } => SILENCE,
        Action::StopContainer { grace, .. } => grace.saturating_add(CHANGE),
        _ => CHANGE,
    }
}

/// Passes on how a step goes on, and notes when it last did.
pub(crate) struct Activity {
    to: Box<dyn Progress>,
    last: Mutex<Instant>,
}

impl Activity {
    /// Of a step that begins now.
    pub(crate) fn new(to: Box<dyn Progress>) -> Self {
        Self { to, last: Mutex::new(Instant::now()) }
    }

    fn last(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

impl Progress for Activity {
    fn step(&self, step: &ProgressStep) {
        self.note();
        self.to.step(step);
    }

    fn cached(&self, step: usize) {
        self.note();
        self.to.cached(step);
    }

    fn missed(&self, step: usize, cause: &str) {
        self.note();
        self.to.missed(step, cause);
    }

    fn output(&self, step: Option<usize>, line: &str) {
        self.note();
        self.to.output(step, line);
    }
}

/// Waits for a step to end, as long as is reasonable. One that is given up is cut off, as by a crash.
///
/// # Errors
/// Those of the step; of kind `Transient` when it is given up.
pub(crate) async fn bounded(
    action: &Action,
    activity: &Activity,
    work: impl Future<Output = Result<(), PortError>>,
) -> Result<(), PortError> {
    let patience = patience(action);
    let mut work = pin!(work);
    loop {
        let end = activity.last() + patience;
        if let Ok(result) = tokio::time::timeout_at(end, &mut work).await {
            return result;
        }
        if activity.last() + patience <= Instant::now() {
            let message = format!("given up: nothing was heard of it for {} s", patience.as_secs());
            return Err(PortError::new(ErrorKind::Transient, message)
                .with_hint("is the engine overloaded, or does it hang?"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;

    use super::*;

    /// Nobody listens.
    struct Nobody;

    impl Progress for Nobody {
        fn step(&self, _: &ProgressStep) {}

        fn cached(&self, _: usize) {}

        fn missed(&self, _: usize, _: &str) {}

        fn output(&self, _: Option<usize>, _: &str) {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_never_ends_is_given_up() {
        let begin = Instant::now();
        let activity = Activity::new(Box::new(Nobody));
        let error = bounded(&Action::StartContainer, &activity, pending()).await.unwrap_err();
        assert_eq!((error.kind, begin.elapsed()), (ErrorKind::Transient, CHANGE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_has_its_grace_beside_what_every_change_has() {
        let grace = Duration::from_hours(3);
        let begin = Instant::now();
        let activity = Activity::new(Box::new(Nobody));
        let stop = Action::StopContainer { signal: None, grace };
        bounded(&stop, &activity, pending()).await.unwrap_err();
        assert_eq!(begin.elapsed(), grace + CHANGE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pull_may_take_as_long_as_it_tells_how_it_goes_on() {
        let begin = Instant::now();
        let activity = Arc::new(Activity::new(Box::new(Nobody)));
        let teller = activity.clone();
        let work = async move {
            for _ in 0..5 {
                tokio::time::sleep(SILENCE / 2).await;
                teller.output(None, "a layer");
            }
            pending().await
        };
        let pull = Action::PullImage { reference: "registry.example/app:1".to_owned() };
        bounded(&pull, &activity, work).await.unwrap_err();
        assert_eq!(begin.elapsed(), SILENCE / 2 * 5 + SILENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_in_time_gives_its_result() {
        let activity = Activity::new(Box::new(Nobody));
        bounded(&Action::StartContainer, &activity, async { Ok(()) }).await.unwrap();
    }
}
