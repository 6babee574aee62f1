//! The files of an image: its layers one on the other, by the rules of the OCI image specification.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};
use tar::{Archive, Entry, EntryType};

/// One file, whatever its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: &'static str,
    pub(crate) mode: u32,
    pub(crate) owner: (u64, u64),
    pub(crate) modified: u64,
    /// A link's target, a device's numbers, or the digest of the content.
    pub(crate) content: String,
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
    /// Tells which paths are one file.
    inode: usize,
}

/// Paths without `/` at their ends, and the files there.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
    next: usize,
}

impl Tree {
    pub(crate) fn of(layers: &[PathBuf]) -> Self {
        let mut tree = Self::default();
        for layer in layers {
            tree.hide(layer);
            tree.add(layer);
        }
        tree
    }

    pub(crate) fn nodes(&self) -> &BTreeMap<String, Node> {
        &self.nodes
    }

    /// The other names of the file at a path.
    pub(crate) fn names(&self, path: &str) -> Vec<&str> {
        let inode = self.nodes[path].inode;
        let same = self.nodes.iter().filter(|(_, node)| node.inode == inode);
        same.map(|(name, _)| name.as_str()).filter(|name| *name != path).collect()
    }

    /// What a layer hides is of the layers beneath, wherever in its archive it says so.
    fn hide(&mut self, layer: &PathBuf) {
        let mut archive = Archive::new(fs_err::File::open(layer).unwrap());
        for entry in archive.entries().unwrap() {
            let path = path(&entry.unwrap());
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
            if name == ".wh..wh..opq" {
                let inside = if parent.is_empty() { String::new() } else { format!("{parent}/") };
                self.nodes.retain(|path, _| !path.starts_with(&inside));
            } else if let Some(hidden) = name.strip_prefix(".wh.") {
                let hidden = if parent.is_empty() { hidden.to_owned() } else { format!("{parent}/{hidden}") };
                self.remove(&hidden);
            }
        }
    }

    fn remove(&mut self, removed: &str) {
        let inside = format!("{removed}/");
        self.nodes.retain(|path, _| path != removed && !path.starts_with(&inside));
    }

    fn add(&mut self, layer: &PathBuf) {
        let mut archive = Archive::new(fs_err::File::open(layer).unwrap());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = path(&entry);
            if path.is_empty() || path.rsplit('/').next().unwrap().starts_with(".wh.") {
                continue;
            }
            let node = match entry.header().entry_type() {
                EntryType::Link => {
                    let target = String::from_utf8(entry.link_name_bytes().unwrap().into_owned()).unwrap();
                    self.nodes[target.trim_matches('/')].clone()
                }
                _ => self.node(&mut entry),
            };
            if node.kind != "directory" {
                self.remove(&path);
            }
            self.nodes.insert(path, node);
        }
    }

    fn node(&mut self, entry: &mut Entry<'_, impl std::io::Read>) -> Node {
        let mut xattrs = BTreeMap::new();
        if let Some(records) = entry.pax_extensions().unwrap() {
            for record in records {
                let record = record.unwrap();
                if let Some(name) = record.key().unwrap().strip_prefix("SCHILY.xattr.") {
                    xattrs.insert(name.to_owned(), record.value_bytes().to_vec());
                }
            }
        }
        let header = entry.header().clone();
        let device = || format!("{:?}:{:?}", header.device_major().unwrap(), header.device_minor().unwrap());
        let (kind, content) = match header.entry_type() {
            EntryType::Directory => ("directory", String::new()),
            EntryType::Symlink => {
                ("link", String::from_utf8_lossy(&entry.link_name_bytes().unwrap()).into_owned())
            }
            EntryType::Char => ("character device", device()),
            EntryType::Block => ("block device", device()),
            EntryType::Fifo => ("fifo", String::new()),
            EntryType::Regular => ("file", content(entry)),
            other => panic!("{other:?} in a layer"),
        };
        self.next += 1;
        Node {
            kind,
            mode: header.mode().unwrap() & 0o7777,
            owner: (header.uid().unwrap(), header.gid().unwrap()),
            modified: header.mtime().unwrap(),
            content,
            xattrs,
            inode: self.next,
        }
    }
}

fn path(entry: &Entry<'_, impl std::io::Read>) -> String {
    let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
    path.trim_start_matches("./").trim_matches('/').to_owned()
}

/// Short texts as they are, others by their digest.
fn content(entry: &mut Entry<'_, impl std::io::Read>) -> String {
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).unwrap();
    match String::from_utf8(bytes) {
        Ok(text) if text.len() < 400 => format!("{text:?}"),
        Ok(text) => format!("{:x}", Sha256::digest(text)),
        Err(error) => format!("{:x}", Sha256::digest(error.as_bytes())),
    }
}
