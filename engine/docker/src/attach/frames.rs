//! What a program without a terminal writes, as the engine sends it: frames of a stream's number, three bytes that mean
//! nothing, the length in four, and so many bytes.

use bytes::{Buf as _, Bytes};
use homeostat_reconciler::ports::AttachOutput;

/// The length of a frame's head.
const HEAD: usize = 8;
/// Standard output. Nothing else is anything but standard error: 3 is what the engine itself has to say.
const STDOUT: u8 = 1;

/// Takes frames apart, however they are cut.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: Vec<u8>,
    /// So much of the frame whose head is known is still to come.
    left: usize,
}

impl Frames {
    /// What these bytes hold, in order. Nothing is kept of them but a part of a head.
    pub(super) fn take(&mut self, mut bytes: Bytes) -> Vec<AttachOutput> {
        let mut taken = Vec::new();
        while !bytes.is_empty() {
            if self.left > 0 {
                let part = bytes.split_to(self.left.min(bytes.len()));
                self.left -= part.len();
                let is_stdout = self.head.first() == Some(&STDOUT);
                taken.push(if is_stdout { AttachOutput::Stdout(part) } else { AttachOutput::Stderr(part) });
                continue;
            }
            if self.head.len() == HEAD {
                self.head.clear();
            }
            self.head.push(bytes.get_u8());
            if let [_, _, _, _, a, b, c, d] = self.head[..] {
                self.left = u32::from_be_bytes([a, b, c, d]) as usize;
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_apart_however_they_are_cut() {
        let sent = b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\x04errs\x01\0\0\0\0\0\0\x01!";
        for size in 1..=sent.len() {
            let mut frames = Frames::default();
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            for piece in sent.chunks(size) {
                for output in frames.take(Bytes::copy_from_slice(piece)) {
                    match output {
                        AttachOutput::Stdout(bytes) => stdout.extend_from_slice(&bytes),
                        AttachOutput::Stderr(bytes) => stderr.extend_from_slice(&bytes),
                        AttachOutput::End(_) => panic!("frames have no end"),
                    }
                }
            }
            assert_eq!((stdout.as_slice(), stderr.as_slice()), (&b"out!"[..], &b"errs"[..]), "{size}");
        }
    }
}
