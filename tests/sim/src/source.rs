//! A source in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use homeostat_reconciler::ports::{Snapshot, Source};
use homeostat_reconciler::{ErrorKind, PortError};
use homeostat_spec::{EntryKind, SourcePath, SpecFile, Tree, TreeEntry};
use tokio::sync::watch;

/// Specs in memory that can be edited, with every path of the tree there.
pub(crate) struct MemorySource {
    state: Mutex<State>,
    edits: watch::Sender<u64>,
}

struct State {
    files: BTreeMap<String, String>,
    revision: u64,
    fails: bool,
}

impl MemorySource {
    /// A source without specs.
    pub(crate) fn new() -> Self {
        let state = State { files: BTreeMap::new(), revision: 0, fails: false };
        Self { state: Mutex::new(state), edits: watch::channel(0).0 }
    }

    /// Replaces all specs; `tells` is false when nobody notices.
    pub(crate) fn replace(&self, files: BTreeMap<String, String>, tells: bool) {
        let mut state = self.state();
        state.files = files;
        state.revision += 1;
        if tells {
            self.edits.send_replace(state.revision);
        }
    }

    /// Makes readings fail, or succeed again.
    pub(crate) fn set_failing(&self, fails: bool) {
        let mut state = self.state();
        state.fails = fails;
        self.edits.send_modify(|edits| *edits += 1);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Source for MemorySource {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    async fn snapshot(&self) -> Result<Snapshot, PortError> {
        tokio::task::yield_now().await;
        let state = self.state();
        if state.fails {
            return Err(PortError::new(ErrorKind::Transient, "the source does not answer"));
        }
        let specs = state
            .files
            .iter()
            .map(|(path, text)| SpecFile { path: path.clone(), content: text.clone().into() });
        Ok(Snapshot {
            revision: format!("r{}", state.revision),
            specs: specs.collect(),
            tree: Arc::new(Everything),
        })
    }

    async fn export(&self, _: &Snapshot, _: &SourcePath, destination: &Path) -> Result<(), PortError> {
        fs_err::create_dir_all(destination)
            .map_err(|error| PortError::new(ErrorKind::Transient, "no directory").caused_by(error))
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        let edits = self.edits.subscribe();
        futures::stream::unfold(edits, |mut edits| async { edits.changed().await.ok().map(|()| ((), edits)) })
            .boxed()
    }
}

/// Every path is a directory; its digest follows from its name.
pub(crate) struct Everything;

impl Tree for Everything {
    fn entry(&self, path: &str) -> Result<Option<TreeEntry>, String> {
        let kind = if path.ends_with("Dockerfile") { EntryKind::File } else { EntryKind::Directory };
        let digest = path.bytes().fold(String::new(), |digest, byte| digest + &format!("{byte:02x}"));
        Ok(Some(TreeEntry { kind, digest }))
    }
}
