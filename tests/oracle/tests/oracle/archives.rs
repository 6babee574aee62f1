//! Archives that `ADD` unpacks, and files that only look like some.

use std::io::Write as _;

use tar::{Builder, EntryType, Header};

/// Names and contents.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>)> {
    let plain = archive();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&plain).unwrap();
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    xz.write_all(&plain).unwrap();
    let mut text = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    text.write_all(b"no archive\n").unwrap();
    vec![
        ("pack.tar.zst", zstd::encode_all(&plain[..], 1).unwrap()),
        ("pack.tar", plain),
        ("pack.tgz", gzip.finish().unwrap()),
        ("pack.tar.bz2", bzip2.finish().unwrap()),
        ("pack-xz", xz.finish().unwrap()),
        ("text.gz", text.finish().unwrap()),
        ("fake.tar", b"no archive\n".to_vec()),
    ]
}

/// A tar archive with a file of every kind.
fn archive() -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    let mut add = |path: &str, kind: EntryType, mode: u32, link: &str, content: &str| {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1_100_000_000);
        header.set_size(content.len() as u64);
        if !link.is_empty() {
            header.set_link_name(link).unwrap();
        }
        if kind == EntryType::Char {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        }
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
    };
    add("pack/", EntryType::Directory, 0o750, "", "");
    add("pack/file", EntryType::Regular, 0o640, "", "packed\n");
    add("pack/setuid", EntryType::Regular, 0o4755, "", "x\n");
    add("pack/link", EntryType::Symlink, 0o777, "file", "");
    add("pack/absolute", EntryType::Symlink, 0o777, "/etc/passwd", "");
    add("pack/hard", EntryType::Link, 0o640, "pack/file", "");
    add("pack/null", EntryType::Char, 0o666, "", "");
    add("pack/fifo", EntryType::Fifo, 0o600, "", "");
    add("implied/parent/file", EntryType::Regular, 0o644, "", "deep\n");
    add("etc/motd", EntryType::Regular, 0o644, "", "from the archive\n");
    builder.into_inner().unwrap()
}
