//! Which files are specs, and what stands in for one that cannot be read.

use homeostat_reconciler::{ErrorKind, PortError};
use homeostat_spec::SpecFile;

use crate::limits;

/// Whether a file directly in the source is a spec. As for a shell's `*.toml`, names that begin
/// with a dot are not meant: editors use them for their own files.
pub(crate) fn is_spec_name(name: &[u8]) -> bool {
    !name.starts_with(b".") && name.ends_with(b".toml")
}

/// The spec that cannot be read.
///
/// To leave it out would say that its app is no longer wanted. Its content is never valid TOML (a bare key is
/// followed by another word), so the compiler reports the file as broken, shows this line, and leaves
/// what runs of the app alone; the other files are not held up.
pub(crate) fn unreadable(path: String, reason: &str) -> SpecFile {
    let line: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    SpecFile { path, content: format!("unreadable file: {line}\n").into_bytes() }
}

/// Refuses more spec files than one host can mean.
pub(crate) fn check_total(specs: &[SpecFile]) -> Result<(), PortError> {
    let bytes: usize = specs.iter().map(|spec| spec.content.len()).sum();
    if specs.len() <= limits::SPEC_FILES && bytes <= limits::ALL_SPEC_BYTES {
        return Ok(());
    }
    Err(PortError::new(ErrorKind::User, "the source has too many or too large spec files").with_hint(
        format!("at most {} files of {} MiB in all", limits::SPEC_FILES, limits::ALL_SPEC_BYTES >> 20),
    ))
}
