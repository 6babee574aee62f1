//! A store in a directory of its own.

use std::path::Path;

use fs_err as fs;
use homeostat_files::{Root, Timestamp};
use homeostat_image::{Digest, ImageStore, Layer};
use oci_spec::image::{ConfigBuilder, ImageConfiguration, ImageConfigurationBuilder};

/// A store in a directory that goes with it.
pub(crate) struct Place {
    pub(crate) directory: tempfile::TempDir,
    store: Option<ImageStore>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Some(ImageStore::open(directory.path().join("store")).unwrap());
        Self { directory, store }
    }

    pub(crate) fn store(&self) -> &ImageStore {
        self.store.as_ref().unwrap()
    }

    /// A path in the store's directory.
    pub(crate) fn path(&self, path: &str) -> std::path::PathBuf {
        self.directory.path().join("store").join(path)
    }

    /// Closes the store, does something to its files, and opens it again.
    pub(crate) fn reopen_after(&mut self, change: impl FnOnce(&Path)) {
        self.store = None;
        change(&self.path(""));
        self.store = Some(ImageStore::open(self.path("")).unwrap());
    }

    /// A layer with one file of this content; the same content is the same layer, whenever it is made.
    pub(crate) fn layer(&self, content: &str) -> Layer {
        let staged = self.store().begin_layer(None).unwrap();
        fs::write(staged.upper().join("file"), content).unwrap();
        let root = Root::open(staged.upper()).unwrap();
        for path in ["file", ""] {
            let time = Timestamp { seconds: 1_700_000_000, nanoseconds: 0 };
            root.resolve(path).unwrap().set_modified(time).unwrap();
        }
        staged.commit().unwrap().unwrap()
    }

    /// An image of one such layer.
    pub(crate) fn image(&self, content: &str, reference: &str) -> Digest {
        self.store().commit_image(configuration(&[]), &[self.layer(content)], Some(reference)).unwrap()
    }

    pub(crate) fn blob(&self, digest: &Digest) -> std::path::PathBuf {
        self.path("blobs/sha256").join(digest.hex())
    }

    pub(crate) fn unpacked(&self, layer: &Layer) -> std::path::PathBuf {
        self.path("layers").join(layer.diff_id.hex()).join("diff")
    }

    /// How many names are in one of the store's directories.
    pub(crate) fn count(&self, directory: &str) -> usize {
        fs::read_dir(self.path(directory)).unwrap().count()
    }
}

/// A configuration with these labels.
pub(crate) fn configuration(labels: &[(&str, &str)]) -> ImageConfiguration {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let config =
        ConfigBuilder::default().labels(labels.collect::<std::collections::HashMap<_, _>>()).build().unwrap();
    ImageConfigurationBuilder::default()
        .architecture(oci_spec::image::Arch::Amd64)
        .os(oci_spec::image::Os::Linux)
        .config(config)
        .build()
        .unwrap()
}
