//! What a source argument means.

use std::path::{Path, PathBuf};

use homeostat_reconciler::PortError;

use crate::git::{Location, is_helper};

/// Where specs come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// A directory of this host, for [`DirectorySource`](crate::DirectorySource).
    Directory(PathBuf),
    /// A URL or path of a git repository, for [`GitSource`](crate::GitSource).
    Git(String),
}

/// Tells whether a `SOURCE` argument is a directory or a git repository, without looking at the disk.
///
/// A repository is what has a scheme (`https://`, `ssh://`, `file://`), is written as `user@host:path` or
/// `host:path` (git's scp-like form, gitremote URLs in git-fetch(1)), or is a path that ends in `.git`, as bare
/// repositories do. Everything else is a directory; a path with a colon is told apart from a host by a `/` before it
/// (`./a:b`).
///
/// # Errors
/// Of kind `Config` for a URL of a scheme that is not accepted, or one that is malformed.
pub fn parse_source(text: &str) -> Result<SourceKind, PortError> {
    let scheme = text.contains("://") || is_helper(text);
    let before_colon = text.split_once(':').map(|(host, _)| host);
    let scp_like = before_colon.is_some_and(|host| !host.is_empty() && !host.contains('/'));
    let bare = Path::new(text).extension().is_some_and(|extension| extension == "git");
    if scheme || scp_like || bare {
        Location::parse(text)?;
        return Ok(SourceKind::Git(text.to_owned()));
    }
    Ok(SourceKind::Directory(PathBuf::from(text)))
}

#[cfg(test)]
mod tests {
    use homeostat_reconciler::ErrorKind;

    use super::*;

    #[test]
    fn directories_and_repositories_are_told_apart() {
        for text in [
            "examples/quickstart",
            "/etc/homeostat/specs",
            ".",
            "./a:b",
            "./a::b",
            "/srv/a:b",
            "specs",
            ".git",
        ] {
            assert_eq!(parse_source(text).unwrap(), SourceKind::Directory(text.into()), "{text}");
        }
        for text in [
            "https://example.org/fleet.git",
            "https://user:token@example.org/fleet",
            "ssh://git@example.org:2222/fleet",
            "file:///srv/fleet",
            "git@example.org:acme/fleet.git",
            "example.org:fleet",
            "/srv/fleet.git",
            "../fleet.git/",
        ] {
            assert_eq!(parse_source(text).unwrap(), SourceKind::Git(text.into()), "{text}");
        }
    }

    #[test]
    fn harmful_urls_are_refused() {
        for text in [
            "ext::sh -c id",
            "ssh://-oProxyCommand=id/x",
            "-oProxyCommand=id:x",
            "git://example.org/x",
            "http://example.org/x",
            "ftp://example.org/x",
            "https:///x",
            "https://example.org/a b",
            "https://example.org/a\nb",
            "ssh://git@-host/x",
            "ssh://example.org:99999/x",
            "ssh://git:hunter2@example.org/x",
        ] {
            let error = parse_source(text).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Config, "{text}");
            assert!(!error.message.contains("hunter2"), "{}", error.message);
        }
    }
}
