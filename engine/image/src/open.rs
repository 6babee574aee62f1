//! Opening a store, after whatever ended the last use of it.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::path::Path;

use fs_err as fs;
use homeostat_files::{remove_tree, sync_directory, write_durably_with_mode};
use oci_spec::image::OciLayout;

use crate::check::is_usable;
use crate::download::stale_downloads;
use crate::index::Index;
use crate::store::{LayerState, State};
use crate::{Digest, StoreError};

const DIRECTORIES: [&str; 9] =
    ["blobs", "blobs/sha256", "layers", "cache", "mounts", "ingest", "staging", "downloads", "retired"];

/// Makes the directory a store, or finds the one that is there, and removes what a kill or power cut left unfinished.
pub(crate) fn recover(directory: &Path) -> Result<State, StoreError> {
    for name in DIRECTORIES {
        fs::create_dir_all(directory.join(name))?;
    }
    ensure_layout(directory)?;
    for unfinished in ["ingest", "staging"] {
        for entry in fs::read_dir(directory.join(unfinished))? {
            let path = entry?.path();
            tracing::info!(path = %path.display(), "removing what was left unfinished");
            remove(&path);
        }
    }
    for (stale, _) in stale_downloads(directory)? {
        tracing::info!(path = %stale.display(), "removing a download that nobody has gone on with");
        remove(&stale);
    }
    remove_retired(directory)?;
    let layers = complete_layers(directory)?;
    remove_useless_cache(directory, &layers)?;
    Ok(State {
        index: Index::load(directory)?,
        layers,
        images: BTreeMap::new(),
        usage: crate::lease::Usage::default(),
        failures: 0,
    })
}

/// What cannot be removed (the step of a killed build may write there for one more moment) costs room until the next
/// opening; that is no reason to have no images.
fn remove(path: &Path) {
    if let Err(error) = remove_tree(path) {
        let reason = error.source().map(ToString::to_string);
        tracing::warn!(%error, reason, "what was left unfinished stays until the next opening");
    }
}

/// Removes the damaged layers of earlier boots. Those of this one may be mounted still.
fn remove_retired(directory: &Path) -> Result<(), StoreError> {
    let current = boot_id()?;
    for entry in fs::read_dir(directory.join("retired"))? {
        let entry = entry?;
        if entry.file_name() != current.as_str() {
            remove(&entry.path());
        }
    }
    Ok(())
}

/// What tells this boot from others.
pub(crate) fn boot_id() -> Result<String, StoreError> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

fn ensure_layout(directory: &Path) -> Result<(), StoreError> {
    let path = directory.join("oci-layout");
    match fs::read(&path) {
        Ok(text) => match serde_json::from_slice::<OciLayout>(&text) {
            Ok(layout) if layout.image_layout_version() == "1.0.0" => Ok(()),
            _ => Err(StoreError::NotALayout { path: directory.to_owned() }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            write_durably_with_mode(&path, br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644)?;
            sync_directory(directory.join("blobs"))?;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Removes cache entries that are of no use: torn by a power cut, or of a layer that was lost or pruned.
fn remove_useless_cache(directory: &Path, layers: &BTreeMap<Digest, LayerState>) -> Result<(), StoreError> {
    for entry in fs::read_dir(directory.join("cache"))? {
        let path = entry?.path();
        if !is_usable(&path, |diff_id| layers.contains_key(diff_id)) {
            remove(&path);
        }
    }
    Ok(())
}

/// The layers that are whole; others are removed: a directory alone says nothing about what is in it.
fn complete_layers(directory: &Path) -> Result<BTreeMap<Digest, LayerState>, StoreError> {
    let mut layers = BTreeMap::new();
    for entry in fs::read_dir(directory.join("layers"))? {
        let path = entry?.path();
        let digest =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| Digest::from_hex(name).ok());
        match digest {
            Some(digest) if is_complete(&path, &digest) => {
                layers.insert(digest, LayerState::Complete);
            }
            _ => {
                tracing::info!(path = %path.display(), "removing a layer that was left unfinished");
                remove(&path);
            }
        }
    }
    Ok(layers)
}

fn is_complete(layer: &Path, diff_id: &Digest) -> bool {
    archive_of(layer, diff_id).is_some() && layer.join("diff").is_dir()
}

/// Who wrote the archive of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Archive {
    /// This store: its digest is that of the layer, and can be had again from the layer's files.
    Own,
    /// Somebody else. It is this blob, and can be had from nowhere else.
    Foreign(Digest),
}

/// What the file `complete` of a layer says: which it is, and which blob is its archive if somebody else wrote it. Torn by
/// a power cut it would say less.
pub(crate) fn completion(diff_id: &Digest, archive: &Archive) -> String {
    match archive {
        Archive::Own => format!("{diff_id}\n"),
        Archive::Foreign(blob) => format!("{diff_id}\n{blob}\n"),
    }
}

/// The archive of a layer; `None` when the layer is not complete.
pub(crate) fn archive_of(layer: &Path, diff_id: &Digest) -> Option<Archive> {
    let text = fs::read_to_string(layer.join("complete")).ok()?;
    let archive = match text.lines().nth(1) {
        Some(blob) => Archive::Foreign(blob.parse().ok()?),
        None => Archive::Own,
    };
    (text == completion(diff_id, &archive)).then_some(archive)
}
