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

/// A directory of specs in memory that can be edited. Every path but a Dockerfile is a directory beside them.
pub(crate) struct MemorySource {
    state: Mutex<State>,
    edits: watch::Sender<u64>,
}

struct State {
    specs: BTreeMap<String, String>,
    beside: Beside,
    revision: u64,
    fails: bool,
}

impl MemorySource {
    /// A source without specs.
    pub(crate) fn new() -> Self {
        let state = State { specs: BTreeMap::new(), beside: Beside::default(), revision: 0, fails: false };
        Self { state: Mutex::new(state), edits: watch::channel(0).0 }
    }

    /// Replaces all specs; `tells` is false when nobody notices.
    pub(crate) fn replace(&self, specs: BTreeMap<String, String>, tells: bool) {
        self.edit(tells, |state| state.specs = specs);
    }

    /// Changes the content of every path beside the specs; `tells` as above.
    pub(crate) fn change_files(&self, tells: bool) {
        self.edit(tells, |state| state.beside.0 += 1);
    }

    /// Makes readings fail, or succeed again.
    pub(crate) fn set_failing(&self, fails: bool) {
        self.edit(true, |state| state.fails = fails);
    }

    /// What lies beside the specs now.
    pub(crate) fn beside(&self) -> Beside {
        self.state().beside
    }

    fn edit(&self, tells: bool, edit: impl FnOnce(&mut State)) {
        let mut state = self.state();
        edit(&mut state);
        state.revision += 1;
        if tells {
            self.edits.send_replace(state.revision);
        }
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
            .specs
            .iter()
            .map(|(path, text)| SpecFile { path: path.clone(), content: text.clone().into() });
        let revision = format!("r{}", state.revision);
        Ok(Snapshot { revision, specs: specs.collect(), tree: Arc::new(state.beside) })
    }

    async fn export(&self, _: &Snapshot, path: &SourcePath, destination: &Path) -> Result<(), PortError> {
        tokio::task::yield_now().await;
        if self.beside().digest(&path.path) != path.digest {
            return Err(PortError::new(ErrorKind::Transient, "the path was edited meanwhile"));
        }
        fs_err::create_dir(destination)
            .map_err(|error| PortError::new(ErrorKind::Transient, "no directory").caused_by(error))
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        let edits = self.edits.subscribe();
        futures::stream::unfold(edits, |mut edits| async { edits.changed().await.ok().map(|()| ((), edits)) })
            .boxed()
    }
}

/// What lies beside the specs, by how often it was edited: every path, with a digest that follows from its name.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Beside(u64);

impl Beside {
    fn digest(self, path: &str) -> String {
        let name = path.bytes().fold(String::new(), |digest, byte| digest + &format!("{byte:02x}"));
        format!("{name}{:04x}", self.0)
    }
}

impl Tree for Beside {
    fn entry(&self, path: &str) -> Result<Option<TreeEntry>, String> {
        let kind = if path.ends_with("Dockerfile") { EntryKind::File } else { EntryKind::Directory };
        Ok(Some(TreeEntry { kind, digest: self.digest(path) }))
    }
}
