//! Host names (RFC 1123, section 2.1).

use super::Scalar;
use crate::problem::Problem;

/// A host name inside a container.
pub(crate) struct Hostname(pub(crate) String);

/// The longest host name that Linux takes (`HOST_NAME_MAX`).
const LONGEST: usize = 64;

impl Scalar for Hostname {
    const FORMAT: &'static str = "container-hostname";
    const EXAMPLES: &'static [&'static str] = &["web", "web.example.org"];

    fn parse(text: &str) -> Result<Self, Problem> {
        if text.len() <= LONGEST && text.split('.').all(|label| is_label(label, false)) {
            return Ok(Self(text.to_owned()));
        }
        Err(Problem::new(format!("{text:?} is no host name"))
            .hint("a host name has at most 64 letters, digits, `-` and `.`, as `web.example.org`"))
    }
}

/// A name by which others find a container, in lower case: names are looked up whatever their case (RFC 4343).
pub(crate) struct Alias(pub(crate) String);

impl Scalar for Alias {
    const FORMAT: &'static str = "network-alias";
    const EXAMPLES: &'static [&'static str] = &["db", "db.example.org"];

    fn parse(text: &str) -> Result<Self, Problem> {
        if is_domain(text) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err(Problem::new(format!("{text:?} is no name that can be looked up"))
            .hint("a name has letters, digits, `-`, `_` and `.`, as `db.example.org`"))
    }
}

/// The longest name of DNS.
const LONGEST_DOMAIN: usize = 253;

/// Whether it is a name of DNS.
pub(super) fn is_domain(text: &str) -> bool {
    text.len() <= LONGEST_DOMAIN && text.split('.').all(|label| is_label(label, true))
}

/// Whether it is a part of a host name; names that are only looked up may have `_` too.
pub(super) fn is_label(label: &str, underscores: bool) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || (underscores && c == '_'))
}
