//! The changes of a layer as a tar archive.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use homeostat_files::{FileKind, Handle, Metadata, Root};

use super::header::{Header, NAME_LENGTH, OCTAL_8, OCTAL_12};
use super::{BLOCK, DEPTH_LIMIT, OPAQUE, PATH_LIMIT, PAX_XATTR, WHITEOUT, Xattrs, is_content_xattr, pax};
use crate::error::LayerError;
use crate::layers::{Directory, Layers, Listed};
use crate::marks::Marks;

/// Writes what is in an overlay's upper directory as an OCI layer, and says how many changes there are beside the top
/// directory itself.
///
/// The same tree gives the same bytes: names are sorted, times cut to seconds, users unnamed. The top directory is `./`.
/// Whiteouts and opaque directories become those of OCI; sockets are left out, as tar has none.
pub(crate) fn write_tree(tree: &Root, marks: Marks, output: impl Write) -> Result<u64, LayerError> {
    let mut writer = Writer { output, marks, links: HashMap::new(), changes: 0, is_live: false };
    let top = tree.resolve("")?;
    let metadata = top.metadata()?;
    writer.directory(tree, b"./", top, &metadata, 0)?;
    writer.put(&[0; 2 * BLOCK])?;
    writer.output.flush().map_err(LayerError::Write)?;
    Ok(writer.changes)
}

