//! What is damaged on disk.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What a check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckKind {
    /// The index of the image store: which images there are.
    Index,
    /// An image: its manifest, its configuration and its layers.
    Image,
    /// A layer, unpacked, file by file.
    Layer,
    /// An archive or document of the image store.
    Blob,
    /// What an earlier build step has left.
    BuildCache,
    /// What is known of a container, and what it needs.
    Container,
    /// What is known of a volume; its content is nobody's but the containers'.
    Volume,
    /// What is known of a network.
    Network,
}

impl fmt::Display for CheckKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Index => "index",
            Self::Image => "image",
            Self::Layer => "layer",
            Self::Blob => "blob",
            Self::BuildCache => "build cache",
            Self::Container => "container",
            Self::Volume => "volume",
            Self::Network => "network",
        })
    }
}

/// Something that is damaged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CheckFinding {
    /// What it is.
    pub kind: CheckKind,
    /// Its reference, key, digest or file.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
    /// Whether it was mended, or removed so that it is pulled or built again.
    pub repaired: bool,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// How many of each kind were looked at.
    pub counts: BTreeMap<CheckKind, usize>,
    /// What is damaged, or was.
    pub findings: Vec<CheckFinding>,
}

impl Checked {
    /// Whether nothing is damaged any more.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.repaired)
    }
}
