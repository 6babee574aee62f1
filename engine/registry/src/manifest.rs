//! Manifests and indexes, which nobody vouches for.

use homeostat_image::{Digest, Platform, read_config};
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use serde::Deserialize;

use crate::RegistryError;

/// The media types that are asked for, as `Accept` has them.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// Manifests and configurations larger than this are refused, as registries do.
pub(crate) const DOCUMENT_LIMIT: u64 = 4 << 20;

/// How many layers an image may have: enough for every image that another engine builds.
const LAYER_LIMIT: usize = 1000;

const DOCKER: &str = "application/vnd.docker.";

/// What a manifest's URL leads to.
#[derive(Debug)]
pub(crate) enum Kind {
    /// One image.
    Image(Box<ImageManifest>),
    /// One for each of several platforms.
    Index(Box<ImageIndex>),
}

/// A blob as a manifest announces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// A layer as manifest and configuration announce it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) blob: Blob,
    pub(crate) diff_id: Digest,
    /// Whether it is said to be compressed.
    pub(crate) is_compressed: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    #[serde(default)]
    schema_version: u32,
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<serde_json::Value>,
    #[serde(default)]
    config: Option<serde_json::Value>,
}

/// Reads what a manifest's URL gave. The media type is that of the answer; one in the document itself must agree.
pub(crate) fn read(text: &[u8], announced: &str) -> Result<Kind, RegistryError> {
    let envelope: Envelope =
        serde_json::from_slice(text).map_err(|error| RegistryError::document("manifest", error))?;
    if envelope.schema_version == 1 {
        return Err(RegistryError::NotAnImage {
            what: "a manifest of schema 1, which registries gave up".to_owned(),
        });
    }
    let inner = envelope.media_type.as_deref();
    // Registries that serve files say `text/plain` or nothing.
    let media_type = inner.unwrap_or(announced);
    if inner.is_some() && is_manifest(announced) && announced != media_type {
        let contradiction = format!("it is called {announced} outside and {media_type} inside");
        return Err(RegistryError::document("manifest", contradiction));
    }
    if envelope.manifests.is_some() && envelope.config.is_some() {
        return Err(RegistryError::document("manifest", "it is an index and a manifest at once"));
    }
    match media_type {
        "application/vnd.oci.image.index.v1+json"
        | "application/vnd.docker.distribution.manifest.list.v2+json" => {
            let index =
                serde_json::from_slice(text).map_err(|error| RegistryError::document("index", error))?;
            Ok(Kind::Index(Box::new(index)))
        }
        "application/vnd.oci.image.manifest.v1+json"
        | "application/vnd.docker.distribution.manifest.v2+json" => {
            let manifest =
                serde_json::from_slice(text).map_err(|error| RegistryError::document("manifest", error))?;
            Ok(Kind::Image(Box::new(manifest)))
        }
        other => Err(RegistryError::NotAnImage { what: format!("the media type {other:?}") }),
    }
}

fn is_manifest(media_type: &str) -> bool {
    ACCEPT.split(", ").any(|accepted| accepted == media_type)
}

/// The image of an index that runs here best.
pub(crate) fn choose(index: &ImageIndex, platform: &Platform) -> Result<Blob, RegistryError> {
    let ranked = index.manifests().iter().filter_map(|offered| {
        let rank = platform.rank_offered(offered.platform().as_ref())?;
        is_manifest(offered.media_type().as_ref()).then_some((rank, offered))
    });
    if let Some((_, chosen)) = ranked.min_by_key(|(rank, _)| *rank) {
        return blob(chosen, "index");
    }
    let platforms = index.manifests().iter().filter_map(|offered| offered.platform().as_ref());
    // Attestations are entries for "unknown".
    let names = platforms.filter(|offered| offered.os().to_string() != "unknown").map(|offered| {
        let variant = offered.variant().as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
        format!("{}/{}{variant}", offered.os(), offered.architecture())
    });
    Err(RegistryError::NoPlatform { wanted: platform.to_string(), offered: names.collect() })
}

/// The configuration that a manifest names.
pub(crate) fn config_of(manifest: &ImageManifest) -> Result<Blob, RegistryError> {
    let descriptor = manifest.config();
    match descriptor.media_type() {
        MediaType::ImageConfig => {}
        MediaType::Other(other) if other == "application/vnd.docker.container.image.v1+json" => {}
        other => {
            return Err(RegistryError::NotAnImage { what: format!("a configuration of the type {other}") });
        }
    }
    let blob = blob(descriptor, "manifest")?;
    if blob.size > DOCUMENT_LIMIT {
        return Err(RegistryError::document("configuration", format!("it has {} bytes", blob.size)));
    }
    Ok(blob)
}

/// The layers of an image, the base first, and what its configuration says.
pub(crate) fn layers_of(
    manifest: &ImageManifest,
    config: &[u8],
    platform: &Platform,
) -> Result<Vec<Layer>, RegistryError> {
    let (config, _) = read_config(config).map_err(|error| RegistryError::document("configuration", error))?;
    let (os, architecture) = (config.os().to_string(), config.architecture().to_string());
    if os != "linux" || platform.rank(&architecture, config.variant().as_deref()).is_none() {
        let variant = config.variant().as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
        let offered = vec![format!("{os}/{architecture}{variant}")];
        return Err(RegistryError::NoPlatform { wanted: platform.to_string(), offered });
    }
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != manifest.layers().len() {
        let (named, described) = (manifest.layers().len(), diff_ids.len());
        let source = format!("it has {named} layers, and its configuration {described}");
        return Err(RegistryError::document("manifest", source));
    }
    if diff_ids.len() > LAYER_LIMIT {
        return Err(RegistryError::document("manifest", format!("it has {} layers", diff_ids.len())));
    }
    let layers = manifest.layers().iter().zip(diff_ids);
    layers.map(|(descriptor, diff_id)| layer(descriptor, diff_id)).collect()
}

fn layer(descriptor: &Descriptor, diff_id: &str) -> Result<Layer, RegistryError> {
    let is_compressed = match descriptor.media_type() {
        MediaType::ImageLayer => false,
        MediaType::ImageLayerGzip | MediaType::ImageLayerZstd => true,
        MediaType::Other(other) => match other.strip_prefix(DOCKER) {
            Some("image.rootfs.diff.tar") => false,
            Some("image.rootfs.diff.tar.gzip" | "image.rootfs.diff.tar.zstd") => true,
            _ => return Err(unsupported(other)),
        },
        other => return Err(unsupported(other.as_ref())),
    };
    let diff_id = diff_id
        .parse()
        .map_err(|error: homeostat_image::InvalidDigest| RegistryError::document("configuration", error))?;
    Ok(Layer { blob: blob(descriptor, "manifest")?, diff_id, is_compressed })
}

fn unsupported(media_type: &str) -> RegistryError {
    let what = if media_type.contains("foreign") || media_type.contains("nondistributable") {
        format!("a layer that registries may not give out ({media_type})")
    } else {
        format!("a layer of the type {media_type}")
    };
    RegistryError::NotAnImage { what }
}

fn blob(descriptor: &Descriptor, what: &'static str) -> Result<Blob, RegistryError> {
    let digest = descriptor.digest().as_ref().parse();
    let digest =
        digest.map_err(|error: homeostat_image::InvalidDigest| RegistryError::document(what, error))?;
    Ok(Blob { digest, size: descriptor.size() })
}
