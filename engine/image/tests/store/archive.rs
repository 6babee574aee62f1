//! Archives that no honest program writes.

/// Builds tar archives block by block.
#[derive(Default)]
pub(crate) struct Archive(Vec<u8>);

impl Archive {
    /// An entry of this kind, of root, with mode 0644.
    pub(crate) fn entry(self, kind: u8, path: &str, link: &str, content: &[u8]) -> Self {
        self.raw(kind, path.as_bytes(), link.as_bytes(), content.len() as u64, content)
    }

    pub(crate) fn file(self, path: &str, content: &str) -> Self {
        self.entry(b'0', path, "", content.as_bytes())
    }

    pub(crate) fn directory(self, path: &str) -> Self {
        self.entry(b'5', path, "", b"")
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(b'2', path, target, b"")
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(b'1', path, target, b"")
    }

    /// An extended header for the next entry.
    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut content = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest;
            while rest + length.to_string().len() != length {
                length += 1;
            }
            content.extend_from_slice(format!("{length} {key}=").as_bytes());
            content.extend_from_slice(value);
            content.push(b'\n');
        }
        self.entry(b'x', "pax", "", &content)
    }

    /// An entry whose header says another size than its content has.
    pub(crate) fn raw(mut self, kind: u8, path: &[u8], link: &[u8], size: u64, content: &[u8]) -> Self {
        let mut header = tar::Header::new_ustar();
        header.set_mode(if kind == b'5' { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_600_000_000);
        header.set_size(size);
        header.set_device_major(u32::from(kind == b'3')).unwrap();
        header.set_device_minor(if kind == b'3' { 3 } else { 0 }).unwrap();
        {
            let old = header.as_old_mut();
            old.name[..path.len()].copy_from_slice(path);
            old.linkname[..link.len()].copy_from_slice(link);
            old.linkflag = [kind];
        }
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }

    /// Without the mark at the end.
    pub(crate) fn cut(self, length: usize) -> Vec<u8> {
        let mut bytes = self.0;
        bytes.truncate(length.min(bytes.len()));
        bytes
    }
}
