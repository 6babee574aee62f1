//! Images from archives that nobody vouches for: those of `docker save`, and OCI image layouts.

mod docker;
mod entries;
mod oci;
mod room;

use std::collections::HashMap;
use std::io::{self, Read};

use fs_err as fs;
use homeostat_files::{Root, remove_tree, rename_durably};
use oci_spec::image::MediaType;

use crate::commit::Document;
use crate::compression::{uncompressed, uncompressed_layer};
use crate::digest::Hashing;
use crate::open::Archive;
use crate::pulled::go_together;
use crate::unpack::unpack;
use crate::{ArchiveError, Digest, ImageStore, Layer, Limits, Platform, StoreError, UnpackError};
use entries::Entries;

/// How many layers an image may have: enough for every image that another engine builds.
const LAYERS: usize = 1000;

/// How archives are loaded.
pub struct Load<'a> {
    /// Which image of an index is taken.
    pub platform: Platform,
    /// How large the archive, and each of its layers, may be.
    pub limits: Limits,
    /// The name that an image gets for the one it has in the archive; `None` when that is no name.
    pub name: &'a dyn Fn(&str) -> Option<String>,
}

/// An image that was in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its id.
    pub id: Digest,
    /// The names that it has got.
    pub references: Vec<String>,
}

/// An archive cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The archive is not what it should be.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// What is in it cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<io::Error> for LoadError {
    fn from(error: io::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<UnpackError> for LoadError {
    fn from(error: UnpackError) -> Self {
        Self::Store(error.into())
    }
}

/// An image that the archive describes, before any of its layers is looked at.
struct Described {
    /// The document that names its parts.
    path: String,
    config: Document,
    /// Its manifest; `None` where the archive has none, so that it is made.
    manifest: Option<Document>,
    names: Vec<String>,
    /// The resolved names of its layers' files, and what they have to be.
    layers: Vec<(String, Digest)>,
}

/// An image of the archive that is ready to be listed.
enum Ready {
    /// Its layers are here, its documents are not written yet.
    New { config: Document, manifest: Document, media_type: MediaType, names: Vec<String> },
    /// It was here before.
    Known { id: Digest, manifest: Digest, names: Vec<String> },
}

impl ImageStore {
    /// Takes in the images of an archive, which may be compressed by gzip, bzip2, xz or zstd, and gives them their names,
    /// taking those from the images that have them.
    ///
    /// # Guarantees
    /// - All images of the archive are listed, or none, and only when all of them is on disk.
    /// - Only what has the digests that the archive promises becomes part of the store, and nothing is written anywhere
    ///   else. No layer is ever in memory as a whole.
    ///
    /// # Errors
    /// [`LoadError::Archive`] when the archive is not what it should be; [`StoreError::NoRoom`] for what the disk has no room
    /// for, before it is written.
    pub fn load(&self, archive: impl Read, load: &Load<'_>) -> Result<Vec<Loaded>, LoadError> {
        let _lease = self.lease();
        let archive = uncompressed(archive).map_err(ArchiveError::Compression)?;
        let mut loading = Loading {
            store: self,
            load,
            entries: Entries::read(self, archive, load.limits)?,
            layers: HashMap::new(),
        };
        // All that is described is seen to make sense before the first layer is taken in.
        let described = if loading.entries.has(docker::MANIFEST) {
            loading.docker()?
        } else if loading.entries.has(oci::INDEX) && loading.entries.has(oci::LAYOUT) {
            loading.oci()?
        } else {
            return Err(ArchiveError::NotImages.into());
        };
        loading.ensure_room(&described)?;
        let ready: Result<Vec<Ready>, LoadError> =
            described.into_iter().map(|image| loading.ready(image)).collect();
        self.list_loaded(ready?)
    }

    /// Writes what is missing on disk, then lists all images at once.
    fn list_loaded(&self, images: Vec<Ready>) -> Result<Vec<Loaded>, LoadError> {
        let mut documents = Vec::new();
        for image in &images {
            if let Ready::New { config, manifest, .. } = image {
                documents.extend([config, manifest]);
            }
        }
        for document in &documents {
            self.state().usage.touch(&document.digest);
        }
        self.settle_with(&documents)?;
        let size_of = |manifest: &Digest| fs::metadata(self.blob_path(manifest)).map(|file| file.len());
        let mut lines = Vec::new();
        let mut loaded = Vec::new();
        for image in images {
            let (id, manifest, media_type, references) = match image {
                Ready::New { config, manifest, media_type, names } => {
                    (config.digest, manifest.digest, Some(media_type), names)
                }
                Ready::Known { id, manifest, names } => (id, manifest, None, names),
            };
            lines.push((size_of(&manifest)?, manifest, media_type, references.clone()));
            loaded.push(Loaded { id, references });
        }
        self.change_index(|index| {
            for (size, manifest, media_type, references) in &lines {
                let names: Vec<Option<&str>> = match references.as_slice() {
                    [] => vec![None],
                    names => names.iter().map(|name| Some(name.as_str())).collect(),
                };
                for name in names {
                    match media_type {
                        Some(media_type) => index.put_typed(media_type.clone(), manifest, *size, name),
                        None => index.put(manifest, *size, name),
                    }
                }
            }
        })?;
        for (_, manifest, _, _) in &lines {
            self.mark_manifest(manifest);
        }
        Ok(loaded)
    }
}

/// An archive whose files are on disk.
struct Loading<'a> {
    store: &'a ImageStore,
    load: &'a Load<'a>,
    entries: Entries,
    /// The layers that were taken in, by the names of their files.
    layers: HashMap<String, Layer>,
}

