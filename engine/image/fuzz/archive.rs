//! Tar archives from descriptions that a fuzzer can change without breaking checksums, lengths and blocks.
//!
//! A line is an entry: the type flag, the path, and fields after blanks:
//! `>LINK`, `=CONTENT`, `zNUMBER` (so many zero bytes more), `xKEY=VALUE` (a record of an extended header before it),
//! `m`, `u`, `g`, `s`, `t`, `j`, `n` and what stands in the header as mode, user, group, size, time, major and minor
//! number, `@PLACE:BYTES` (any bytes of the header). The line `#` is a block of zeros, and `!NUMBER` cuts so many bytes
//! off the end.

const BLOCK: usize = 512;

/// Larger archives are not made.
const LARGEST: usize = 1 << 20;

/// Makes the archive that is described.
pub fn build(description: &[u8]) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut cut = None;
    for line in description.split(|byte| *byte == b'\n') {
        if archive.len() > LARGEST {
            break;
        }
        match line {
            [] => {}
            [b'#', ..] => archive.resize(archive.len() + BLOCK, 0),
            [b'!', length @ ..] => cut = Some(number(length)),
            [kind, fields @ ..] => archive.extend(described(*kind, fields)),
        }
    }
    match cut {
        Some(length) => archive.truncate(archive.len().saturating_sub(length)),
        None => archive.resize(archive.len() + 2 * BLOCK, 0),
    }
    archive
}

/// One entry with nothing special about it.
pub fn entry(kind: u8, path: &[u8], link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = blank(kind, path);
    put(&mut header, 157, 100, link);
    put(&mut header, 124, 12, format!("{:011o}", content.len()).as_bytes());
    sealed(header, content)
}

fn described(kind: u8, fields: &[u8]) -> Vec<u8> {
    let mut fields = fields.split(|byte| *byte == b' ');
    let mut header = blank(kind, fields.next().unwrap_or_default());
    let (mut content, mut records, mut size) = (Vec::new(), Vec::new(), None);
    let mut patches = Vec::new();
    for field in fields {
        match field {
            [b'>', link @ ..] => put(&mut header, 157, 100, link),
            [b'=', text @ ..] => content.extend_from_slice(text),
            [b'z', length @ ..] => content.resize(content.len() + number(length).min(1 << 16), 0),
            [b'x', text @ ..] => record(&mut records, text),
            [b'm', value @ ..] => put(&mut header, 100, 8, value),
            [b'u', value @ ..] => put(&mut header, 108, 8, value),
            [b'g', value @ ..] => put(&mut header, 116, 8, value),
            [b's', value @ ..] => size = Some(value),
            [b't', value @ ..] => put(&mut header, 136, 12, value),
            [b'j', value @ ..] => put(&mut header, 329, 8, value),
            [b'n', value @ ..] => put(&mut header, 337, 8, value),
            [b'@', patch @ ..] => patches.push(patch),
            _ => {}
        }
    }
    let length = format!("{:011o}", content.len());
    put(&mut header, 124, 12, size.unwrap_or(length.as_bytes()));
    for patch in patches {
        let colon = patch.iter().position(|byte| *byte == b':').unwrap_or(patch.len());
        let (place, bytes) = patch.split_at(colon);
        put(&mut header, number(place), BLOCK, bytes.get(1..).unwrap_or_default());
    }
    let mut all = if records.is_empty() { Vec::new() } else { entry(b'x', b"pax", b"", &records) };
    all.extend(sealed(header, &content));
    all
}

fn blank(kind: u8, path: &[u8]) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    put(&mut header, 0, 100, path);
    put(&mut header, 100, 8, if kind == b'5' { b"0000755" } else { b"0000644" });
    header[156] = kind;
    put(&mut header, 257, 8, b"ustar\x0000");
    header
}

/// The header with its checksum, and the content in whole blocks.
fn sealed(mut header: [u8; BLOCK], content: &[u8]) -> Vec<u8> {
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut entry = [&header, content].concat();
    entry.resize(entry.len().next_multiple_of(BLOCK), 0);
    entry
}

/// A record of an extended header, whose length counts itself.
fn record(records: &mut Vec<u8>, text: &[u8]) {
    let rest = text.len() + 2;
    let length = (rest..).find(|length| rest + length.to_string().len() == *length).unwrap_or(rest);
    records.extend_from_slice(format!("{length} ").as_bytes());
    records.extend_from_slice(text);
    records.push(b'\n');
}

/// Puts bytes into a field, cut to its length.
fn put(header: &mut [u8; BLOCK], place: usize, length: usize, bytes: &[u8]) {
    let place = place.min(BLOCK);
    let length = length.min(bytes.len()).min(BLOCK - place);
    header[place..place + length].copy_from_slice(&bytes[..length]);
}

fn number(digits: &[u8]) -> usize {
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
