//! What is to be built, and what came of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use homeostat_image::Digest;
use homeostat_reconciler::ports::Secret;

/// One build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildOptions {
    /// The directory of the build context. It is only read, and never left: links lead nowhere outside.
    pub context: PathBuf,
    /// Path of the Dockerfile, relative to the context.
    pub dockerfile: String,
    /// The text of the Dockerfile, where it is no file of the context: then the path is only what messages call it.
    pub dockerfile_text: Option<String>,
    /// Values for `ARG`. `SOURCE_DATE_EPOCH`, declared or not, is the time in seconds that the image says it was made at, instead of
    /// the real one, and that no file made by a step is newer than: <https://reproducible-builds.org/specs/source-date-epoch/>.
    pub args: BTreeMap<String, String>,
    /// The stage to stop at, by name or number from 0; the last one when absent.
    pub target: Option<String>,
    /// The name that the image gets.
    pub reference: String,
    /// What `RUN --mount=type=secret` shows, by id.
    pub secrets: BTreeMap<String, Secret>,
    /// Sockets of agents for SSH keys on this host, by id.
    pub ssh: BTreeMap<String, PathBuf>,
    /// Run every step, whatever the cache knows.
    pub no_cache: bool,
}

/// An image was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildOutcome {
    /// The image's id. The same input gives the same id as long as the cache knows all steps.
    pub id: Digest,
    /// How many steps there were: instructions of the stages that the target needs.
    pub steps: usize,
    /// How many of them the cache knew. `FROM` counts, as it does no work.
    pub cached: usize,
}
