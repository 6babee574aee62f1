//! Kernel parameters of a network namespace.

use std::io;
use std::path::Path;

/// Sets `/proc/sys/net/PATH` in the network namespace of the calling thread, if it is not already so: a read works
/// where /proc/sys is read-only. A parameter that this kernel does not have is left alone.
pub(crate) fn set(path: &str, value: &str) -> io::Result<()> {
    let path = Path::new("/proc/sys/net").join(path);
    match fs_err::read_to_string(&path) {
        Ok(current) if current.trim() == value => Ok(()),
        Ok(_) => fs_err::write(&path, value),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
