//! Layers from strangers, as `../archive.rs` makes them of what the fuzzer describes.
//!
//! Whatever the archive holds, unpacking it does not panic and changes nothing outside of the store. What was unpacked
//! can be packed, and unpacking it once more gives the same. Run by `scripts/fuzz 600 unpack`, as root.

#![no_main]

#[path = "../archive.rs"]
mod archive;
#[path = "../place.rs"]
mod place;

use std::sync::LazyLock;

use homeostat_image::Limits;
use libfuzzer_sys::fuzz_target;

static PLACE: LazyLock<place::Place> = LazyLock::new(place::Place::new);

fuzz_target!(|description: &[u8]| {
    let limits = Limits { bytes: 1 << 20, entries: 200 };
    if PLACE.store.import_layer(archive::build(description).as_slice(), limits).is_ok() {
        PLACE.store.settle().expect("the store is written");
        let report = PLACE.store.check(false).expect("the store can be checked");
        assert!(report.layers == 1 && report.findings.is_empty(), "{report:?}");
    }
    PLACE.clear();
});
