//! References to images, as the distribution project spells them out.

use std::collections::BTreeSet;

/// The reference with registry, repository and tag spelled out: `postgres` is
/// `docker.io/library/postgres:latest` (github.com/distribution/reference, `ParseNormalizedNamed` and `TagNameOnly`).
pub fn spelled_out(reference: &str) -> String {
    let (name, digest) =
        reference.split_once('@').map_or((reference, None), |(name, digest)| (name, Some(digest)));
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match name[last..].find(':') {
        Some(colon) => (&name[..last + colon], Some(&name[last + colon + 1..])),
        None => (name, None),
    };
    let full = match name.split_once('/') {
        Some((domain, _)) if domain.contains(['.', ':']) || domain == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    };
    let full = match full.strip_prefix("docker.io/") {
        Some(path) if !path.contains('/') => format!("docker.io/library/{path}"),
        _ => full,
    };
    match (tag, digest) {
        (Some(tag), Some(digest)) => format!("{full}:{tag}@{digest}"),
        (Some(tag), None) => format!("{full}:{tag}"),
        (None, Some(digest)) => format!("{full}@{digest}"),
        (None, None) => format!("{full}:latest"),
    }
}

/// The names under which engines may know an image: as it was given, spelled out, and without the tag that a digest
/// makes needless.
pub(crate) fn known_as(reference: &str) -> BTreeSet<String> {
    let full = spelled_out(reference);
    let by_digest = full.split_once('@').map(|(name, digest)| {
        let last = name.rfind('/').map_or(0, |slash| slash + 1);
        let repository = name[last..].find(':').map_or(name, |colon| &name[..last + colon]);
        format!("{repository}@{digest}")
    });
    [reference.to_owned(), full].into_iter().chain(by_digest).collect()
}

/// The registry that has the image, as `docker.io`.
pub fn registry(reference: &str) -> String {
    let full = spelled_out(reference);
    full.split('/').next().unwrap_or_default().to_owned()
}

/// The repository of an image, spelled out, as `docker.io/library/postgres`.
pub fn repository(reference: &str) -> String {
    let full = spelled_out(reference);
    let name = full.split('@').next().unwrap_or_default();
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let end = name[last..].find(':').map_or(name.len(), |colon| last + colon);
    name[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_filled_in() {
        let cases = [
            ("postgres", "docker.io/library/postgres:latest"),
            ("docker.io/postgres:16", "docker.io/library/postgres:16"),
            ("acme/web:1", "docker.io/acme/web:1"),
            ("localhost/base:1", "localhost/base:1"),
            ("localhost:5000/base", "localhost:5000/base:latest"),
            ("ghcr.io/acme/web@sha256:00", "ghcr.io/acme/web@sha256:00"),
            ("ghcr.io/acme/web:1@sha256:00", "ghcr.io/acme/web:1@sha256:00"),
        ];
        for (short, full) in cases {
            assert_eq!(spelled_out(short), full);
        }
        assert_eq!(registry("postgres"), "docker.io");
        let known: Vec<_> = known_as("acme/web:1@sha256:00").into_iter().collect();
        let full = ["docker.io/acme/web:1@sha256:00", "docker.io/acme/web@sha256:00"];
        assert_eq!(known, ["acme/web:1@sha256:00", full[0], full[1]]);
        assert_eq!(registry("localhost:5000/a"), "localhost:5000");
        assert_eq!(repository("postgres:16"), "docker.io/library/postgres");
        assert_eq!(repository("localhost:5000/a:1@sha256:00"), "localhost:5000/a");
        assert_eq!(repository("ghcr.io/a/b@sha256:00"), "ghcr.io/a/b");
    }
}
