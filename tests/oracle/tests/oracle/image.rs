//! An image as files: its configuration and the archives of its layers.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// An image of either side.
pub(crate) struct Image {
    pub(crate) config: Value,
    /// The base first.
    pub(crate) layers: Vec<PathBuf>,
}

/// An image of what `docker save` wrote.
pub(crate) fn saved(place: &Path, tag: &str) -> Image {
    let name = Value::from(format!("{tag}:latest"));
    let images = json(&place.join("manifest.json"));
    let image =
        images.as_array().unwrap().iter().find(|image| image["RepoTags"].as_array().unwrap().contains(&name));
    let image = image.unwrap_or_else(|| panic!("Docker has saved no {tag}"));
    let path = |name: &Value| place.join(name.as_str().unwrap());
    Image {
        config: json(&path(&image["Config"])),
        layers: image["Layers"].as_array().unwrap().iter().map(path).collect(),
    }
}

/// An image of an OCI layout.
pub(crate) fn of_layout(layout: &Path, tag: &str) -> Image {
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap();
        layout.join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap())
    };
    let index = json(&layout.join("index.json"));
    let is_it = |manifest: &&Value| manifest["annotations"]["org.opencontainers.image.ref.name"] == tag;
    let found = index["manifests"].as_array().unwrap().iter().find(is_it);
    let manifest = json(&blob(found.unwrap_or_else(|| panic!("there is no {tag}: {index}"))));
    Image {
        config: json(&blob(&manifest["config"])),
        layers: manifest["layers"].as_array().unwrap().iter().map(blob).collect(),
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
}
