//! `adopt` of a container, volume or network.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::Adopt;
use crate::scalar::{ForeignName, List, Text};

/// Whether, and under which name, something that homeostat did not make is taken over.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(crate) enum AdoptValue {
    /// The one with the name that homeostat, Compose or a person would have given it.
    ByName(bool),
    /// The one that the engine has under this name.
    Named(Text<ForeignName>),
    /// The one that the engine has under one of these names, the first that is there.
    AnyOf(List<Text<ForeignName>>),
}

impl AdoptValue {
    /// As the model has it. `false` is what is so when nothing is said.
    pub(crate) fn adopt(&self) -> Option<Adopt> {
        match self {
            Self::ByName(true) => Some(Adopt::ByName),
            Self::ByName(false) => None,
            Self::Named(name) => Some(Adopt::Named(name.0.0.clone())),
            Self::AnyOf(names) if names.is_empty() => None,
            Self::AnyOf(names) => {
                Some(Adopt::AnyOf(names.iter().map(|(_, name)| name.0.0.clone()).collect()))
            }
        }
    }
}
