//! Images to be pulled.

use std::io::Write as _;

use homeostat_image::Digest;

use crate::fake::Fake;

/// How a layer is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Packing {
    DockerGzip,
    Gzip,
    Zstd,
    Plain,
}

/// A layer, packed.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) media_type: String,
    pub(crate) blob: Vec<u8>,
    pub(crate) digest: Digest,
    pub(crate) diff_id: Digest,
    /// What the manifest says, if not the truth.
    pub(crate) size: usize,
}

impl Layer {
    /// Of one file.
    pub(crate) fn of(path: &str, content: &[u8], packing: Packing) -> Self {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content).unwrap();
        Self::packed(&tar.into_inner().unwrap(), packing)
    }

    pub(crate) fn packed(archive: &[u8], packing: Packing) -> Self {
        let gzip = || {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(archive).unwrap();
            encoder.finish().unwrap()
        };
        let (media_type, blob) = match packing {
            Packing::DockerGzip => ("application/vnd.docker.image.rootfs.diff.tar.gzip", gzip()),
            Packing::Gzip => ("application/vnd.oci.image.layer.v1.tar+gzip", gzip()),
            Packing::Zstd => {
                ("application/vnd.oci.image.layer.v1.tar+zstd", zstd::stream::encode_all(archive, 3).unwrap())
            }
            Packing::Plain => ("application/vnd.oci.image.layer.v1.tar", archive.to_vec()),
        };
        let (digest, diff_id) = (Digest::of(&blob), Digest::of(archive));
        Self { media_type: media_type.to_owned(), size: blob.len(), blob, digest, diff_id }
    }

    /// Where its blob is.
    pub(crate) fn path(&self) -> String {
        format!("/v2/app/blobs/{}", self.digest)
    }
}

/// What makes blobs of some size, and the same each time: bytes that do not compress.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// An image in a registry.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) config: Digest,
    pub(crate) manifest: Digest,
    pub(crate) manifest_size: usize,
}

/// Puts an image of these layers, for this architecture, into the repository `app`, without a tag.
pub(crate) fn put(fake: &Fake, architecture: &str, layers: &[Layer]) -> Image {
    let diff_ids: Vec<_> = layers.iter().map(|layer| format!("\"{}\"", layer.diff_id)).collect();
    let config = format!(
        r#"{{"architecture":"{architecture}","os":"linux","config":{{"Cmd":["/bin/app"]}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        diff_ids.join(",")
    );
    let is_docker = layers.iter().any(|layer| layer.media_type.contains("docker"));
    let (manifest_type, config_type) = if is_docker {
        (
            "application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.docker.container.image.v1+json",
        )
    } else {
        ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json")
    };
    let described = |media_type: &str, digest: &Digest, size: usize| {
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
    };
    let id = Digest::of(config.as_bytes());
    let descriptors: Vec<_> =
        layers.iter().map(|layer| described(&layer.media_type, &layer.digest, layer.size)).collect();
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{manifest_type}","config":{},"layers":[{}]}}"#,
        described(config_type, &id, config.len()),
        descriptors.join(",")
    );
    fake.put(&format!("/v2/app/blobs/{id}"), "application/octet-stream", config.as_bytes());
    for layer in layers {
        fake.put(&layer.path(), "application/octet-stream", &layer.blob);
    }
    let digest = Digest::of(manifest.as_bytes());
    fake.put(&format!("/v2/app/manifests/{digest}"), manifest_type, manifest.as_bytes());
    let image = Image { config: id, manifest: digest, manifest_size: manifest.len() };
    fake.put("/v2/app/manifests/1", manifest_type, manifest.as_bytes());
    image
}

/// Puts an index of these images, each with its architecture, under the tag `1`, and gives its digest.
pub(crate) fn put_index(fake: &Fake, images: &[(&str, &Image)]) -> Digest {
    let entries: Vec<_> = images
        .iter()
        .map(|(architecture, image)| {
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":{},"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#,
                image.manifest, image.manifest_size
            )
        })
        .collect();
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index =
        format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","manifests":[{}]}}"#, entries.join(","));
    let digest = Digest::of(index.as_bytes());
    fake.put("/v2/app/manifests/1", media_type, index.as_bytes());
    fake.put(&format!("/v2/app/manifests/{digest}"), media_type, index.as_bytes());
    digest
}
