//! How archives are compressed, as their first bytes tell: media types and names lie.

use std::io::{self, BufReader, Cursor, Read};

use oci_spec::image::MediaType;

/// How many bytes are read at once from what is compressed.
const BUFFER: usize = 1 << 18;

/// How much memory a zstd stream may ask for: 2 to the power of this in bytes, what `zstd` itself takes without `--long`.
const ZSTD_WINDOW_LOG: u32 = 27;

/// How much memory an xz stream may ask for, in KiB. What xz writes at its highest level needs 65 MiB.
const XZ_MEMORY: u32 = 128 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Compression {
    /// How many bytes tell.
    pub(crate) const MAGIC: u64 = 6;

    /// By the first bytes: of RFC 1952, bzip2, the .xz file format and RFC 8878. No name in a tar archive begins so but
    /// by intent.
    pub(crate) fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// The media type of a layer that is compressed so; `None` where there is none.
    pub(crate) fn media_type(self) -> Option<MediaType> {
        match self {
            Self::None => Some(MediaType::ImageLayer),
            Self::Gzip => Some(MediaType::ImageLayerGzip),
            Self::Zstd => Some(MediaType::ImageLayerZstd),
            Self::Bzip2 | Self::Xz => None,
        }
    }

    fn decode<'a>(self, input: BufReader<impl Read + 'a>) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::None => Box::new(input),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            Self::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(input, true, XZ_MEMORY)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}

/// What comes out of a stream, compressed or not.
pub(crate) fn uncompressed<'a>(input: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let (compression, input) = begin(input)?;
    compression.decode(input)
}

/// What comes out of a layer's blob. Of the ways to compress only those that the OCI image specification has are taken.
pub(crate) fn uncompressed_layer<'a>(blob: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let (compression, blob) = begin(blob)?;
    match compression.media_type() {
        Some(_) => compression.decode(blob),
        None => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the layer is compressed by neither gzip nor zstd",
        )),
    }
}

/// Reads the first bytes, and puts them back.
fn begin<'a>(mut input: impl Read + 'a) -> io::Result<(Compression, BufReader<impl Read + 'a>)> {
    let mut start = Vec::new();
    (&mut input).take(Compression::MAGIC).read_to_end(&mut start)?;
    let compression = Compression::of(&start);
    Ok((compression, BufReader::with_capacity(BUFFER, Cursor::new(start).chain(input))))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// `one ` and `two`, as xz writes them.
    const XZ: [&[u8]; 2] = [
        &[
            0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21, 0x01,
            0x10, 0x00, 0x00, 0x00, 0xa8, 0x70, 0x8e, 0x86, 0x01, 0x00, 0x03, 0x6f, 0x6e, 0x65, 0x20, 0x00,
            0x5a, 0x8c, 0x83, 0xa3, 0x31, 0x35, 0xef, 0x7e, 0x00, 0x01, 0x1c, 0x04, 0x6f, 0x2c, 0x9c, 0xc1,
            0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
        ],
        &[
            0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21, 0x01,
            0x10, 0x00, 0x00, 0x00, 0xa8, 0x70, 0x8e, 0x86, 0x01, 0x00, 0x02, 0x74, 0x77, 0x6f, 0x00, 0x00,
            0x5d, 0xd3, 0x79, 0x29, 0x75, 0x28, 0x52, 0x03, 0x00, 0x01, 0x1b, 0x03, 0x0b, 0x2f, 0xb9, 0x10,
            0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
        ],
    ];

    #[test]
    fn what_was_compressed_comes_out_again_also_in_several_members() {
        let gzip = |text: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        };
        let bzip2 = |text: &[u8]| {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        };
        let zstd = |text: &[u8]| zstd::stream::encode_all(text, 3).unwrap();
        let cases = [
            (b"one two".to_vec(), Compression::None, true),
            ([gzip(b"one "), gzip(b"two")].concat(), Compression::Gzip, true),
            ([bzip2(b"one "), bzip2(b"two")].concat(), Compression::Bzip2, false),
            (XZ.concat(), Compression::Xz, false),
            ([zstd(b"one "), zstd(b"two")].concat(), Compression::Zstd, true),
        ];
        for (blob, compression, is_of_layers) in cases {
            assert_eq!(Compression::of(&blob), compression);
            let mut text = String::new();
            uncompressed(blob.as_slice()).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "one two");
            assert_eq!(uncompressed_layer(blob.as_slice()).is_ok(), is_of_layers);
        }
    }

    #[test]
    fn a_stream_that_asks_for_too_much_memory_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(30).unwrap();
        encoder.write_all(b"text").unwrap();
        let blob = encoder.finish().unwrap();
        let read = uncompressed(blob.as_slice()).and_then(|mut text| text.read_to_end(&mut Vec::new()));
        assert!(read.is_err());
    }
}
