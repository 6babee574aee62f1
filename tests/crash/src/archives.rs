//! Layers compared with their archives, by other means than the store's own.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use fs_err as fs;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tar::EntryType;

/// Asserts that every blob is what its name says, that all that the index names is there, and that every layer that is
/// marked complete has the files of its archive and no other. Returns how many files were compared.
pub fn assert_layers_are_their_archives(store: &Path) -> usize {
    let blobs = store.join("blobs/sha256");
    for blob in fs::read_dir(&blobs).unwrap() {
        let blob = blob.unwrap();
        assert_eq!(
            sha256(fs::File::open(blob.path()).unwrap()),
            blob.file_name().to_str().unwrap(),
            "{}",
            blob.path().display()
        );
    }
    let archives = archives_of_images(store);
    let mut files = 0;
    for layer in fs::read_dir(store.join("layers")).unwrap() {
        let layer = layer.unwrap();
        let diff_id = layer.file_name().into_string().unwrap();
        let Ok(marker) = fs::read_to_string(layer.path().join("complete")) else { continue };
        // That of a layer that no image has is named after it, or in the marker.
        let named = marker.lines().last().and_then(|digest| digest.strip_prefix("sha256:"));
        let archive = archives.get(&diff_id).map(String::as_str).or(named).unwrap();
        files += compare(&blobs.join(archive), &layer.path().join("diff"));
    }
    files
}

/// The blobs of the layers of all images, by `diff_id`.
fn archives_of_images(store: &Path) -> BTreeMap<String, String> {
    let read = |path: PathBuf| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let hex = |value: &Value| value.as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
    let blob = |digest: &Value| store.join("blobs/sha256").join(hex(digest));
    let mut archives = BTreeMap::new();
    // It is written with the first image.
    if !store.join("index.json").exists() {
        return archives;
    }
    for image in read(store.join("index.json"))["manifests"].as_array().unwrap() {
        let manifest = read(blob(&image["digest"]));
        let config = read(blob(&manifest["config"]["digest"]));
        let layers = manifest["layers"].as_array().unwrap().iter();
        for (layer, diff_id) in layers.zip(config["rootfs"]["diff_ids"].as_array().unwrap()) {
            assert!(store.join("layers").join(hex(diff_id)).join("complete").exists(), "{diff_id}");
            archives.insert(hex(diff_id), hex(&layer["digest"]));
        }
    }
    archives
}

/// Compares a directory with an archive of regular files, links and directories, each once.
fn compare(archive: &Path, directory: &Path) -> usize {
    let begins_as_gzip = fs::read(archive).unwrap().starts_with(&[0x1f, 0x8b]);
    let file = fs::File::open(archive).unwrap();
    let input: Box<dyn Read> =
        if begins_as_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut files = 0;
    let mut tar = tar::Archive::new(input);
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = directory.join(entry.path().unwrap());
        let metadata = fs::symlink_metadata(&path).unwrap();
        match entry.header().entry_type() {
            EntryType::Regular => assert_eq!(
                sha256(fs::File::open(&path).unwrap()),
                sha256(&mut entry),
                "{} is not what it is in {}",
                path.display(),
                archive.display()
            ),
            EntryType::Symlink => {
                assert_eq!(fs::read_link(&path).unwrap(), entry.link_name().unwrap().unwrap());
            }
            EntryType::Link => assert!(metadata.is_file(), "{}", path.display()),
            EntryType::Directory => assert!(metadata.is_dir(), "{}", path.display()),
            kind => panic!("{kind:?} in {}", archive.display()),
        }
        files += usize::from(!metadata.is_dir());
    }
    assert_eq!(count(directory), files, "{} has other files than its archive", directory.display());
    files
}

fn count(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| if entry.file_type().unwrap().is_dir() { count(&entry.path()) } else { 1 }).sum()
}

fn sha256(mut content: impl Read) -> String {
    let mut hash = Sha256::new();
    io::copy(&mut content, &mut hash).unwrap();
    format!("{:x}", hash.finalize())
}
