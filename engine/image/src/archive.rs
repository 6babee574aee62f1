//! Archives that are no layers: what `ADD` unpacks.

use std::io::{self, Read};

use fs_err::File;
use homeostat_files::Root;

use crate::UnpackError;
use crate::compression::uncompressed;
use crate::tar::is_header;
use crate::unpack::{Form, Limits, unpack_as};

/// The size of a header of a tar archive.
const HEADER: usize = 512;

/// A tar archive in a file, compressed by gzip, bzip2, xz or zstd, or not; its content tells.
pub struct Archive {
    input: Box<dyn Read>,
}

impl Archive {
    /// Looks into a file; nothing when it is no archive, by Docker's rule: its first header is not sound.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(file: File) -> io::Result<Option<Self>> {
        let mut input = uncompressed(file)?;
        let mut begin = Vec::new();
        // What cannot be uncompressed is no archive, whatever its first bytes promise.
        let whole = (&mut input).take(HEADER as u64).read_to_end(&mut begin).is_ok();
        if !whole || !is_header(&begin) {
            return Ok(None);
        }
        Ok(Some(Self { input: Box::new(io::Cursor::new(begin).chain(input)) }))
    }

    /// Unpacks it into a directory, over what is there.
    ///
    /// # Guarantees
    /// Those of layers: nothing outside of `root` is created, changed or removed.
    ///
    /// # Errors
    /// When the archive is damaged, leads out of the directory or exceeds `limits`, or the disk is full.
    pub fn unpack(self, root: &Root, limits: Limits) -> Result<(), UnpackError> {
        unpack_as(Form::Files, self.input, root, limits)
    }
}
