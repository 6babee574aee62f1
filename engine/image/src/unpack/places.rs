//! Where entries of an archive come to be: what its paths lead to.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use homeostat_files::{Entry, FileKind, Permissions};

use super::{EPOCH, Form, Unpacker};
use crate::error::UnpackError;
use crate::tar::{DEPTH_LIMIT, PATH_LIMIT};

/// As many links as Linux follows in one path.
const LINKS_LIMIT: usize = 40;

impl Unpacker<'_> {
    /// The name at `path`, whose directories are created if the archive did not mention them, and the path where that
    /// really is: there may be links on the way.
    pub(super) fn entry(&mut self, path: &Path) -> Result<(Entry, PathBuf), UnpackError> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let real = match self.form {
            Form::Layer(_) => {
                let real = self.directory(parent)?.join(path.file_name().unwrap_or_default());
                within_limits(&real)?;
                real
            }
            Form::Files => {
                if let Err(error) = self.root.entry(path)
                    && error.is_not_found()
                {
                    self.create_parents(parent)?;
                }
                path.to_owned()
            }
        };
        Ok((self.root.entry(&real)?, real))
    }

    /// Creates what is missing of the directories of an archive that is no layer.
    fn create_parents(&mut self, directory: &Path) -> Result<(), UnpackError> {
        let mut reached = PathBuf::new();
        for component in directory.components() {
            reached.push(component);
            if self.root.metadata(&reached)?.is_none() {
                self.count_entry()?;
                self.root.create_directories(&reached, Permissions::root(0o755))?;
            }
        }
        Ok(())
    }

    /// The directory of a layer that `path` leads to, by a path without links. What is missing of it is created, also
    /// where a link leads to: that may be there in a lower layer.
    pub(super) fn directory(&mut self, path: &Path) -> Result<PathBuf, UnpackError> {
        if self.directories.contains_key(path) {
            return Ok(path.to_owned());
        }
        let (mut real, mut links) = (PathBuf::new(), 0);
        let mut names = reversed_names(path.as_os_str());
        while let Some(name) = names.pop() {
            if name == ".." {
                real.pop();
                continue;
            }
            let next = real.join(&name);
            if self.directories.contains_key(&next) {
                real = next;
                continue;
            }
            let entry = self.root.entry(&next)?;
            match entry.metadata()?.map(|existing| existing.kind) {
                None => {
                    self.count_entry()?;
                    within_limits(&next)?;
                    entry.create_directory(Permissions::root(0o755))?;
                    self.directories.insert(next.clone(), EPOCH);
                    real = next;
                }
                Some(FileKind::Symlink) if links < LINKS_LIMIT => {
                    links += 1;
                    let target = entry.handle()?.read_link()?;
                    if matches!(self.form, Form::Layer(marks) if marks.is_mark(&target)) {
                        return Err(UnpackError::NotADirectory { path: path.to_owned() });
                    }
                    if target.is_absolute() {
                        real.clear();
                    }
                    names.extend(reversed_names(target.as_os_str()));
                }
                Some(_) => return Err(UnpackError::NotADirectory { path: path.to_owned() }),
            }
        }
        Ok(real)
    }
}

/// A path of the archive, relative to the top of the layer.
pub(super) fn inside(path: &[u8]) -> Result<PathBuf, UnpackError> {
    let escapes = || UnpackError::Escapes { path: Path::new(OsStr::from_bytes(path)).to_owned() };
    let mut inside = PathBuf::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(escapes()),
            part if part.contains(&0) => return Err(escapes()),
            part => {
                inside.push(OsStr::from_bytes(part));
            }
        }
    }
    within_limits(&inside)?;
    Ok(inside)
}

/// Deeper trees could not be packed again.
fn within_limits(path: &Path) -> Result<(), UnpackError> {
    if path.iter().count() > DEPTH_LIMIT {
        return Err(UnpackError::TooLarge { limit: DEPTH_LIMIT as u64, unit: "nested directories" });
    }
    if path.as_os_str().len() >= PATH_LIMIT {
        return Err(UnpackError::TooLarge { limit: PATH_LIMIT as u64, unit: "bytes in a path" });
    }
    Ok(())
}

/// The names of a path that say something, the last one first.
fn reversed_names(path: &OsStr) -> Vec<OsString> {
    let names = path.as_bytes().split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
    names.rev().map(|name| OsStr::from_bytes(name).to_owned()).collect()
}
