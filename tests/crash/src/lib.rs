//! Homeostat stopped half-way: killed, or its disk cut off from power, at any system call that changes a file.
//!
//! - [`Disk`]: ext4 on a loop device, which can be cut off as a pulled plug does it.
//! - [`trace`]: runs a command and shows each [`Point`], a system call that changes a file, before it happens.
//! - [`Work`]: what is interrupted: a pull, a build, a container's creation, a prune.
//! - [`Rig`]: a host for one of them, that begins anew on the same files each time.
//! - [`assert_layers_are_their_archives`]: an image store compared with its archives by other means than its own.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test")]
#![expect(clippy::missing_panics_doc, reason = "what cannot be had fails the test")]

mod archives;
mod disk;
mod point;
mod rig;
mod trace;
mod work;

pub use archives::assert_layers_are_their_archives;
pub use disk::{Cut, Disk, own_mounts};
pub use point::Point;
pub use rig::{Interruption, Rig};
pub use trace::{Next, Trace, trace};
pub use work::Work;
