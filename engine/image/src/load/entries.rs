//! What an archive holds: its files, written to the disk under names of our own while it comes.

use std::collections::BTreeMap;
use std::io::{Read, Write as _};

use fs_err as fs;

use super::room;
use crate::compression::Compression;
use crate::digest::Hashing;
use crate::layer::Ingest;
use crate::tar::{Kind, Reader};
use crate::{ArchiveError, Digest, ImageStore, Limits, LoadError};

/// How many entries an archive may have: a thousand images of a hundred layers.
const ENTRIES: u64 = 100_000;

/// How often a link may lead to another.
const LINKS: usize = 8;

/// Where an OCI image layout has its blobs.
const BLOBS: &str = "blobs/sha256/";

/// A file of the archive.
#[derive(Debug)]
pub(super) struct Spooled {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) is_compressed: bool,
    /// What was written down, until it becomes part of the store.
    blob: Option<Ingest>,
}

/// The files and links of an archive, by their names.
#[derive(Debug, Default)]
pub(super) struct Entries {
    files: BTreeMap<String, Spooled>,
    links: BTreeMap<String, String>,
}

impl Entries {
    /// Takes in a whole archive. Nothing of it becomes part of the store; all of it is gone when this is dropped.
    ///
    /// # Guarantees
    /// No name of the archive becomes a path of this host, and no link is followed on it. Two entries of one name, names
    /// that lead out, and blobs whose name is not their digest are refused.
    pub(super) fn read(store: &ImageStore, archive: impl Read, limits: Limits) -> Result<Self, LoadError> {
        let mut entries = Self::default();
        let mut reader = Reader::new(archive);
        let (mut count, mut bytes) = (0, 0u64);
        while let Some(item) = reader.next().map_err(ArchiveError::Tar)? {
            count += 1;
            bytes = bytes.saturating_add(item.size);
            within(count, ENTRIES.min(limits.entries), "entries")?;
            within(bytes, limits.bytes, "bytes")?;
            let path = inside("", &item.path)?;
            match item.kind {
                Kind::Directory => {}
                Kind::Regular => {
                    room::ensure_for_file(store, item.size)?;
                    let spooled = spool(store, &mut reader)?;
                    check_name(&path, &spooled)?;
                    if entries.links.contains_key(&path)
                        || entries.files.insert(path.clone(), spooled).is_some()
                    {
                        return Err(ArchiveError::Twice { path }.into());
                    }
                }
                // Where images share a layer Docker had links before 25, and Podman has them still.
                Kind::Symlink => {
                    let parent = path.rfind('/').map_or("", |slash| &path[..slash]);
                    let target = inside(parent, &item.link)?;
                    if entries.files.contains_key(&path)
                        || entries.links.insert(path.clone(), target).is_some()
                    {
                        return Err(ArchiveError::Twice { path }.into());
                    }
                }
                Kind::HardLink => return Err(not_a_file(path, "a hard link")),
                Kind::CharacterDevice(..) | Kind::BlockDevice(..) => {
                    return Err(not_a_file(path, "a device"));
                }
                Kind::Fifo => return Err(not_a_file(path, "a pipe")),
            }
        }
        reader.finish().map_err(ArchiveError::Tar)?;
        Ok(entries)
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// The name of the file that a document names, with links followed; it is there.
    pub(super) fn resolve(&self, path: &str, by: &str) -> Result<String, LoadError> {
        let mut name = inside("", path.as_bytes())?;
        for _ in 0..LINKS {
            match self.links.get(&name) {
                Some(target) => name = target.clone(),
                None if self.files.contains_key(&name) => return Ok(name),
                None => break,
            }
        }
        Err(ArchiveError::Missing { path: path.to_owned(), by: by.to_owned() }.into())
    }

    /// The text of a document, by its resolved name.
    pub(super) fn document(&self, path: &str, by: &str) -> Result<Vec<u8>, LoadError> {
        let name = self.resolve(path, by)?;
        let file = &self.files[&name];
        within(file.size, crate::blobs::DOCUMENT_LIMIT, "bytes in a document")?;
        let blob = file.blob.as_ref().ok_or_else(|| taken(&name))?;
        Ok(fs::read(blob.file.path())?)
    }

    /// A file, by its resolved name.
    pub(super) fn file(&self, name: &str) -> &Spooled {
        &self.files[name]
    }

    /// Takes what was written down of a file, by its resolved name, to become part of the store.
    pub(super) fn take(&mut self, name: &str) -> Result<Ingest, LoadError> {
        let file = self.files.get_mut(name);
        file.and_then(|file| file.blob.take()).ok_or_else(|| taken(name))
    }
}

/// Writes the content of the current entry down.
fn spool<R: Read>(store: &ImageStore, reader: &mut Reader<R>) -> Result<Spooled, LoadError> {
    let blob = Ingest::create(store)?;
    let mut output = Hashing::new(&blob.file);
    let mut piece = vec![0; 1 << 18];
    let mut is_compressed = None;
    loop {
        let length = reader.read_content(&mut piece).map_err(ArchiveError::Tar)?;
        if length == 0 {
            break;
        }
        is_compressed.get_or_insert(Compression::of(&piece[..length]) != Compression::None);
        output.write_all(&piece[..length])?;
    }
    let (_, digest, size) = output.finish();
    Ok(Spooled { digest, size, is_compressed: is_compressed.unwrap_or(false), blob: Some(blob) })
}

/// A file whose name is a digest has to have it: blobs of an OCI layout, and Docker's configurations.
fn check_name(path: &str, spooled: &Spooled) -> Result<(), ArchiveError> {
    let stem = path.strip_prefix(BLOBS).or_else(|| path.strip_suffix(".json")).unwrap_or_default();
    match Digest::from_hex(stem) {
        Ok(named) if named != spooled.digest => {
            Err(ArchiveError::WrongDigest { path: path.to_owned(), actual: spooled.digest.clone() })
        }
        _ => Ok(()),
    }
}

/// A path, seen from a directory of the archive, without what says nothing. It stays inside.
fn inside(directory: &str, path: &[u8]) -> Result<String, ArchiveError> {
    let escapes = || ArchiveError::Escapes { path: String::from_utf8_lossy(path).into_owned() };
    let text = std::str::from_utf8(path).map_err(|_| escapes())?;
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    if text.starts_with('/') || text.contains('\0') {
        return Err(escapes());
    }
    for part in text.split('/') {
        match part {
            "" | "." => {}
            // Only links have a way up, to what is beside them.
            ".." if !directory.is_empty() => drop(parts.pop().ok_or_else(escapes)?),
            ".." => return Err(escapes()),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

fn within(value: u64, limit: u64, unit: &'static str) -> Result<(), ArchiveError> {
    if value <= limit { Ok(()) } else { Err(ArchiveError::TooLarge { limit, unit }) }
}

/// A layer cannot be a document too.
fn taken(name: &str) -> LoadError {
    ArchiveError::NotAFile { path: name.to_owned(), what: "a layer and a document at once" }.into()
}

fn not_a_file(path: String, what: &'static str) -> LoadError {
    ArchiveError::NotAFile { path, what }.into()
}
