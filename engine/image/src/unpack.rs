//! Unpacking a layer that nobody vouches for.

mod places;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use homeostat_files::{Entry, FileError, Handle, Metadata, NodeKind, Permissions, Root, Timestamp};

use crate::error::UnpackError;
use crate::marks::Marks;
use crate::tar::{CAPABILITY, Item, Kind, OPAQUE, Reader, WHITEOUT, is_content_xattr};
use places::inside;

/// Aufs kept notes of its own under names that begin so; layers of old images still have them.
const AUFS_NOTES: &[u8] = b".wh..wh.";

/// The time of directories that the archive does not mention.
const EPOCH: Timestamp = Timestamp { seconds: 0, nanoseconds: 0 };

/// How large a layer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The content of all its files together, in bytes; holes count as if they were filled.
    pub bytes: u64,
    /// How many entries its archive has.
    pub entries: u64,
}

impl Default for Limits {
    /// 256 GiB and four million entries: more than any image that is meant well.
    fn default() -> Self {
        Self { bytes: 256 << 30, entries: 4_000_000 }
    }
}

/// Unpacks the tar archive of a layer into an empty directory, in the form that overlayfs takes as a lower directory.
///
/// # Guarantees
/// Nothing outside of `root` is created, changed or removed. Paths with `..` are refused; links resolve inside. Memory
/// is bounded by the number of directories, disk by `limits`. The end of the stream is reached, so that its digest is
/// known.
pub(crate) fn unpack(
    archive: impl Read,
    root: &Root,
    marks: Marks,
    limits: Limits,
) -> Result<(), UnpackError> {
    unpack_as(Form::Layer(marks), archive, root, limits)
}

/// What an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A layer: some of its names mean what is not there, and become such marks.
    Layer(Marks),
    /// Files, whatever their names.
    Files,
}

/// [`unpack`] of a layer, or of an archive that is none, over what is there.
pub(crate) fn unpack_as(
    form: Form,
    archive: impl Read,
    root: &Root,
    limits: Limits,
) -> Result<(), UnpackError> {
    let mut unpacker = Unpacker { form, root, limits, entries: 0, bytes: 0, directories: BTreeMap::new() };
    if let Form::Layer(_) = form {
        unpacker.directories.insert(PathBuf::new(), EPOCH);
    }
    let mut reader = Reader::new(archive);
    while let Some(item) = reader.next()? {
        unpacker.item(&mut reader, &item)?;
    }
    reader.finish()?;
    unpacker.set_directory_times()
}

struct Unpacker<'a> {
    form: Form,
    root: &'a Root,
    limits: Limits,
    entries: u64,
    bytes: u64,
    /// When directories were changed; set last, because work in them changes it. Of a layer that is every directory, by
    /// a path without links.
    directories: BTreeMap<PathBuf, Timestamp>,
}

