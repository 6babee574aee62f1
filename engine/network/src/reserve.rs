//! Host ports that containers publish.
use std::os::fd::OwnedFd;

use crate::HostPort;

/// A process that has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortOwner {
    /// Its process id.
    pub pid: u32,
    /// Its name (`/proc/PID/comm`).
    pub name: String,
}

/// A port could not be reserved.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// The port is in use.
    #[error("port {port} of the host is in use{}", describe(.owner.as_ref()))]
    InUse {
        /// The port.
        port: HostPort,
        /// Who has it, where that can be found out.
        owner: Option<PortOwner>,
    },
    /// The host does not have the address.
    #[error("port {port} cannot be published: the host does not have this address")]
    NoSuchAddress {
        /// The port.
        port: HostPort,
    },
    /// The kernel refuses.
    #[error("cannot reserve port {port} of the host")]
    Kernel {
        /// The port.
        port: HostPort,
        /// What the kernel said.
        source: std::io::Error,
    },
}

fn describe(owner: Option<&PortOwner>) -> String {
    owner.map(|owner| format!(" by {} (process {})", owner.name, owner.pid)).unwrap_or_default()
}

/// Binds the ports in the calling thread's network namespace without listening.
pub fn reserve(_ports: &[HostPort]) -> Result<Vec<OwnedFd>, ReserveError> {
    unimplemented!()
}
