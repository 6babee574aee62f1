//! Names of network interfaces.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Longest name that Linux allows (`IFNAMSIZ` less the final zero byte).
const MAX_LENGTH: usize = 15;

/// Hex digits of a derived name's digest: 40 bits, so that a thousand names collide with a chance below 1e-6.
const DIGEST_LENGTH: usize = 10;

/// The name of a network interface: 1 to 15 characters out of `a-z`, `A-Z`, `0-9`, `-`, `_` and `.`, with a
/// letter first. That is narrower than what Linux takes, and safe to write into an nftables script.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InterfaceName(String);

/// Why a text is not an [`InterfaceName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no name of a network interface: 1 to 15 of a-z, A-Z, 0-9, `-`, `_`, `.`, with a letter first"
)]
pub struct InterfaceNameError(String);

impl InterfaceName {
    /// A name that is always the same for the same prefix and key, as `hs0b1f2e3d4c5` for the prefix `hs`.
    ///
    /// # Errors
    /// The prefix is longer than 5 characters or has one that a name cannot have.
    pub fn derive(prefix: &str, key: &str) -> Result<Self, InterfaceNameError> {
        let digest = Sha256::digest(key.as_bytes());
        let mut name = String::from(prefix);
        name.extend(digest.iter().flat_map(|byte| hex_digits(*byte)).take(DIGEST_LENGTH));
        name.parse()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn hex_digits(byte: u8) -> [char; 2] {
    [byte >> 4, byte & 0xf].map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0'))
}

impl FromStr for InterfaceName {
    type Err = InterfaceNameError;

    fn from_str(text: &str) -> Result<Self, InterfaceNameError> {
        let fits = (1..=MAX_LENGTH).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if fits { Ok(Self(text.to_owned())) } else { Err(InterfaceNameError(text.to_owned())) }
    }
}

impl TryFrom<String> for InterfaceName {
    type Error = InterfaceNameError;

    fn try_from(text: String) -> Result<Self, InterfaceNameError> {
        text.parse()
    }
}

impl From<InterfaceName> for String {
    fn from(name: InterfaceName) -> Self {
        name.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_name_is_stable_and_fits() {
        let name = InterfaceName::derive("hstv-", "an-app-with-a-long-name/and-a-container").unwrap();
        assert_eq!(name, InterfaceName::derive("hstv-", "an-app-with-a-long-name/and-a-container").unwrap());
        assert_eq!(name.as_str().len(), MAX_LENGTH);
        assert_ne!(name, InterfaceName::derive("hstv-", "other/container").unwrap());
    }

    #[test]
    fn names_that_linux_or_nft_would_misread_are_refused() {
        for text in ["", "a234567890123456", "a/b", "a b", "br0\"", "br*", ".", "..", "-x", "0", "ü"] {
            assert!(text.parse::<InterfaceName>().is_err(), "{text}");
        }
        InterfaceName::derive("toolong", "key").unwrap_err();
    }
}
