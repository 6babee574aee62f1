//! Who a container's process runs as.

use super::Scalar;
use crate::problem::Problem;

/// `UID`, `UID:GID`, `USER` or `USER:GROUP` (OCI image specification, `User`).
pub(crate) struct User(pub(crate) String);

impl Scalar for User {
    const FORMAT: &'static str = "user";
    const EXAMPLES: &'static [&'static str] = &["1000", "1000:1000", "www-data"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let mut parts = text.split(':');
        let good = parts.clone().count() <= 2 && parts.all(is_part);
        if good {
            return Ok(Self(text.to_owned()));
        }
        Err(Problem::new(format!("{text:?} is no user"))
            .hint("write `UID`, `UID:GID`, `USER` or `USER:GROUP`, as `1000:1000`"))
    }
}

/// A number that fits 32 bits (without the one that means "no one" to chown), or a name that
/// the shadow tools allow.
pub(super) fn is_part(part: &str) -> bool {
    if part.bytes().all(|b| b.is_ascii_digit()) {
        return part.parse::<u32>().is_ok_and(|number| number < u32::MAX);
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    part.len() <= 32 && part.starts_with(word) && part.chars().all(|c| word(c) || c == '-' || c == '$')
}
