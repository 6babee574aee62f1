//! Names that engines have for what homeostat did not make.

use super::Scalar;
use crate::problem::Problem;

/// A name of a container, volume or network in Docker Engine and Podman.
pub(crate) struct ForeignName(pub(crate) String);

/// File systems take no longer names, and engines keep volumes in directories.
const LONGEST: usize = 255;

impl Scalar for ForeignName {
    const FORMAT: &'static str = "engine-name";
    const EXAMPLES: &'static [&'static str] = &["shop-web-1", "shop_data"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let goes_on = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        if begins && goes_on && text.len() <= LONGEST {
            return Ok(Self(text.to_owned()));
        }
        Err(Problem::new(format!("{text:?} is no name that an engine gives")).hint(
            "write it as `docker ps`, `docker volume ls` or `docker network ls` shows it, as `shop-web-1`",
        ))
    }
}
