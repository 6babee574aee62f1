//! What this process may do, which is little: it reads what strangers send.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

/// Descriptors for every bridge, query and connection that there can be.
const DESCRIPTORS: u64 = 1 << 16;

/// Gives up every capability: ports that the kernel chooses, and files of its own directory, need none.
pub(crate) fn give_up_privileges() -> io::Result<()> {
    let none = CapabilitySet::empty();
    set_no_new_privs(true)?;
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}

/// A limit that was inherited may be low: two descriptors are for a bridge.
pub(crate) fn allow_descriptors() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard.min(DESCRIPTORS), hard)?)
}
