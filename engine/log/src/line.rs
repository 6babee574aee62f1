//! One line of a log.

use std::fmt;

use jiff::Timestamp;

/// Where a container writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl LogStream {
    pub(crate) const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];
}

impl fmt::Display for LogStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        })
    }
}

/// One line that a container wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it, or its first part, was read from the container.
    pub time: Timestamp,
    /// Where it was written to.
    pub stream: LogStream,
    /// The bytes without the line's end.
    pub text: Vec<u8>,
}

/// One line of a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was written.
    pub time: Timestamp,
    /// Where it was written to.
    pub stream: LogStream,
    /// The text goes on in the stream's next record.
    pub partial: bool,
    /// The bytes without the line's end.
    pub text: &'a [u8],
}

impl<'a> Record<'a> {
    /// Appends the record with its line end.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        let tag = if self.partial { 'P' } else { 'F' };
        out.extend_from_slice(format!("{:.9} {} {tag} ", self.time, self.stream).as_bytes());
        out.extend_from_slice(self.text);
        out.push(b'\n');
    }

    /// Reads a record without its line end; `None` when it is none, as after a power cut.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let (time, rest) = split_once(line)?;
        let (stream, rest) = split_once(rest)?;
        let (tag, text) = split_once(rest)?;
        let time = std::str::from_utf8(time).ok()?.parse().ok()?;
        let stream = LogStream::ALL.into_iter().find(|known| known.to_string().as_bytes() == stream)?;
        // Tags after the first, parted by colons, are kept free by the format.
        let partial = match tag.split(|byte| *byte == b':').next()? {
            b"F" => false,
            b"P" => true,
            _ => return None,
        };
        Some(Self { time, stream, partial, text })
    }
}

fn split_once(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == b' ')?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_is_a_line_of_the_cri_format() {
        let time = "2026-01-02T03:04:05.1Z".parse().unwrap();
        let mut out = Vec::new();
        Record { time, stream: LogStream::Stderr, partial: true, text: b"half" }.write_to(&mut out);
        assert_eq!(out, b"2026-01-02T03:04:05.100000000Z stderr P half\n");
    }

    #[test]
    fn what_is_no_record_is_none() {
        let bad: [&[u8]; 6] = [
            b"",
            b"\0\0\0\0",
            b"2026-01-02T03:04:05Z",
            b"2026-01-02T03:04:05Z stdout F",
            b"2026-01-02T03:04:05Z stdin F x",
            b"yesterday stdout F x",
        ];
        for line in bad {
            assert_eq!(Record::parse(line), None, "{}", String::from_utf8_lossy(line));
        }
    }

    proptest! {
        #[test]
        fn every_record_reads_back(text in proptest::collection::vec(any::<u8>(), 0..50), partial: bool, nanos in 0i64..i64::MAX) {
            prop_assume!(!text.contains(&b'\n'));
            let time = Timestamp::from_nanosecond(i128::from(nanos)).unwrap();
            let record = Record { time, stream: LogStream::Stdout, partial, text: &text };
            let mut out = Vec::new();
            record.write_to(&mut out);
            prop_assert_eq!(Record::parse(&out[..out.len() - 1]), Some(record));
        }

        #[test]
        fn parsing_never_panics(line in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Record::parse(&line);
        }
    }
}
