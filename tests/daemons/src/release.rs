//! Whose packages a daemon is of.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A release of Debian with daemons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// This host's own: the suite is held to Debian 12's, with Docker 20.10 and Podman 4.3.
    Host,
    /// Debian 13's, with Docker 26.1 and Podman 5.4, in this root file system.
    Trixie(PathBuf),
}

impl Release {
    /// Debian 13's, which `scripts/peers` has made; or nothing, and a word on why.
    pub fn trixie() -> Option<Self> {
        let cache = std::env::var_os("HOMEOSTAT_PEERS_CACHE").unwrap_or("/var/cache/homeostat-peers".into());
        // The link is renewed while tests run.
        match fs_err::canonicalize(Path::new(&cache).join("trixie")) {
            Ok(root) => Some(Self::Trixie(root)),
            Err(error) => {
                println!("skipped: Debian 13 is not there, scripts/peers makes it: {error}");
                None
            }
        }
    }

    /// The root file system; empty for that of the host.
    pub(crate) fn root(&self) -> &OsStr {
        match self {
            Self::Host => OsStr::new(""),
            Self::Trixie(root) => root.as_os_str(),
        }
    }
}
