//! What files and directories of a source may hold.

use std::path::{Component, Path};

use homeostat_reconciler::{ErrorKind, PortError, chain};

use crate::limits;

/// A file or directory of the source cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContentError {
    /// Neither file, directory nor symbolic link.
    #[error("{0} is a socket, fifo or device; a source has only files, directories and symbolic links")]
    Special(String),
    /// The path leads out of the source.
    #[error("{0} leaves the source through a symbolic link")]
    Leaves(String),
    /// A link inside of a directory leads out of that directory.
    #[error("the symbolic link {path} -> {target} leaves the directory that is copied")]
    LinkLeaves {
        /// The link, within the directory.
        path: String,
        /// Where it points to.
        target: String,
    },
    /// Links that lead to each other.
    #[error("{0} goes through too many symbolic links")]
    LinkLoop(String),
    /// git's own files.
    #[error("{0} belongs to git, not to the source")]
    GitDirectory(String),
    /// A commit of another repository.
    #[error("{0} is a git submodule; submodules are not fetched, copy the files into this repository")]
    Submodule(String),
    /// A name that would be harmful as a file name.
    #[error("{0:?} is not a name that a file can have")]
    Name(String),
    /// Two entries with one name.
    #[error("{0} is there twice")]
    Duplicate(String),
    /// More than [`limits::ENTRIES`].
    #[error("there are more than {} files and directories in it", limits::ENTRIES)]
    TooMany,
    /// More than [`limits::DEPTH`].
    #[error("{0} is more than {depth} directories deep", depth = limits::DEPTH)]
    TooDeep(String),
    /// More bytes than accepted.
    #[error("{0} makes it too large")]
    TooLarge(String),
    /// Something wrote to it meanwhile.
    #[error("{0} changed while it was read")]
    Changed(String),
    /// The operating system said no.
    #[error("cannot {action} {path}")]
    Io {
        /// What was done, as a verb.
        action: &'static str,
        /// To what.
        path: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The mirror's object database said no.
    #[error("cannot read {path} from the mirror")]
    Object {
        /// Path within the source.
        path: String,
        /// Why it failed.
        source: git2::Error,
    },
}

impl ContentError {
    /// For `map_err`: the action on the path failed.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(rustix::io::Errno) -> Self {
        let path = show(path);
        move |errno| Self::Io { action, path, source: errno.into() }
    }

    /// For `map_err`: an object of the mirror is not readable.
    pub(crate) fn object(path: &Path) -> impl FnOnce(git2::Error) -> Self {
        let path = show(path);
        move |source| Self::Object { path, source }
    }

    /// The whole of it as one line, for a diagnostic.
    pub(crate) fn line(&self) -> String {
        chain(self)
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Changed(_) | Self::Io { .. } | Self::Object { .. } => ErrorKind::Transient,
            _ => ErrorKind::User,
        }
    }
}

impl From<ContentError> for PortError {
    fn from(error: ContentError) -> Self {
        let hint = match &error {
            ContentError::LinkLeaves { .. } => {
                Some("point the link to something beside it, or copy the file")
            }
            ContentError::TooMany | ContentError::TooLarge(_) => Some("name a smaller directory"),
            _ => None,
        };
        let (kind, message) = (error.kind(), error.to_string());
        let mut port = Self::new(kind, message);
        port.hint = hint.map(str::to_owned);
        port.source = match error {
            ContentError::Io { source, .. } => Some(Box::new(source)),
            ContentError::Object { source, .. } => Some(Box::new(source)),
            _ => None,
        };
        port
    }
}

/// A path for people.
pub(crate) fn show(path: &Path) -> String {
    if path.as_os_str().is_empty() { ".".to_owned() } else { path.display().to_string() }
}

/// Whether this is the name of git's own directory, which is never part of a source.
///
/// Any case counts: a tree may later lie on a file system that does not tell cases apart.
pub(crate) fn is_git_directory(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b".git")
}

/// Whether a link in a directory `depth` levels below the root stays below the root, whatever else is there.
///
/// `..` counts only at the beginning, where it means the real parent of the link. After a name it could be
/// the parent of whatever that name links to, so it is refused there. By induction over the links of a tree
/// none of which leaves by this rule, no chain of them leaves either.
pub(crate) fn link_stays_inside(depth: usize, target: &Path) -> bool {
    let (mut up, mut named) = (0, false);
    for component in target.components() {
        match component {
            Component::ParentDir if named => return false,
            Component::ParentDir => up += 1,
            Component::Normal(name) if is_git_directory(name.as_encoded_bytes()) => return false,
            Component::Normal(_) => named = true,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    up <= depth
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside_only_by_real_parents() {
        let inside = |depth, target: &str| link_stays_inside(depth, Path::new(target));
        assert!(inside(0, "a"));
        assert!(inside(0, "./a/b"));
        assert!(inside(1, "../a"));
        assert!(inside(2, "../../a"));
        assert!(!inside(0, "../a"));
        assert!(!inside(1, "../../a"));
        assert!(!inside(0, "/etc/passwd"));
        assert!(!inside(3, "a/../b"), "a may itself be a link to another depth");
        assert!(!inside(0, ".git/config"));
    }
}
