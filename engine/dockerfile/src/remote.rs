//! What is no file of this host by its name: sources of `ADD`, and build contexts.

/// What is fetched from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remote<'a> {
    /// What a URL with HTTP gives.
    Url(&'a str),
    /// Files of a git repository.
    Repository(Repository<'a>),
}

/// A directory of a git repository as Docker writes it: `URL#REFERENCE:DIRECTORY`, both parts of the fragment optional.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repository<'a> {
    /// Where the repository is, in a form that git knows.
    pub url: &'a str,
    /// A branch, a tag, or the hash of a commit; the default branch when absent.
    pub reference: Option<&'a str>,
    /// The directory within it; all of it when absent.
    pub directory: Option<&'a str>,
}

impl<'a> Remote<'a> {
    /// What a text means; nothing for a path. A URL with HTTP is a repository when its path ends in `.git`.
    pub fn parse(text: &'a str) -> Option<Self> {
        let repository = Repository::read(text);
        let begins = |schemes: &[&str]| schemes.iter().any(|scheme| text.starts_with(scheme));
        if begins(&["http://", "https://"]) {
            if repository.url.trim_end_matches('/').strip_suffix(".git").is_none() {
                return Some(Self::Url(text));
            }
        } else if !begins(&["git://", "ssh://", "git@"]) {
            return None;
        }
        Some(Self::Repository(repository))
    }
}

impl<'a> Repository<'a> {
    /// Takes the address of a repository apart.
    pub fn read(text: &'a str) -> Self {
        let (url, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (reference, directory) = fragment.split_once(':').unwrap_or((fragment, ""));
        let given = |text: &'a str| (!text.is_empty()).then_some(text);
        Self { url, reference: given(reference), directory: given(directory) }
    }

    /// Whether a text is the whole hash of a commit, with SHA-1.
    pub fn is_commit(text: &str) -> bool {
        text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_told_from_files_by_their_names() {
        let https = "https://example.org/a.git";
        for (text, url, reference, directory) in [
            (https.to_owned(), https, None, None),
            (format!("{https}#v1"), https, Some("v1"), None),
            (format!("{https}#:app"), https, None, Some("app")),
            ("git@example.org:a#main:b/c".to_owned(), "git@example.org:a", Some("main"), Some("b/c")),
            ("ssh://git@example.org/a".to_owned(), "ssh://git@example.org/a", None, None),
        ] {
            let repository = Repository { url, reference, directory };
            assert_eq!(Remote::parse(&text), Some(Remote::Repository(repository)), "{text}");
        }
        for text in
            ["https://example.org/a.tar", "http://example.org/a.git?raw", "https://example.org/#a.git"]
        {
            assert_eq!(Remote::parse(text), Some(Remote::Url(text)));
        }
        for text in [".", "./a#b", "/srv/a.tar.gz", "a.git", "file:///srv/a.git", "github.com/a/b"] {
            assert_eq!(Remote::parse(text), None, "{text}");
        }
    }
}
