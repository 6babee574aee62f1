//! A document: bytes of any length with a checksum, cut into pieces that sled keeps inline.
//!
//! sled puts large values into files of their own, which its flush does not sync; small pieces stay in
//! the one database file that we do sync.

use sha2::{Digest, Sha256};

/// Well below the size from which sled 0.34 moves a value into a file of its own.
const PIECE: usize = 32 * 1024;
const CHECKSUM: usize = 32;

/// The pieces of a document: its SHA-256 and the content, cut.
pub(super) fn split(content: &[u8]) -> Vec<Vec<u8>> {
    let mut whole = Vec::with_capacity(CHECKSUM + content.len());
    whole.extend_from_slice(&Sha256::digest(content));
    whole.extend_from_slice(content);
    whole.chunks(PIECE).map(<[u8]>::to_vec).collect()
}

/// The content of a document, if its pieces are all there and unharmed.
pub(super) fn join(pieces: &[impl AsRef<[u8]>]) -> Option<Vec<u8>> {
    let whole: Vec<u8> = pieces.iter().flat_map(|piece| piece.as_ref().iter().copied()).collect();
    let (checksum, content) = whole.split_at_checked(CHECKSUM)?;
    (Sha256::digest(content).as_slice() == checksum).then(|| content.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_of_any_length_comes_back() {
        for length in [0, 1, PIECE - CHECKSUM, PIECE, 5 * PIECE + 7] {
            let content = vec![7; length];
            assert_eq!(join(&split(&content)).as_deref(), Some(content.as_slice()), "{length} bytes");
        }
    }

    #[test]
    fn a_missing_or_changed_piece_is_noticed() {
        let pieces = split(&vec![1; 3 * PIECE]);
        assert_eq!(join(&pieces[..2]), None);
        let mut changed = pieces;
        changed[1][5] ^= 1;
        assert_eq!(join(&changed), None);
        assert_eq!(join(&Vec::<Vec<u8>>::new()), None);
    }
}
