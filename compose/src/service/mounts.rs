//! `volumes`, `tmpfs`, and the files of `secrets` and `configs`.

use std::collections::BTreeSet;

use super::Service;
use crate::check;
use crate::paths;
use crate::spec::Toml;
use crate::units;
use crate::yaml::{Node, Value};

/// A mount, in parts.
struct Mount {
    /// Empty for a volume without a name.
    source: String,
    target: String,
    read_only: bool,
    /// Whether the source is a path, and not the name of a volume.
    is_path: bool,
}

/// What has been found for a container so far.
#[derive(Default)]
struct Mounts {
    entries: Vec<String>,
    tmpfs: Vec<String>,
    targets: BTreeSet<String>,
}

impl Service<'_, '_, '_> {
    pub(super) fn mounts(&mut self) {
        let mut mounts = Mounts::default();
        for (index, item) in self.get("volumes").map_or(&[][..], Node::items).iter().enumerate() {
            let key = format!("volumes[{index}]");
            let mount = match item.text() {
                Some(text) => self.short_mount(text, item, &key),
                None => self.long_mount(item, &key, &mut mounts),
            };
            if let Some(mount) = mount {
                self.mount(&mount, item, &key, &mut mounts);
            }
        }
        for kind in ["secrets", "configs"] {
            for item in self.get(kind).map_or(&[][..], Node::items) {
                self.file(kind, item, &mut mounts);
            }
        }
        self.tmpfs(&mut mounts);
        for (key, list) in [("volumes", mounts.entries), ("tmpfs", mounts.tmpfs)] {
            if !list.is_empty() {
                self.container.set(key, Toml::texts(list));
            }
        }
    }

    /// `[SOURCE:]TARGET[:OPTIONS]`.
    fn short_mount(&mut self, text: &str, item: &Node, key: &str) -> Option<Mount> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, options) = match parts[..] {
            [target] => ("", target, ""),
            [source, target] => (source, target, ""),
            [source, target, options] => (source, target, options),
            _ => {
                self.lost(item.place, key, "it is no `SOURCE:TARGET`");
                return None;
            }
        };
        for option in options.split(',').filter(|option| {
            !matches!(*option, "" | "ro" | "rw" | "z" | "Z" | "cached" | "delegated" | "consistent")
        }) {
            self.lost(
                item.place,
                key,
                format!("the option `{option}` of a mount has no counterpart in a spec"),
            );
        }
        let is_path = source.starts_with(['/', '.', '~']);
        let read_only = options.split(',').any(|option| option == "ro");
        Some(Mount { source: source.to_owned(), target: target.to_owned(), read_only, is_path })
    }

    fn long_mount(&mut self, item: &Node, key: &str, mounts: &mut Mounts) -> Option<Mount> {
        let text = |key: &str| item.get(key).and_then(Node::text).unwrap_or_default().to_owned();
        for (option, value) in item.entries() {
            let known = matches!(option.as_str(), "type" | "source" | "target" | "read_only" | "consistency");
            let without_effect = |(key, value): &(String, Node)| {
                matches!(key.as_str(), "create_host_path" | "selinux") || value.is_empty()
            };
            let is_map = matches!(value.value, Value::Map(_));
            let says_nothing = value.is_empty() || is_map && value.entries().iter().all(without_effect);
            if !known && !says_nothing {
                self.lost(value.place, &format!("{key}.{option}"), "a mount has a source, a target and `ro`");
            }
        }
        let kind = text("type");
        match kind.as_str() {
            "tmpfs" => {
                self.add_tmpfs(&text("target"), "", item, key, mounts);
                None
            }
            "bind" | "volume" | "" => Some(Mount {
                source: text("source"),
                target: text("target"),
                read_only: item.get("read_only").is_some_and(Node::is_true),
                is_path: kind == "bind",
            }),
            _ => {
                self.lost(
                    item.place,
                    key,
                    format!("mounts of the type `{kind}` have no counterpart in a spec"),
                );
                None
            }
        }
    }

    fn mount(&mut self, mount: &Mount, item: &Node, key: &str, mounts: &mut Mounts) {
        let source =
            if mount.is_path { self.bind(mount, item, key) } else { Some(self.volume(mount, item, key)) };
        let Some((source, read_only)) = source else { return };
        self.add(&source, &mount.target, read_only, item, key, mounts);
    }

    fn add(
        &mut self,
        source: &str,
        target: &str,
        read_only: bool,
        item: &Node,
        key: &str,
        mounts: &mut Mounts,
    ) {
        let entry = format!("{source}:{target}{}", if read_only { ":ro" } else { "" });
        // A volume is declared by its use, which a single value cannot show: its place is taken by a path.
        let tried = if source.starts_with(['.', '/']) { entry.clone() } else { format!("/x:{target}") };
        if let Err(message) = check::container("volumes", &Toml::texts([tried])) {
            self.lost(item.place, key, message);
        } else if mounts.targets.insert(paths::join("/", target)) {
            mounts.entries.push(entry);
        } else {
            self.lost(item.place, key, format!("something else is mounted at {target} already"));
        }
    }

    /// A named volume, one without a name, or one that is a path of the host.
    fn volume(&mut self, mount: &Mount, item: &Node, key: &str) -> (String, bool) {
        if mount.source.is_empty() {
            let original = format!("{}-{}", self.original, mount.target.trim_matches('/').replace('/', "-"));
            let name = self.shared.volumes.names.add(&original);
            self.shared.volumes.used.insert(name.clone());
            let message = format!("the volume without a name is `{name}` in the spec");
            if self.shared.adoption.is_none() {
                self.note(item.place, key, message);
            } else {
                self.lost(item.place, key, message + ", and the one that is there cannot be taken over")
                    .hint("take the volume and its mount out of the spec if its content is not needed");
            }
            return (name, mount.read_only);
        }
        if let Some(path) = self.shared.volumes.bound.get(&mount.source).cloned() {
            return (path, mount.read_only);
        }
        if self.shared.project.get("volumes", &mount.source).is_none()
            && !self.shared.project.part("volumes").iter().any(|(name, _)| *name == mount.source)
        {
            self.note(
                item.place,
                key,
                format!("the volume `{}` is not declared in the file; it is in the spec", mount.source),
            );
        }
        let name = self.shared.volumes.names.add(&mount.source);
        self.shared.volumes.used.insert(name.clone());
        (name, mount.read_only)
    }

    /// A path of the host, or of the source where that says the same: read-only and beneath the spec.
    fn bind(&mut self, mount: &Mount, item: &Node, key: &str) -> Option<(String, bool)> {
        let source = match mount.source.strip_prefix('~') {
            Some(rest) => {
                let Some(home) = self.shared.files.world.variable("HOME") else {
                    self.lost(
                        item.place,
                        key,
                        "`~` is the home directory of whoever runs Compose, which is not known",
                    );
                    return None;
                };
                format!("{home}/{rest}")
            }
            None => mount.source.clone(),
        };
        let absolute = paths::join(&self.shared.files.directory(item.place), &source);
        let relative = !source.starts_with('/');
        // A container that is taken over has the path of the host.
        let from_source = relative && mount.read_only && self.shared.adoption.is_none();
        if let Some(inner) = paths::beneath(&self.shared.directory, &absolute).filter(|_| from_source) {
            return Some((format!("./{inner}"), true));
        }
        if relative {
            let message = format!("it is mounted from this host, as {absolute}");
            let note = self.note(item.place, key, message);
            if mount.read_only {
                note.hint("to have it in the source, copy it beside the spec and write `./PATH`");
            } else {
                note.hint("if the container only reads it, `./PATH:TARGET:ro` takes it from the source");
            }
        }
        if !self.shared.files.world.exists(&absolute) {
            self.note(item.place, key, format!("{absolute} is not there, and is not created by a mount"))
                .hint("create it before the first start");
        }
        Some((absolute, mount.read_only))
    }

    /// A file of `secrets` or `configs`.
    fn file(&mut self, kind: &'static str, item: &Node, mounts: &mut Mounts) {
        let name = item.get("source").unwrap_or(item).text().unwrap_or_default().to_owned();
        let key = format!("{kind}.{name}");
        for (option, value) in
            item.entries().iter().filter(|(key, _)| matches!(key.as_str(), "uid" | "gid" | "mode"))
        {
            self.lost(
                value.place,
                &format!("{key}.{option}"),
                "a file keeps the owner and mode that it has on the host",
            );
        }
        let declared = self.shared.project.get(kind, &name);
        let Some(file) = declared.and_then(|node| node.get("file")) else {
            self.lost(item.place, &key, "only secrets and configs from files can be mounted")
                .hint("write the content to a file of the host and mount it with `volumes`");
            return;
        };
        let default = if kind == "secrets" { format!("/run/secrets/{name}") } else { format!("/{name}") };
        let target = match item.get("target").and_then(Node::text) {
            Some(target) if target.starts_with('/') || kind == "configs" => paths::join("/", target),
            Some(target) => format!("/run/secrets/{target}"),
            None => default,
        };
        let source = file.text().unwrap_or_default().to_owned();
        let mount = Mount { source, target, read_only: true, is_path: true };
        // A secret has no business in the source: it is mounted from where it is.
        if kind == "secrets" {
            let absolute = paths::join(&self.shared.files.directory(file.place), &mount.source);
            if !self.shared.files.world.exists(&absolute) {
                self.note(file.place, &key, format!("{absolute} is not there"))
                    .hint("create it before the first start");
            }
            self.add(&absolute, &mount.target, true, item, &key, mounts);
        } else if let Some((source, read_only)) = self.bind(&mount, file, &key) {
            self.add(&source, &mount.target, read_only, item, &key, mounts);
        }
    }

    fn tmpfs(&mut self, mounts: &mut Mounts) {
        let Some(node) = self.get("tmpfs") else { return };
        let items =
            if matches!(node.value, Value::List(_)) { node.items() } else { std::slice::from_ref(node) };
        for item in items {
            let text = item.text().unwrap_or_default();
            let (target, options) = text.split_once(':').unwrap_or((text, ""));
            let mut kept = Vec::new();
            for option in options.split(',').filter(|option| !option.is_empty()) {
                let size = option.strip_prefix("size=").and_then(units::memory);
                match size {
                    Some(size) => kept.push(format!("size={size}")),
                    None if option.starts_with("mode=") => kept.push(option.to_owned()),
                    // As every tmpfs is.
                    None if matches!(option, "rw" | "nosuid" | "nodev") => {}
                    None => {
                        let message = format!("a tmpfs has a size and a mode, and no option `{option}`");
                        self.lost(item.place, "tmpfs", message);
                    }
                }
            }
            let options = if kept.is_empty() { String::new() } else { format!(":{}", kept.join(",")) };
            self.add_tmpfs(target, &options, item, "tmpfs", mounts);
        }
    }

    fn add_tmpfs(&mut self, target: &str, options: &str, item: &Node, key: &str, mounts: &mut Mounts) {
        let entry = format!("{target}{options}");
        if let Err(message) = check::container("tmpfs", &Toml::texts([entry.clone()])) {
            self.lost(item.place, key, message);
        } else if mounts.targets.insert(paths::join("/", target)) {
            mounts.tmpfs.push(entry);
        } else {
            self.lost(item.place, key, format!("something else is mounted at {target} already"));
        }
    }
}
