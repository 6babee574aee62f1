//! Mounts of layers.

mod trial;

pub use trial::try_in;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags};

use crate::FileError;

/// The longest string that `fsconfig(2)` takes, in bytes, without its end.
const STRING_LIMIT: usize = 255;

/// Directories that are to be seen as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// The layers that are only read, the top one first, as in the kernel's `lowerdir=`. At most 500.
    pub lower: Vec<PathBuf>,
    /// Where changes go; without it the mount is read-only.
    pub upper: Option<Upper>,
}

/// Where the changes of a mount go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upper {
    /// The directory that receives the changes.
    pub directory: PathBuf,
    /// An empty directory on the same file system, for the kernel's use.
    pub work: PathBuf,
    /// Whether what processes in the mount synchronize is really synchronized. Without, a crash leaves `directory`
    /// useless, and the mount is much faster: for a build, whose leftovers are thrown away (Linux 5.10 or newer).
    pub durable: bool,
}

/// A mount failed.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// The kernel has no overlayfs.
    #[error(
        "the kernel has no overlayfs: load the module `overlay`, or boot a kernel built with CONFIG_OVERLAY_FS"
    )]
    Unsupported,
    /// There is no directory to mount.
    #[error("there is no layer to mount at {}", target.display())]
    Empty {
        /// Where it was to be mounted.
        target: PathBuf,
    },
    /// A directory of the overlay is missing, is none, or cannot be mounted by itself.
    #[error("cannot use a layer")]
    Layer(#[from] FileError),
    /// The kernel refused.
    #[error("cannot mount {} layers at {}{log}", layers, target.display())]
    Mount {
        /// Where it was to be mounted.
        target: PathBuf,
        /// How many layers it has.
        layers: usize,
        /// What the kernel says about it.
        log: KernelLog,
        /// What the kernel answered.
        source: io::Error,
    },
}

/// What the kernel says about a mount that it refused. Overlayfs says most things in the kernel's log only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelLog(pub Vec<String>);

impl fmt::Display for KernelLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            f.write_str(" (dmesg may say why)")
        } else {
            write!(f, " ({})", self.0.join("; "))
        }
    }
}

/// Mounts an overlay at `target`, an existing directory whose path is trusted.
///
/// One lower directory with no upper is a read-only bind mount, and an upper with no lower a bind mount: overlayfs wants
/// two directories. Renames of lower directories are refused with EXDEV (`redirect_dir=off`) and no metadata-only
/// copies are made, so that the upper directory is a complete difference.
///
/// # Errors
/// [`OverlayError::Unsupported`] when the kernel has no overlayfs. On any error nothing stays mounted.
pub fn mount(overlay: &Overlay, target: impl AsRef<Path>) -> Result<(), OverlayError> {
    let target = target.as_ref();
    match (&*overlay.lower, &overlay.upper) {
        ([], None) => Err(OverlayError::Empty { target: target.to_owned() }),
        ([only], None) => bind(only, target, true),
        ([], Some(upper)) => bind(&upper.directory, target, false),
        _ => mount_by_descriptor(overlay, target).or_else(|refusal| match &refusal {
            OverlayError::Mount { source, log, .. } if is_too_old(source) => {
                let explained = !log.0.is_empty();
                mount_by_options(overlay, target).map_err(|second| if explained { refusal } else { second })
            }
            _ => Err(refusal),
        }),
    }
}

/// Removes the topmost mount at `target`, at once for everybody who looks, and in full when its last user is done.
/// Says whether there was one.
///
/// # Errors
/// When the kernel refuses.
pub fn unmount(target: impl AsRef<Path>) -> Result<bool, FileError> {
    let target = target.as_ref();
    match rustix::mount::unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOENT) => Ok(false),
        Err(source) => Err(FileError::new("unmount", target, source)),
    }
}

fn bind(source: &Path, target: &Path, read_only: bool) -> Result<(), OverlayError> {
    let failed = |errno: Errno| OverlayError::Layer(FileError::new("mount", source, errno));
    rustix::mount::mount_bind(source, target).map_err(failed)?;
    if !read_only {
        return Ok(());
    }
    rustix::mount::mount_remount(target, MountFlags::BIND | MountFlags::RDONLY, "").map_err(|errno| {
        // Best effort: the error that led here says more than one from this.
        let _ = rustix::mount::unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        failed(errno)
    })
}

/// No `fsopen` before Linux 5.2; no `lowerdir+` before 6.5.
fn is_too_old(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOSYS | Errno::INVAL))
}

fn mount_by_descriptor(overlay: &Overlay, target: &Path) -> Result<(), OverlayError> {
    let mount = mount_detached(overlay, target, "lowerdir+")?;
    rustix::mount::move_mount(&mount, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|errno| refused(overlay, target, None, errno))
}

