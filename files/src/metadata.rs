//! What is known about a file.

use rustix::fs::{FileType, Statx};

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
}

/// A point in time as file systems keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z; negative before.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, below 1,000,000,000.
    pub nanoseconds: u32,
}

/// Who may do what with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Permissions {
    /// Permission bits with setuid, setgid and sticky, as in `chmod(2)`; not filtered by the umask.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Permissions {
    /// This mode, owned by root.
    pub fn root(mode: u32) -> Self {
        Self { mode, uid: 0, gid: 0 }
    }
}

/// What is known about a file; a link is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// What kind of file it is.
    pub kind: FileKind,
    /// Mode, owner and group.
    pub permissions: Permissions,
    /// Size in bytes: of a link, the length of its target.
    pub size: u64,
    /// Disk space in use, in bytes: less than the size in a sparse file.
    pub allocated: u64,
    /// When the content was last changed.
    pub modified: Timestamp,
    /// How many names the file has.
    pub links: u32,
    /// The file's number on its device.
    pub inode: u64,
    /// Major and minor number of the device it is on.
    pub device: (u32, u32),
    /// Major and minor number of the device that it is.
    pub represents: (u32, u32),
}

impl Metadata {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == FileKind::Directory
    }

    pub(crate) fn from_statx(stat: &Statx) -> Self {
        let mode = u32::from(stat.stx_mode);
        Self {
            kind: match FileType::from_raw_mode(mode) {
                FileType::Directory => FileKind::Directory,
                FileType::Symlink => FileKind::Symlink,
                FileType::CharacterDevice => FileKind::CharacterDevice,
                FileType::BlockDevice => FileKind::BlockDevice,
                FileType::Fifo => FileKind::Fifo,
                FileType::Socket => FileKind::Socket,
                FileType::RegularFile | FileType::Unknown => FileKind::Regular,
            },
            permissions: Permissions { mode: mode & 0o7777, uid: stat.stx_uid, gid: stat.stx_gid },
            size: stat.stx_size,
            allocated: stat.stx_blocks.saturating_mul(512),
            modified: Timestamp { seconds: stat.stx_mtime.tv_sec, nanoseconds: stat.stx_mtime.tv_nsec },
            links: stat.stx_nlink,
            inode: stat.stx_ino,
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            represents: (stat.stx_rdev_major, stat.stx_rdev_minor),
        }
    }
}
