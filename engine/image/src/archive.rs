//! Archives that are no layers: what `ADD` unpacks.

use std::io::{self, BufReader, Read, Seek as _, SeekFrom};

use fs_err::File;
use homeostat_files::Root;

use crate::UnpackError;
use crate::tar::is_header;
use crate::unpack::{Form, Limits, unpack_as};

/// How compressed files begin.
const GZIP: &[u8] = &[0x1f, 0x8b];
const BZIP2: &[u8] = b"BZh";
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// What decoders may use for one stream, in KiB. What xz writes at its highest level needs 65 MiB.
const XZ_MEMORY: u32 = 128 << 10;

/// The window of a zstd stream, as a power of two, in bytes: what `zstd` itself reads without being asked.
const ZSTD_WINDOW: u32 = 27;

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
    pub fn open(mut file: File) -> io::Result<Option<Self>> {
        let mut input = uncompressed(&mut file)?;
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

/// The content of a file, uncompressed if it is compressed by a format that is known here.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn uncompressed(file: &mut File) -> io::Result<Box<dyn Read>> {
    let mut begin = Vec::new();
    (&mut *file).take(XZ.len() as u64).read_to_end(&mut begin)?;
    file.seek(SeekFrom::Start(0))?;
    let input = BufReader::with_capacity(1 << 18, file.file().try_clone()?);
    Ok(if begin.starts_with(GZIP) {
        Box::new(flate2::read::MultiGzDecoder::new(input))
    } else if begin.starts_with(BZIP2) {
        Box::new(bzip2::read::MultiBzDecoder::new(input))
    } else if begin.starts_with(XZ) {
        Box::new(lzma_rust2::XzReader::new_mem_limit(input, true, XZ_MEMORY))
    } else if begin.starts_with(ZSTD) {
        let mut decoder = zstd::Decoder::with_buffer(input)?;
        decoder.window_log_max(ZSTD_WINDOW)?;
        Box::new(decoder)
    } else {
        Box::new(input)
    })
}
