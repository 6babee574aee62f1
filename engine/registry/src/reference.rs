//! References to images, taken apart.

use homeostat_image::Digest;
use homeostat_reconciler::spelled_out;

use crate::RegistryError;

/// Where an image is in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// `docker.io`, `registry.example:5000`.
    pub(crate) registry: String,
    /// `library/postgres`.
    pub(crate) repository: String,
    /// The digest, where the reference has one, else the tag.
    pub(crate) version: Version,
}

/// What is asked for in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Version {
    Tag(String),
    Digest(Digest),
}

impl Version {
    /// As it stands in a URL.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Tag(tag) => tag,
            Self::Digest(digest) => digest.as_str(),
        }
    }
}

impl Reference {
    /// Takes a reference apart. A tag beside a digest says nothing, as everywhere in the field.
    pub(crate) fn parse(text: &str) -> Result<Self, RegistryError> {
        let invalid = |reason| RegistryError::InvalidReference { reference: text.to_owned(), reason };
        let full = spelled_out(text);
        let (registry, rest) = full.split_once('/').ok_or_else(|| invalid("it names no repository"))?;
        let (named, digest) = match rest.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (rest, None),
        };
        let (repository, tag) = named.split_once(':').unwrap_or((named, "latest"));
        let version = match digest {
            Some(digest) => {
                Version::Digest(digest.parse().map_err(|_| invalid("its digest is no sha256 digest"))?)
            }
            None => Version::Tag(tag.to_owned()),
        };
        if !repository.split('/').all(is_path_component) {
            return Err(invalid(
                "a repository is named by lower-case letters, digits, and single . _ - between them",
            ));
        }
        if !is_tag(tag) {
            return Err(invalid("a tag has up to 128 letters, digits, and . _ - after the first"));
        }
        Ok(Self { registry: registry.to_owned(), repository: repository.to_owned(), version })
    }
}

/// Whether a text can be the name of an image, with a tag.
///
/// # Errors
/// When it is no reference, or one with a digest: an image gets that from what it is.
pub fn check_name(text: &str) -> Result<(), RegistryError> {
    match Reference::parse(text)?.version {
        Version::Tag(_) => Ok(()),
        Version::Digest(_) => Err(RegistryError::InvalidReference {
            reference: text.to_owned(),
            reason: "a name that is given has a tag, and no digest",
        }),
    }
}

/// As the distribution specification's "Pulling manifests" has it, but for runs of separators, which nobody is hurt by.
fn is_path_component(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.into_iter().all(|end| end.is_some_and(|byte| is_plain(*byte)))
        && bytes.iter().all(|byte| is_plain(*byte) || matches!(byte, b'.' | b'_' | b'-'))
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    bytes.len() <= 128
        && bytes.first().is_some_and(|byte| is_word(*byte))
        && bytes.iter().all(|byte| is_word(*byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let parsed = Reference::parse("postgres:16").unwrap();
        assert_eq!((parsed.registry.as_str(), parsed.repository.as_str()), ("docker.io", "library/postgres"));
        assert_eq!(parsed.version, Version::Tag("16".to_owned()));
        let digest = Digest::of(b"");
        let parsed = Reference::parse(&format!("localhost:5000/a/b:1@{digest}")).unwrap();
        assert_eq!((parsed.registry.as_str(), parsed.repository.as_str()), ("localhost:5000", "a/b"));
        assert_eq!(parsed.version, Version::Digest(digest));
    }

    #[test]
    fn what_would_lead_elsewhere_in_a_url_is_no_reference() {
        for wrong in
            ["a/../b", "a/b?c", "a/b#c", "a/B", "a/b:..%2f", "a/b:", "a//b", "a/b@sha512:00", "a/b@md5:0"]
        {
            assert!(Reference::parse(wrong).is_err(), "{wrong}");
        }
    }
}
