//! Images for a registry.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::store::{Store, digest};

/// The host's busybox, which needs no libraries.
const BUSYBOX: &str = "/bin/busybox";

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIGURATION: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// The applets that have a name in `/bin`.
const APPLETS: [&str; 4] = ["sh", "cat", "sleep", "httpd"];

/// Adds the parts of an image of two layers, busybox and a file `/version`, and returns its manifest.
pub(super) fn busybox(store: &Store, version: &str) -> Vec<u8> {
    of_layers(store, &[programs(), archive(|tar| file(tar, "version", 0o644, version.as_bytes()))])
}

/// Adds the parts of an image of these layers, tar archives, and returns its manifest.
pub(super) fn of_layers(store: &Store, layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
    let history: Vec<Value> =
        (1..=layers.len()).map(|number| json!({"created_by": format!("layer {number}")})).collect();
    let configuration = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sleep", "infinity"]},
        // Buildah counts on it.
        "history": history,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let packed = |layer: &Vec<u8>| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(layer).unwrap();
        described(store, LAYER, &encoder.finish().unwrap())
    };
    let layers: Vec<Value> = layers.iter().map(packed).collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(store, CONFIGURATION, &serde_json::to_vec(&configuration).unwrap()),
        "layers": layers,
    });
    serde_json::to_vec(&manifest).unwrap()
}

/// Adds a part, and says what a manifest says of it.
fn described(store: &Store, kind: &str, content: &[u8]) -> Value {
    json!({"mediaType": kind, "size": content.len(), "digest": store.blob(content)})
}

fn programs() -> Vec<u8> {
    archive(|tar| {
        file(tar, "bin/busybox", 0o755, &fs_err::read(BUSYBOX).unwrap());
        for applet in APPLETS {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            tar.append_link(&mut header, format!("bin/{applet}"), "busybox").unwrap();
        }
    })
}

fn archive(fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    fill(&mut tar);
    tar.into_inner().unwrap()
}

fn file(tar: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, content: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    tar.append_data(&mut header, path, content).unwrap();
}
