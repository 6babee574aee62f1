//! Layers from strangers: `cargo +nightly fuzz run unpack` in `engine/image`, as root, with TMPDIR on a tmpfs.
//!
//! Whatever the archive holds, unpacking it does not panic and changes nothing outside of the store. Checksums are made
//! right first, so that the fuzzer gets past them.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use homeostat_image::{ImageStore, Limits, Prune};
use libfuzzer_sys::fuzz_target;

struct Place {
    directory: tempfile::TempDir,
    store: ImageStore,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs_err::write(directory.path().join("victim"), "untouched").expect("a file");
    let store = ImageStore::open(directory.path().join("store")).expect("a store");
    Place { directory, store }
});

fuzz_target!(|archive: &[u8]| {
    let mut archive = archive.to_vec();
    seal(&mut archive);
    let limits = Limits { bytes: 1 << 20, entries: 200 };
    if PLACE.store.import_layer(&archive[..], limits).is_ok() {
        PLACE.store.prune(&Prune::default(), &()).expect("an unused layer is pruned");
    }
    let victim = PLACE.directory.path().join("victim");
    assert_eq!(fs_err::read_to_string(victim).expect("the victim is there"), "untouched");
    let names = |path: PathBuf| fs_err::read_dir(path).expect("a directory").count();
    assert_eq!(names(PLACE.directory.path().to_owned()), 2);
    assert_eq!(names(PLACE.store.directory().join("staging")), 0);
});

fn seal(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].copy_from_slice(b"        ");
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}
