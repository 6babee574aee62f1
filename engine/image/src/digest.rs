//! Content addresses.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The address of content: `sha256:` and 64 lower-case hexadecimal digits, as in the OCI image specification,
/// "Digests". Other algorithms are not used here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// A text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no digest of the form sha256:HEX")]
pub struct InvalidDigest(pub String);

const PREFIX: &str = "sha256:";

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("{PREFIX}{:x}", Sha256::digest(bytes)))
    }

    /// The digest of what can be read until its end.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_reader(reader: impl Read) -> io::Result<Self> {
        let mut hashing = Hashing::new(io::sink());
        io::copy(&mut io::BufReader::with_capacity(128 << 10, reader), &mut hashing)?;
        Ok(hashing.finish().1)
    }

    /// The 64 hexadecimal digits: a safe file name.
    pub fn hex(&self) -> &str {
        &self.0[PREFIX.len()..]
    }

    /// All of it, with `sha256:`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn from_hex(hex: &str) -> Result<Self, InvalidDigest> {
        format!("{PREFIX}{hex}").parse()
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let is_hex = |hex: &str| hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match text.strip_prefix(PREFIX) {
            Some(hex) if hex.len() == 64 && is_hex(hex) => Ok(Self(text.to_owned())),
            _ => Err(InvalidDigest(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Passes bytes on to or from `inner`, and knows their digest and number.
pub(crate) struct Hashing<T> {
    inner: T,
    hash: Sha256,
    count: u64,
}

impl<T> Hashing<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self { inner, hash: Sha256::new(), count: 0 }
    }

    /// What was passed through, and how much.
    pub(crate) fn finish(self) -> (T, Digest, u64) {
        (self.inner, Digest(format!("{PREFIX}{:x}", self.hash.finalize())), self.count)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.hash.update(&buffer[..length]);
        self.count += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_sha256_digests_are_digests() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b""), Digest::from_hex(hex).unwrap());
        for wrong in ["", hex, "sha256:", "sha256:../../x", &format!("sha256:{}", hex.to_uppercase())] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }
}
