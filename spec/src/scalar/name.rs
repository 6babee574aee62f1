//! Names of resources.

use super::Scalar;
use crate::problem::Problem;
use crate::{Name, NameError, NetworkMode};

impl Scalar for Name {
    const FORMAT: &'static str = "name";
    const EXAMPLES: &'static [&'static str] = &["web", "db-primary"];

    fn parse(text: &str) -> Result<Self, Problem> {
        text.parse().map_err(|error: NameError| {
            let hint = match Self::nearest(text) {
                Some(name) => format!("write `{name}`"),
                None => "a name is 1 to 63 characters of a-z, 0-9 and -, as in RFC 1123".to_owned(),
            };
            Problem::new(format!("{text:?} is no name: {error}")).hint(hint)
        })
    }
}

impl Name {
    /// The name that a text which is none was probably meant to be: lower case, with `-` for what
    /// a name cannot have.
    pub(crate) fn nearest(text: &str) -> Option<Self> {
        let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        text.chars().map(allowed).collect::<String>().trim_matches('-').parse().ok()
    }
}

/// What a container is connected to.
pub(crate) struct NetworkName(pub(crate) NetworkMode);

impl NetworkName {
    /// Words that a `[network.*]` cannot have as its name.
    pub(crate) const RESERVED: [&'static str; 3] = ["bridge", "host", "none"];
}

impl Scalar for NetworkName {
    const FORMAT: &'static str = "network";
    const EXAMPLES: &'static [&'static str] = &["bridge", "host", "none", "front"];

    fn parse(text: &str) -> Result<Self, Problem> {
        Ok(Self(match text {
            "bridge" => NetworkMode::Bridge,
            "host" => NetworkMode::Host,
            "none" => NetworkMode::None,
            name => NetworkMode::Named(Name::parse(name)?),
        }))
    }
}
