//! What keeps the programs of a container from the host, beside their capabilities.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What keeps the programs of a container from the host, beside their capabilities. The default is what every container has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Confinement {
    /// Which system calls they may make.
    #[serde(skip_serializing_if = "Profile::is_default")]
    pub seccomp: Profile,
    /// Which parts of `/proc` and `/sys` are hidden from them or cannot be written.
    #[serde(skip_serializing_if = "Profile::is_default")]
    pub system_paths: Profile,
}

impl Confinement {
    /// Whether it asks for nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// One side of a [`Confinement`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// As Docker does it.
    #[default]
    Default,
    /// Nothing is kept from them.
    Unconfined,
}

impl Profile {
    /// Whether it is the usual one.
    pub fn is_default(&self) -> bool {
        *self == Self::Default
    }
}
