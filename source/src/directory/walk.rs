//! One walk that digests a tree and, if wanted, copies it: what is copied is what was digested.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use sha2::{Digest as _, Sha256};

use super::beneath::Entry;
use super::cache::{Digest, DigestCache, Identity};
use super::read::hex;
use crate::content::{ContentError, is_git_directory, link_stays_inside, show};
use crate::{limits, staging};

/// Bytes read at once.
const BUFFER: usize = 64 << 10;

/// A walk over one file or directory, within the limits for one.
pub(super) struct Walk<'a> {
    cache: &'a DigestCache,
    entries: usize,
    bytes: u64,
    buffer: Vec<u8>,
}

/// Where the copy goes: a name in a directory.
type Target<'a> = Option<(&'a OwnedFd, &'a OsStr)>;

impl<'a> Walk<'a> {
    pub(super) fn new(cache: &'a DigestCache) -> Self {
        Self { cache, entries: 0, bytes: 0, buffer: Vec::new() }
    }

    /// The digest in hex over names, permissions, link targets and bytes.
    pub(super) fn digest(&mut self, entry: &Entry, path: &Path) -> Result<String, ContentError> {
        self.entry(entry, path, 0, None).map(|digest| hex(&digest))
    }

    /// Copies to a name that is not there yet, and gives the digest of what was copied.
    pub(super) fn copy(
        &mut self,
        entry: &Entry,
        path: &Path,
        parent: &OwnedFd,
        name: &OsStr,
    ) -> Result<String, ContentError> {
        self.entry(entry, path, 0, Some((parent, name))).map(|digest| hex(&digest))
    }

    fn entry(
        &mut self,
        entry: &Entry,
        path: &Path,
        depth: usize,
        target: Target<'_>,
    ) -> Result<Digest, ContentError> {
        if entry.is_directory() {
            self.directory(entry, path, depth, target)
        } else {
            self.file(entry, path, target)
        }
    }

    fn directory(
        &mut self,
        entry: &Entry,
        path: &Path,
        depth: usize,
        target: Target<'_>,
    ) -> Result<Digest, ContentError> {
        if depth > limits::DEPTH {
            return Err(ContentError::TooDeep(show(path)));
        }
        let copy = target.map(|(parent, name)| staging::create_directory(parent, name, path)).transpose()?;
        let mut hasher = Sha256::new();
        hasher.update(b"directory");
        hasher.update(permissions(&entry.stat).to_le_bytes());
        for name in self.names(&entry.fd, path)? {
            let name = OsStr::from_bytes(name.to_bytes());
            let target = copy.as_ref().map(|copy| (copy, name));
            let digest = self.child(&entry.fd, name, &path.join(name), depth, target)?;
            hasher.update((name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
            hasher.update(digest);
        }
        if let Some(copy) = copy {
            staging::set_mode(&copy, permissions(&entry.stat), path)?;
        }
        unchanged(&entry.fd, &entry.stat, path)?;
        Ok(hasher.finalize().into())
    }

    /// The names in a directory, sorted, without git's.
    fn names(&mut self, directory: &OwnedFd, path: &Path) -> Result<Vec<CString>, ContentError> {
        let mut names = Vec::new();
        for entry in Dir::read_from(directory).map_err(ContentError::io("read", path))? {
            let entry = entry.map_err(ContentError::io("read", path))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") || is_git_directory(name.to_bytes()) {
                continue;
            }
            self.entries += 1;
            if self.entries > limits::ENTRIES {
                return Err(ContentError::TooMany);
            }
            names.push(name.to_owned());
        }
        names.sort();
        Ok(names)
    }

    fn child(
        &mut self,
        directory: &OwnedFd,
        name: &OsStr,
        path: &Path,
        depth: usize,
        target: Target<'_>,
    ) -> Result<Digest, ContentError> {
        let looked_at = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(ContentError::io("read", path))?;
        match FileType::from_raw_mode(looked_at.st_mode) {
            FileType::Symlink => link(directory, name, path, depth, target),
            FileType::RegularFile | FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let fd = rustix::fs::openat(directory, name, flags, Mode::empty())
                    .map_err(ContentError::io("open", path))?;
                let stat = rustix::fs::fstat(&fd).map_err(ContentError::io("read", path))?;
                if (stat.st_dev, stat.st_ino) != (looked_at.st_dev, looked_at.st_ino) {
                    return Err(ContentError::Changed(show(path)));
                }
                self.entry(&Entry { fd, stat }, path, depth + 1, target)
            }
            _ => Err(ContentError::Special(show(path))),
        }
    }

