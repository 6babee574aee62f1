//! How resources are addressed.

use std::fmt;
use std::str::FromStr;

use homeostat_spec::{Name, NameError};
use serde::{Deserialize, Serialize};

/// A resource within its kind: `APP/NAME`, as `web/db`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceKey {
    /// The app that the resource belongs to.
    pub app: Name,
    /// The resource's name within the app and kind.
    pub name: Name,
}

/// Why a text is not a [`ResourceKey`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResourceKeyError {
    /// There is no `/`, or more than one.
    #[error("a resource is addressed as APP/NAME")]
    Form,
    /// One of the two parts is not a name.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl ResourceKey {
    /// The key of `name` in `app`.
    pub fn new(app: Name, name: Name) -> Self {
        Self { app, name }
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.app, self.name))
    }
}

impl FromStr for ResourceKey {
    type Err = ResourceKeyError;

    fn from_str(text: &str) -> Result<Self, ResourceKeyError> {
        let (app, name) = text.split_once('/').ok_or(ResourceKeyError::Form)?;
        if name.contains('/') {
            return Err(ResourceKeyError::Form);
        }
        Ok(Self::new(app.parse()?, name.parse()?))
    }
}

impl TryFrom<String> for ResourceKey {
    type Error = ResourceKeyError;

    fn try_from(text: String) -> Result<Self, ResourceKeyError> {
        text.parse()
    }
}

impl From<ResourceKey> for String {
    fn from(key: ResourceKey) -> Self {
        key.to_string()
    }
}

/// The kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourceKind {
    /// An image.
    Image,
    /// A file or directory of the source, mounted into containers.
    File,
    /// A named volume.
    Volume,
    /// A network.
    Network,
    /// A container.
    Container,
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Image => "image",
            Self::File => "file",
            Self::Volume => "volume",
            Self::Network => "network",
            Self::Container => "container",
        })
    }
}