/// Writes the tree that layers are together as an archive of files, whatever their names. Somebody may be changing the top
/// layer: what is gone is left out, and a file that has become shorter ends in zeros.
pub(crate) fn write_merged(layers: &Layers<'_>, output: impl Write) -> Result<(), LayerError> {
    let marks = layers.marks;
    let mut writer = Writer { output, marks, links: HashMap::new(), changes: 0, is_live: true };
    let mut pending = vec![layers.top()];
    while let Some(directory) = pending.pop() {
        match layers.list(&directory) {
            Ok(listed) => writer.merged(&directory, &listed, &mut pending)?,
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    writer.put(&[0; 2 * BLOCK])?;
    writer.output.flush().map_err(LayerError::Write)
}

struct Writer<W> {
    output: W,
    marks: Marks,
    /// Where the first name of each file with several is in the archive.
    links: HashMap<((u32, u32), u64), Vec<u8>>,
    changes: u64,
    /// Somebody may be changing the files.
    is_live: bool,
}

impl<W: Write> Writer<W> {
    /// A directory and the files in it. The directories in it come later.
    fn merged(
        &mut self,
        directory: &Directory,
        listed: &Listed,
        pending: &mut Vec<Directory>,
    ) -> Result<(), LayerError> {
        let mut path = directory.path.as_os_str().as_bytes().to_vec();
        if !path.is_empty() {
            path.push(b'/');
            let handle = listed.directory()?;
            self.header(&header(&path, b'5', &handle.metadata()?), &xattrs(&handle)?)?;
        }
        for (name, node) in &listed.nodes {
            let path = [&path, name.as_bytes()].concat();
            if path.len() >= PATH_LIMIT {
                return Err(LayerError::TooDeep { path: shown(&path) });
            }
            if node.metadata.is_directory() {
                pending.push(directory.beneath(name, node));
                continue;
            }
            match listed.part(node).entry(name).and_then(|entry| entry.handle()) {
                Ok(handle) => self.found(&path, &handle)?,
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What is there now, unless it has become a directory, or nothing.
    fn found(&mut self, path: &[u8], handle: &Handle) -> Result<(), LayerError> {
        let metadata = handle.metadata()?;
        let is_gone = self.marks.is_whiteout(handle, &metadata)?;
        if is_gone || matches!(metadata.kind, FileKind::Socket | FileKind::Directory) {
            return Ok(());
        }
        self.file(path, handle, &metadata)
    }

    /// A directory, whose `path` ends in `/`, and all that is in it.
    fn directory(
        &mut self,
        tree: &Root,
        path: &[u8],
        handle: Handle,
        metadata: &Metadata,
        depth: usize,
    ) -> Result<(), LayerError> {
        if depth > DEPTH_LIMIT {
            return Err(LayerError::TooDeep { path: shown(path) });
        }
        self.header(&header(path, b'5', metadata), &xattrs(&handle)?)?;
        let beneath = if path == b"./" { b"" } else { path };
        let is_opaque = self.marks.is_opaque(tree, Path::new(""), &handle)?;
        if is_opaque {
            self.whiteout([beneath, OPAQUE].concat())?;
            self.changes += 1;
        }
        // One descriptor is held for each level, that of the tree.
        drop(handle);
        for name in tree.read_directory("")? {
            if is_opaque && self.marks == Marks::Links && name.as_bytes() == OPAQUE {
                continue;
            }
            if name.as_bytes().starts_with(WHITEOUT) {
                return Err(LayerError::ReservedName { path: shown(&[beneath, name.as_bytes()].concat()) });
            }
            self.child(tree, beneath, &name, depth)?;
            self.changes += 1;
        }
        Ok(())
    }

    fn child(&mut self, tree: &Root, beneath: &[u8], name: &OsStr, depth: usize) -> Result<(), LayerError> {
        let handle = tree.entry(name)?.handle()?;
        let metadata = handle.metadata()?;
        let path = [beneath, name.as_bytes()].concat();
        if path.len() >= PATH_LIMIT {
            return Err(LayerError::TooDeep { path: shown(&path) });
        }
        if self.marks.is_whiteout(&handle, &metadata)? {
            return self.whiteout([beneath, WHITEOUT, name.as_bytes()].concat());
        }
        match metadata.kind {
            FileKind::Directory => {
                let path = [&path[..], b"/"].concat();
                self.directory(&tree.subtree(name)?, &path, handle, &metadata, depth + 1)
            }
            FileKind::Socket => Ok(()),
            _ => self.file(&path, &handle, &metadata),
        }
    }

    fn file(&mut self, path: &[u8], handle: &Handle, metadata: &Metadata) -> Result<(), LayerError> {
        if metadata.links > 1 {
            let first = self.links.entry((metadata.device, metadata.inode)).or_insert_with(|| path.to_vec());
            if *first != path {
                let link = first.clone();
                return self.header(&Header { link, ..header(path, b'1', metadata) }, &[]);
            }
        }
        let mut header = header(path, b'0', metadata);
        match metadata.kind {
            FileKind::Regular => {
                header.size = metadata.size;
                self.header(&header, &xattrs(handle)?)?;
                return self.content(path, handle, metadata.size);
            }
            FileKind::Symlink => {
                header.kind = b'2';
                header.link = handle.read_link()?.into_os_string().into_vec();
            }
            FileKind::CharacterDevice | FileKind::BlockDevice => {
                header.kind = if metadata.kind == FileKind::BlockDevice { b'4' } else { b'3' };
                header.device = (metadata.represents.0.into(), metadata.represents.1.into());
            }
            FileKind::Fifo | FileKind::Directory | FileKind::Socket => header.kind = b'6',
        }
        self.header(&header, &xattrs(handle)?)
    }

    fn content(&mut self, path: &[u8], handle: &Handle, size: u64) -> Result<(), LayerError> {
        let file = handle.open_to_read()?;
        let read = |source| LayerError::Read { path: shown(path), source };
        let mut rest = size;
        let mut file = file.take(size);
        let mut buffer = vec![0; usize::try_from(size.min(1 << 18)).unwrap_or(1 << 18)];
        while rest > 0 {
            let length = file.read(&mut buffer).map_err(read)?;
            if length == 0 && self.is_live {
                let zeros = usize::try_from(rest.min(buffer.len() as u64)).unwrap_or(buffer.len());
                buffer[..zeros].fill(0);
                self.put(&buffer[..zeros])?;
                rest -= zeros as u64;
                continue;
            }
            if length == 0 {
                return Err(read(io::Error::new(io::ErrorKind::UnexpectedEof, "it shrank meanwhile")));
            }
            self.put(&buffer[..length])?;
            rest -= length as u64;
        }
        self.pad(size)
    }

    /// An empty file whose name is its meaning.
    fn whiteout(&mut self, path: Vec<u8>) -> Result<(), LayerError> {
        self.header(&Header { path, kind: b'0', ..Header::default() }, &[])
    }

    fn header(&mut self, header: &Header, xattrs: &[(Vec<u8>, Vec<u8>)]) -> Result<(), LayerError> {
        write_header(&mut self.output, header, xattrs).map_err(LayerError::Write)
    }

    fn pad(&mut self, size: u64) -> Result<(), LayerError> {
        write_padding(&mut self.output, size).map_err(LayerError::Write)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        self.output.write_all(bytes).map_err(LayerError::Write)
    }
}

/// A header, and before it the pax records for what it has no room for.
pub(super) fn write_header(
    output: &mut impl Write,
    header: &Header,
    xattrs: &[(Vec<u8>, Vec<u8>)],
) -> io::Result<()> {
    let records = records(header, xattrs);
    if !records.is_empty() {
        let extension = Header {
            path: b"PaxHeaders/0".to_vec(),
            kind: b'x',
            mode: 0o644,
            size: records.len() as u64,
            ..Header::default()
        };
        output.write_all(&extension.encode())?;
        output.write_all(&records)?;
        write_padding(output, records.len() as u64)?;
    }
    output.write_all(&header.encode())
}

/// What fills the last block of a content of this size.
pub(super) fn write_padding(output: &mut impl Write, size: u64) -> io::Result<()> {
    let used = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    if used == 0 { Ok(()) } else { output.write_all(&[0; BLOCK][used..]) }
}

/// The pax records for what the header has no room for, and the extended attributes.
fn records(header: &Header, xattrs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut records = Vec::new();
    let mut number = |key: &[u8], value: u64, limit: u64| {
        if value > limit {
            pax::put(&mut records, key, value.to_string().as_bytes());
        }
    };
    number(b"uid", header.uid, OCTAL_8);
    number(b"gid", header.gid, OCTAL_8);
    number(b"size", header.size, OCTAL_12);
    if !(0..=OCTAL_12.cast_signed()).contains(&header.modified) {
        pax::put(&mut records, b"mtime", header.modified.to_string().as_bytes());
    }
    for (key, value) in [(&b"path"[..], &header.path), (b"linkpath", &header.link)] {
        if value.len() > NAME_LENGTH {
            pax::put(&mut records, key, value);
        }
    }
    for (name, value) in xattrs {
        pax::put(&mut records, &[PAX_XATTR, name].concat(), value);
    }
    records
}

fn header(path: &[u8], kind: u8, metadata: &Metadata) -> Header {
    Header {
        path: path.to_vec(),
        kind,
        mode: if metadata.kind == FileKind::Symlink { 0o777 } else { metadata.permissions.mode.into() },
        uid: metadata.permissions.uid.into(),
        gid: metadata.permissions.gid.into(),
        modified: metadata.modified.seconds,
        ..Header::default()
    }
}

/// The extended attributes that belong to the content, sorted by name.
fn xattrs(handle: &Handle) -> Result<Xattrs, LayerError> {
    let mut xattrs = Vec::new();
    for name in handle.xattr_names()? {
        // A pax key ends at the first `=`: such a name cannot be said.
        if !is_content_xattr(name.as_bytes()) || name.as_bytes().contains(&b'=') {
            continue;
        }
        if let Some(value) = handle.xattr(&name)? {
            xattrs.push((name.into_vec(), value));
        }
    }
    Ok(xattrs)
}

fn shown(path: &[u8]) -> PathBuf {
    Path::new(OsStr::from_bytes(path)).to_owned()
}
