//! Finding and mending damage.

mod rest;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter};

use fs_err as fs;
use homeostat_files::{Root, sync_directory, sync_file_system};

use crate::image::{Image, Layer};
use crate::layer::{Ingest, StagedLayer, tree_digest, unpack_blob};
use crate::open::{Archive, archive_of, boot_id, completion};
use crate::store::{LayerState, State, by_manifest, chain};
use crate::tar::write_tree;
use crate::{Digest, ImageStore, Lease, StoreError};

pub(crate) use rest::is_usable;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A layer's blob is missing, or its content is not what its digest promises. Containers do not need it; a push, or
    /// the repair of the layer, does.
    #[error("{digest}, the archive of layer {diff_id}, is missing or damaged")]
    Blob {
        /// The blob.
        digest: Digest,
        /// The layer.
        diff_id: Digest,
    },
    /// A blob that is no layer's is not what its digest promises. Nothing can be made of it; a repair removes it.
    #[error("{digest} is damaged")]
    StrayBlob {
        /// The blob.
        digest: Digest,
    },
    /// The index on disk, or its copy, is not what it was. A repair writes both anew.
    #[error("{reason}")]
    Index {
        /// What is the matter.
        reason: String,
    },
    /// What an earlier build step left cannot be read, or its layer is gone. A repair removes it, and the step runs again.
    #[error("the build cache's entry {key} cannot be used")]
    Cache {
        /// The digest of its key, in hexadecimal digits.
        key: String,
    },
    /// An unpacked layer is missing, or its files are not those of its archive.
    #[error("layer {diff_id} is missing or damaged")]
    Layer {
        /// The layer.
        diff_id: Digest,
    },
    /// An image's manifest, its configuration, or one of its layers is gone for good. A repair makes the store forget the
    /// image, so that it is built or pulled again.
    #[error("image {} cannot be used: {reason}", if references.is_empty() { manifest.to_string() } else { references.join(", ") })]
    Image {
        /// Its manifest.
        manifest: Digest,
        /// Its names.
        references: Vec<String>,
        /// What is gone.
        reason: String,
    },
}

/// A problem, and whether it is mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub problem: Problem,
    /// Whether it was, by this check.
    pub repaired: bool,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// How many images were looked at.
    pub images: usize,
    /// How many layers were looked at, unpacked and as blobs.
    pub layers: usize,
    /// How many blobs were looked at, those of layers included.
    pub blobs: usize,
    /// How many entries of the build cache were looked at.
    pub cache: usize,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// Whether nothing is wrong any more.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.repaired)
    }
}

impl ImageStore {
    /// Reads everything and compares it with its digests: blobs, and the unpacked layers file by file. With `repair`,
    /// what can be restored from the rest is restored, and what cannot is forgotten. Containers that run on a damaged
    /// layer keep its files until they are started again. Takes the time to read all images.
    ///
    /// # Errors
    /// When the store cannot be read or written at all. Damage is no error, but a finding.
    pub fn check(&self, repair: bool) -> Result<CheckReport, StoreError> {
        let _lease = Lease::of_everything(self.clone());
        let mut report = CheckReport::default();
        let mut sound = Vec::new();
        let index = self.state().index.clone();
        for (manifest, references) in by_manifest(&index) {
            report.images += 1;
            match self.read_image(&manifest) {
                Ok(image) => sound.push(Image { references, ..image }),
                Err(error) => self.give_up(&mut report, repair, &manifest, references, &chain(&error))?,
            }
        }
        let mut lost = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for layer in self.all_layers(&sound).into_values() {
            report.layers += 1;
            seen.insert(layer.digest.clone());
            let findings = self.check_layer(&layer, repair)?;
            if findings
                .iter()
                .any(|finding| matches!(finding.problem, Problem::Layer { .. }) && !finding.repaired)
            {
                lost.insert(layer.diff_id, layer.digest);
            }
            report.findings.extend(findings);
        }
        for image in sound {
            if let Some(layer) = image.layers.iter().find(|layer| lost.contains_key(&layer.diff_id)) {
                let reason = format!("layer {} is gone", layer.diff_id);
                // Without a repair the layer may still be restored by one.
                if repair {
                    self.give_up(&mut report, repair, &image.manifest, image.references, &reason)?;
                }
            }
        }
        if repair {
            self.state().images.clear();
            self.forget_lost(&lost, &mut report)?;
        }
        self.check_index(&mut report, repair)?;
        self.check_blobs(&mut report, repair, &seen)?;
        self.check_cache(&mut report, repair)?;
        Ok(report)
    }

