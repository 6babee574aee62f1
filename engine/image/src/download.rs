//! Blobs on their way in from a registry: written, verified and unpacked as they arrive, and gone on with after a break.

use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use fs_err as fs;
use homeostat_files::{Root, remove_tree, rename_durably};

use crate::compression::uncompressed_layer;
use crate::digest::Hashing;
use crate::image::Layer;
use crate::layer::StagedLayer;
use crate::open::Archive;
use crate::store::{LayerState, PendingBlob, State};
use crate::unpack::{Limits, unpack};
use crate::{Digest, ImageStore, StoreError, UnpackError};

/// How long the beginning of a blob is kept for a pull that may go on with it.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// How many bytes pass from one thread to the other at once, and how many such pieces may wait.
const PIECE: usize = 1 << 18;
const PIECES_AHEAD: usize = 8;

/// A blob that is on its way in. What has arrived stays when it is dropped, also over a restart, for the next
/// [`ImageStore::begin_download`] of it.
#[derive(Debug)]
pub struct Download {
    store: ImageStore,
    digest: Digest,
    size: u64,
    file: fs::File,
    offset: u64,
}

impl ImageStore {
    /// Begins to take in a blob, or goes on with what has arrived of it.
    ///
    /// # Assumptions
    /// The caller holds a [`crate::Lease`], and takes in each blob only once at a time.
    ///
    /// # Errors
    /// When its file cannot be opened.
    pub fn begin_download(&self, digest: &Digest, size: u64) -> Result<Download, StoreError> {
        self.state().usage.touch(digest);
        let path = self.download_path(digest);
        let file = fs::OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let mut offset = file.metadata()?.len();
        if offset > size {
            file.set_len(0)?;
            offset = 0;
        }
        Ok(Download { store: self.clone(), digest: digest.clone(), size, file, offset })
    }

    /// How much of a blob has arrived, in bytes.
    pub fn downloaded(&self, digest: &Digest) -> u64 {
        fs::metadata(self.download_path(digest)).map_or(0, |metadata| metadata.len())
    }

    /// Whether a layer is unpacked here and this blob of it is here too; notes their use.
    pub fn has_layer(&self, diff_id: &Digest, digest: &Digest) -> bool {
        let mut state = self.state();
        state.usage.touch(diff_id);
        state.usage.touch(digest);
        match state.layers.get(diff_id) {
            Some(LayerState::Pending(blob)) if blob.digest == *digest => true,
            Some(LayerState::Pending(_) | LayerState::Complete) => self.blob_path(digest).exists(),
            None => false,
        }
    }

    fn download_path(&self, digest: &Digest) -> PathBuf {
        self.directory().join("downloads").join(digest.hex())
    }

    /// Downloads that nobody has gone on with for long, and their sizes.
    pub(crate) fn stale_downloads(&self, state: &State) -> Result<Vec<(PathBuf, u64)>, StoreError> {
        let pending = |path: &Path| {
            state.layers.values().any(|layer| matches!(layer, LayerState::Pending(blob) if blob.path == path))
        };
        let in_use = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.and_then(|name| Digest::from_hex(name).ok())
                .is_some_and(|digest| state.usage.is_protected(&digest))
        };
        let mut found = stale_downloads(self.directory())?;
        found.retain(|(path, _)| !pending(path) && !in_use(path));
        Ok(found)
    }
}

/// Everything in `downloads` that is no blob, or was not written to for long.
pub(crate) fn stale_downloads(store: &Path) -> Result<Vec<(PathBuf, u64)>, StoreError> {
    let mut stale = Vec::new();
    for entry in fs::read_dir(store.join("downloads"))? {
        let (path, metadata) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
        let name = path.file_name().and_then(|name| name.to_str());
        let is_blob = metadata.is_file() && name.is_some_and(|name| Digest::from_hex(name).is_ok());
        let age = SystemTime::now().duration_since(metadata.modified()?).unwrap_or_default();
        if !is_blob || age > KEPT {
            stale.push((path, metadata.len()));
        }
    }
    Ok(stale)
}

impl Download {
    /// How much of the blob has arrived already, in bytes: `rest` of the methods below begins there.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes in the blob of a layer and unpacks it. Compression is told by its first bytes. The layer can be used at
    /// once, and is on disk for good after a commit.
    ///
    /// # Guarantees
    /// Nothing that has another size or digest than announced, or unpacks to another `diff_id`, becomes a layer. What is
    /// wrong is removed; what is only incomplete stays.
    ///
    /// # Errors
    /// [`StoreError::Download`] when `rest` fails or ends early, [`StoreError::WrongBlob`] when something else came than
    /// announced; else as [`ImageStore::import_layer`].
    pub fn receive_layer(
        mut self,
        rest: impl Read + Send,
        diff_id: &Digest,
        limits: Limits,
    ) -> Result<Layer, StoreError> {
        let staged = self.store.begin_layer(None)?;
        let (root, store) = (Root::open(staged.upper())?, self.store.clone());
        let unpacked = store.writeback().during(|| self.receive_and_unpack(rest, &root, limits))?;
        let unpacked = unpacked.map_err(StoreError::from).and_then(|actual| {
            let expected = diff_id.clone();
            if actual == expected { Ok(()) } else { Err(StoreError::WrongDigest { expected, actual }) }
        });
        if let Err(error) = unpacked {
            if !error.is_out_of_space() {
                self.discard()?;
            }
            return Err(error);
        }
        remove_tree(staged.work())?;
        let layer = Layer { diff_id: diff_id.clone(), digest: self.digest.clone(), size: self.size };
        self.adopt(&staged, diff_id)?;
        Ok(layer)
    }

