//! Writing an archive of plain files, as images are saved in.

use std::io::{self, Read, Write};

use super::BLOCK;
use super::header::Header;
use super::write::{write_header, write_padding};

/// Writes an archive of directories and plain files. The same files give the same bytes: they have no time, and belong
/// to root.
pub(crate) struct FileWriter<W> {
    output: W,
}

impl<W: Write> FileWriter<W> {
    pub(crate) fn new(output: W) -> Self {
        Self { output }
    }

    /// Adds a directory, whose path ends in `/`.
    pub(crate) fn directory(&mut self, path: &str) -> io::Result<()> {
        let header = Header { path: path.into(), kind: b'5', mode: 0o755, ..Header::default() };
        write_header(&mut self.output, &header, &[])
    }

    /// Adds a file of this size.
    ///
    /// # Errors
    /// Also when the content has another size; the archive is of no use then.
    pub(crate) fn file(&mut self, path: &str, size: u64, content: impl Read) -> io::Result<()> {
        let header = Header { path: path.into(), kind: b'0', mode: 0o644, size, ..Header::default() };
        write_header(&mut self.output, &header, &[])?;
        let mut content = content.take(size.saturating_add(1));
        let mut piece = vec![0; 1 << 18];
        let mut written = 0;
        loop {
            let length = match content.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            written += length as u64;
            if written <= size {
                self.output.write_all(&piece[..length])?;
            }
        }
        if written != size {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{path} has another size")));
        }
        write_padding(&mut self.output, size)
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.output.write_all(&[0; 2 * BLOCK])?;
        self.output.flush()
    }
}