impl Loading<'_> {
    /// The names of an image as the store is to have them.
    fn names(&self, names: impl IntoIterator<Item = String>) -> Result<Vec<String>, ArchiveError> {
        let mut known = Vec::new();
        for name in names {
            let name = (self.load.name)(&name).ok_or(ArchiveError::InvalidName { name })?;
            if !known.contains(&name) {
                known.push(name);
            }
        }
        Ok(known)
    }

    /// Takes in a layer by the resolved name of its file, and verifies it.
    fn layer(&mut self, name: &str, diff_id: &Digest) -> Result<Layer, LoadError> {
        if let Some(layer) = self.layers.get(name) {
            let actual = layer.diff_id.clone();
            return if actual == *diff_id {
                Ok(layer.clone())
            } else {
                Err(ArchiveError::WrongDigest { path: name.to_owned(), actual }.into())
            };
        }
        let layer = self.take_in(name, diff_id)?;
        self.layers.insert(name.to_owned(), layer.clone());
        Ok(layer)
    }

    fn take_in(&mut self, name: &str, diff_id: &Digest) -> Result<Layer, LoadError> {
        let store = self.store;
        let file = self.entries.file(name);
        let layer = Layer { diff_id: diff_id.clone(), digest: file.digest.clone(), size: file.size };
        if store.has_layer(diff_id, &layer.digest) {
            return Ok(layer);
        }
        let must_be = |actual: Digest| {
            let path = name.to_owned();
            if actual == *diff_id { Ok(()) } else { Err(ArchiveError::WrongDigest { path, actual }) }
        };
        let blob = self.entries.take(name)?;
        let compressed = fs::File::open(blob.file.path())?;
        let mut archive = Hashing::new(uncompressed_layer(compressed).map_err(UnpackError::Read)?);
        if store.use_layer(diff_id) {
            io::copy(&mut archive, &mut io::sink()).map_err(UnpackError::Read)?;
            must_be(archive.finish().1)?;
            blob.file.sync_all()?;
            rename_durably(blob.keep(), store.blob_path(&layer.digest)).map_err(StoreError::from)?;
            return Ok(layer);
        }
        let staged = store.begin_layer(None)?;
        let root = Root::open(staged.upper()).map_err(StoreError::from)?;
        let limits = self.load.limits;
        store.writeback().during(|| unpack(&mut archive, &root, store.marks(), limits))?;
        must_be(archive.finish().1)?;
        remove_tree(staged.work()).map_err(StoreError::from)?;
        Ok(store.adopt(&staged, blob, Archive::Foreign(layer.digest.clone()), layer)?)
    }

    /// Takes in the layers of an image, if its parts go together.
    fn ready(&mut self, image: Described) -> Result<Ready, LoadError> {
        let Described { path, config, manifest, names, layers: files } = image;
        if manifest.is_none()
            && let Some(manifest) = self.known(&config.digest)?
        {
            return Ok(Ready::Known { id: config.digest, manifest, names });
        }
        let mut layers = Vec::new();
        for (file, diff_id) in &files {
            layers.push(self.layer(file, diff_id)?);
        }
        let manifest = match manifest {
            Some(manifest) => manifest,
            None => Document::new(self.store.manifest(&config, &layers)?),
        };
        let media_type = go_together(&manifest, &config, &layers)
            .map_err(|source| ArchiveError::Document { path, source })?;
        Ok(Ready::New { config, manifest, media_type, names })
    }

    /// The manifest of an image that is here with all its layers.
    fn known(&self, id: &Digest) -> Result<Option<Digest>, LoadError> {
        let Some(image) = self.store.find(id.as_str())? else { return Ok(None) };
        let is_whole = image.layers.iter().all(|layer| self.store.has_layer(&layer.diff_id, &layer.digest));
        Ok(is_whole.then_some(image.manifest))
    }
}

/// What a configuration says of its layers.
fn diff_ids(path: &str, config: &[u8], named: usize) -> Result<Vec<Digest>, ArchiveError> {
    let invalid = |source: Box<dyn std::error::Error + Send + Sync>| ArchiveError::Document {
        path: path.to_owned(),
        source,
    };
    let (config, _) = crate::docker::read_config(config).map_err(|error| invalid(error.into()))?;
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != named || named > LAYERS {
        let what = format!("it has {} layers, and {named} are named for it", diff_ids.len());
        return Err(invalid(what.into()));
    }
    let digests = diff_ids.iter().map(|diff_id| diff_id.parse::<Digest>());
    digests.collect::<Result<_, _>>().map_err(|error| invalid(error.into()))
}
