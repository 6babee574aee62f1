//! Whatever a registry answers, it is read or refused: the three parts of an input, with zero bytes between them, are a
//! media type, a manifest or index, and a configuration; each is a header and a body as well.
//!
//! Run by `scripts/fuzz 600 answers`.

#![no_main]

use homeostat_registry::fuzzing::{read_body, read_header, read_image};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(3, |byte| *byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (announced, manifest, config) = (part(), part(), part());
    read_image(&String::from_utf8_lossy(announced), manifest, config);
    for part in [announced, manifest, config] {
        read_body(part);
        if let Ok(text) = std::str::from_utf8(part) {
            read_header(text);
        }
    }
});
