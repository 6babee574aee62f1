//! The logs of several containers as one, by time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{BoxStream, Stream as _};
use homeostat_reconciler::PortError;
use homeostat_reconciler::ports::LogLine;
use homeostat_spec::Name;
use tokio::time::Instant;

/// So long a line of a log that is followed waits for older ones of other containers.
const SETTLING: Duration = Duration::from_millis(100);

type Line = Result<LogLine, PortError>;

/// See the module's documentation. Lines of one container stay in their order.
pub(crate) struct Interleaved {
    logs: Vec<Log>,
    /// Nothing is waited for longer than [`SETTLING`]: the logs do not end.
    follow: bool,
    /// Until when the next line waits for older ones, however often the wait for it is cut off.
    settled_at: Option<Instant>,
}

struct Log {
    container: Name,
    lines: BoxStream<'static, Line>,
    /// Its next line, if that is there.
    next: Option<Line>,
    /// It had nothing to say for a while: others do not wait for it.
    is_silent: bool,
    has_ended: bool,
}

impl Interleaved {
    /// Of no log yet.
    pub(crate) fn new(follow: bool) -> Self {
        Self { logs: Vec::new(), follow, settled_at: None }
    }

    /// Adds the log of a container.
    pub(crate) fn add(&mut self, container: Name, lines: BoxStream<'static, Line>) {
        self.logs.push(Log { container, lines, next: None, is_silent: false, has_ended: false });
    }

    /// Whether the log of a container is among them.
    pub(crate) fn has(&self, container: &Name) -> bool {
        self.logs.iter().any(|log| log.container == *container)
    }

    /// The next line and whose it is; `None` when all logs have ended. Cut off, it loses nothing.
    pub(crate) async fn next(&mut self) -> Option<(Name, Line)> {
        let follow = self.follow;
        let settled_at = *self.settled_at.get_or_insert_with(|| Instant::now() + SETTLING);
        let settled = std::future::poll_fn(|context| self.poll(context, |log| !log.is_silent));
        if !follow {
            settled.await;
        } else if tokio::time::timeout_at(settled_at, settled).await.is_err() {
            for log in self.logs.iter_mut().filter(|log| log.next.is_none()) {
                log.is_silent = true;
            }
        }
        if self.logs.iter().all(|log| log.next.is_none()) {
            std::future::poll_fn(|context| self.poll_any(context)).await;
        }
        let oldest = self.logs.iter_mut().filter(|log| log.next.is_some()).min_by_key(|log| log.time())?;
        let line = (oldest.container.clone(), oldest.next.take()?);
        self.settled_at = None;
        Some(line)
    }

    /// Asks every log that owes its next line; ready when none owes it of those that are waited for.
    fn poll(&mut self, context: &mut Context<'_>, is_awaited: impl Fn(&Log) -> bool) -> Poll<()> {
        let mut waits = false;
        for log in &mut self.logs {
            waits |= log.poll(context).is_pending() && is_awaited(log);
        }
        if waits { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Ready when any log has a line, or all have ended.
    fn poll_any(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let all = self.poll(context, |_| true);
        if self.logs.iter().any(|log| log.next.is_some()) { Poll::Ready(()) } else { all }
    }
}

impl Log {
    /// Ready when the next line is there, or there is none.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.next.is_some() || self.has_ended {
            return Poll::Ready(());
        }
        match Pin::new(&mut self.lines).poll_next(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => self.has_ended = true,
            Poll::Ready(line) => {
                self.next = line;
                self.is_silent = false;
            }
        }
        Poll::Ready(())
    }

    /// When its next line was written. What went wrong is told before anything else.
    fn time(&self) -> Option<jiff::Timestamp> {
        self.next.as_ref().and_then(|line| line.as_ref().ok()).map(|line| line.time)
    }
}

#[cfg(test)]
mod tests {
    use futures::stream::{self, StreamExt as _};
    use homeostat_reconciler::ports::LogStream;
    use jiff::Timestamp;

    use super::*;

    fn line(second: i64) -> LogLine {
        let time = Timestamp::from_second(second).unwrap();
        LogLine { time, stream: LogStream::Stdout, text: String::new() }
    }

    fn lines(seconds: &[i64]) -> BoxStream<'static, Line> {
        stream::iter(seconds.iter().copied().map(line).map(Ok).collect::<Vec<_>>()).boxed()
    }

    async fn take(logs: &mut Interleaved, count: usize) -> Vec<(String, i64)> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let Some((container, line)) = logs.next().await else { break };
            taken.push((container.to_string(), line.unwrap().time.as_second()));
        }
        taken
    }

    fn told(lines: &[(&str, i64)]) -> Vec<(String, i64)> {
        lines.iter().map(|(container, second)| ((*container).to_owned(), *second)).collect()
    }

    #[tokio::test]
    async fn lines_come_by_time_until_all_logs_have_ended() {
        let mut logs = Interleaved::new(false);
        logs.add("db".parse().unwrap(), lines(&[2, 3, 9]));
        logs.add("idle".parse().unwrap(), lines(&[]));
        logs.add("web".parse().unwrap(), lines(&[1, 4]));
        let expected = told(&[("web", 1), ("db", 2), ("db", 3), ("web", 4), ("db", 9)]);
        assert_eq!(take(&mut logs, 100).await, expected);
    }

    #[tokio::test]
    async fn without_a_log_there_is_nothing() {
        assert!(Interleaved::new(true).next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_log_holds_up_no_other_for_long() {
        let mut logs = Interleaved::new(true);
        logs.add("silent".parse().unwrap(), stream::pending().boxed());
        logs.add(
            "web".parse().unwrap(),
            lines(&(0..1000).collect::<Vec<_>>()).chain(stream::pending()).boxed(),
        );
        let begin = Instant::now();
        assert_eq!(take(&mut logs, 1000).await.len(), 1000);
        assert_eq!(begin.elapsed(), SETTLING);
    }

    #[tokio::test(start_paused = true)]
    async fn lines_that_come_almost_together_come_by_time() {
        let late = stream::once(async {
            tokio::time::sleep(SETTLING / 2).await;
            Ok(line(1))
        });
        let mut logs = Interleaved::new(true);
        logs.add("late".parse().unwrap(), late.chain(stream::pending()).boxed());
        logs.add("web".parse().unwrap(), lines(&[2]).chain(stream::pending()).boxed());
        assert_eq!(take(&mut logs, 2).await, told(&[("late", 1), ("web", 2)]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_cut_off_again_and_again_is_not_longer_for_it() {
        let mut logs = Interleaved::new(true);
        logs.add("silent".parse().unwrap(), stream::pending().boxed());
        logs.add("web".parse().unwrap(), lines(&[1]).chain(stream::pending()).boxed());
        let begin = Instant::now();
        while tokio::time::timeout(SETTLING / 10, logs.next()).await.is_err() {
            assert!(begin.elapsed() <= SETTLING);
        }
    }

    #[tokio::test]
    async fn what_goes_wrong_is_told_at_once() {
        let mut logs = Interleaved::new(false);
        let broken = PortError::new(homeostat_reconciler::ErrorKind::Transient, "broken");
        logs.add("db".parse().unwrap(), lines(&[1]));
        logs.add("web".parse().unwrap(), stream::iter([Err(broken)]).boxed());
        let (container, line) = logs.next().await.unwrap();
        assert_eq!((container.as_str(), line.is_err()), ("web", true));
    }
}
