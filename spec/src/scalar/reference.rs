//! References to images, by the grammar of the distribution project
//! (`[DOMAIN/]PATH[:TAG][@DIGEST]`, github.com/distribution/reference).

use super::Scalar;
use crate::problem::Problem;

/// A reference as `ghcr.io/acme/web:1.4`, kept as it is written.
pub(crate) struct ImageReference(pub(crate) String);

/// The longest repository name, domain included.
const LONGEST_NAME: usize = 255;

impl Scalar for ImageReference {
    const FORMAT: &'static str = "image-reference";
    const EXAMPLES: &'static [&'static str] = &["docker.io/library/postgres:16", "ghcr.io/acme/web:1.4"];

    fn parse(text: &str) -> Result<Self, Problem> {
        check(text).map(|()| Self(text.to_owned())).map_err(|reason| {
            Problem::new(format!("{text:?} is no image reference: {reason}"))
                .hint("write `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`, as `docker.io/library/postgres:16`")
        })
    }
}

fn check(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err("the digest is not `sha256:` and 64 hexadecimal digits");
    }
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[last..].find(':') {
        Some(colon) => (&rest[..last + colon], Some(&rest[last + colon + 1..])),
        None => (rest, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err("a tag has 1 to 128 letters, digits, `_`, `.` and `-`");
    }
    check_name(name)
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if name.len() > LONGEST_NAME {
        return Err("it is too long");
    }
    let (domain, path) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
        _ => (None, name),
    };
    if domain.is_some_and(|domain| !is_domain(domain)) {
        return Err("its registry is no host name with an optional port");
    }
    if path.chars().any(|c| c.is_ascii_uppercase()) {
        return Err("a repository is lower case");
    }
    if path.split('/').all(is_path_component) { Ok(()) } else { Err("its repository is malformed") }
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = domain.split_once(':').map_or((domain, None), |(host, port)| (host, Some(port)));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    host.split('.').all(label) && port.is_none_or(|port| super::endpoint::parse_port(port).is_ok())
}

/// Lower-case letters and digits, in groups separated by `.`, `_`, `__` or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = component.split(alphanumeric).filter(|separator| !separator.is_empty());
    component.starts_with(alphanumeric)
        && component.ends_with(alphanumeric)
        && separators.into_iter().all(|s| matches!(s, "." | "_" | "__") || s.chars().all(|c| c == '-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128 && tag.starts_with(word) && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

fn is_digest(digest: &str) -> bool {
    digest.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_the_field_are_taken() {
        let digest = format!("ghcr.io/acme/web:1.4@sha256:{}", "a1".repeat(32));
        for text in [
            "postgres:16",
            "docker.io/library/postgres",
            "localhost:5000/a__b/c--d:x",
            "10.0.0.1:5000/web",
            &digest,
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in [
            "",
            "Web:1",
            "a b",
            "a:",
            "a/",
            "/a",
            "a:b:c",
            "a@sha256:12",
            "a___b",
            "-a",
            "a..b",
            "x.y:0/a",
            "a:ü",
            "http://x/y",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
