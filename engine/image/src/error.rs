//! What can go wrong.

use std::io;
use std::path::PathBuf;

use homeostat_files::{FileError, StateError};

use crate::Digest;

const MIB: u64 = 1 << 20;

/// The changes of a layer cannot be written as an archive.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A file of the layer cannot be looked at.
    #[error("cannot read the layer's files")]
    File(#[from] FileError),
    /// The content of a file cannot be read.
    #[error("cannot read /{} of the layer", path.display())]
    Read {
        /// The file, relative to the top of the layer.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The archive cannot be written.
    #[error("cannot write the layer's archive")]
    Write(#[source] io::Error),
    /// A file's name would mean the removal of another to everybody who unpacks the layer.
    #[error("/{} has a name that image layers reserve: they mark removed files with .wh.", path.display())]
    ReservedName {
        /// The file, relative to the top of the layer.
        path: PathBuf,
    },
    /// Directories are nested too deep, or a path is too long.
    #[error("/{} is nested too deep for a layer: at most 256 directories and 4095 bytes", path.display())]
    TooDeep {
        /// The file, relative to the top of the layer.
        path: PathBuf,
    },
}

/// A layer's archive cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive cannot be read from where it comes.
    #[error("cannot read the layer's archive")]
    Read(#[source] io::Error),
    /// The archive is no tar archive, or damaged.
    #[error("the layer's archive is damaged near byte {offset}: {reason}")]
    Malformed {
        /// Where in the archive, in bytes.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// The archive uses something that layers do not have.
    #[error("the layer's archive has {what} near byte {offset}, which are not supported")]
    Unsupported {
        /// Where in the archive, in bytes.
        offset: u64,
        /// What it has.
        what: &'static str,
    },
    /// A path leads out of the layer.
    #[error("the layer's archive has an entry that leads out of it: {}", path.display())]
    Escapes {
        /// The path or link target.
        path: PathBuf,
    },
    /// A path leads through a file, or through too many links.
    #[error("/{} of the layer's archive leads to no directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// A directory has a name that marks a removed file.
    #[error("the layer's archive has /{}, and a name with .wh. before it is that of a removed file", path.display())]
    ReservedName {
        /// The entry, relative to the top of the layer.
        path: PathBuf,
    },
    /// The layer is larger than allowed.
    #[error("the layer has more than {limit} {unit}")]
    TooLarge {
        /// How much is allowed.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// A file cannot be created.
    #[error("cannot create a file of the layer")]
    File(#[from] FileError),
    /// The content of a file cannot be written.
    #[error("cannot write /{} of the layer", path.display())]
    Write {
        /// The file, relative to the top of the layer.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
}

/// An archive of images cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The archive cannot be read from where it comes, or is damaged.
    #[error("the archive cannot be read")]
    Tar(#[source] UnpackError),
    /// The archive is not compressed as its first bytes promise.
    #[error("the archive cannot be uncompressed")]
    Compression(#[source] io::Error),
    /// An entry leads out of the archive.
    #[error("the archive has an entry that leads out of it: {path:?}")]
    Escapes {
        /// Its name, or where a link leads.
        path: String,
    },
    /// An entry is neither a plain file nor a directory, and no link to such within the archive.
    #[error("{path} of the archive is {what}, where images have plain files")]
    NotAFile {
        /// Its name.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// Two entries have the same name.
    #[error("the archive has {path} twice")]
    Twice {
        /// Their name.
        path: String,
    },
    /// An entry is not there.
    #[error("the archive has no {path}, which {by} names")]
    Missing {
        /// Its name.
        path: String,
        /// What asks for it.
        by: String,
    },
    /// A file has another content than its name, or what names it, says.
    #[error("{path} of the archive has another content: {actual}")]
    WrongDigest {
        /// Its name.
        path: String,
        /// The digest of what it has.
        actual: Digest,
    },
    /// A file has another size than what names it says.
    #[error("{path} of the archive has {actual} bytes, and not {announced}")]
    WrongSize {
        /// Its name.
        path: String,
        /// Its size in bytes.
        actual: u64,
        /// What was announced, in bytes.
        announced: u64,
    },
    /// The archive is larger than allowed.
    #[error("the archive has more than {limit} {unit}")]
    TooLarge {
        /// How much is allowed.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// The archive holds something else.
    #[error("it is no archive of images: it has neither manifest.json nor index.json with oci-layout")]
    NotImages,
    /// A document of the archive is not what it should be.
    #[error("{path} of the archive makes no sense")]
    Document {
        /// Its name.
        path: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// None of the images of an index is for this host.
    #[error("the archive has no image for {wanted}")]
    NoPlatform {
        /// This host's platform.
        wanted: String,
    },
    /// An image has a name that is none.
    #[error("the archive calls an image {name:?}, which is no name")]
    InvalidName {
        /// The name.
        name: String,
    },
}

/// The image store cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process uses the store.
    #[error("the image store is in use")]
    Locked(#[from] homeostat_files::lock::LockError),
    /// A file of the store cannot be used.
    #[error("cannot use the image store")]
    File(#[from] FileError),
    /// A file of the store cannot be read or written.
    #[error("cannot use the image store")]
    Io(#[from] io::Error),
    /// A state file of the store cannot be used.
    #[error("cannot use the image store")]
    State(#[from] StateError),
    /// The directory holds something else, or the layout of another version.
    #[error("{} is no OCI image layout of version 1.0.0", path.display())]
    NotALayout {
        /// The store's directory.
        path: PathBuf,
    },
    /// No such image.
    #[error("there is no image {name:?}")]
    NoSuchImage {
        /// The reference or id that was asked for.
        name: String,
    },
    /// A blob is not there.
    #[error("blob {digest} is missing")]
    BlobMissing {
        /// Its digest.
        digest: Digest,
    },
    /// A blob does not have the content that its digest promises.
    #[error("blob {digest} is damaged")]
    BlobDamaged {
        /// Its digest.
        digest: Digest,
    },
    /// A manifest or configuration is not what it should be.
    #[error("blob {digest} is no valid {what}")]
    Invalid {
        /// Its digest.
        digest: Digest,
        /// What it should be.
        what: &'static str,
        /// Why it is not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A layer that an image needs is not unpacked here.
    #[error("layer {diff_id} is missing")]
    LayerMissing {
        /// The digest of its uncompressed archive.
        diff_id: Digest,
    },
    /// A blob did not come whole. What has come stays for the next attempt.
    #[error("blob {digest} has not come whole")]
    Download {
        /// Its digest.
        digest: Digest,
        /// Why the rest did not come.
        source: io::Error,
    },
    /// Another blob came than was announced.
    #[error("what came as blob {expected} is larger, or has the digest {actual}")]
    WrongBlob {
        /// What was announced.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// The disk has failed to write while a layer was made, so that any part of it may be lost.
    #[error("the disk has failed to write while a layer was made")]
    DiskFailed,
    /// A layer came with other content than announced.
    #[error("the layer has the digest {actual}, not {expected}")]
    WrongDigest {
        /// What was announced.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// The changes cannot be made a layer.
    #[error("cannot make a layer")]
    Layer(#[from] LayerError),
    /// A layer cannot be unpacked.
    #[error("cannot unpack a layer")]
    Unpack(#[from] UnpackError),
    /// The disk has no room for something.
    #[error("{what} needs {} MiB on the disk of {}, and {} MiB are free", needed.div_ceil(MIB), path.display(), free / MIB)]
    NoRoom {
        /// What it is.
        what: &'static str,
        /// The image store.
        path: PathBuf,
        /// What it takes, in bytes.
        needed: u64,
        /// What is free, in bytes.
        free: u64,
    },
    /// A document cannot be written as JSON.
    #[error("cannot write an image's description")]
    Json(#[from] serde_json::Error),
}

impl StoreError {
    /// Whether it failed because the disk, or a quota, is full.
    pub fn is_out_of_space(&self) -> bool {
        if matches!(self, Self::NoRoom { .. }) {
            return true;
        }
        let mut error: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(current) = error {
            if let Some(io) = current.downcast_ref::<io::Error>()
                && matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            {
                return true;
            }
            error = current.source();
        }
        false
    }
}
