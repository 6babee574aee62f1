//! One header block.

use super::BLOCK;

/// Where a field lies in the block.
type Field = std::ops::Range<usize>;

const NAME: Field = 0..100;
const MODE: Field = 100..108;
const UID: Field = 108..116;
const GID: Field = 116..124;
const SIZE: Field = 124..136;
const MODIFIED: Field = 136..148;
const CHECKSUM: Field = 148..156;
const KIND: usize = 156;
const LINK: Field = 157..257;
const MAGIC: Field = 257..265;
const DEVICE_MAJOR: Field = 329..337;
const DEVICE_MINOR: Field = 337..345;
const PREFIX: Field = 345..500;

const USTAR: &[u8; 8] = b"ustar\x0000";

/// The fields of a header, before pax records override them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) kind: u8,
    pub(super) mode: u64,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) size: u64,
    pub(super) modified: i64,
    pub(super) device: (u64, u64),
}

/// The largest number of an octal field of 8 or 12 bytes.
pub(super) const OCTAL_8: u64 = 0o777_7777;
pub(super) const OCTAL_12: u64 = 0o777_7777_7777;
/// The longest path of a name field.
pub(super) const NAME_LENGTH: usize = 100;

impl Header {
    /// Writes the block. What does not fit a field is cut: a pax record says it in full.
    pub(super) fn encode(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        put_bytes(&mut block[NAME], &self.path);
        put_octal(&mut block[MODE], self.mode, OCTAL_8);
        put_octal(&mut block[UID], self.uid, OCTAL_8);
        put_octal(&mut block[GID], self.gid, OCTAL_8);
        put_octal(&mut block[SIZE], self.size, OCTAL_12);
        put_octal(&mut block[MODIFIED], u64::try_from(self.modified).unwrap_or(0), OCTAL_12);
        block[KIND] = self.kind;
        put_bytes(&mut block[LINK], &self.link);
        block[MAGIC].copy_from_slice(USTAR);
        put_octal(&mut block[DEVICE_MAJOR], self.device.0, OCTAL_8);
        put_octal(&mut block[DEVICE_MINOR], self.device.1, OCTAL_8);
        let checksum = format!("{:06o}\0 ", checksum(&block));
        block[CHECKSUM].copy_from_slice(checksum.as_bytes());
        block
    }

    /// Reads a block; `None` when its checksum or a number in it is wrong.
    pub(super) fn decode(block: &[u8; BLOCK]) -> Option<Self> {
        if number(&block[CHECKSUM])? != i64::from(checksum(block)) {
            return None;
        }
        let mut path = text(&block[NAME]).to_vec();
        // GNU's header has times where POSIX has the prefix, and another magic.
        let prefix = text(&block[PREFIX]);
        if block[MAGIC].starts_with(b"ustar\0") && !prefix.is_empty() {
            path = [prefix, b"/", &path].concat();
        }
        let natural = |field: Field| u64::try_from(number(&block[field])?).ok();
        let kind = block[KIND];
        let device = if matches!(kind, b'3' | b'4') {
            (natural(DEVICE_MAJOR)?, natural(DEVICE_MINOR)?)
        } else {
            (0, 0)
        };
        Some(Self {
            path,
            link: text(&block[LINK]).to_vec(),
            kind,
            mode: natural(MODE)?,
            uid: natural(UID)?,
            gid: natural(GID)?,
            size: natural(SIZE)?,
            modified: number(&block[MODIFIED])?,
            device,
        })
    }
}

/// Whether an archive may begin with these bytes.
pub(crate) fn is_header(bytes: &[u8]) -> bool {
    bytes.try_into().is_ok_and(|block| Header::decode(block).is_some())
}

/// The sum of all bytes of the block, its checksum field counted as blanks.
fn checksum(block: &[u8; BLOCK]) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    sum(&block[..CHECKSUM.start]) + 8 * u32::from(b' ') + sum(&block[CHECKSUM.end..])
}

fn put_bytes(field: &mut [u8], bytes: &[u8]) {
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
}

fn put_octal(field: &mut [u8], value: u64, limit: u64) {
    let digits = field.len() - 1;
    let text = format!("{:0digits$o}", value.min(limit));
    field[..digits].copy_from_slice(text.as_bytes());
}

/// A field up to its zero byte.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits between blanks, nothing (zero), or GNU's binary form, whose first bit is set.
fn number(field: &[u8]) -> Option<i64> {
    if field[0] & 0x80 != 0 {
        return binary(field);
    }
    let digits = text(field).trim_ascii();
    if digits.is_empty() {
        return Some(0);
    }
    if !digits.iter().all(|digit| matches!(digit, b'0'..=b'7')) {
        return None;
    }
    i64::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

/// Big-endian two's complement, whose sign is the second bit of the first byte.
fn binary(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    let first = if negative { field[0] | 0x80 } else { field[0] & 0x7f };
    let (high, low) = field.split_at(field.len() - 8);
    let fill = if negative { 0xff } else { 0 };
    let mut bytes: [u8; 8] = low.try_into().ok()?;
    if high.is_empty() {
        bytes[0] = first;
    } else if first != fill || high[1..].iter().any(|byte| *byte != fill) {
        return None;
    }
    let value = i64::from_be_bytes(bytes);
    ((value < 0) == negative).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back() {
        let header = Header {
            path: b"some/path".to_vec(),
            link: b"target".to_vec(),
            kind: b'3',
            mode: 0o4755,
            uid: 1000,
            gid: OCTAL_8,
            size: OCTAL_12,
            modified: 1_700_000_000,
            device: (1, 3),
        };
        assert_eq!(Header::decode(&header.encode()), Some(header));
    }

    #[test]
    fn numbers_are_read_in_every_form_and_refused_in_none_other() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"\x80\0\0\0\0\0\x10\0"), Some(4096));
        assert_eq!(number(b"\x80\0\0\0\x40\0\0\0\0\0\0\0"), Some(1 << 62));
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), Some(-1));
        assert_eq!(number(b"\x80\0\0\0\x80\0\0\0\0\0\0\0"), None, "too large");
        assert_eq!(number(b"-000644\0"), None);
        assert_eq!(number(b"+000644\0"), None);
        assert_eq!(number(b"0000689\0"), None);
        assert_eq!(number(b"64 4\0\0\0\0"), None);
    }
}
