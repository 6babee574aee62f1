//! What builds fetch: files at URLs, and git repositories.

use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{self, Either};
use homeostat_build::{Cancel, Fetcher};
use homeostat_dockerfile::Repository;
use homeostat_reconciler::{ErrorKind, PortError, chain};
use homeostat_registry::RegistryError;
use homeostat_source::{Credentials, GitConfig, commit_of, fetch_directory};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::engine::Inner;

/// Fetches for the threads of a build, with connections that are driven elsewhere.
pub(crate) struct Fetching<'a> {
    pub(crate) inner: &'a Inner,
    pub(crate) runtime: Handle,
}

impl Fetcher for Fetching<'_> {
    fn download(
        &self,
        url: &str,
        file: &mut File,
        room: u64,
        cancel: &Cancel,
    ) -> Result<Option<Timestamp>, PortError> {
        let download = async { self.inner.registries.download(url, file, room).await.map_err(failure) };
        self.wait(cancel, download)
    }

    fn commit(&self, repository: Repository<'_>, cancel: &Cancel) -> Result<String, PortError> {
        // Nothing is fetched, so nothing needs a place.
        self.wait(cancel, commit_of(config(repository, PathBuf::new()), repository.reference))
    }

    fn check_out(
        &self,
        repository: Repository<'_>,
        place: &Path,
        destination: &Path,
        cancel: &Cancel,
    ) -> Result<String, PortError> {
        let config = config(repository, place.join("mirror"));
        self.wait(cancel, fetch_directory(config, repository.reference, destination))
    }
}

impl Fetching<'_> {
    fn wait<T>(
        &self,
        cancel: &Cancel,
        work: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let stop = Arc::new(Notify::new());
        let _watching = {
            let stop = Arc::clone(&stop);
            cancel.watch(move || stop.notify_one())
        };
        self.runtime.block_on(async {
            match future::select(pin!(work), pin!(stop.notified())).await {
                Either::Left((done, _)) => done,
                Either::Right(_) => Err(PortError::new(ErrorKind::Transient, "the build was cancelled")),
            }
        })
    }
}

fn config(repository: Repository<'_>, mirror_directory: PathBuf) -> GitConfig {
    GitConfig {
        url: repository.url.to_owned(),
        branch: None,
        path: repository.directory.map(str::to_owned),
        // It is read once.
        interval: Duration::MAX,
        mirror_directory,
        credentials: Credentials::default(),
    }
}

fn failure(error: RegistryError) -> PortError {
    let port = PortError::new(error.kind(), chain(&error));
    match error {
        // What they advise is about images and registries.
        RegistryError::NotFound { .. } | RegistryError::Forbidden { .. } | RegistryError::NoTls { .. } => {
            port
        }
        error => match error.hint() {
            Some(hint) => port.with_hint(hint),
            None => port,
        },
    }
}
