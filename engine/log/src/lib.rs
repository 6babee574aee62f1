//! Logs of containers, in the format of Kubernetes' container runtime interface (CRI).
//!
//! A directory holds `current.log` and, older by number, `current.log.1`, `current.log.2`, ... Each line is
//!
//! ```text
//! 2026-01-02T03:04:05.123456789Z stdout F the text
//! ```
//!
//! with `P` in place of `F` when the text goes on in the stream's next line. Bytes are kept as they were written.

mod line;
mod reader;
mod splitter;
mod writer;

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use jiff::Timestamp;

pub use line::{LogLine, LogStream, Record};
pub use reader::{LogQuery, LogReader};
pub use splitter::Splitter;
pub use writer::Writer;

/// Name of the file that is written now.
pub const CURRENT: &str = "current.log";

/// Text longer than this many bytes is written in several lines.
pub(crate) const LINE_LIMIT: usize = 16 * 1024;

/// When a log was last written to.
///
/// # Errors
/// When there is no such directory, or it cannot be read.
pub fn last_written(directory: &Path) -> io::Result<Timestamp> {
    let time = |metadata: std::fs::Metadata| {
        Ok::<_, io::Error>(Timestamp::try_from(metadata.modified()?).unwrap_or_default())
    };
    let mut newest = time(fs::metadata(directory)?)?;
    for file in fs::read_dir(directory)? {
        newest = newest.max(time(file?.metadata()?)?);
    }
    Ok(newest)
}

/// The file that was written `age` rotations ago.
fn file(directory: &Path, age: u32) -> PathBuf {
    match age {
        0 => directory.join(CURRENT),
        age => directory.join(format!("{CURRENT}.{age}")),
    }
}
