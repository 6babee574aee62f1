//! What was asked for by hand on this host: one file in the data directory, and its content in memory.
//!
//! Unlike the store it holds what nothing else knows, so it is not moved aside when it cannot be read: then it stays as it is,
//! what may be in it is protected, and nothing more is taken in.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use homeostat_reconciler::{ByHand, Desired, ErrorKind, ExitStatus, Observed, PortError, ResourceKey};
use sha2::{Digest as _, Sha256};

/// How many ends of containers that removed themselves are remembered, for those who wait for them.
const ENDS: usize = 256;

/// See the module's documentation. Every change is on disk before it counts.
pub struct ByHandBook {
    /// `None` in memory only.
    path: Option<PathBuf>,
    pages: Mutex<Pages>,
}

struct Pages {
    /// Why it is not known, if it is not.
    content: Result<ByHand, String>,
    version: u64,
    ends: VecDeque<(ResourceKey, ExitStatus)>,
}

impl ByHandBook {
    /// Opens the file; one that is not there is empty.
    pub fn open(path: &Path) -> Self {
        let content = match fs_err::read_to_string(path) {
            Ok(text) => read(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(ByHand::default()),
            Err(error) => Err(error.to_string()),
        };
        Self { path: Some(path.to_owned()), ..Self::new(content) }
    }

    /// One that is forgotten with the process.
    pub fn in_memory() -> Self {
        Self::new(Ok(ByHand::default()))
    }

    fn new(content: Result<ByHand, String>) -> Self {
        Self { path: None, pages: Mutex::new(Pages { content, version: 0, ends: VecDeque::new() }) }
    }

    /// What the user should know: the file cannot be read.
    pub fn notice(&self) -> Option<String> {
        self.pages().content.as_ref().err().map(|reason| self.unreadable(reason))
    }

    /// How often it was changed since it was opened.
    pub fn version(&self) -> u64 {
        self.pages().version
    }

    /// What is declared together with what is in here, and the version of that.
    pub fn complete(&self, declared: &Desired) -> (Desired, u64) {
        let pages = self.pages();
        let desired = match &pages.content {
            Ok(by_hand) => by_hand.complete(declared),
            Err(_) => Desired { by_hand_is_unknown: true, ..declared.clone() },
        };
        (desired, pages.version)
    }

    /// Looks at the content.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read<T>(&self, look: impl FnOnce(&ByHand) -> T) -> Result<T, PortError> {
        let pages = self.pages();
        pages.content.as_ref().map(look).map_err(|reason| self.refusal(reason))
    }

    /// Changes the content. Returns the version in which that is.
    ///
    /// # Errors
    /// Those of the change, and when the file cannot be read or written: then nothing is changed.
    pub fn change(
        &self,
        change: impl FnOnce(&mut ByHand) -> Result<(), PortError>,
    ) -> Result<u64, PortError> {
        let mut pages = self.pages();
        let mut content = pages.content.clone().map_err(|reason| self.refusal(&reason))?;
        change(&mut content)?;
        self.write(&mut pages, content)
    }

    /// Forgets everything, also what cannot be read.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn clear(&self) -> Result<(), PortError> {
        self.write(&mut self.pages(), ByHand::default()).map(drop)
    }

    /// Forgets what is done; see [`ByHand::settle`].
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn settle(&self, desired: &Desired, observed: &Observed) -> Result<(), PortError> {
        let mut pages = self.pages();
        let Ok(mut content) = pages.content.clone() else { return Ok(()) };
        let ended = content.settle(desired, observed);
        self.write(&mut pages, content)?;
        pages.ends.extend(ended);
        let superfluous = pages.ends.len().saturating_sub(ENDS);
        pages.ends.drain(..superfluous);
        Ok(())
    }

    /// How the last container with this key ended that was removed after its run.
    pub fn end(&self, key: &ResourceKey) -> Option<ExitStatus> {
        self.pages().ends.iter().rev().find(|(ended, _)| ended == key).map(|(_, exit)| exit.clone())
    }

    /// A new container begins without the end of an earlier one.
    pub fn forget_end(&self, key: &ResourceKey) {
        self.pages().ends.retain(|(ended, _)| ended != key);
    }

    fn write(&self, pages: &mut Pages, content: ByHand) -> Result<u64, PortError> {
        if pages.content.as_ref() == Ok(&content) {
            return Ok(pages.version);
        }
        if let Some(path) = &self.path {
            homeostat_files::write_durably(path, text(&content).as_bytes()).map_err(|error| {
                PortError::new(ErrorKind::Transient, "what is asked for by hand cannot be written down")
                    .caused_by(error)
                    .with_hint("free some space under the data directory (--data-dir)")
            })?;
        }
        pages.content = Ok(content);
        pages.version += 1;
        Ok(pages.version)
    }

    fn refusal(&self, reason: &str) -> PortError {
        PortError::new(ErrorKind::Config, self.unreadable(reason))
            .with_hint("bring the file back as it was, or remove it: then what it asked for is removed too")
    }

    fn unreadable(&self, reason: &str) -> String {
        let path = self.path.as_deref().unwrap_or_else(|| Path::new("")).display();
        format!(
            "what was asked for by hand cannot be read from {path} ({reason}); nothing that is not declared is removed"
        )
    }

    /// A panic with the lock held leaves whole pages: they are replaced at the end of each change.
    fn pages(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A line with the checksum of the rest, and the rest.
fn text(content: &ByHand) -> String {
    let json = serde_json::to_string_pretty(content)
        .expect("maps of it have keys that are text, and no serializer of it fails");
    format!("{}\n{json}\n", checksum(&json))
}

fn read(text: &str) -> Result<ByHand, String> {
    let (sum, json) = text.split_once('\n').ok_or("it has no checksum")?;
    let json = json.trim_end_matches('\n');
    if checksum(json) != sum {
        return Err("its checksum is wrong".to_owned());
    }
    serde_json::from_str(json).map_err(|error| error.to_string())
}

fn checksum(json: &str) -> String {
    format!("sha256:{:x}", Sha256::digest(json))
}

#[cfg(test)]
mod tests {
    use homeostat_reconciler::Override;

    use super::*;

    fn stop(book: &ByHandBook) -> Result<u64, PortError> {
        book.change(|by_hand| {
            by_hand.overrides.insert("web/x".parse().unwrap(), Override::Stopped { grace: None });
            Ok(())
        })
    }

    #[test]
    fn what_is_written_is_there_again_and_damage_is_told_and_touched_by_nothing_but_clear() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("by-hand");
        let book = ByHandBook::open(&path);
        assert_eq!(stop(&book).unwrap(), 1);
        assert_eq!(stop(&book).unwrap(), 1, "nothing changed");
        let again = ByHandBook::open(&path);
        assert_eq!(again.read(|by_hand| by_hand.overrides.len()).unwrap(), 1);
        let whole = fs_err::read_to_string(&path).unwrap();
        let damaged = whole.replace("web/x", "web/y");
        fs_err::write(&path, &damaged).unwrap();
        let book = ByHandBook::open(&path);
        assert!(book.notice().unwrap().contains("checksum"));
        assert!(book.complete(&Desired::default()).0.by_hand_is_unknown);
        assert_eq!(stop(&book).unwrap_err().kind, ErrorKind::Config);
        assert_eq!(fs_err::read_to_string(&path).unwrap(), damaged);
        book.clear().unwrap();
        assert!(ByHandBook::open(&path).notice().is_none());
    }
}
