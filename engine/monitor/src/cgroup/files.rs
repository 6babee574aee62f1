//! Reading and writing the kernel's files.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use fs_err as fs;

use super::CgroupError;

pub(super) fn read(path: &Path) -> Result<String, CgroupError> {
    Ok(fs::read_to_string(path).map_err(|error| told_gone(path, error))?)
}

/// The content of a file, `None` when it is not there, as where a controller is not enabled.
pub(super) fn read_if_there(path: &Path) -> Result<Option<String>, CgroupError> {
    match read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), CgroupError> {
    // The files exist already: to create one would fail in a way that says less.
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    Ok(io::Write::write_all(&mut file, text.as_bytes()).map_err(|error| told_gone(path, error))?)
}

/// The value of a `NAME VALUE` line.
pub(super) fn counter(path: &Path, name: &str) -> Result<u64, CgroupError> {
    find_counter(&read(path)?, name).ok_or_else(|| CgroupError::Malformed { path: path.to_owned() })
}

pub(super) fn find_counter(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Adds the processes of a control group and of those nested in it.
pub(super) fn processes(directory: &Path, found: &mut BTreeSet<u32>) -> Result<(), CgroupError> {
    let Some(text) = read_if_there(&directory.join("cgroup.procs"))? else { return Ok(()) };
    found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid != 0));
    for_each_nested(directory, |nested| processes(nested, found))
}

/// Removes a control group after those nested in it.
pub(super) fn remove_tree(directory: &Path) -> Result<(), CgroupError> {
    for_each_nested(directory, remove_tree)?;
    wait_until("leave", directory, Duration::from_secs(2), || match fs::remove_dir(directory) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        // The kernel takes a process out of its group a moment after it was reaped.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(false),
        Err(error) => Err(error.into()),
    })
}

fn for_each_nested(
    directory: &Path,
    mut act: impl FnMut(&Path) -> Result<(), CgroupError>,
) -> Result<(), CgroupError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            act(&entry.path())?;
        }
    }
    Ok(())
}

/// Files of a control group that is removed while they are open answer ENODEV: that means the same as not to be there.
fn told_gone(path: &Path, error: io::Error) -> io::Error {
    if path.exists() { error } else { io::Error::new(io::ErrorKind::NotFound, error) }
}

/// Tries again with growing pauses until it is true; the kernel offers nothing to wait on in cgroup v1.
pub(super) fn wait_until(
    what: &'static str,
    path: &Path,
    patience: Duration,
    mut done: impl FnMut() -> Result<bool, CgroupError>,
) -> Result<(), CgroupError> {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_micros(100);
    while !done()? {
        if Instant::now() >= deadline {
            return Err(CgroupError::Timeout { what, path: path.to_owned() });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
    Ok(())
}