impl Unpacker<'_> {
    fn item<R: Read>(&mut self, reader: &mut Reader<R>, item: &Item) -> Result<(), UnpackError> {
        let path = inside(&item.path)?;
        self.count_entry()?;
        let Some(name) = path.file_name() else {
            if item.kind != Kind::Directory {
                return Err(reader.malformed("its top is no directory"));
            }
            return self.finish_directory(&self.root.resolve("")?, item, path);
        };
        let Form::Layer(marks) = self.form else {
            return self.create(reader, item, &path);
        };
        if item.kind == Kind::Symlink && marks.is_mark(OsStr::from_bytes(&item.link).as_ref()) {
            return Err(reader.unsupported("links by which this store marks removed files"));
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        let mut reserved = parent.iter().filter(|name| name.as_bytes().starts_with(WHITEOUT));
        match reserved.next() {
            Some(name) if name.as_bytes().starts_with(AUFS_NOTES) => return Ok(()),
            // A tree with such a directory could not be packed again.
            Some(_) => return Err(UnpackError::ReservedName { path }),
            None => {}
        }
        if name.as_bytes() == OPAQUE {
            return self.make_opaque(marks, parent);
        }
        match name.as_bytes().strip_prefix(WHITEOUT) {
            Some(_) if name.as_bytes().starts_with(AUFS_NOTES) => Ok(()),
            Some(b"" | b"." | b"..") => Err(UnpackError::Escapes { path }),
            Some(hidden) => self.whiteout(marks, &parent.join(OsStr::from_bytes(hidden))),
            None => self.create(reader, item, &path),
        }
    }

    fn create<R: Read>(
        &mut self,
        reader: &mut Reader<R>,
        item: &Item,
        path: &Path,
    ) -> Result<(), UnpackError> {
        let (entry, path) = self.entry(path)?;
        let existing = entry.metadata()?;
        if item.kind == Kind::HardLink {
            return self.hard_link(&entry, &path, existing, item);
        }
        if item.kind == Kind::Directory {
            let handle = self.make_directory(&entry, existing, &path)?;
            return self.finish_directory(&handle, item, path);
        }
        if existing.is_some() {
            self.remove(&entry, &path)?;
        }
        let private = Permissions::root(0o600);
        match item.kind {
            Kind::Symlink => {
                // Where a link points is the business of those who follow it.
                entry.symlink(Path::new(OsStr::from_bytes(&item.link)))?;
            }
            Kind::CharacterDevice(major, minor) => {
                entry.make_node(NodeKind::CharacterDevice(major, minor), private)?;
            }
            Kind::BlockDevice(major, minor) => {
                entry.make_node(NodeKind::BlockDevice(major, minor), private)?;
            }
            Kind::Fifo => {
                entry.make_node(NodeKind::Fifo, private)?;
            }
            Kind::Regular | Kind::HardLink | Kind::Directory => {
                let file = entry.create_file(private)?;
                self.content(reader, item, file, &path)?;
            }
        }
        let handle = entry.handle()?;
        set_attributes(&handle, item)?;
        handle.set_modified(modified(item))?;
        Ok(())
    }

    fn hard_link(
        &mut self,
        entry: &Entry,
        path: &Path,
        existing: Option<Metadata>,
        item: &Item,
    ) -> Result<(), UnpackError> {
        let link = inside(&item.link)?;
        if link.file_name().is_none() {
            return Err(UnpackError::Escapes { path: link });
        }
        let target = self.root.entry(&link)?;
        if let Some(existing) = existing {
            let same = |target: Metadata| (target.device, target.inode) == (existing.device, existing.inode);
            if target.metadata()?.is_some_and(same) {
                return Ok(());
            }
            self.remove(entry, path)?;
        }
        Ok(entry.hard_link(&target)?)
    }

    /// Makes room for what comes later under this name.
    fn remove(&mut self, entry: &Entry, path: &Path) -> Result<(), UnpackError> {
        entry.remove()?;
        let from_here = self.directories.range(path.to_owned()..).map(|(directory, _)| directory);
        let gone: Vec<_> = from_here.take_while(|directory| directory.starts_with(path)).cloned().collect();
        for directory in gone {
            self.directories.remove(&directory);
        }
        Ok(())
    }

    fn content<R: Read>(
        &mut self,
        reader: &mut Reader<R>,
        item: &Item,
        file: fs_err::File,
        path: &Path,
    ) -> Result<(), UnpackError> {
        self.bytes = self.bytes.saturating_add(item.size);
        if self.bytes > self.limits.bytes {
            return Err(UnpackError::TooLarge { limit: self.limits.bytes, unit: "bytes" });
        }
        let write = |source| UnpackError::Write { path: path.to_owned(), source };
        let mut file = SparseFile { file, hole: 0 };
        let mut buffer = vec![0; usize::try_from(item.size.min(1 << 18)).unwrap_or(1 << 18)];
        loop {
            let length = reader.read_content(&mut buffer)?;
            if length == 0 {
                return file.finish(item.size).map_err(write);
            }
            file.write(&buffer[..length]).map_err(write)?;
        }
    }

    /// Hides `path` of the layers beneath; what this layer itself has there stays, wherever in the archive it comes.
    fn whiteout(&mut self, marks: Marks, path: &Path) -> Result<(), UnpackError> {
        let (entry, path) = self.entry(path)?;
        match entry.metadata()? {
            None => marks.hide(&entry)?,
            Some(existing) if existing.is_directory() => {
                marks.set_opaque(self.root, &path, &entry.handle()?)?;
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn make_opaque(&mut self, marks: Marks, directory: &Path) -> Result<(), UnpackError> {
        let directory = self.directory(directory)?;
        let handle = self.root.resolve(&directory)?;
        Ok(marks.set_opaque(self.root, &directory, &handle)?)
    }

    /// The directory that is at `entry`, or a new one. One that replaces a whiteout hides what is beneath, as it did.
    fn make_directory(
        &self,
        entry: &Entry,
        existing: Option<Metadata>,
        path: &Path,
    ) -> Result<Handle, FileError> {
        let Some(existing) = existing else { return entry.create_directory(Permissions::root(0o700)) };
        if existing.is_directory() {
            return entry.handle();
        }
        let replaced = match self.form {
            Form::Layer(marks) if marks.is_whiteout(&entry.handle()?, &existing)? => Some(marks),
            Form::Layer(_) | Form::Files => None,
        };
        entry.remove()?;
        let handle = entry.create_directory(Permissions::root(0o700))?;
        if let Some(marks) = replaced {
            marks.set_opaque(self.root, path, &handle)?;
        }
        Ok(handle)
    }

    fn finish_directory(&mut self, handle: &Handle, item: &Item, path: PathBuf) -> Result<(), UnpackError> {
        set_attributes(handle, item)?;
        self.directories.insert(path, modified(item));
        Ok(())
    }

    fn count_entry(&mut self) -> Result<(), UnpackError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(UnpackError::TooLarge { limit: self.limits.entries, unit: "entries" });
        }
        Ok(())
    }

    fn set_directory_times(&self) -> Result<(), UnpackError> {
        for (path, time) in &self.directories {
            // A later entry may have removed it, or put something else there.
            if self.root.metadata(path)?.is_some_and(|metadata| metadata.is_directory()) {
                self.root.resolve(path)?.set_modified(*time)?;
            }
        }
        Ok(())
    }
}

/// Owner, mode and extended attributes, in the order in which none clears another.
fn set_attributes(handle: &Handle, item: &Item) -> Result<(), FileError> {
    handle.set_permissions(Permissions { mode: item.mode, uid: item.uid, gid: item.gid })?;
    for (name, value) in &item.xattrs {
        // The kernel takes a capability of no bytes, and cannot read it again.
        if !is_content_xattr(name) || (name == CAPABILITY && value.is_empty()) {
            continue;
        }
        match handle.set_xattr(OsStr::from_bytes(name), value) {
            // Not every file system, nor every kind of file, has them all. Without its capabilities a program would
            // fail later, and nobody would know why: that one is not optional.
            Err(error) if name != CAPABILITY && is_refusal(&error) => {}
            done => done?,
        }
    }
    Ok(())
}

fn is_refusal(error: &FileError) -> bool {
    matches!(error.kind(), std::io::ErrorKind::Unsupported | std::io::ErrorKind::PermissionDenied)
}

fn modified(item: &Item) -> Timestamp {
    Timestamp { seconds: item.modified.0, nanoseconds: item.modified.1 }
}

/// Writes content and leaves holes where it is zero.
struct SparseFile {
    file: fs_err::File,
    /// How many zero bytes wait to be skipped.
    hole: u64,
}

impl SparseFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        for block in bytes.chunks(4096) {
            if block.iter().all(|byte| *byte == 0) {
                self.hole += block.len() as u64;
                continue;
            }
            if self.hole > 0 {
                self.file.seek(SeekFrom::Current(self.hole.cast_signed()))?;
                self.hole = 0;
            }
            self.file.write_all(block)?;
        }
        Ok(())
    }

    fn finish(self, size: u64) -> std::io::Result<()> {
        if self.hole > 0 { self.file.set_len(size) } else { Ok(()) }
    }
}
