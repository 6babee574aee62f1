//! Images as archives that other engines read.
//!
//! Both formats are an OCI image layout in a tar archive. Docker's has `manifest.json` beside it, by which Docker and
//! Podman find the parts, and layers that are not compressed, as `docker save` writes it since Docker 25. The OCI archive
//! has the blobs as the store has them, so that an image that was pulled keeps the digest of its manifest.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read, Write};

use oci_spec::image::{
    ANNOTATION_REF_NAME, Descriptor, ImageIndexBuilder, ImageManifest, MediaType, Sha256Digest,
};
use serde::Serialize;

use crate::commit::Document;
use crate::compression::uncompressed_layer;
use crate::digest::Hashing;
use crate::document::canonical_json;
use crate::tar::FileWriter;
use crate::{Digest, Image, ImageStore, Layer, StoreError};

/// The name of an image, spelled out, for containerd and Docker.
pub(crate) const IMAGE_NAME: &str = "io.containerd.image.name";

/// Which archive is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// That of `docker save`.
    Docker,
    /// An OCI image layout.
    Oci,
}

/// An image to be saved, and the names that it gets where it is loaded: spelled out, with their tags.
#[derive(Debug, Clone, Copy)]
pub struct Saved<'a> {
    /// The image.
    pub image: &'a Image,
    /// Its names.
    pub references: &'a [String],
}

/// An image in `manifest.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

/// What an archive is to hold.
#[derive(Debug, Default)]
struct Contents {
    documents: BTreeMap<Digest, Vec<u8>>,
    layers: Vec<Layer>,
    known: HashSet<Digest>,
    index: Vec<Descriptor>,
    docker: Vec<DockerImage>,
}

impl ImageStore {
    /// Writes images as an archive, layer by layer: no layer is ever in memory as a whole.
    ///
    /// # Assumptions
    /// The caller has held a [`crate::Lease`] since before it found the images.
    ///
    /// # Errors
    /// When a blob is missing or damaged, or the archive cannot be written.
    pub fn save(
        &self,
        images: &[Saved<'_>],
        format: ArchiveFormat,
        output: impl Write,
    ) -> Result<(), StoreError> {
        let mut contents = Contents::default();
        for saved in images {
            match format {
                ArchiveFormat::Docker => contents.add_for_docker(self, saved)?,
                ArchiveFormat::Oci => contents.add(self, saved)?,
            }
        }
        contents.write(self, format, output)
    }

    /// The content of a blob that is a document, verified.
    pub(crate) fn document(&self, digest: &Digest) -> Result<Document, StoreError> {
        let mut text = Vec::new();
        self.open_blob(digest)?.take(crate::blobs::DOCUMENT_LIMIT).read_to_end(&mut text)?;
        let document = Document::new(text);
        if document.digest == *digest {
            Ok(document)
        } else {
            Err(StoreError::BlobDamaged { digest: digest.clone() })
        }
    }

    /// A layer as it is when it is not compressed. Its size has to be known before it is written.
    fn plain(&self, layer: &Layer) -> Result<Layer, StoreError> {
        let diff_id = layer.diff_id.clone();
        if layer.digest == diff_id {
            return Ok(layer.clone());
        }
        let mut archive = Hashing::new(uncompressed_layer(self.open_blob(&layer.digest)?)?);
        io::copy(&mut archive, &mut io::sink())?;
        let (_, actual, size) = archive.finish();
        if actual != diff_id {
            return Err(StoreError::BlobDamaged { digest: layer.digest.clone() });
        }
        Ok(Layer { digest: layer.digest.clone(), diff_id, size })
    }
}

impl Contents {
    /// An image as the store has it.
    fn add(&mut self, store: &ImageStore, saved: &Saved<'_>) -> Result<(), StoreError> {
        let Saved { image, references } = *saved;
        let config = store.document(&image.id)?;
        let manifest = store.document(&image.manifest)?;
        let read: ImageManifest = serde_json::from_slice(&manifest.text)?;
        let media_type = read.media_type().clone().unwrap_or(MediaType::ImageManifest);
        self.name(&media_type, &manifest, references, whole);
        for layer in &image.layers {
            self.add_layer(&layer.digest, layer);
        }
        self.documents.extend([config, manifest].map(|document| (document.digest, document.text)));
        Ok(())
    }

