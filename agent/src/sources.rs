//! Makes the source that a command or the configuration names.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use homeostat_reconciler::ports::{Snapshot, Source};
use homeostat_reconciler::{ErrorKind, PortError};
use homeostat_source::{Credentials, DirectorySource, GitConfig, GitSource, SourceKind, parse_source};
use homeostat_spec::{Compiled, Node, SourcePath};
use sha2::{Digest, Sha256};

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

/// Makes the source.
///
/// # Errors
/// When the location is no source, or a file with credentials cannot be read.
pub fn make(settings: &SourceSettings) -> Result<Arc<dyn Source>, PortError> {
    let url = match parse_source(&settings.location)? {
        SourceKind::Directory(path) => return Ok(Arc::new(DirectorySource::new(path))),
        SourceKind::Git(url) => url,
    };
    let config = GitConfig {
        mirror_directory: settings.mirrors.join(mirror_name(&url)),
        url,
        branch: settings.branch.clone(),
        path: settings.path.clone(),
        interval: settings.interval,
        credentials: credentials(&settings.credentials)?,
    };
    Ok(Arc::new(GitSource::new(config)?))
}

/// A directory name that belongs to the URL alone.
fn mirror_name(url: &str) -> String {
    let digest = Sha256::digest(url);
    digest.iter().take(16).fold(String::new(), |name, byte| name + &format!("{byte:02x}"))
}

fn credentials(settings: &GitCredentials) -> Result<Credentials, PortError> {
    let password =
        settings.password_file.as_ref().map(fs_err::read_to_string).transpose().map_err(|error| {
            PortError::new(ErrorKind::Config, "the git password cannot be read").caused_by(error)
        })?;
    Ok(Credentials {
        username: settings.username.clone(),
        password: password.map(|text| text.trim_end().to_owned()),
        ssh_key: settings.ssh_key.clone(),
        known_hosts: settings.known_hosts.clone(),
    })
}

/// The specs of a source as they are now, compiled.
pub struct CompiledSource {
    /// Their revision.
    pub revision: String,
    /// What came of them.
    pub compiled: Compiled,
}

/// Reads a source once and compiles it.
///
/// # Errors
/// When the source cannot be read.
pub async fn compile(settings: &SourceSettings, node: &Node) -> Result<CompiledSource, PortError> {
    let snapshot = make(settings)?.snapshot().await?;
    let compiled = homeostat_spec::compile(&snapshot.specs, snapshot.tree.as_ref(), node);
    Ok(CompiledSource { revision: snapshot.revision, compiled })
}

/// A source that is never read: for taking everything down.
pub struct Nothing;

#[async_trait]
impl Source for Nothing {
    fn describe(&self) -> String {
        "nothing".to_owned()
    }

    async fn snapshot(&self) -> Result<Snapshot, PortError> {
        std::future::pending().await
    }

    async fn export(&self, _: &Snapshot, path: &SourcePath, _: &Path) -> Result<(), PortError> {
        Err(PortError::new(ErrorKind::Internal, format!("there is no source to take {} from", path.path)))
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        Box::pin(futures::stream::pending())
    }
}
