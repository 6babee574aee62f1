//! The source port: where specs come from.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use homeostat_spec::{SourcePath, SpecFile, Tree};

use crate::PortError;

/// A git repository or a directory of specs.
///
/// # Guarantees
/// - A snapshot is one moment of the source: its files belong to one revision.
/// - A failed snapshot changes nothing; the last good revision stays usable.
/// - Nothing outside of the source is ever read or written out through a path or symbolic link of it.
///
/// # Caveats
/// - Changes are hints; only [`snapshot`](Source::snapshot) tells what is there.
#[async_trait]
pub trait Source: Send + Sync {
    /// What the source is, for messages: a path, or a URL without credentials.
    fn describe(&self) -> String;

    /// The source as it is now. For git this fetches.
    async fn snapshot(&self) -> Result<Snapshot, PortError>;

    /// The last good snapshot, without asking anyone: what an earlier fetch left on this host. `None` when the
    /// source keeps nothing.
    async fn last_snapshot(&self) -> Option<Snapshot> {
        None
    }

    /// Writes a file or directory of the snapshot's revision to `destination`, which does not
    /// exist yet and whose parent does. Fails if its content no longer has the path's digest.
    async fn export(
        &self,
        snapshot: &Snapshot,
        path: &SourcePath,
        destination: &Path,
    ) -> Result<(), PortError>;

    /// Fires when the source may have changed. For git: when the poll interval has passed.
    fn changes(&self) -> BoxStream<'static, ()>;
}

/// One revision of a source.
#[derive(Clone)]
pub struct Snapshot {
    /// A commit id, or a digest of a directory's specs, in hex.
    pub revision: String,
    /// The spec files: every `*.toml` directly in the source's root path.
    pub specs: Vec<SpecFile>,
    /// The other files, by digest.
    pub tree: Arc<dyn Tree + Send + Sync>,
}
