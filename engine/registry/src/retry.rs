//! Trying again.

use std::time::Duration;

use crate::{Patience, RegistryError};

/// How far an attempt must get, in bytes, to count as one that got further.
const PROGRESS: u64 = 64 << 10;

/// The attempts at one thing.
#[derive(Debug)]
pub(crate) struct Attempts {
    patience: Patience,
    made: u32,
}

impl Attempts {
    pub(crate) fn new(patience: Patience) -> Self {
        Self { patience, made: 0 }
    }

    /// The last attempt got so many bytes further. If that is something, the next failure is a first one again.
    pub(crate) fn progressed(&mut self, bytes: u64) {
        if bytes >= PROGRESS {
            self.made = 0;
        }
    }

    /// Waits for the time of the next attempt.
    ///
    /// # Errors
    /// The error itself, when another attempt would not help or enough were made.
    pub(crate) async fn after(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        self.made += 1;
        match self.pause(&error) {
            Some(pause) => {
                let (reason, seconds) = (homeostat_reconciler::chain(&error), pause.as_secs_f64());
                tracing::debug!(reason, seconds, attempt = self.made, "trying again");
                tokio::time::sleep(pause).await;
                Ok(())
            }
            None => Err(error),
        }
    }

    fn pause(&self, error: &RegistryError) -> Option<Duration> {
        if self.made >= self.patience.attempts || !error.may_pass_soon() {
            return None;
        }
        let usual = self.patience.first_pause * 2u32.saturating_pow(self.made - 1);
        let pause = error.retry_after().map_or(usual, |asked| asked.max(usual));
        // Who is to wait longer than that is told so, and comes back by himself.
        (pause <= self.patience.longest_pause).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn too_many(retry_after: Option<u64>) -> RegistryError {
        let retry_after = retry_after.map(Duration::from_secs);
        RegistryError::TooManyRequests { host: "registry.example".to_owned(), retry_after }
    }

    #[test]
    fn pauses_grow_follow_what_the_registry_asks_for_and_end() {
        let patience = Patience { attempts: 3, first_pause: Duration::from_secs(1), ..Patience::default() };
        let after = |made, retry_after| Attempts { patience, made }.pause(&too_many(retry_after));
        assert_eq!(after(1, None), Some(Duration::from_secs(1)));
        assert_eq!(after(2, None), Some(Duration::from_secs(2)));
        assert_eq!(after(1, Some(7)), Some(Duration::from_secs(7)));
        assert_eq!(after(1, Some(3600)), None);
        assert_eq!(after(3, None), None);
    }

    #[test]
    fn what_stays_wrong_is_not_tried_again() {
        let error = RegistryError::NotFound {
            host: "registry.example".to_owned(),
            what: "x".to_owned(),
            message: String::new(),
        };
        assert_eq!(Attempts { patience: Patience::default(), made: 1 }.pause(&error), None);
    }
}
