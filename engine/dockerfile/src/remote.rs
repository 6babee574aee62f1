//! Sources of `ADD` that are no files of the context.

/// Whether Docker would fetch this source of `ADD` from elsewhere: a URL or a git repository.
pub fn is_remote(source: &str) -> bool {
    ["http://", "https://", "git://", "ssh://", "git@"].iter().any(|prefix| source.starts_with(prefix))
}
