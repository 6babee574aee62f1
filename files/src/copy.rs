//! Copies with all that belongs to a file.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use fs_err as fs;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::{Entry, FileError, FileKind, Handle, NodeKind, Permissions, Root};

/// What is read and written at once where the kernel does not copy by itself, in bytes.
const PIECE: usize = 1 << 18;

/// Copies a file of any kind to a name where nothing is: content, owner, mode, the extended attributes that `keeps`
/// names, and the time of the last change. Of a directory, not what is in it.
///
/// Content is shared with the source where the file system can (`FICLONE`). Else it is copied, and holes stay holes.
///
/// # Errors
/// When something is there already, or the kernel refuses. What was made until then stays.
pub fn copy_file(source: &Handle, target: &Entry, keeps: impl Fn(&OsStr) -> bool) -> Result<(), FileError> {
    let found = source.metadata()?;
    let (major, minor) = found.represents;
    let node = match found.kind {
        FileKind::Directory => {
            target.create_directory(found.permissions)?;
            None
        }
        FileKind::Symlink => {
            target.symlink(&source.read_link()?)?;
            None
        }
        FileKind::Regular => {
            // Nobody else opens it before it is whole, whatever its mode will be.
            let file = target.create_file(Permissions::root(0o600))?;
            copy_content(&source.open_to_read()?, &file, found.size)
                .map_err(|error| FileError::new("copy to", target.path(), error))?;
            None
        }
        FileKind::CharacterDevice => Some(NodeKind::CharacterDevice(major, minor)),
        FileKind::BlockDevice => Some(NodeKind::BlockDevice(major, minor)),
        FileKind::Fifo => Some(NodeKind::Fifo),
        FileKind::Socket => Some(NodeKind::Socket),
    };
    if let Some(node) = node {
        target.make_node(node, found.permissions)?;
    }
    copy_attributes(source, &target.handle()?, keeps)
}

/// Gives `target` owner, mode and time of `source`, and those of its extended attributes that `keeps` names, in the order in
/// which none clears another.
///
/// # Errors
/// When the kernel refuses.
pub fn copy_attributes(
    source: &Handle,
    target: &Handle,
    keeps: impl Fn(&OsStr) -> bool,
) -> Result<(), FileError> {
    let found = source.metadata()?;
    target.set_permissions(found.permissions)?;
    for name in source.xattr_names()?.iter().filter(|name| keeps(name)) {
        if let Some(value) = source.xattr(name)? {
            target.set_xattr(name, &value)?;
        }
    }
    target.set_modified(found.modified)
}

fn copy_content(from: &fs::File, to: &fs::File, size: u64) -> io::Result<()> {
    if size == 0 || rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    // The size first: what is not written is a hole.
    to.set_len(size)?;
    let mut offset = 0;
    while let Some((start, end)) = next_data(from, offset, size)? {
        copy_range(from, to, start, end)?;
        offset = end;
    }
    Ok(())
}

/// The next part of a file that is no hole.
fn next_data(file: &fs::File, offset: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    if offset >= size {
        return Ok(None);
    }
    match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(start) => Ok(Some((start, rustix::fs::seek(file, SeekFrom::Hole(start))?.min(size)))),
        // Nothing but a hole is left.
        Err(Errno::NXIO) => Ok(None),
        // This file system does not tell.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some((offset, size))),
        Err(error) => Err(error.into()),
    }
}

fn copy_range(from: &fs::File, to: &fs::File, start: u64, end: u64) -> io::Result<()> {
    let (mut read, mut written) = (start, start);
    while written < end {
        let length = usize::try_from(end - written).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::copy_file_range(from, Some(&mut read), to, Some(&mut written), length) {
            Ok(0) => return Err(shrunk()),
            Ok(_) => {}
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::XDEV) => {
                return copy_by_pieces(from, to, written, end);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copy_by_pieces(from: &fs::File, to: &fs::File, start: u64, end: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let mut buffer = vec![0; PIECE];
    let mut offset = start;
    while offset < end {
        let length = usize::try_from(end - offset).unwrap_or(PIECE).min(PIECE);
        let length = from.file().read_at(&mut buffer[..length], offset)?;
        if length == 0 {
            return Err(shrunk());
        }
        to.file().write_all_at(&buffer[..length], offset)?;
        offset += length as u64;
    }
    Ok(())
}

fn shrunk() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the source shrank meanwhile")
}

/// Whether a copy in an empty directory takes no room for its content, since it shares that of its source.
///
/// # Errors
/// When no file can be made there.
pub fn shares_blocks(directory: impl AsRef<Path>) -> Result<bool, FileError> {
    let tree = Root::open(directory)?;
    let mut files = Vec::new();
    for name in ["source", "copy"] {
        files.push(tree.create_file(name, Permissions::root(0o600))?);
    }
    files[0].set_len(1).map_err(|error| FileError::new("write", files[0].path(), error))?;
    let shares = rustix::fs::ioctl_ficlone(&files[1], &files[0]).is_ok();
    for name in ["source", "copy"] {
        tree.remove(name)?;
    }
    Ok(shares)
}