    /// Receives the blob on one thread and unpacks it on another. The outer error is the blob's, which comes first: one
    /// that is damaged unpacks to anything. Within, the digest of what was unpacked.
    fn receive_and_unpack(
        &mut self,
        rest: impl Read + Send,
        root: &Root,
        limits: Limits,
    ) -> Result<Result<Digest, UnpackError>, StoreError> {
        let marks = self.store.marks();
        let (passing, pieces) = mpsc::sync_channel(PIECES_AHEAD);
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || self.receive(rest, |blob| pass_on(blob, &passing)));
            let mut archive = Hashing::new(Pieces { pieces, current: io::Cursor::default() });
            let unpacked = unpack(&mut archive, root, marks, limits);
            let (pieces, actual, _) = archive.finish();
            // Lets the other thread go on without unpacking, should this have ended early.
            drop(pieces);
            thread.join().unwrap_or_else(|_| Err(io::Error::other("it has panicked").into()))?;
            Ok(unpacked.map(|()| actual))
        })
    }

    fn adopt(self, staged: &StagedLayer, diff_id: &Digest) -> Result<(), StoreError> {
        let store = self.store.clone();
        let mut state = store.state();
        staged.ensure_written(&state)?;
        state.usage.touch(diff_id);
        state.usage.touch(&self.digest);
        if state.layers.contains_key(diff_id) {
            drop(state);
            return self.keep();
        }
        let target = store.layer_path(diff_id);
        remove_tree(&target)?;
        fs::rename(staged.directory(), &target)?;
        let archive = Archive::Foreign(self.digest.clone());
        let blob = PendingBlob { path: self.file.path().to_owned(), digest: self.digest, archive };
        state.layers.insert(diff_id.clone(), LayerState::Pending(blob));
        Ok(())
    }

    /// Takes in the blob of a layer that is unpacked here already.
    ///
    /// # Errors
    /// As [`Download::receive_layer`].
    pub fn receive_blob(mut self, rest: impl Read) -> Result<(), StoreError> {
        self.receive(rest, |_| Ok(()))?;
        self.keep()
    }

    /// Writes down what comes while `work` reads it, then reads what `work` has left, and verifies the whole.
    fn receive(
        &mut self,
        rest: impl Read,
        work: impl FnOnce(&mut dyn Read) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let beginning = fs::File::open(self.file.path())?;
        // One byte more than announced is enough to know.
        let rest = rest.take((self.size - self.offset).saturating_add(1));
        let rest = Tee { input: rest, copy: &self.file, failure: None };
        let mut blob = Hashing::new(beginning.take(self.offset).chain(rest));
        // An error of the work is that of the blob, or is told by who reads what the work passes on.
        let worked = work(&mut blob);
        let drained = io::copy(&mut blob, &mut io::sink());
        let (read, actual, count) = blob.finish();
        if let Some(failure) = read.into_inner().1.failure {
            return Err(failure.into());
        }
        drained.map_err(|source| StoreError::Download { digest: self.digest.clone(), source })?;
        if count < self.size {
            let source = io::Error::new(io::ErrorKind::UnexpectedEof, "it has ended early");
            return Err(StoreError::Download { digest: self.digest.clone(), source });
        }
        if count > self.size || actual != self.digest {
            self.discard()?;
            return Err(StoreError::WrongBlob { expected: self.digest.clone(), actual });
        }
        Ok(worked?)
    }

    /// Forgets what has arrived.
    fn discard(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.offset = 0;
        fs::remove_file(self.file.path())
    }

    /// Moves the blob to the others for good.
    fn keep(self) -> Result<(), StoreError> {
        self.file.sync_all()?;
        Ok(rename_durably(self.file.path(), self.store.blob_path(&self.digest))?)
    }
}

/// Uncompresses a blob, piece by piece, for another thread. That one ending early is no failure of this.
fn pass_on(blob: &mut dyn Read, to: &mpsc::SyncSender<io::Result<Vec<u8>>>) -> io::Result<()> {
    let mut archive = match uncompressed_layer(blob) {
        Ok(archive) => archive,
        Err(error) => {
            let _ = to.send(Err(error));
            return Ok(());
        }
    };
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let read = (&mut archive).take(PIECE as u64).read_to_end(&mut piece);
        let is_end = piece.is_empty() || read.is_err();
        if !piece.is_empty() && to.send(Ok(piece)).is_err() {
            return Ok(());
        }
        if let Err(error) = read {
            let _ = to.send(Err(error));
        }
        if is_end {
            return Ok(());
        }
    }
}

/// Reads what another thread passes on.
struct Pieces {
    pieces: mpsc::Receiver<io::Result<Vec<u8>>>,
    current: io::Cursor<Vec<u8>>,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.current.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            match self.pieces.recv() {
                Ok(piece) => self.current = io::Cursor::new(piece?),
                Err(mpsc::RecvError) => return Ok(0),
            }
        }
    }
}

/// Writes down what is read.
struct Tee<'a, R> {
    input: R,
    copy: &'a fs::File,
    /// Why it could not be written.
    failure: Option<io::Error>,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        if let Err(error) = self.copy.write_all(&buffer[..length]) {
            let kind = error.kind();
            self.failure = Some(error);
            return Err(kind.into());
        }
        Ok(length)
    }
}