    /// Unpacks a layer again, whose directory is missing.
    pub(crate) fn restore_layer(&self, layer: &Layer) -> Result<(), StoreError> {
        tracing::warn!(diff_id = %layer.diff_id, "a layer is missing; it is unpacked again from its blob");
        let fresh = unpack_blob(self, layer)?;
        mark_complete(&fresh, &layer.diff_id, &Archive::Foreign(layer.digest.clone()))?;
        let mut state = self.state();
        if !state.layers.contains_key(&layer.diff_id) {
            self.replace_layer(&mut state, &layer.diff_id, &fresh)?;
        }
        Ok(())
    }

    /// The layers of all images and those that only the cache has, by `diff_id`.
    fn all_layers(&self, images: &[Image]) -> BTreeMap<Digest, Layer> {
        let cached = |diff_id: &Digest| {
            let digest = match archive_of(&self.layer_path(diff_id), diff_id) {
                Some(Archive::Foreign(blob)) => blob,
                Some(Archive::Own) | None => diff_id.clone(),
            };
            Layer { diff_id: diff_id.clone(), digest, size: 0 }
        };
        let state = self.state();
        let settled = state.layers.iter().filter(|(_, layer)| **layer == LayerState::Complete);
        let mut layers: BTreeMap<_, _> =
            settled.map(|(diff_id, _)| (diff_id.clone(), cached(diff_id))).collect();
        let of_images = images.iter().flat_map(|image| image.layers.iter().cloned());
        layers.extend(of_images.map(|layer| (layer.diff_id.clone(), layer)));
        layers
    }

    fn check_layer(&self, layer: &Layer, repair: bool) -> Result<Vec<Finding>, StoreError> {
        let blob_is_sound = self.verify_blob(&layer.digest).is_ok();
        let directory = self.layer_path(&layer.diff_id).join("diff");
        let present = self.use_layer(&layer.diff_id);
        // Damage may also be what makes it unreadable.
        let canonical = if present { tree_digest(&directory, self.marks()).ok() } else { None };
        let is_ours = canonical.as_ref() == Some(&layer.diff_id);
        let mut findings = Vec::new();
        if !blob_is_sound {
            let repaired = repair && is_ours && layer.digest == layer.diff_id && self.rewrite_blob(layer)?;
            let problem = Problem::Blob { digest: layer.digest.clone(), diff_id: layer.diff_id.clone() };
            findings.push(Finding { problem, repaired });
        }
        if is_ours {
            return Ok(findings);
        }
        let mut finding =
            Finding { problem: Problem::Layer { diff_id: layer.diff_id.clone() }, repaired: false };
        if !blob_is_sound {
            // A layer whose archive somebody else wrote can only be compared with that archive.
            let is_own = archive_of(&self.layer_path(&layer.diff_id), &layer.diff_id) == Some(Archive::Own);
            if canonical.is_none() || is_own {
                findings.push(finding);
            }
            return Ok(findings);
        }
        let fresh = match unpack_blob(self, layer) {
            Ok(fresh) => fresh,
            Err(error @ (StoreError::Unpack(_) | StoreError::WrongDigest { .. })) => {
                tracing::error!(diff_id = %layer.diff_id, error = %chain(&error), "a layer cannot be unpacked");
                findings.push(finding);
                return Ok(findings);
            }
            Err(error) => return Err(error),
        };
        let restored = tree_digest(&fresh.upper(), self.marks())?;
        if canonical.as_ref() == Some(&restored) {
            return Ok(findings);
        }
        if repair {
            let archive =
                if restored == layer.diff_id { Archive::Own } else { Archive::Foreign(layer.digest.clone()) };
            mark_complete(&fresh, &layer.diff_id, &archive)?;
            self.replace_layer(&mut self.state(), &layer.diff_id, &fresh)?;
            finding.repaired = true;
        }
        findings.push(finding);
        Ok(findings)
    }

