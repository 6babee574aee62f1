//! Pieces that arrive, read by a thread that may block.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use tokio::sync::mpsc::Receiver;

/// Reads what is sent; ends when nobody sends any more.
#[derive(Debug)]
pub(crate) struct Arriving {
    pieces: Receiver<Bytes>,
    current: Bytes,
}

impl Arriving {
    pub(crate) fn new(pieces: Receiver<Bytes>) -> Self {
        Self { pieces, current: Bytes::new() }
    }
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece,
                None => return Ok(0),
            }
        }
        let length = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
