//! Pax extended header records: `LENGTH KEY=VALUE\n`, the length counting all of the record (POSIX pax, "Extended
//! Header").

/// Appends one record.
pub(super) fn put(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// The records in order; `None` when one is malformed.
pub(super) fn parse(mut bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let blank = bytes.iter().take(20).position(|byte| *byte == b' ')?;
        let length = natural(&bytes[..blank])?;
        let length = usize::try_from(length).ok()?;
        if length <= blank + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
            return None;
        }
        let record = &bytes[blank + 1..length - 1];
        let equals = record.iter().position(|byte| *byte == b'=')?;
        records.push((&record[..equals], &record[equals + 1..]));
        bytes = &bytes[length..];
    }
    Some(records)
}

/// A decimal number without sign.
pub(super) fn natural(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Seconds since 1970 of a time with an optional fraction, and its nanoseconds.
pub(super) fn time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let negative = whole.starts_with('-');
    let seconds: i64 = if negative {
        i64::try_from(natural(&whole.as_bytes()[1..])?).ok()?.checked_neg()?
    } else {
        i64::try_from(natural(whole.as_bytes())?).ok()?
    };
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    if negative && nanoseconds > 0 {
        return Some((seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds));
    }
    Some((seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for length in 0..300 {
            let mut records = Vec::new();
            put(&mut records, b"path", &vec![b'x'; length]);
            put(&mut records, b"SCHILY.xattr.user.a", b"\n=\0");
            let parsed = parse(&records).unwrap();
            assert_eq!(parsed[0].1.len(), length);
            assert_eq!(parsed[1], (&b"SCHILY.xattr.user.a"[..], &b"\n=\0"[..]));
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        for wrong in [&b"5"[..], b"99 a=b\n", b"6 a=b", b"0 a=b\n", b"+6 a=b\n", b"6 aab\n", b"3 a\n", b" \n"]
        {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn times_have_fractions_and_may_lie_before_1970() {
        assert_eq!(time(b"12"), Some((12, 0)));
        assert_eq!(time(b"12.5"), Some((12, 500_000_000)));
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"1.1234567891"), Some((1, 123_456_789)));
        for wrong in [&b""[..], b"x", b"1.x", b"--1", b"1e3", b"99999999999999999999"] {
            assert_eq!(time(wrong), None);
        }
    }
}
