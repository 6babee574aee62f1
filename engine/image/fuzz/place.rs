//! A store, and beside it a file that nobody may touch.

use homeostat_image::{ImageStore, Prune};

/// A store in a directory of its own.
pub struct Place {
    directory: tempfile::TempDir,
    pub store: ImageStore,
}

impl Place {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs_err::write(directory.path().join("victim"), "untouched").expect("a file");
        let store = ImageStore::open(directory.path().join("store")).expect("a store");
        Self { directory, store }
    }

    /// Prunes all, and sees that nothing was left behind and nothing outside was changed.
    pub fn clear(&self) {
        self.store.prune(&Prune::default(), &()).expect("what nobody uses is pruned");
        let victim =
            fs_err::read_to_string(self.directory.path().join("victim")).expect("the victim is there");
        assert_eq!(victim, "untouched");
        assert_eq!(fs_err::read_dir(self.directory.path()).expect("a directory").count(), 2);
        for directory in ["staging", "ingest", "layers", "blobs/sha256", "downloads", "retired"] {
            let left = fs_err::read_dir(self.store.directory().join(directory)).map_or(0, Iterator::count);
            assert_eq!(left, 0, "{directory}");
        }
    }
}
