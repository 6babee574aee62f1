//! Times of files that are to be the same in every build.

use std::path::Path;

use homeostat_files::{Root, Timestamp};

use crate::StepError;

/// Sets the time of everything that was changed after `limit` back to it, the top directory included.
pub(crate) fn limit_times(layer: &Root, limit: jiff::Timestamp) -> Result<(), StepError> {
    let limit = Timestamp { seconds: limit.as_second(), nanoseconds: 0 };
    limit_beneath(layer, Path::new(""), limit)?;
    let top = layer.resolve("")?;
    if top.metadata()?.modified > limit {
        top.set_modified(limit)?;
    }
    Ok(())
}

fn limit_beneath(layer: &Root, directory: &Path, limit: Timestamp) -> Result<(), StepError> {
    for name in layer.read_directory(directory)? {
        let path = directory.join(name);
        let handle = layer.entry(&path)?.handle()?;
        let metadata = handle.metadata()?;
        if metadata.is_directory() {
            limit_beneath(layer, &path, limit)?;
        }
        if metadata.modified > limit {
            handle.set_modified(limit)?;
        }
    }
    Ok(())
}
