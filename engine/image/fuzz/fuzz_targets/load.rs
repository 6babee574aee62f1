//! Archives of images from strangers, as `docker save` and OCI image layouts have them.
//!
//! Whatever the archive holds, loading it does not panic and leaves all of its images or nothing. What was loaded can be
//! saved in both forms and loaded again, and is the same. Run by `scripts/fuzz 600 load`, as root.
//!
//! The fuzzer describes files, with a zero byte between them: `KIND NAME`, a new line, the content. The kinds are `f`, a
//! file; `t`, a layer as `../archive.rs` describes it; `z`, the same compressed; `l`, a link; any other, an entry with this
//! type flag. In names and contents the digest of file 3 is `@3`, its hexadecimal digits `%3`, its size `$3`, the digest of what it
//! is uncompressed `~3`; a file's own digits are `%%` in its name. What begins with `R` is an archive as it stands.

#![no_main]

#[path = "../archive.rs"]
mod archive;
#[path = "../place.rs"]
mod place;

use std::io::Write as _;
use std::sync::LazyLock;

use flate2::write::GzEncoder;
use homeostat_image::{ArchiveFormat, Digest, Limits, Load, Platform, Saved};
use libfuzzer_sys::fuzz_target;

static PLACE: LazyLock<place::Place> = LazyLock::new(place::Place::new);

/// A file of the archive, for those that name it.
struct File {
    digest: Digest,
    diff_id: Digest,
    size: usize,
}

fuzz_target!(|description: &[u8]| {
    let archive = match description {
        [b'R', archive @ ..] => archive.to_vec(),
        description => build(description),
    };
    if let Ok(ids) = load(&archive) {
        save_and_load_again(&ids);
    }
    PLACE.clear();
    assert!(PLACE.store.list().is_empty());
});

fn load(archive: &[u8]) -> Result<Vec<Digest>, homeostat_image::LoadError> {
    let platform = Platform { architecture: "amd64".to_owned(), variant: None };
    let name = |name: &str| (!name.is_empty() && !name.contains("..")).then(|| name.to_owned());
    let limits = Limits { bytes: 1 << 20, entries: 200 };
    let loaded = PLACE.store.load(archive, &Load { platform, limits, name: &name })?;
    // An image that has two names may come twice.
    let mut ids: Vec<_> = loaded.into_iter().map(|image| image.id).collect();
    ids.sort();
    ids.dedup();
    Ok(ids)
}

fn save_and_load_again(ids: &[Digest]) {
    for format in [ArchiveFormat::Docker, ArchiveFormat::Oci] {
        let image =
            |id: &Digest| PLACE.store.find(id.as_str()).expect("it can be read").expect("it is there");
        let images: Vec<_> = ids.iter().map(image).collect();
        let saved: Vec<_> =
            images.iter().map(|image| Saved { image, references: &image.references }).collect();
        let mut archive = Vec::new();
        PLACE.store.save(&saved, format, &mut archive).expect("what was loaded can be saved");
        PLACE.clear();
        assert_eq!(load(&archive).expect("what was saved can be loaded"), ids);
    }
}

fn build(description: &[u8]) -> Vec<u8> {
    let (mut tar, mut files) = (Vec::new(), Vec::new());
    for file in description.split(|byte| *byte == 0) {
        let (name, text) = match file.iter().position(|byte| *byte == b'\n') {
            Some(end) => (&file[..end], &file[end + 1..]),
            None => (file, &b""[..]),
        };
        let (kind, name) = (name.first().copied().unwrap_or(b'f'), name.get(2..).unwrap_or_default());
        let plain = match kind {
            b't' | b'z' => archive::build(text),
            _ => filled(text, &files, None),
        };
        let content = if kind == b'z' { compressed(&plain) } else { plain.clone() };
        let file = File { digest: Digest::of(&content), diff_id: Digest::of(&plain), size: content.len() };
        let name = filled(name, &files, Some(&file));
        tar.extend(match kind {
            b'f' | b't' | b'z' => archive::entry(b'0', &name, b"", &content),
            b'l' => archive::entry(b'2', &name, &content, b""),
            kind => archive::entry(kind, &name, &content, b""),
        });
        files.push(file);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// Puts in what stands for digests and sizes of files.
fn filled(text: &[u8], files: &[File], own: Option<&File>) -> Vec<u8> {
    let mut filled = Vec::new();
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let named = match after.first() {
            Some(b'%') => own,
            Some(digit @ b'0'..=b'9') => files.get(usize::from(digit - b'0')),
            _ => None,
        };
        let value = named.and_then(|file| match first {
            b'@' => Some(file.digest.to_string()),
            b'%' => Some(file.digest.hex().to_owned()),
            b'$' => Some(file.size.to_string()),
            b'~' => Some(file.diff_id.to_string()),
            _ => None,
        });
        match value {
            Some(value) => {
                filled.extend_from_slice(value.as_bytes());
                rest = &after[1..];
            }
            None => {
                filled.push(*first);
                rest = after;
            }
        }
    }
    filled
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory does not fail")
}
