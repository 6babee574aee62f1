//! Mounts that nobody else sees, and that end by themselves.

use std::io;

use nix::mount::MsFlags;
use nix::sched::CloneFlags;

use crate::EmbeddedError;

/// Runs `work` on a thread that has a mount namespace of its own: what it mounts is gone when it ends, also when the
/// whole process is killed.
pub(crate) fn run<T: Send>(
    work: impl FnOnce() -> Result<T, EmbeddedError> + Send,
) -> Result<T, EmbeddedError> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            leave().map_err(EmbeddedError::MountNamespace)?;
            work()
        });
        thread.join().unwrap_or_else(|_| Err(EmbeddedError::Panicked))
    })
}

fn leave() -> io::Result<()> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNS)?;
    let none = None::<&str>;
    nix::mount::mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    Ok(())
}
