//! What a step depends on, as the key of its cache entry.

use homeostat_image::Layer;
use sha2::{Digest as _, Sha256};

/// Changes whenever the same key would mean something else.
const VERSION: &str = "homeostat build step 1";

/// A key in the making. Every part is hashed with its length, so that no two lists of parts look the same.
pub(crate) struct Key(Sha256);

impl Key {
    /// The key of a step of this kind on these layers.
    ///
    /// The layers stand for all files: steps that came to the same layers in different ways share what follows.
    pub(crate) fn new(kind: &str, layers: &[Layer]) -> Self {
        let mut key = Self(Sha256::new());
        key.add(VERSION);
        key.add(kind);
        key.add_all(layers.iter().map(|layer| layer.diff_id.as_str()));
        key
    }

    pub(crate) fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// A list, with its length.
    pub(crate) fn add_all<T: AsRef<[u8]>>(&mut self, parts: impl ExactSizeIterator<Item = T>) {
        self.add((parts.len() as u64).to_le_bytes());
        parts.for_each(|part| self.add(part));
    }

    /// 64 hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        format!("{:x}", self.0.finalize())
    }
}
