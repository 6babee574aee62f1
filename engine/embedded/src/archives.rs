//! Images as archives, to and from other engines: streams outside, files and threads that block inside.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use futures::StreamExt as _;
use futures::stream;
use homeostat_image::{Image, Lease, Limits, Load, Platform, Saved};
use homeostat_reconciler::ports::{ArchiveFormat, ArchiveToLoad, LoadedImage, SaveRequest, SavedArchive};
use homeostat_reconciler::{PortError, spelled_out};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::EmbeddedError;
use crate::engine::Inner;
use crate::run::blocking;

/// How many bytes are sent on at once, and how many such pieces may wait.
const PIECE: usize = 1 << 18;
const PIECES_AHEAD: usize = 8;

/// Images that were found, and stay here meanwhile.
struct Found {
    images: Vec<(Image, Vec<String>)>,
    _lease: Lease,
}

impl Inner {
    /// Begins to write an archive.
    pub(crate) async fn save_images(
        engine: &Arc<Self>,
        request: SaveRequest,
    ) -> Result<SavedArchive, EmbeddedError> {
        let finding = Arc::clone(engine);
        let names = request.names;
        let found = blocking(move || finding.find_to_save(&names)).await?;
        let engine = Arc::clone(engine);
        Ok(outgoing(move |output| engine.write_archive(&found, request.format, output)))
    }

    /// The images of these names, each once, with the names that they get in the archive.
    fn find_to_save(&self, names: &[String]) -> Result<Found, EmbeddedError> {
        let lease = self.images.lease();
        let mut found = BTreeMap::<String, usize>::new();
        let mut images = Vec::<(Image, Vec<String>)>::new();
        for name in names {
            let meant = self.named(name)?;
            let image = self.image(name)?;
            let place = *found.entry(image.id.to_string()).or_insert_with(|| {
                images.push((image, Vec::new()));
                images.len() - 1
            });
            // One that was pulled by its digest has no tag to be called by.
            let reference = meant.reference.filter(|reference| !reference.contains('@'));
            images[place].1.extend(reference.map(|reference| spelled_out(&reference)));
        }
        Ok(Found { images, _lease: lease })
    }

    fn write_archive(
        &self,
        found: &Found,
        format: ArchiveFormat,
        output: impl Write,
    ) -> Result<(), EmbeddedError> {
        let saved = found.images.iter().map(|(image, references)| Saved { image, references });
        let format = match format {
            ArchiveFormat::DockerArchive => homeostat_image::ArchiveFormat::Docker,
            ArchiveFormat::OciArchive => homeostat_image::ArchiveFormat::Oci,
        };
        self.images.save(&saved.collect::<Vec<_>>(), format, output).map_err(EmbeddedError::Save)
    }

    /// Takes in the images of an archive.
    pub(crate) fn load_images(&self, archive: Incoming) -> Result<Vec<LoadedImage>, EmbeddedError> {
        // `busybox:latest` is kept as what it means, so that every way to write it finds it.
        let name = |name: &str| self.checked_reference(&spelled_out(name)).ok();
        let load = Load { platform: Platform::of_this_host(), limits: Limits::default(), name: &name };
        let loaded = self.images.load(archive, &load).map_err(EmbeddedError::Load)?;
        let told = loaded
            .into_iter()
            .map(|image| LoadedImage { id: Some(image.id.to_string()), references: image.references });
        Ok(told.collect())
    }
}

/// An archive that is written while it is read, on a thread that may block.
pub(crate) fn outgoing(
    write: impl FnOnce(Output) -> Result<(), EmbeddedError> + Send + 'static,
) -> SavedArchive {
    let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let output = io::BufWriter::with_capacity(PIECE, Outgoing(sender.clone()));
        // The archive ends for its reader when the last sender goes. What was held for it is not held any more then.
        if let Err(error) = write(output) {
            // Where nobody listens any more, nobody is to be told.
            let _ = sender.blocking_send(Err(error.into()));
        }
    });
    stream::unfold(pieces, |mut pieces| async move { Some((pieces.recv().await?, pieces)) }).boxed()
}

/// Where an archive is written to.
pub(crate) type Output = io::BufWriter<Outgoing>;

/// Sends on what is written.
pub(crate) struct Outgoing(mpsc::Sender<Result<Bytes, PortError>>);

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads what arrives, on a thread that may block.
pub(crate) struct Incoming {
    pieces: ArchiveToLoad,
    runtime: Handle,
    current: Bytes,
}

impl Incoming {
    /// To be called in a tokio runtime.
    pub(crate) fn new(pieces: ArchiveToLoad) -> Self {
        Self { pieces, runtime: Handle::current(), current: Bytes::new() }
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.runtime.block_on(self.pieces.next()) {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
        }
        let length = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
