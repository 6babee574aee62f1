//! From chunks of a stream to records.

use jiff::Timestamp;

use crate::LINE_LIMIT;
use crate::line::{LogStream, Record};

/// Holds the begun line of one stream until its end comes, or it is too long to be held.
#[derive(Debug)]
pub struct Splitter {
    stream: LogStream,
    begun: Vec<u8>,
}

impl Splitter {
    /// Nothing taken yet.
    pub fn new(stream: LogStream) -> Self {
        Self { stream, begun: Vec::new() }
    }

    /// Takes the next bytes of the stream and passes on every record that they complete.
    pub fn take(&mut self, time: Timestamp, mut bytes: &[u8], mut emit: impl FnMut(Record<'_>)) {
        while !bytes.is_empty() {
            let room = LINE_LIMIT - self.begun.len();
            let end = bytes.iter().take(room + 1).position(|byte| *byte == b'\n');
            let (length, consumed, partial) = match end {
                Some(end) => (end, end + 1, false),
                None if bytes.len() > room => (room, room, true),
                None => {
                    self.begun.extend_from_slice(bytes);
                    return;
                }
            };
            self.emit(time, &bytes[..length], partial, &mut emit);
            bytes = &bytes[consumed..];
        }
    }

    /// The stream has ended: passes on a begun line.
    pub fn finish(&mut self, time: Timestamp, mut emit: impl FnMut(Record<'_>)) {
        if !self.begun.is_empty() {
            self.emit(time, &[], false, &mut emit);
        }
    }

    fn emit(&mut self, time: Timestamp, rest: &[u8], partial: bool, emit: &mut impl FnMut(Record<'_>)) {
        let stream = self.stream;
        if self.begun.is_empty() {
            emit(Record { time, stream, partial, text: rest });
            return;
        }
        self.begun.extend_from_slice(rest);
        emit(Record { time, stream, partial, text: &self.begun });
        // The memory of a long line is given back: a monitor is small.
        self.begun = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let mut splitter = Splitter::new(LogStream::Stdout);
        let mut out = Vec::new();
        for chunk in chunks {
            splitter.take(Timestamp::UNIX_EPOCH, chunk, |record| {
                out.push((record.text.to_vec(), record.partial));
            });
        }
        splitter.finish(Timestamp::UNIX_EPOCH, |record| out.push((record.text.to_vec(), record.partial)));
        out
    }

    #[test]
    fn lines_are_put_together_over_chunks() {
        let found = split(&[b"a\nb", b"c\n", b"\n", b"end"]);
        let want: [(&[u8], bool); 4] = [(b"a", false), (b"bc", false), (b"", false), (b"end", false)];
        assert_eq!(found, want.map(|(text, partial)| (text.to_vec(), partial)));
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole() {
        let mut line = vec![b'x'; LINE_LIMIT];
        line.push(b'\n');
        assert_eq!(split(&[&line]), [(vec![b'x'; LINE_LIMIT], false)]);
    }

    #[test]
    fn a_longer_line_comes_in_parts() {
        let mut line = vec![b'x'; LINE_LIMIT + 1];
        line.push(b'\n');
        assert_eq!(split(&[&line]), [(vec![b'x'; LINE_LIMIT], true), (vec![b'x'], false)]);
    }

    proptest! {
        #[test]
        fn no_byte_is_lost(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'a')], 0..300), cut in 1usize..50) {
            let chunks: Vec<&[u8]> = bytes.chunks(cut).collect();
            let mut joined = Vec::new();
            for (text, partial) in split(&chunks) {
                joined.extend(text);
                if !partial { joined.push(b'\n'); }
            }
            let mut want = bytes.clone();
            if !want.is_empty() && want.last() != Some(&b'\n') { want.push(b'\n'); }
            prop_assert_eq!(joined, want);
        }
    }
}
