//! Reading and writing the files in a container's directory.

use std::path::Path;

use fs_err as fs;
use homeostat_files::{StateError, read_json, write_json, write_json_durably};
use homeostat_spec::LogRotation;

use crate::failure::OrFail as _;
use crate::{
    EXIT_FILE, ExitRecord, Failure, FailureKind, LOG_FILE, REQUEST_FILE, RUN_FILE, RunRequest, RunState,
};

impl RunRequest {
    /// Saves the request in the container's directory. It is made anew for every start: nothing waits for the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), StateError> {
        write_json(directory.join(REQUEST_FILE), self)
    }

    /// The request in a container's directory, checked as far as that goes without the host.
    pub(crate) fn load(directory: &Path) -> Result<Self, Failure> {
        let request: Option<Self> = read_json(directory.join(REQUEST_FILE))
            .or_fail(FailureKind::InvalidRequest, "read the request")?;
        let request = request.ok_or_else(|| {
            Failure::invalid(format!("there is no {REQUEST_FILE} in {}", directory.display()))
        })?;
        check_id(&request.id)?;
        Ok(request)
    }
}

impl RunState {
    /// What the monitor wrote in a container's directory when the program ran. `None` when there is none, or it is not whole:
    /// then power was cut since, and nothing runs.
    ///
    /// That it says so does not mean that the processes still live: ask [`ProcessIdentity::is_alive`](crate::ProcessIdentity::is_alive).
    pub fn load(directory: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(directory.join(RUN_FILE)).ok()?).ok()
    }

    /// Not durable: after a power cut it is worth nothing anyway.
    pub(crate) fn save(&self, directory: &Path) -> Result<(), Failure> {
        let path = directory.join(RUN_FILE);
        let temporary = directory.join(format!(".{RUN_FILE}.tmp"));
        let text = serde_json::to_vec(self).or_fail(FailureKind::Runtime, "describe what runs")?;
        fs::write(&temporary, text)
            .and_then(|()| fs::rename(&temporary, path))
            .or_fail(FailureKind::Runtime, "save what runs")
    }
}

impl ExitRecord {
    /// How the last run of the container in this directory ended; `None` when it runs, never ran, or was cut off.
    ///
    /// # Errors
    /// When the record is damaged or cannot be read.
    pub fn load(directory: &Path) -> Result<Option<Self>, StateError> {
        read_json(directory.join(EXIT_FILE))
    }
}

/// Saves new limits of a container's log in its directory. A monitor that runs takes them on `SIGHUP`.
///
/// # Errors
/// When they cannot be written.
pub fn save_rotation(directory: &Path, rotation: &LogRotation) -> Result<(), StateError> {
    write_json_durably(directory.join(LOG_FILE), rotation)
}

/// The limits in force, if they were ever changed.
pub(crate) fn read_rotation(directory: &Path) -> Option<LogRotation> {
    // A damaged file changes nothing.
    read_json(directory.join(LOG_FILE)).ok().flatten()
}

/// An id names files and control groups.
pub(crate) fn check_id(id: &str) -> Result<(), Failure> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if id.is_empty() || id.len() > 64 || id.starts_with('.') || !id.bytes().all(allowed) {
        return Err(Failure::invalid(format!("{id:?} is no id of a container")));
    }
    Ok(())
}
