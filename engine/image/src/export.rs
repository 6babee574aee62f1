//! The tree that layers are together, as an archive of files.

use std::io::Write;
use std::path::PathBuf;

use crate::layers::Layers;
use crate::tar::write_merged;
use crate::{ImageStore, StoreError};

impl ImageStore {
    /// Writes the tree that layers are together, as a mount of them would show it, as a tar archive of its files. `layers` are
    /// their directories, the top one first; somebody may be changing that one.
    ///
    /// Names are relative to the top, which is not in it itself; sockets are left out, as tar has none.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn export(&self, layers: &[PathBuf], output: impl Write) -> Result<(), StoreError> {
        let layers = Layers { directories: layers, marks: self.marks() };
        Ok(write_merged(&layers, output)?)
    }
}
