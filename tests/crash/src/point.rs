//! System calls that change a file.

use std::fmt;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

/// A system call that is about to change a file, a name, a mount or what is on the disk for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// Its name.
    pub call: &'static str,
    /// What it changes.
    pub path: PathBuf,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.call, self.path.display())
    }
}

/// Where a system call has what it changes: the numbers of its arguments.
#[derive(Debug, Clone, Copy)]
enum Operand {
    /// An open file.
    File(usize),
    /// A path.
    Path(usize),
    /// A directory, and a path in it.
    At(usize, usize),
    /// The same, of a file that is opened with these flags: only a new one counts.
    Created(usize, usize, usize),
}

use Operand::{At, Created, File, Path as At0};

/// What counts. Names are those of the kernel.
const CALLS: &[(i64, &str, Operand)] = &[
    (libc::SYS_openat, "openat", Created(0, 1, 2)),
    (libc::SYS_mkdirat, "mkdirat", At(0, 1)),
    (libc::SYS_mknodat, "mknodat", At(0, 1)),
    (libc::SYS_unlinkat, "unlinkat", At(0, 1)),
    (libc::SYS_symlinkat, "symlinkat", At(1, 2)),
    (libc::SYS_linkat, "linkat", At(2, 3)),
    (libc::SYS_renameat, "renameat", At(2, 3)),
    (libc::SYS_renameat2, "renameat2", At(2, 3)),
    (libc::SYS_fchmodat, "fchmodat", At(0, 1)),
    (libc::SYS_fchownat, "fchownat", At(0, 1)),
    (libc::SYS_utimensat, "utimensat", At(0, 1)),
    (libc::SYS_setxattr, "setxattr", At0(0)),
    (libc::SYS_truncate, "truncate", At0(0)),
    (libc::SYS_mount, "mount", At0(1)),
    (libc::SYS_umount2, "umount2", At0(0)),
    (libc::SYS_move_mount, "move_mount", At(2, 3)),
    (libc::SYS_write, "write", File(0)),
    (libc::SYS_writev, "writev", File(0)),
    (libc::SYS_pwrite64, "pwrite64", File(0)),
    (libc::SYS_copy_file_range, "copy_file_range", File(2)),
    (libc::SYS_sendfile, "sendfile", File(0)),
    (libc::SYS_ftruncate, "ftruncate", File(0)),
    (libc::SYS_fchmod, "fchmod", File(0)),
    (libc::SYS_fchown, "fchown", File(0)),
    (libc::SYS_fsync, "fsync", File(0)),
    (libc::SYS_fdatasync, "fdatasync", File(0)),
    (libc::SYS_sync_file_range, "sync_file_range", File(0)),
    (libc::SYS_syncfs, "syncfs", File(0)),
];

/// The same calls as they were before they got a directory.
#[cfg(target_arch = "x86_64")]
const OLD_CALLS: &[(i64, &str, Operand)] = &[
    (libc::SYS_mkdir, "mkdir", At0(0)),
    (libc::SYS_mknod, "mknod", At0(0)),
    (libc::SYS_rmdir, "rmdir", At0(0)),
    (libc::SYS_unlink, "unlink", At0(0)),
    (libc::SYS_symlink, "symlink", At0(1)),
    (libc::SYS_link, "link", At0(1)),
    (libc::SYS_rename, "rename", At0(1)),
    (libc::SYS_chmod, "chmod", At0(0)),
    (libc::SYS_chown, "chown", At0(0)),
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_CALLS: &[(i64, &str, Operand)] = &[];

impl Point {
    /// What the thread, stopped at a system call, is about to change; `None` when that is no file beneath `directory`.
    pub(crate) fn of(thread: Pid, directory: &Path) -> Option<Self> {
        let text = fs_err::read_to_string(format!("/proc/{thread}/syscall")).ok()?;
        let mut words = text.split_whitespace();
        let number: i64 = words.next()?.parse().ok()?;
        let (_, call, operand) = CALLS.iter().chain(OLD_CALLS).find(|(known, ..)| *known == number)?;
        let arguments: Vec<u64> = words.map_while(hexadecimal).collect();
        let path = Operands { thread, arguments }.path(*operand)?;
        path.starts_with(directory).then_some(Self { call, path })
    }
}

fn hexadecimal(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

/// The arguments of a system call.
struct Operands {
    thread: Pid,
    arguments: Vec<u64>,
}

impl Operands {
    fn path(&self, operand: Operand) -> Option<PathBuf> {
        match operand {
            File(file) => self.file(file),
            At0(path) => Some(self.followed(self.text(path)?)),
            At(directory, path) => self.at(directory, path),
            Created(directory, path, flags) => {
                let creates = *self.arguments.get(flags)? & (libc::O_CREAT | libc::O_TRUNC) as u64 != 0;
                if creates { self.at(directory, path) } else { None }
            }
        }
    }

    fn at(&self, directory: usize, path: usize) -> Option<PathBuf> {
        let path = self.text(path).unwrap_or_default();
        if path.is_absolute() {
            return Some(self.followed(path));
        }
        // Also that of no directory: paths of the working directory are not of interest here.
        Some(self.file(directory)?.join(path))
    }

    /// What an open file is.
    fn file(&self, argument: usize) -> Option<PathBuf> {
        let file = i32::try_from(self.arguments.get(argument)? & 0xffff_ffff).ok()?;
        fs_err::read_link(format!("/proc/{}/fd/{file}", self.thread)).ok()
    }

    /// The process may name an open file by its path in /proc.
    fn followed(&self, path: PathBuf) -> PathBuf {
        let Some(file) = path.to_str().and_then(|path| path.strip_prefix("/proc/self/fd/")) else {
            return path;
        };
        fs_err::read_link(format!("/proc/{}/fd/{file}", self.thread)).unwrap_or(path)
    }

    /// A path in the memory of the process.
    fn text(&self, argument: usize) -> Option<PathBuf> {
        use std::os::unix::ffi::OsStringExt as _;
        let mut memory = fs_err::File::open(format!("/proc/{}/mem", self.thread)).ok()?;
        memory.seek(SeekFrom::Start(*self.arguments.get(argument)?)).ok()?;
        let mut text = vec![0; 4096];
        // It may lie at the end of what is mapped.
        let length = memory.read(&mut text).ok()?;
        let end = text[..length].iter().position(|byte| *byte == 0)?;
        text.truncate(end);
        Some(std::ffi::OsString::from_vec(text).into())
    }
}
