//! Archives of `docker save` and `podman save`: `manifest.json`.

use serde::Deserialize;

use super::{Described, Loading, diff_ids};
use crate::commit::Document;
use crate::{ArchiveError, LoadError};

pub(super) const MANIFEST: &str = "manifest.json";

/// An image of the archive.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl Loading<'_> {
    pub(super) fn docker(&self) -> Result<Vec<Described>, LoadError> {
        let text = self.entries.document(MANIFEST, "the archive")?;
        let images: Vec<DockerImage> = serde_json::from_slice(&text)
            .map_err(|error| ArchiveError::Document { path: MANIFEST.to_owned(), source: error.into() })?;
        if images.is_empty() {
            return Err(ArchiveError::NotImages.into());
        }
        images.into_iter().map(|image| self.docker_image(image)).collect()
    }

    fn docker_image(&self, image: DockerImage) -> Result<Described, LoadError> {
        let names = self.names(image.repo_tags.unwrap_or_default())?;
        let config = Document::new(self.entries.document(&image.config, MANIFEST)?);
        let files = image.layers.unwrap_or_default();
        let diff_ids = diff_ids(&image.config, &config.text, files.len())?;
        let files = files.iter().map(|file| self.entries.resolve(file, MANIFEST));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        let layers = files.into_iter().zip(diff_ids).collect();
        Ok(Described { path: MANIFEST.to_owned(), config, manifest: None, names, layers })
    }
}
