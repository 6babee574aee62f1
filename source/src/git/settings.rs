//! Settings of libgit2 that hold for the whole process.

use std::sync::Once;

use git2::ObjectType;
use tracing::warn;

/// How long to wait for a server to accept a connection, in milliseconds.
const CONNECT_TIMEOUT: i32 = 15_000;

/// How long to wait for a server to send something, in milliseconds.
const SERVER_TIMEOUT: i32 = 60_000;

/// What libgit2 keeps in memory of objects, in bytes, instead of 256 MiB: specs are read once.
const CACHE: isize = 1 << 20;

/// What libgit2 maps of pack files at once, in bytes.
const MAPPED: usize = 64 << 20;

/// Sets up libgit2 and OpenSSL, once: timeouts, small caches, and where the system keeps its CA certificates
/// (found by looking, as the library is built in; `SSL_CERT_FILE` and `SSL_CERT_DIR` win).
///
/// The last is kept in environment variables of this process. Call this early in `main`, while there is only one
/// thread; otherwise the first [`GitSource`](crate::GitSource) does it.
pub fn initialize() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if let Err(error) = apply() {
            warn!("cannot set up libgit2, it keeps its defaults: {error}");
        }
    });
}

#[allow(unsafe_code)]
fn apply() -> Result<(), git2::Error> {
    // SAFETY: these write plain global variables of libgit2 without synchronization. `Once` makes this the only
    // write, and no other thread is inside libgit2: everything that calls it here goes through a `GitSource`,
    // whose constructor returns only after this.
    unsafe {
        git2::opts::set_server_connect_timeout_in_milliseconds(CONNECT_TIMEOUT)?;
        git2::opts::set_server_timeout_in_milliseconds(SERVER_TIMEOUT)?;
        git2::opts::set_cache_max_size(CACHE)?;
        git2::opts::set_cache_object_limit(ObjectType::Blob, 0)?;
        git2::opts::set_mwindow_mapped_limit(MAPPED)?;
    }
    git2::opts::strict_hash_verification(true);
    Ok(())
}