    fn file(&mut self, entry: &Entry, path: &Path, target: Target<'_>) -> Result<Digest, ContentError> {
        let identity = Identity::from(&entry.stat);
        let size = u64::try_from(entry.stat.st_size).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > limits::BYTES {
            return Err(ContentError::TooLarge(show(path)));
        }
        if let (None, Some(digest)) = (target, self.cache.get(&identity)) {
            return Ok(digest);
        }
        let mut copy = target.map(|(parent, name)| staging::create_file(parent, name, path)).transpose()?;
        let mut hasher = Sha256::new();
        hasher.update(b"file");
        hasher.update(permissions(&entry.stat).to_le_bytes());
        self.bytes_of(entry, size, path, &mut |bytes| {
            hasher.update(bytes);
            copy.as_mut().map_or(Ok(()), |copy| copy.write_all(bytes))
        })?;
        if let Some(copy) = copy {
            staging::set_mode(&copy, permissions(&entry.stat), path)?;
        }
        unchanged(&entry.fd, &entry.stat, path)?;
        let digest = hasher.finalize().into();
        self.cache.put(identity, digest);
        Ok(digest)
    }

    /// Hands on the bytes of a file that must have just this size.
    fn bytes_of(
        &mut self,
        entry: &Entry,
        size: u64,
        path: &Path,
        sink: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), ContentError> {
        let failed = |action| move |source| ContentError::Io { action, path: show(path), source };
        let fd = entry.fd.try_clone().map_err(failed("read"))?;
        let mut file = File::from(fd).take(size.saturating_add(1));
        self.buffer.resize(BUFFER, 0);
        let mut total = 0;
        loop {
            let count = match file.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed("read")(error)),
            };
            total += count as u64;
            sink(&self.buffer[..count]).map_err(failed("copy"))?;
        }
        if total == size { Ok(()) } else { Err(ContentError::Changed(show(path))) }
    }
}

fn link(
    directory: &OwnedFd,
    name: &OsStr,
    path: &Path,
    depth: usize,
    target: Target<'_>,
) -> Result<Digest, ContentError> {
    let points_to = rustix::fs::readlinkat(directory, name, Vec::new())
        .map_err(ContentError::io("read the link", path))?;
    let points_to = OsStr::from_bytes(points_to.to_bytes());
    if !link_stays_inside(depth, Path::new(points_to)) {
        return Err(ContentError::LinkLeaves { path: show(path), target: show(Path::new(points_to)) });
    }
    if let Some((parent, name)) = target {
        staging::create_link(parent, name, points_to, path)?;
    }
    let hasher = Sha256::new().chain_update(b"link").chain_update(points_to.as_bytes());
    Ok(hasher.finalize().into())
}

fn permissions(stat: &Stat) -> u32 {
    stat.st_mode & 0o777
}

/// Fails if the open file or directory is no longer what it was when it was opened.
fn unchanged(fd: &OwnedFd, before: &Stat, path: &Path) -> Result<(), ContentError> {
    let after = rustix::fs::fstat(fd).map_err(ContentError::io("read", path))?;
    if Identity::from(&after) == Identity::from(before) {
        Ok(())
    } else {
        Err(ContentError::Changed(show(path)))
    }
}