    /// An image as Docker has it.
    fn add_for_docker(&mut self, store: &ImageStore, saved: &Saved<'_>) -> Result<(), StoreError> {
        let Saved { image, references } = *saved;
        let config = store.document(&image.id)?;
        let mut named = Vec::new();
        for layer in &image.layers {
            let plain = store.plain(layer)?;
            named.push(Layer { digest: plain.diff_id.clone(), ..plain.clone() });
            self.add_layer(&plain.diff_id, &plain);
        }
        let manifest = Document::new(store.manifest(&config, &named)?);
        self.name(&MediaType::ImageManifest, &manifest, references, tag_of);
        self.docker.push(DockerImage {
            config: blob_path(&config.digest),
            repo_tags: references.to_vec(),
            layers: named.iter().map(|layer| blob_path(&layer.digest)).collect(),
        });
        self.documents.extend([config, manifest].map(|document| (document.digest, document.text)));
        Ok(())
    }

    /// A line of the index for each name, or one without.
    fn name(
        &mut self,
        media_type: &MediaType,
        manifest: &Document,
        references: &[String],
        short: fn(&str) -> &str,
    ) {
        let digest: Sha256Digest =
            manifest.digest.hex().parse().expect("a digest of ours is a sha256 digest");
        let line = Descriptor::new(media_type.clone(), manifest.text.len() as u64, digest);
        if references.is_empty() {
            self.index.push(line);
            return;
        }
        for reference in references {
            let mut line = line.clone();
            line.set_annotations(Some(HashMap::from([
                (IMAGE_NAME.to_owned(), reference.clone()),
                (ANNOTATION_REF_NAME.to_owned(), short(reference).to_owned()),
            ])));
            self.index.push(line);
        }
    }

    /// Each once, under the digest of what is written.
    fn add_layer(&mut self, written: &Digest, layer: &Layer) {
        if self.known.insert(written.clone()) {
            self.layers.push(layer.clone());
        }
    }

    /// Documents come first, so that who reads the archive as a stream knows what each layer is.
    fn write(self, store: &ImageStore, format: ArchiveFormat, output: impl Write) -> Result<(), StoreError> {
        let mut tar = FileWriter::new(output);
        let index = ImageIndexBuilder::default()
            .schema_version(2u32)
            .media_type(MediaType::ImageIndex)
            .manifests(self.index)
            .build()
            .map_err(io::Error::other)?;
        let mut file = |path: &str, text: &[u8]| tar.file(path, text.len() as u64, text);
        file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        file("index.json", &canonical_json(&index)?)?;
        if format == ArchiveFormat::Docker {
            file("manifest.json", &serde_json::to_vec(&self.docker)?)?;
        }
        tar.directory("blobs/")?;
        tar.directory("blobs/sha256/")?;
        for (digest, text) in &self.documents {
            tar.file(&blob_path(digest), text.len() as u64, text.as_slice())?;
        }
        for layer in &self.layers {
            write_layer(store, layer, format, &mut tar)?;
        }
        Ok(tar.finish()?)
    }
}

fn write_layer<W: Write>(
    store: &ImageStore,
    layer: &Layer,
    format: ArchiveFormat,
    tar: &mut FileWriter<W>,
) -> Result<(), StoreError> {
    let blob = store.open_blob(&layer.digest)?;
    let (expected, content): (&Digest, Box<dyn Read>) = match format {
        ArchiveFormat::Docker if layer.digest != layer.diff_id => (&layer.diff_id, uncompressed_layer(blob)?),
        ArchiveFormat::Docker | ArchiveFormat::Oci => (&layer.digest, Box::new(blob)),
    };
    let mut content = Hashing::new(content);
    tar.file(&blob_path(expected), layer.size, &mut content)?;
    if content.finish().1 == *expected {
        Ok(())
    } else {
        Err(StoreError::BlobDamaged { digest: layer.digest.clone() })
    }
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// A reference as it is.
fn whole(reference: &str) -> &str {
    reference
}

/// The tag of a reference that is spelled out.
fn tag_of(reference: &str) -> &str {
    reference.rsplit_once(':').map_or(reference, |(_, tag)| tag)
}
