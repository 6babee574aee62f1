//! Why something about links, addresses or routes could not be done.

use std::io;

use homeostat_reconciler::ErrorKind;
use nix::errno::Errno;

/// A link, an address, a route or a kernel parameter could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation}")]
pub struct NetworkError {
    /// What was attempted, as `create the bridge hs0`.
    pub operation: String,
    /// What the kernel said.
    pub source: io::Error,
}

impl NetworkError {
    pub(crate) fn new(operation: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self { operation: operation.into(), source: source.into() }
    }

    /// Who can do something about it.
    pub fn kind(&self) -> ErrorKind {
        match self.errno() {
            Some(Errno::EPERM | Errno::EACCES | Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT | Errno::EROFS) => {
                ErrorKind::Config
            }
            _ => ErrorKind::Transient,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self.errno()? {
            Errno::EPERM | Errno::EACCES => Some("run homeostat as root, or with CAP_NET_ADMIN"),
            Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT => {
                Some("the kernel lacks the modules `bridge` and `veth`: load them with modprobe")
            }
            Errno::EROFS => Some("/proc/sys is read-only: set net.ipv4.ip_forward=1 on the host"),
            _ => None,
        }
    }

    fn errno(&self) -> Option<Errno> {
        self.source.raw_os_error().map(Errno::from_raw)
    }
}

/// Adds what was attempted to the kernel's answer.
pub(crate) trait Attempted<T> {
    fn attempted(self, operation: impl FnOnce() -> String) -> Result<T, NetworkError>;
}

impl<T> Attempted<T> for io::Result<T> {
    fn attempted(self, operation: impl FnOnce() -> String) -> Result<T, NetworkError> {
        self.map_err(|source| NetworkError::new(operation(), source))
    }
}
