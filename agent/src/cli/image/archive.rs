//! `homeostat image save` and `homeostat image load`.

use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use clap::{Args, ValueEnum};
use futures::stream::{self, BoxStream, StreamExt as _};
use homeostat_reconciler::ports::{ArchiveFormat, LoadedImage, SaveRequest};
use homeostat_reconciler::{ErrorKind, PortError};
use hyper::body::Bytes;
use tokio::io::AsyncReadExt as _;

use super::super::access::Access;
use super::super::errors::CliError;
use super::super::options::Resolved;
use crate::cli::{DONE, archives};
use crate::render::{self, Output, short};

/// How many bytes are read from an archive at once.
const PIECE: usize = 1 << 18;

#[derive(Args)]
pub(in crate::cli) struct Save {
    /// What the images are called; by a reference they are called in the archive too
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Write to this file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Which archive is written
    #[arg(long, value_enum, default_value_t = Format::DockerArchive)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// That of `docker save`
    DockerArchive,
    /// An OCI image layout in a tar archive
    OciArchive,
}

#[derive(Args)]
pub(in crate::cli) struct Load {
    /// Read this file, compressed or not [default: standard input]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Save {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        archives::refuse_terminal(self.file.as_deref(), "--file")?;
        let format = match self.format {
            Format::DockerArchive => ArchiveFormat::DockerArchive,
            Format::OciArchive => ArchiveFormat::OciArchive,
        };
        let request = SaveRequest { names: self.images, format };
        let mut access = Access::open(global).await?;
        let archive = access.client.post_for_bytes("/v1/images/save", &request).await?;
        archives::write(self.file.as_deref(), archive).await?;
        Ok(DONE)
    }
}

impl Load {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        if self.file.is_none() && io::stdin().is_terminal() {
            let error = PortError::new(ErrorKind::User, "there is no archive on a terminal");
            return Err(error.with_hint("name a file with --file, or use a pipe").into());
        }
        let archive = pieces(open(self.file.as_deref())?);
        let mut access = Access::open(global).await?;
        let loaded: Vec<LoadedImage> = access.client.post_bytes("/v1/images/load", archive).await?;
        match global.output {
            Output::Json => render::json(&loaded)?,
            Output::Text => print(&loaded)?,
        }
        Ok(DONE)
    }
}

/// A file, or standard input.
fn open(file: Option<&Path>) -> Result<tokio::fs::File, PortError> {
    let opened = match file {
        Some(file) => fs_err::File::open(file).map(|file| file.into_parts().0),
        None => io::stdin().as_fd().try_clone_to_owned().map(Into::into),
    };
    let unreadable = |error| PortError::new(ErrorKind::User, "the archive cannot be read").caused_by(error);
    Ok(tokio::fs::File::from_std(opened.map_err(unreadable)?))
}

fn print(loaded: &[LoadedImage]) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    for image in loaded {
        let id = image.id.as_deref().map(short).unwrap_or_default();
        if image.references.is_empty() {
            writeln!(out, "loaded {id}")?;
        }
        for reference in &image.references {
            writeln!(out, "loaded {reference} {id}")?;
        }
    }
    Ok(())
}

/// What is read, piece by piece.
fn pieces(input: tokio::fs::File) -> BoxStream<'static, io::Result<Bytes>> {
    let pieces = stream::unfold(input, |mut input| async move {
        let mut piece = BytesMut::with_capacity(PIECE);
        match input.read_buf(&mut piece).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(piece.freeze()), input)),
            Err(error) => Some((Err(error), input)),
        }
    });
    pieces.boxed()
}
