//! What a step depends on, as the key of its cache entry and as parts that have names for people.

use homeostat_image::Layer;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Changes whenever the same key would mean something else.
const VERSION: &str = "homeostat build step 2";

/// Name of the part that is the layers beneath a step.
pub(crate) const LAYERS: &str = "the layers beneath";

/// So much of a part's digest is kept to see that it changed, in hexadecimal digits.
const SHORT: usize = 16;

/// One thing that a step depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// What people call it; not always unique.
    pub(crate) name: String,
    /// Stands for its value, which may be none of everybody's business.
    pub(crate) digest: String,
}

/// A key in the making. Every value is hashed with its length, so that no two lists of values look the same.
pub(crate) struct Key {
    hash: Sha256,
    parts: Vec<Part>,
}

impl Key {
    /// The key of a step of this kind on these layers.
    ///
    /// The layers stand for all files: steps that came to the same layers in different ways share what follows.
    pub(crate) fn new(kind: &str, layers: &[Layer]) -> Self {
        let mut key = Self { hash: Sha256::new(), parts: Vec::new() };
        add(&mut key.hash, VERSION);
        add(&mut key.hash, kind);
        key.add_all(LAYERS, layers.iter().map(|layer| layer.diff_id.as_str()));
        key
    }

    /// A value. Its name is part of the key only when it tells it from others, and so is never left to chance.
    pub(crate) fn add(&mut self, name: impl Into<String>, value: impl AsRef<[u8]>) {
        self.add_all(name, std::iter::once(value));
    }

    /// A list of values.
    pub(crate) fn add_all<T: AsRef<[u8]>>(
        &mut self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = T>,
    ) {
        let mut hash = Sha256::new();
        values.into_iter().for_each(|value| add(&mut hash, value));
        let (name, digest) = (name.into(), hash.finalize());
        add(&mut self.hash, &name);
        add(&mut self.hash, digest);
        self.parts.push(Part { name, digest: format!("{digest:x}")[..SHORT].to_owned() });
    }

    /// 64 hexadecimal digits, and what they stand for.
    pub(crate) fn finish(self) -> (String, Vec<Part>) {
        (format!("{:x}", self.hash.finalize()), self.parts)
    }
}

fn add(hash: &mut Sha256, value: impl AsRef<[u8]>) {
    let value = value.as_ref();
    hash.update((value.len() as u64).to_le_bytes());
    hash.update(value);
}
