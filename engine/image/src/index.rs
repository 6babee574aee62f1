//! index.json: which images there are, and what they are called.

use std::collections::HashMap;
use std::path::Path;

use fs_err as fs;
use homeostat_files::{read_json, write_durably_with_mode, write_json_durably};
use oci_spec::image::{ANNOTATION_REF_NAME, Descriptor, ImageIndex, ImageIndexBuilder, MediaType};

use crate::document::canonical_json;
use crate::{Digest, StoreError};

const INDEX: &str = "index.json";
const BACKUP: &str = "index.backup";

/// Where an index that cannot be read is put, for people to look at.
pub(crate) const DAMAGED: &str = "index.json.damaged";

/// What the registry called the image when it was pulled under this name: the digest of its manifest, or of the index
/// that has one for each platform.
const REGISTRY_DIGEST: &str = "io.homeostat.registry.digest";

/// The manifest's media type of Docker's registry protocol, which other tools put into OCI layouts too.
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Which images there are, and what they are called. What other tools keep in the index stays as it is.
#[derive(Debug, Clone)]
pub(crate) struct Index(ImageIndex);

/// One line of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) manifest: Digest,
    pub(crate) reference: Option<String>,
}

/// A name, and what it stood for in the registry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PulledName<'a> {
    pub(crate) manifest: &'a Digest,
    pub(crate) reference: &'a str,
    pub(crate) registry_digest: &'a Digest,
}

impl Index {
    /// Reads the index; from its copy when it is damaged, and starts anew when both are. Then both are the same again: a
    /// cut may have come between the two.
    pub(crate) fn load(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(INDEX);
        let backup = read_json::<ImageIndex>(directory.join(BACKUP));
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let Some(index) = backup.ok().flatten().map(Self) else { return Ok(Self(empty()?)) };
                index.save(directory)?;
                return Ok(index);
            }
            Err(error) => return Err(error.into()),
        };
        let error = match serde_json::from_slice(&text) {
            Ok(index) => {
                let index = Self(index);
                if !backup.is_ok_and(|backup| backup.is_some_and(|backup| index.is_same(&Self(backup)))) {
                    index.save(directory)?;
                }
                return Ok(index);
            }
            Err(error) => error,
        };
        let aside = directory.join(DAMAGED);
        fs::rename(&path, &aside)?;
        let index = if let Ok(Some(index)) = backup {
            tracing::error!(%error, aside = %aside.display(), "the image index is damaged; its copy is used instead");
            index
        } else {
            tracing::error!(%error, aside = %aside.display(), "the image index is damaged and so is its copy; images \
                have lost their names and must be built or pulled again");
            empty()?
        };
        let index = Self(index);
        index.save(directory)?;
        Ok(index)
    }

    /// Writes the index so that a power cut leaves this one or the one before, and a copy of either.
    pub(crate) fn save(&self, directory: &Path) -> Result<(), StoreError> {
        write_json_durably(directory.join(BACKUP), &self.0)?;
        write_durably_with_mode(directory.join(INDEX), &canonical_json(&self.0)?, 0o644)?;
        Ok(())
    }

    /// Whether the index on disk and its copy say this. Before the first image there are none.
    pub(crate) fn is_on_disk(&self, directory: &Path) -> bool {
        let is_same = |index: ImageIndex| self.is_same(&Self(index));
        let backup = read_json::<ImageIndex>(directory.join(BACKUP));
        match fs::read(directory.join(INDEX)) {
            Ok(text) => {
                serde_json::from_slice(&text).is_ok_and(is_same)
                    && backup.is_ok_and(|backup| backup.is_some_and(is_same))
            }
            Err(error) => {
                error.kind() == std::io::ErrorKind::NotFound
                    && self.0.manifests().is_empty()
                    && backup.is_ok_and(|backup| backup.is_none())
            }
        }
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.0.manifests().iter().filter_map(entry).collect()
    }

    /// Whether it says the same, in whatever order.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.0.manifests(), other.0.manifests());
        ours.len() == theirs.len() && ours.iter().all(|line| theirs.contains(line))
    }

    /// The manifest that a reference names.
    pub(crate) fn manifest(&self, reference: &str) -> Option<Digest> {
        self.entries()
            .into_iter()
            .find(|entry| entry.reference.as_deref() == Some(reference))
            .map(|entry| entry.manifest)
    }

    /// What the registry called each image when it was pulled, with the name under which it was.
    pub(crate) fn registry_digests(&self) -> impl Iterator<Item = (String, Digest)> {
        self.0.manifests().iter().filter_map(|line| {
            let digest = line.annotations().as_ref()?.get(REGISTRY_DIGEST)?.parse().ok()?;
            Some((entry(line)?.reference?, digest))
        })
    }

    /// Gives a manifest a name, taking it from the one that has it. That one stays without a name if it has no other.
    pub(crate) fn put(&mut self, manifest: &Digest, size: u64, reference: Option<&str>) {
        let known = self.0.manifests().iter().find(|line| is_of(line, manifest));
        let media_type = known.map_or(MediaType::ImageManifest, |line| line.media_type().clone());
        self.put_typed(media_type, manifest, size, reference);
    }

    /// [`Index::put`] of a manifest of this media type.
    pub(crate) fn put_typed(
        &mut self,
        media_type: MediaType,
        manifest: &Digest,
        size: u64,
        reference: Option<&str>,
    ) {
        if reference.is_some() || !self.0.manifests().iter().any(|line| is_of(line, manifest)) {
            self.insert(descriptor(media_type, manifest, size, reference));
        }
    }

    /// [`Index::put`] of what came from a registry.
    pub(crate) fn put_pulled(&mut self, media_type: MediaType, size: u64, pulled: &PulledName<'_>) {
        let mut line = descriptor(media_type, pulled.manifest, size, Some(pulled.reference));
        let mut annotations = line.annotations().clone().unwrap_or_default();
        annotations.insert(REGISTRY_DIGEST.to_owned(), pulled.registry_digest.to_string());
        line.set_annotations(Some(annotations));
        self.insert(line);
    }

    /// Notes what the registry has under this name.
    pub(crate) fn note_pushed(&mut self, reference: &str, registry_digest: &Digest) {
        let is_named = |line: &&mut Descriptor| {
            entry(line).is_some_and(|entry| entry.reference.as_deref() == Some(reference))
        };
        self.edit(|manifests| {
            if let Some(line) = manifests.iter_mut().find(is_named) {
                let mut annotations = line.annotations().clone().unwrap_or_default();
                annotations.insert(REGISTRY_DIGEST.to_owned(), registry_digest.to_string());
                line.set_annotations(Some(annotations));
            }
        });
    }

    fn insert(&mut self, line: Descriptor) {
        let Some(new) = entry(&line) else { return };
        if let Some(reference) = &new.reference {
            self.take_name(reference);
        }
        let nameless = Entry { manifest: new.manifest, reference: None };
        self.edit(|manifests| {
            manifests.retain(|descriptor| entry(descriptor).as_ref() != Some(&nameless));
            manifests.push(line);
        });
    }

    /// Takes a name away; says whether it was there. The image stays, without a name if it has no other.
    pub(crate) fn take_name(&mut self, reference: &str) -> bool {
        let Some(manifest) = self.manifest(reference) else { return false };
        let named = Some(Entry { manifest: manifest.clone(), reference: Some(reference.to_owned()) });
        let lines = self.entries().iter().filter(|entry| entry.manifest == manifest).count();
        self.edit(|manifests| {
            if lines > 1 {
                manifests.retain(|descriptor| entry(descriptor) != named);
            } else if let Some(line) = manifests.iter_mut().find(|descriptor| entry(descriptor) == named) {
                *line = descriptor(line.media_type().clone(), &manifest, line.size(), None);
            }
        });
        true
    }

    /// Removes the lines that `keep` does not want; says which those were.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let mut removed = Vec::new();
        self.edit(|manifests| {
            manifests.retain(|descriptor| match entry(descriptor) {
                Some(entry) if !keep(&entry) => {
                    removed.push(entry);
                    false
                }
                _ => true,
            });
        });
        removed
    }

    fn edit(&mut self, change: impl FnOnce(&mut Vec<Descriptor>)) {
        let mut manifests = self.0.manifests().clone();
        change(&mut manifests);
        self.0.set_manifests(manifests);
    }
}

