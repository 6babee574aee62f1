//! How layers are compressed.

use std::io::{self, BufReader, Cursor, Read};

use oci_spec::image::MediaType;

/// How many bytes are read at once from what is compressed.
const BUFFER: usize = 1 << 18;

/// How much memory a zstd stream may ask for: 2 to the power of this in bytes, what `zstd` itself takes without `--long`.
const ZSTD_WINDOW_LOG: u32 = 27;

/// How a layer's archive is compressed, as its first bytes tell: media types lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// How many bytes tell.
    pub(crate) const MAGIC: u64 = 4;

    /// By the first bytes: of RFC 1952 and RFC 8878. No name in a tar archive begins so.
    pub(crate) fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    pub(crate) fn media_type(self) -> MediaType {
        match self {
            Self::None => MediaType::ImageLayer,
            Self::Gzip => MediaType::ImageLayerGzip,
            Self::Zstd => MediaType::ImageLayerZstd,
        }
    }
}

/// What comes out of a layer's blob, compressed or not.
pub(crate) fn uncompressed<'a>(mut blob: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut start = Vec::new();
    (&mut blob).take(Compression::MAGIC).read_to_end(&mut start)?;
    let compression = Compression::of(&start);
    let whole = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(blob));
    Ok(match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(whole)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_was_compressed_comes_out_again_also_in_several_members() {
        let gzip = |text: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        };
        let zstd = |text: &[u8]| zstd::stream::encode_all(text, 3).unwrap();
        let cases = [
            (b"one two".to_vec(), Compression::None),
            ([gzip(b"one "), gzip(b"two")].concat(), Compression::Gzip),
            ([zstd(b"one "), zstd(b"two")].concat(), Compression::Zstd),
        ];
        for (blob, compression) in cases {
            assert_eq!(Compression::of(&blob), compression);
            let mut text = String::new();
            uncompressed(blob.as_slice()).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "one two");
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