/// A mount that is nowhere yet, and gone when it is dropped. `lower_key` is how the kernel takes each lower directory.
fn mount_detached(overlay: &Overlay, target: &Path, lower_key: &str) -> Result<OwnedFd, OverlayError> {
    let context =
        rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(|errno| match errno {
            Errno::NODEV => OverlayError::Unsupported,
            errno => refused(overlay, target, None, errno),
        })?;
    let failed = |errno: Errno| refused(overlay, target, Some(context.as_fd()), errno);
    let mut held = Vec::new();
    for lower in &overlay.lower {
        let value = short_path(lower, &mut held)?;
        rustix::mount::fsconfig_set_string(&context, lower_key, value).map_err(failed)?;
    }
    if let Some(upper) = &overlay.upper {
        for (key, directory) in [("upperdir", &upper.directory), ("workdir", &upper.work)] {
            let value = short_path(directory, &mut held)?;
            rustix::mount::fsconfig_set_string(&context, key, value).map_err(failed)?;
        }
        for (key, value) in COMPLETE_DIFFERENCE {
            rustix::mount::fsconfig_set_string(&context, key, value).map_err(failed)?;
        }
        if !upper.durable {
            rustix::mount::fsconfig_set_flag(&context, "volatile").map_err(failed)?;
        }
    }
    rustix::mount::fsconfig_create(&context).map_err(failed)?;
    let attributes = MountAttrFlags::empty();
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(failed)
}

/// Options that make the upper directory a complete difference, and allow its reuse, whatever the kernel's defaults.
const COMPLETE_DIFFERENCE: [(&str, &str); 3] =
    [("redirect_dir", "off"), ("metacopy", "off"), ("index", "off")];

/// For kernels before 6.5. All options together must fit a page, so directories are named by descriptor.
fn mount_by_options(overlay: &Overlay, target: &Path) -> Result<(), OverlayError> {
    let mut held = Vec::new();
    let mut lower = Vec::new();
    for directory in &overlay.lower {
        lower.push(descriptor_path(directory, &mut held)?);
    }
    let mut options = vec![format!("lowerdir={}", lower.join(":"))];
    if let Some(upper) = &overlay.upper {
        let directory = descriptor_path(&upper.directory, &mut held)?;
        let work = descriptor_path(&upper.work, &mut held)?;
        options.push(format!("upperdir={directory}"));
        options.push(format!("workdir={work}"));
        options.extend(COMPLETE_DIFFERENCE.map(|(key, value)| format!("{key}={value}")));
        if !upper.durable {
            options.push("volatile".to_owned());
        }
    }
    let options = std::ffi::CString::new(options.join(",")).expect("descriptor paths hold no zero byte");
    rustix::mount::mount("overlay", target, "overlay", MountFlags::empty(), Some(options.as_c_str())).map_err(
        |errno| match errno {
            Errno::NODEV => OverlayError::Unsupported,
            errno => refused(overlay, target, None, errno),
        },
    )
}

/// The path itself where `fsconfig` takes it, so that mount tables are readable; else by descriptor.
fn short_path(directory: &Path, held: &mut Vec<OwnedFd>) -> Result<PathBuf, FileError> {
    if directory.is_absolute() && directory.as_os_str().as_bytes().len() <= STRING_LIMIT {
        Ok(directory.to_owned())
    } else {
        Ok(descriptor_path(directory, held)?.into())
    }
}

fn descriptor_path(directory: &Path, held: &mut Vec<OwnedFd>) -> Result<String, FileError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let file = rustix::fs::open(directory, flags, Mode::empty())
        .map_err(|source| FileError::new("open", directory, source))?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    held.push(file);
    Ok(path)
}

fn refused(overlay: &Overlay, target: &Path, context: Option<BorrowedFd<'_>>, errno: Errno) -> OverlayError {
    OverlayError::Mount {
        target: target.to_owned(),
        layers: overlay.lower.len() + usize::from(overlay.upper.is_some()),
        log: context.map(read_log).unwrap_or_default(),
        source: errno.into(),
    }
}

/// The messages that the kernel keeps in the context of a mount, one a read.
fn read_log(context: BorrowedFd<'_>) -> KernelLog {
    let mut lines = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = rustix::io::read(context, &mut buffer) {
        let line = String::from_utf8_lossy(&buffer[..length]);
        // Each begins with its severity and a space: "e overlay: ...".
        lines.push(line.get(2..).unwrap_or_default().trim().to_owned());
    }
    KernelLog(lines)
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    #[test]
    fn the_way_of_older_kernels_mounts_two_hundred_layers_too() {
        let place = tempfile::tempdir().unwrap();
        let top = place.path().join("comma,colon:and-a-long-name-".repeat(8));
        let directory = |name: String| {
            let path = top.join(name);
            fs::create_dir_all(&path).unwrap();
            path
        };
        let lower: Vec<_> = (0..200).map(|number| directory(format!("layer{number}"))).collect();
        fs::write(lower[199].join("file"), "content").unwrap();
        let upper =
            Upper { directory: directory("upper".into()), work: directory("work".into()), durable: false };
        let target = directory("target".into());
        std::thread::spawn(move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
            let flags =
                rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
            rustix::mount::mount_change("/", flags).unwrap();
            mount_by_options(&Overlay { lower, upper: Some(upper.clone()) }, &target).unwrap();
            fs::write(target.join("file"), "changed").unwrap();
            assert_eq!(fs::read_to_string(upper.directory.join("file")).unwrap(), "changed");
            assert!(unmount(&target).unwrap());
        })
        .join()
        .unwrap();
    }
}