fn empty() -> Result<ImageIndex, StoreError> {
    ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests(Vec::new())
        .build()
        .map_err(|source| StoreError::Io(std::io::Error::other(source)))
}

fn is_of(line: &Descriptor, manifest: &Digest) -> bool {
    entry(line).is_some_and(|entry| entry.manifest == *manifest)
}

fn descriptor(media_type: MediaType, manifest: &Digest, size: u64, reference: Option<&str>) -> Descriptor {
    let digest: oci_spec::image::Sha256Digest =
        manifest.hex().parse().expect("a digest of ours is a sha256 digest");
    let mut descriptor = Descriptor::new(media_type, size, digest);
    if let Some(reference) = reference {
        descriptor
            .set_annotations(Some(HashMap::from([(ANNOTATION_REF_NAME.to_owned(), reference.to_owned())])));
    }
    descriptor
}

/// Whether something of this type is an image manifest.
pub(crate) fn is_manifest(media_type: &MediaType) -> bool {
    match media_type {
        MediaType::ImageManifest => true,
        MediaType::Other(other) => other == DOCKER_MANIFEST,
        _ => false,
    }
}

/// The line of an image manifest; `None` for what this store does not understand and leaves alone.
fn entry(descriptor: &Descriptor) -> Option<Entry> {
    if !is_manifest(descriptor.media_type()) {
        return None;
    }
    let manifest = descriptor.digest().as_ref().parse().ok()?;
    let reference =
        descriptor.annotations().as_ref().and_then(|annotations| annotations.get(ANNOTATION_REF_NAME));
    Some(Entry { manifest, reference: reference.cloned() })
}
