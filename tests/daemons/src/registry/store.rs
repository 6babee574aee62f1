//! A registry's files. It finds what is written there, also while it runs.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// The files of one repository.
#[derive(Debug)]
pub(super) struct Store {
    blobs: PathBuf,
    repository: PathBuf,
}

impl Store {
    pub(super) fn new(data: &Path, repository: &str) -> Self {
        let root = data.join("docker/registry/v2");
        Self { blobs: root.join("blobs"), repository: root.join("repositories").join(repository) }
    }

    /// Adds a layer or a configuration, and returns its digest.
    pub(super) fn blob(&self, content: &[u8]) -> String {
        let digest = self.content(content);
        self.link(&format!("_layers/{}", path(&digest)), &digest);
        digest
    }

    /// Adds a manifest under a tag, and returns its digest.
    pub(super) fn tag(&self, tag: &str, manifest: &[u8]) -> String {
        let digest = self.content(manifest);
        self.link(&format!("_manifests/revisions/{}", path(&digest)), &digest);
        self.link(&format!("_manifests/tags/{tag}/index/{}", path(&digest)), &digest);
        self.link(&format!("_manifests/tags/{tag}/current"), &digest);
        digest
    }

    fn content(&self, content: &[u8]) -> String {
        let digest = digest(content);
        let (algorithm, hex) = digest.split_once(':').unwrap();
        write(&self.blobs.join(algorithm).join(&hex[..2]).join(hex).join("data"), content);
        digest
    }

    fn link(&self, place: &str, digest: &str) {
        write(&self.repository.join(place).join("link"), digest.as_bytes());
    }
}

/// A digest as it is written in manifests.
pub(super) fn digest(content: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(content))
}

fn path(digest: &str) -> String {
    digest.replace(':', "/")
}

/// Whole or not at all: the registry may read meanwhile.
fn write(path: &Path, content: &[u8]) {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    let new = path.with_extension("new");
    fs_err::write(&new, content).unwrap();
    fs_err::rename(new, path).unwrap();
}
