//! Small state files that know whether they are whole.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::durable::write_whole;
use crate::{FileError, write_durably};

/// More than any state file has; a larger one is not read into memory.
const LIMIT: u64 = 64 << 20;

/// A state file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The state file.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot save state")]
    Write(#[from] FileError),
    /// The file has no checksum line, or its content is not what was written: torn by a power cut, or edited.
    #[error("{} is damaged: its checksum does not match", path.display())]
    Damaged {
        /// The state file.
        path: PathBuf,
    },
    /// The file is whole, but is not the kind of state that was asked for, or is of another version.
    #[error("{} is not the state expected", path.display())]
    Unexpected {
        /// The state file.
        path: PathBuf,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// The value cannot be written as JSON.
    #[error("cannot turn the state for {} into JSON", path.display())]
    Serialize {
        /// The state file.
        path: PathBuf,
        /// What does not fit.
        source: serde_json::Error,
    },
}

/// Saves a value as a line `sha256:HEX` followed by JSON, as durably as [`write_durably`], mode 0600.
///
/// # Errors
/// When the value is no JSON, or the file cannot be written.
pub fn write_json_durably<T: Serialize>(path: impl AsRef<Path>, value: &T) -> Result<(), StateError> {
    let path = path.as_ref();
    Ok(write_durably(path, &encode(path, value)?)?)
}

/// [`write_json_durably`] for what is worth nothing after a power cut: writes the same and does not wait for the disk.
///
/// A power cut may leave what [`read_json`] calls damaged. A kill leaves the old content or the new.
///
/// # Errors
/// As [`write_json_durably`].
pub fn write_json<T: Serialize>(path: impl AsRef<Path>, value: &T) -> Result<(), StateError> {
    let path = path.as_ref();
    Ok(write_whole(path, &encode(path, value)?)?)
}

/// Reads what [`write_json_durably`] saved; `None` when there is no such file.
///
/// # Errors
/// [`StateError::Damaged`] when the file is not whole, [`StateError::Unexpected`] when it is something else.
pub fn read_json<T: DeserializeOwned>(path: impl AsRef<Path>) -> Result<Option<T>, StateError> {
    let path = path.as_ref();
    let mut bytes = Vec::new();
    match fs::File::open(path).and_then(|file| file.take(LIMIT).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StateError::Read { path: path.to_owned(), source }),
    }
    let json = verified(&bytes).ok_or_else(|| StateError::Damaged { path: path.to_owned() })?;
    let value = serde_json::from_slice(json)
        .map_err(|source| StateError::Unexpected { path: path.to_owned(), source })?;
    Ok(Some(value))
}

fn encode<T: Serialize>(path: &Path, value: &T) -> Result<Vec<u8>, StateError> {
    let json = serde_json::to_vec_pretty(value)
        .map_err(|source| StateError::Serialize { path: path.to_owned(), source })?;
    let mut bytes = checksum(&json).into_bytes();
    bytes.push(b'\n');
    bytes.extend_from_slice(&json);
    Ok(bytes)
}

fn checksum(json: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(json))
}

fn verified(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().take(128).position(|byte| *byte == b'\n')?;
    let json = &bytes[end + 1..];
    (checksum(json).as_bytes() == &bytes[..end]).then_some(json)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_back_what_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), None);
        write_json_durably(&path, &vec![1, 2, 3]).unwrap();
        assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), Some(vec![1, 2, 3]));
    }

    #[test]
    fn reads_back_what_was_written_for_a_while() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        for value in [vec![1, 2, 3], vec![4]] {
            write_json(&path, &value).unwrap();
            assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), Some(value));
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn another_kind_of_state_is_unexpected_not_damaged() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        write_json_durably(&path, &"text").unwrap();
        assert!(matches!(read_json::<Vec<u32>>(&path), Err(StateError::Unexpected { .. })));
    }

    proptest! {
        #[test]
        fn any_torn_or_changed_file_is_damaged(cut in 0usize..80, flip in 0usize..80) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("state.json");
            write_json_durably(&path, &vec![1, 2, 3]).unwrap();
            let whole = fs::read(&path).unwrap();
            fs::write(&path, &whole[..cut.min(whole.len() - 1)]).unwrap();
            prop_assert!(matches!(read_json::<Vec<u32>>(&path), Err(StateError::Damaged { .. })), "torn");
            let mut changed = whole.clone();
            let at = flip.min(whole.len() - 1);
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            prop_assert!(matches!(read_json::<Vec<u32>>(&path), Err(StateError::Damaged { .. })), "changed");
        }
    }
}
