//! Makes the source that a command or the configuration names.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use homeostat_reconciler::ports::Source;
use homeostat_reconciler::{ErrorKind, PortError};
use homeostat_source::{Credentials, DirectorySource, GitConfig, GitSource, SourceKind, parse_source};

use crate::settings::GitCredentials;

/// Which source, and how it is read.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// A directory or a git URL.
    pub location: String,
    /// Branch of a git source.
    pub branch: Option<String>,
    /// Directory within a git source.
    pub path: Option<String>,
    /// How often a git source is asked.
    pub interval: Duration,
    /// How to log in to the git server.
    pub credentials: GitCredentials,
    /// Where bare mirrors are kept.
    pub mirrors: PathBuf,
}
