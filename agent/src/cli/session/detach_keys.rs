//! The keys with which one leaves a program without ending it.

use std::str::FromStr;

/// A sequence of keys, and how far it is typed.
#[derive(Debug, Clone)]
pub(in crate::cli) struct DetachKeys {
    keys: Vec<u8>,
    typed: usize,
}

impl FromStr for DetachKeys {
    type Err = String;

    /// Keys as Docker writes them, with commas between: `a`, or `ctrl-` with a letter or one of `@[\]^_`. Nothing is none.
    fn from_str(text: &str) -> Result<Self, String> {
        let keys =
            if text.is_empty() { Vec::new() } else { text.split(',').map(key).collect::<Result<_, _>>()? };
        Ok(Self { keys, typed: 0 })
    }
}

fn key(text: &str) -> Result<u8, String> {
    let control = text.strip_prefix("ctrl-").or_else(|| text.strip_prefix("CTRL-"));
    match control.unwrap_or(text).as_bytes() {
        [byte] if control.is_none() && byte.is_ascii() => Ok(*byte),
        [byte] if control.is_some() && matches!(byte.to_ascii_uppercase(), b'@'..=b'_') => Ok(byte & 0x1f),
        _ => Err(format!(
            "{text:?} is no key: write a letter, or ctrl- and one, with commas between, as ctrl-p,ctrl-q"
        )),
    }
}

impl DetachKeys {
    /// Takes what was typed, and gives what is to be passed on; `None` when the sequence is complete. The beginning of a
    /// sequence is held until it is known what it is.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut passed = Vec::with_capacity(bytes.len());
        for byte in bytes {
            let mut held = self.keys[..self.typed].to_vec();
            held.push(*byte);
            let begins = |start: &usize| self.keys.starts_with(&held[*start..]);
            let start = (0..held.len()).find(begins).unwrap_or(held.len());
            passed.extend_from_slice(&held[..start]);
            self.typed = held.len() - start;
            if self.typed > 0 && self.typed == self.keys.len() {
                return None;
            }
        }
        Some(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> DetachKeys {
        text.parse().unwrap()
    }

    #[test]
    fn keys_are_written_as_for_docker() {
        assert_eq!(keys("ctrl-p,ctrl-q").keys, [16, 17]);
        assert_eq!(keys("a,ctrl-@,ctrl-[,ctrl-\\,CTRL-Z").keys, [b'a', 0, 27, 28, 26]);
        assert!(keys("").keys.is_empty());
        for wrong in ["ctrl-", "ctrl-1", "ab", "a,,b", "ü", "ctrl-ab"] {
            assert!(wrong.parse::<DetachKeys>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_sequence_is_found_however_it_comes_and_what_only_begins_like_it_is_passed_on() {
        let mut some = keys("ctrl-p,ctrl-q");
        assert_eq!(some.pass(b"ab\x10").unwrap(), b"ab");
        assert_eq!(some.pass(b"c\x10\x10").unwrap(), b"\x10c\x10");
        assert_eq!(some.pass(b"\x11"), None);
        let mut repeated = keys("a,a,b");
        assert_eq!(repeated.pass(b"aaa").unwrap(), b"a");
        assert_eq!(repeated.pass(b"b"), None);
        assert_eq!(keys("").pass(b"\x10\x11").unwrap(), b"\x10\x11");
    }
}
