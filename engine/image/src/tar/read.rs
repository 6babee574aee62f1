//! Reading tar archives that nobody vouches for.

use std::io::{self, Read};

use super::header::Header;
use super::{BLOCK, PATH_LIMIT, PAX_XATTR, Xattrs, pax};
use crate::error::UnpackError;

/// Pax and GNU extensions larger than this are refused: an extended attribute has at most 64 KiB.
const EXTENSION_LIMIT: u64 = 1 << 20;

/// What kind of file an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Regular,
    HardLink,
    Symlink,
    CharacterDevice(u32, u32),
    BlockDevice(u32, u32),
    Directory,
    Fifo,
}

/// One entry, whose content is read next.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    pub(crate) modified: (i64, u32),
    pub(crate) xattrs: Xattrs,
}

/// What extended headers say about the next entry.
#[derive(Debug, Default)]
struct Overrides {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    modified: Option<(i64, u32)>,
    xattrs: Xattrs,
}

/// Reads a stream of entries. Memory stays bounded, whatever the stream holds.
pub(crate) struct Reader<R> {
    input: R,
    /// Where in the archive the reader is, in bytes.
    offset: u64,
    /// What is left of the content of the current entry, and of the padding after it.
    content: u64,
    padding: u64,
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, offset: 0, content: 0, padding: 0 }
    }

    /// The next entry; `None` at the end of the archive. What was not read of the last one's content is skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Item>, UnpackError> {
        self.skip(self.content + self.padding)?;
        self.content = 0;
        self.padding = 0;
        let mut overrides = Overrides::default();
        loop {
            let Some(block) = self.block()? else { return Ok(None) };
            if block.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            let header = Header::decode(&block).ok_or_else(|| self.malformed("a header is damaged"))?;
            match header.kind {
                b'x' => self.records(&header, &mut overrides)?,
                // Global records say nothing about files of layers: git archives keep a commit there.
                b'g' => drop(self.extension(&header)?),
                b'L' => overrides.path = Some(without_end(self.extension(&header)?)),
                b'K' => overrides.link = Some(without_end(self.extension(&header)?)),
                _ => return self.item(header, overrides).map(Some),
            }
        }
    }

    /// Reads from the content of the current entry; 0 at its end.
    pub(crate) fn read_content(&mut self, buffer: &mut [u8]) -> Result<usize, UnpackError> {
        let length = usize::try_from(self.content).unwrap_or(usize::MAX).min(buffer.len());
        if length == 0 {
            return Ok(0);
        }
        self.fill(&mut buffer[..length])?;
        self.content -= length as u64;
        Ok(length)
    }

    pub(crate) fn malformed(&self, reason: &'static str) -> UnpackError {
        UnpackError::Malformed { offset: self.offset, reason }
    }

    /// Reads what follows the end of the archive, which belongs to its digest, and gives the stream back.
    pub(crate) fn finish(mut self) -> Result<R, UnpackError> {
        io::copy(&mut self.input, &mut io::sink()).map_err(UnpackError::Read)?;
        Ok(self.input)
    }

    fn item(&mut self, header: Header, overrides: Overrides) -> Result<Item, UnpackError> {
        let number = |value: u64, what| u32::try_from(value).map_err(|_| self.malformed(what));
        let device = |(major, minor): (u64, u64)| -> Result<(u32, u32), UnpackError> {
            Ok((
                number(major, "a device number is too large")?,
                number(minor, "a device number is too large")?,
            ))
        };
        let path = overrides.path.unwrap_or(header.path);
        let kind = match header.kind {
            // Before POSIX a directory was a file whose name ends in a slash.
            0 | b'0' | b'7' if path.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' => Kind::Regular,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => device(header.device).map(|(major, minor)| Kind::CharacterDevice(major, minor))?,
            b'4' => device(header.device).map(|(major, minor)| Kind::BlockDevice(major, minor))?,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'S' => return Err(self.unsupported("GNU sparse files")),
            _ => return Err(self.unsupported("an unknown kind of entry")),
        };
        let item = Item {
            path,
            link: overrides.link.unwrap_or(header.link),
            kind,
            mode: number(header.mode & 0o7777, "a mode is too large")?,
            uid: number(overrides.uid.unwrap_or(header.uid), "a user number is too large")?,
            gid: number(overrides.gid.unwrap_or(header.gid), "a group number is too large")?,
            size: overrides.size.unwrap_or(header.size),
            modified: overrides.modified.unwrap_or((header.modified, 0)),
            xattrs: overrides.xattrs,
        };
        if item.path.len() >= PATH_LIMIT || item.link.len() >= PATH_LIMIT {
            return Err(self.malformed("a path is too long"));
        }
        // Only regular files have content; a size elsewhere is that of a link's target, and nothing follows.
        if item.kind != Kind::Regular {
            return Ok(item);
        }
        self.content = item.size;
        self.padding = padding(item.size);
        if self.content.checked_add(self.padding).is_none() {
            return Err(self.malformed("a size is too large"));
        }
        Ok(item)
    }

    fn records(&mut self, header: &Header, overrides: &mut Overrides) -> Result<(), UnpackError> {
        let bytes = self.extension(header)?;
        let malformed = || self.malformed("an extended header is damaged");
        for (key, value) in pax::parse(&bytes).ok_or_else(malformed)? {
            let natural = || pax::natural(value).ok_or_else(malformed);
            match key {
                b"path" => overrides.path = Some(value.to_vec()),
                b"linkpath" => overrides.link = Some(value.to_vec()),
                b"size" => overrides.size = Some(natural()?),
                b"uid" => overrides.uid = Some(natural()?),
                b"gid" => overrides.gid = Some(natural()?),
                b"mtime" => overrides.modified = Some(pax::time(value).ok_or_else(malformed)?),
                _ if key.starts_with(b"GNU.sparse.") => return Err(self.unsupported("GNU sparse files")),
                _ => {
                    if let Some(name) = key.strip_prefix(PAX_XATTR) {
                        overrides.xattrs.push((name.to_vec(), value.to_vec()));
                    }
                }
            }
        }
        Ok(())
    }

    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, UnpackError> {
        if header.size > EXTENSION_LIMIT {
            return Err(self.malformed("an extended header is too large"));
        }
        let length = usize::try_from(header.size).unwrap_or_default();
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        self.skip(padding(header.size))?;
        Ok(bytes)
    }

    /// The next block; `None` where the stream ends without the end mark, as some writers leave it.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, UnpackError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(self.malformed("it ends too early")),
                Ok(length) => filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(UnpackError::Read(error)),
            }
        }
        self.offset += BLOCK as u64;
        Ok(Some(block))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), UnpackError> {
        match self.input.read_exact(buffer) {
            Ok(()) => {
                self.offset += buffer.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.malformed("it ends too early"))
            }
            Err(error) => Err(UnpackError::Read(error)),
        }
    }

    fn skip(&mut self, length: u64) -> Result<(), UnpackError> {
        let skipped =
            io::copy(&mut (&mut self.input).take(length), &mut io::sink()).map_err(UnpackError::Read)?;
        self.offset += skipped;
        if skipped < length { Err(self.malformed("it ends too early")) } else { Ok(()) }
    }

    pub(crate) fn unsupported(&self, what: &'static str) -> UnpackError {
        UnpackError::Unsupported { offset: self.offset, what }
    }
}

fn padding(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

/// GNU's long names end in a zero byte.
fn without_end(mut text: Vec<u8>) -> Vec<u8> {
    if let Some(end) = text.iter().position(|byte| *byte == 0) {
        text.truncate(end);
    }
    text
}