    /// Puts a freshly unpacked layer, all of which is on disk, in the place of what is there.
    fn replace_layer(
        &self,
        state: &mut State,
        diff_id: &Digest,
        fresh: &StagedLayer,
    ) -> Result<(), StoreError> {
        self.retire_layer(diff_id)?;
        fs::rename(fresh.directory(), self.layer_path(diff_id))?;
        sync_directory(self.directory().join("layers"))?;
        state.layers.insert(diff_id.clone(), LayerState::Complete);
        Ok(())
    }

    /// Moves a damaged layer out of the way. Containers may run on it: until they are started again its files stay
    /// theirs, so it is removed only when this boot is over, and all mounts with it.
    pub(crate) fn retire_layer(&self, diff_id: &Digest) -> Result<(), StoreError> {
        let retired = self.directory().join("retired").join(boot_id()?);
        fs::create_dir_all(&retired)?;
        let number = fs::read_dir(&retired)?.count();
        match fs::rename(self.layer_path(diff_id), retired.join(number.to_string())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => Ok(done?),
        }
    }

    /// Writes the blob of a layer anew from its files; says whether it came out the same.
    fn rewrite_blob(&self, layer: &Layer) -> Result<bool, StoreError> {
        let blob = Ingest::create(self)?;
        let tree = Root::open(self.layer_path(&layer.diff_id).join("diff"))?;
        let mut output = BufWriter::with_capacity(1 << 18, crate::digest::Hashing::new(&blob.file));
        write_tree(&tree, self.marks(), &mut output)?;
        let (_, digest, _) = output.into_inner().map_err(io::IntoInnerError::into_error)?.finish();
        if digest != layer.digest {
            return Ok(false);
        }
        blob.file.sync_all()?;
        homeostat_files::rename_durably(blob.keep(), self.blob_path(&digest))?;
        Ok(true)
    }

    fn give_up(
        &self,
        report: &mut CheckReport,
        repair: bool,
        manifest: &Digest,
        references: Vec<String>,
        reason: &str,
    ) -> Result<(), StoreError> {
        if repair {
            self.change_index(|index| index.retain(|entry| entry.manifest != *manifest))?;
        }
        let problem = Problem::Image { manifest: manifest.clone(), references, reason: reason.to_owned() };
        report.findings.push(Finding { problem, repaired: repair });
        Ok(())
    }

    /// Removes layers that are damaged for good, so that no build finds them in the cache.
    fn forget_lost(
        &self,
        lost: &BTreeMap<Digest, Digest>,
        report: &mut CheckReport,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        for (diff_id, archive) in lost {
            state.layers.remove(diff_id);
            self.retire_layer(diff_id)?;
            if let Err(StoreError::BlobDamaged { .. }) = self.verify_blob(archive) {
                fs::remove_file(self.blob_path(archive))?;
            }
        }
        for finding in &mut report.findings {
            match &finding.problem {
                Problem::Layer { diff_id } | Problem::Blob { diff_id, .. } if lost.contains_key(diff_id) => {
                    finding.repaired = true;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Marks a freshly unpacked layer complete, when it is.
fn mark_complete(fresh: &StagedLayer, diff_id: &Digest, archive: &Archive) -> Result<(), StoreError> {
    sync_file_system(fresh.directory())?;
    let marker = fresh.directory().join("complete");
    fs::write(&marker, completion(diff_id, archive))?;
    fs::File::open(&marker)?.sync_all()?;
    sync_directory(fresh.directory())?;
    Ok(())
}
