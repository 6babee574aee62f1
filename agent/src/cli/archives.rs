//! Archives that are written to a file or standard output.

use std::io::{self, IsTerminal as _, Write};
use std::path::Path;

use futures::stream::{BoxStream, StreamExt as _};
use homeostat_reconciler::{ErrorKind, PortError};
use hyper::body::Bytes;

use super::errors::CliError;
use crate::api::ClientError;

/// An archive as it comes.
type Pieces = BoxStream<'static, Result<Bytes, ClientError>>;

/// Refuses to write an archive to a terminal; `option` is the one that names a file.
pub(super) fn refuse_terminal(file: Option<&Path>, option: &str) -> Result<(), PortError> {
    if file.is_some() || !io::stdout().is_terminal() {
        return Ok(());
    }
    let error = PortError::new(ErrorKind::User, "an archive is nothing for a terminal");
    Err(error.with_hint(format!("name a file with {option}, or send it on with a pipe")))
}

/// Writes an archive to a file, or to standard output.
pub(super) async fn write(file: Option<&Path>, archive: Pieces) -> Result<(), CliError> {
    match file {
        Some(file) => write_file(file, archive).await,
        None => copy(archive, &mut io::stdout().lock()).await,
    }
}

/// The file is there when all of it is.
async fn write_file(file: &Path, archive: Pieces) -> Result<(), CliError> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let unfinished = file.with_file_name(name);
    let written = async {
        let mut output = fs_err::File::create(&unfinished)?;
        copy(archive, &mut output).await?;
        output.sync_all()?;
        Ok(fs_err::rename(&unfinished, file)?)
    };
    let written = written.await;
    if written.is_err() {
        let _ = fs_err::remove_file(&unfinished);
    }
    written
}

async fn copy(mut archive: Pieces, output: &mut impl Write) -> Result<(), CliError> {
    while let Some(piece) = archive.next().await {
        output.write_all(&piece?)?;
    }
    Ok(output.flush()?)
}
