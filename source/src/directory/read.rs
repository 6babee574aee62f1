//! Reading the spec files of one moment.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::Duration;

use homeostat_reconciler::{ErrorKind, PortError};
use homeostat_spec::SpecFile;
use rustix::fd::OwnedFd;
use rustix::fs::{Dir, FileType};
use sha2::{Digest as _, Sha256};

use super::beneath;
use super::cache::Identity;
use crate::content::ContentError;
use crate::limits;
use crate::spec_file::{check_total, is_spec_name, unreadable};

/// How often a directory that changes while it is read is read again, a little later each time: 1.1 s in all.
const ATTEMPTS: u64 = 10;

/// The spec files, all of one moment, and the directory they are in.
pub(super) fn specs(path: &Path) -> Result<(OwnedFd, Vec<SpecFile>), PortError> {
    for attempt in 1..=ATTEMPTS {
        if let Some(found) = try_specs(path)? {
            return Ok(found);
        }
        thread::sleep(Duration::from_millis(20 * attempt));
    }
    Err(PortError::new(ErrorKind::Transient, format!("{} keeps changing while it is read", path.display())))
}

/// One try; `None` if something changed meanwhile.
fn try_specs(path: &Path) -> Result<Option<(OwnedFd, Vec<SpecFile>)>, PortError> {
    let root = beneath::open_root(path)?;
    let before = Listing::of(&root)?;
    let Some(specs) = before.read(&root)? else { return Ok(None) };
    // Opened anew: the path may lead to another directory by now.
    let after = Listing::of(&beneath::open_root(path)?)?;
    check_total(&specs)?;
    Ok((before == after).then_some((root, specs)))
}

/// Names and identities of the spec files.
#[derive(PartialEq, Eq)]
struct Listing {
    root: (u64, u64),
    specs: Vec<(Vec<u8>, State)>,
}

/// What is under the name of a spec.
#[derive(PartialEq, Eq)]
enum State {
    File(Identity),
    Unreadable(String),
}

impl Listing {
    fn of(root: &OwnedFd) -> Result<Self, PortError> {
        let stat = rustix::fs::fstat(root).map_err(ContentError::io("read", Path::new("")))?;
        let mut specs = Vec::new();
        for entry in Dir::read_from(root).map_err(ContentError::io("read", Path::new("")))? {
            let entry = entry.map_err(ContentError::io("read", Path::new("")))?;
            let name = entry.file_name().to_bytes();
            if is_spec_name(name) {
                specs.push((name.to_owned(), State::of(root, name)));
            }
            if specs.len() > limits::SPEC_FILES {
                break;
            }
        }
        specs.sort_by(|(one, _), (other, _)| one.cmp(other));
        #[allow(clippy::unnecessary_cast)]
        Ok(Self { root: (stat.st_dev as u64, stat.st_ino as u64), specs })
    }

    /// The content of each; `None` if one is no longer what it was.
    fn read(&self, root: &OwnedFd) -> Result<Option<Vec<SpecFile>>, PortError> {
        let mut specs = Vec::with_capacity(self.specs.len());
        for (name, state) in &self.specs {
            let path = String::from_utf8_lossy(name).into_owned();
            let spec = match state {
                State::Unreadable(reason) => unreadable(path, reason),
                State::File(identity) => match read(root, &path, identity) {
                    Ok(Some(content)) => SpecFile { path, content },
                    Ok(None) | Err(ContentError::Changed(_)) => return Ok(None),
                    Err(error) => unreadable(path, &error.line()),
                },
            };
            specs.push(spec);
            if specs.len() % 64 == 0 {
                check_total(&specs)?;
            }
        }
        Ok(Some(specs))
    }
}

impl State {
    fn of(root: &OwnedFd, name: &[u8]) -> Self {
        let Ok(text) = str::from_utf8(name) else {
            return Self::Unreadable("its name is not UTF-8".to_owned());
        };
        match beneath::look(root, text) {
            Ok(Some(stat)) if FileType::from_raw_mode(stat.st_mode).is_file() => {
                Self::File(Identity::from(&stat))
            }
            Ok(Some(_)) => Self::Unreadable("it is a directory".to_owned()),
            Ok(None) => Self::Unreadable("it is a symbolic link to nothing".to_owned()),
            Err(error) => Self::Unreadable(error.line()),
        }
    }
}

/// The bytes of a spec, as many as the compiler needs to say that there are too many.
fn read(root: &OwnedFd, path: &str, identity: &Identity) -> Result<Option<Vec<u8>>, ContentError> {
    let Some(entry) = beneath::open(root, path)? else { return Ok(None) };
    if Identity::from(&entry.stat) != *identity {
        return Ok(None);
    }
    let mut content = Vec::new();
    File::from(entry.fd)
        .take(limits::SPEC_BYTES as u64)
        .read_to_end(&mut content)
        .map_err(|source| ContentError::Io { action: "read", path: path.to_owned(), source })?;
    Ok(Some(content))
}

/// The revision of a directory: 40 hex digits over the names and bytes of its specs, as long as a commit's.
pub(super) fn revision(specs: &[SpecFile]) -> String {
    let mut hasher = Sha256::new();
    for spec in specs {
        for part in [spec.path.as_bytes(), &spec.content] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    hex(&hasher.finalize()[..20])
}

/// Bytes as lower-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
