//! Archives of OCI image layouts: `index.json`.

use oci_spec::image::{ANNOTATION_REF_NAME, Descriptor, ImageIndex, ImageManifest, MediaType, OciLayout};
use serde::de::DeserializeOwned;

use super::{Described, Loading, diff_ids};
use crate::commit::Document;
use crate::pulled::media_type_of;
use crate::save::IMAGE_NAME;
use crate::{ArchiveError, Digest, InvalidDigest, LoadError};

pub(super) const INDEX: &str = "index.json";
pub(super) const LAYOUT: &str = "oci-layout";

/// How deep indexes may name indexes.
const DEPTH: usize = 3;

/// What `docker buildx` calls what it says about an image beside it.
const ATTESTATION: &str = "vnd.docker.reference.type";

/// The media types of Docker's registry protocol, which other tools put into OCI layouts too.
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

impl Loading<'_> {
    pub(super) fn oci(&self) -> Result<Vec<Described>, LoadError> {
        let layout: OciLayout = parse(LAYOUT, &self.entries.document(LAYOUT, "the archive")?)?;
        if layout.image_layout_version() != "1.0.0" {
            let source = format!("it is of version {}", layout.image_layout_version()).into();
            return Err(ArchiveError::Document { path: LAYOUT.to_owned(), source }.into());
        }
        let index: ImageIndex = parse(INDEX, &self.entries.document(INDEX, "the archive")?)?;
        let mut images = Vec::new();
        for descriptor in index.manifests() {
            if annotation(descriptor, ATTESTATION).is_none() {
                images.push(self.oci_image(descriptor)?);
            }
        }
        if images.is_empty() {
            return Err(ArchiveError::NotImages.into());
        }
        Ok(images)
    }

    fn oci_image(&self, line: &Descriptor) -> Result<Described, LoadError> {
        // Docker has only the tag in the one that the specification has.
        let name = annotation(line, IMAGE_NAME).or_else(|| annotation(line, ANNOTATION_REF_NAME));
        let names = self.names(name.map(str::to_owned))?;
        let path = self.chosen(line, INDEX, DEPTH)?;
        let manifest = Document::new(self.entries.document(&path, INDEX)?);
        let read: ImageManifest = parse(&path, &manifest.text)?;
        media_type_of(&read).map_err(|source| ArchiveError::Document { path: path.clone(), source })?;
        let config_path = self.described(read.config(), &path)?;
        match read.config().media_type() {
            MediaType::ImageConfig => {}
            MediaType::Other(other) if other == DOCKER_CONFIG => {}
            other => {
                let source =
                    format!("it is no image that can be run: it has a configuration of the type {other}");
                return Err(ArchiveError::Document { path, source: source.into() }.into());
            }
        }
        let config = Document::new(self.entries.document(&config_path, &path)?);
        let diff_ids = diff_ids(&config_path, &config.text, read.layers().len())?;
        let files = read.layers().iter().map(|descriptor| self.described(descriptor, &path));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        let layers = files.into_iter().zip(diff_ids).collect();
        Ok(Described { path, config, manifest: Some(manifest), names, layers })
    }

    /// The manifest that a line of an index leads to, by way of other indexes.
    fn chosen(&self, line: &Descriptor, by: &str, depth: usize) -> Result<String, LoadError> {
        let path = self.described(line, by)?;
        let is_index = match line.media_type() {
            MediaType::ImageIndex => true,
            MediaType::ImageManifest => false,
            MediaType::Other(other) if other == DOCKER_INDEX => true,
            MediaType::Other(other) if other == DOCKER_MANIFEST => false,
            other => {
                let source = format!("it names something of the type {other}").into();
                return Err(ArchiveError::Document { path: by.to_owned(), source }.into());
            }
        };
        if !is_index {
            return Ok(path);
        }
        let index: ImageIndex = parse(&path, &self.entries.document(&path, by)?)?;
        let platform = &self.load.platform;
        let ranked = index.manifests().iter().filter_map(|offered| {
            let rank = platform.rank_offered(offered.platform().as_ref())?;
            annotation(offered, ATTESTATION).is_none().then_some((rank, offered))
        });
        match ranked.min_by_key(|(rank, _)| *rank) {
            Some((_, line)) if depth > 0 => self.chosen(line, &path, depth - 1),
            Some(_) => {
                let source = "indexes lead to indexes too often".into();
                Err(ArchiveError::Document { path, source }.into())
            }
            None => Err(ArchiveError::NoPlatform { wanted: platform.to_string() }.into()),
        }
    }

    /// The name of the file that a descriptor describes, which has the digest and the size that it says.
    fn described(&self, descriptor: &Descriptor, by: &str) -> Result<String, LoadError> {
        let invalid =
            |error: InvalidDigest| ArchiveError::Document { path: by.to_owned(), source: error.into() };
        let digest: Digest = descriptor.digest().as_ref().parse().map_err(invalid)?;
        let path = self.entries.resolve(&format!("blobs/sha256/{}", digest.hex()), by)?;
        let file = self.entries.file(&path);
        if file.size != descriptor.size() {
            let (actual, announced) = (file.size, descriptor.size());
            return Err(ArchiveError::WrongSize { path, actual, announced }.into());
        }
        // A link may have led to another.
        if file.digest != digest {
            return Err(ArchiveError::WrongDigest { path, actual: file.digest.clone() }.into());
        }
        Ok(path)
    }
}

fn annotation<'a>(descriptor: &'a Descriptor, name: &str) -> Option<&'a str> {
    Some(descriptor.annotations().as_ref()?.get(name)?.as_str())
}

fn parse<T: DeserializeOwned>(path: &str, text: &[u8]) -> Result<T, ArchiveError> {
    serde_json::from_slice(text)
        .map_err(|error| ArchiveError::Document { path: path.to_owned(), source: error.into() })
}
