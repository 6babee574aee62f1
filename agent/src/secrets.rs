//! Secrets of builds: read when a build begins, and kept nowhere.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::Path;

use homeostat_reconciler::{ErrorKind, PortError};
use homeostat_spec::Secret;

/// The contents of files of this host, by the ids that the build has for them.
///
/// # Errors
/// With the id and the path of one that cannot be read. It may be there in a moment: that is of kind `Transient`.
pub(crate) async fn read(paths: &BTreeMap<String, String>) -> Result<BTreeMap<String, Secret>, PortError> {
    let paths = paths.clone();
    let reading = tokio::task::spawn_blocking(move || {
        paths.into_iter().map(|(id, path)| Ok((id.clone(), read_one(&id, Path::new(&path))?))).collect()
    });
    reading.await.unwrap_or_else(|panic| {
        Err(PortError::new(ErrorKind::Internal, "reading a secret panicked").caused_by(panic))
    })
}

/// One file.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_one(id: &str, path: &Path) -> Result<Secret, PortError> {
    let failed = |error: io::Error| {
        PortError::new(ErrorKind::Transient, format!("the secret {id} of the build cannot be read"))
            .caused_by(error)
    };
    let file = fs_err::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(Secret::LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    checked(id, bytes)
}

/// A secret that is not too large.
///
/// # Errors
/// When it is.
pub(crate) fn checked(id: &str, bytes: Vec<u8>) -> Result<Secret, PortError> {
    if bytes.len() as u64 > Secret::LIMIT {
        let message = format!("the secret {id} of the build has more than {} bytes", Secret::LIMIT);
        return Err(PortError::new(ErrorKind::User, message));
    }
    Ok(Secret::new(bytes))
}
