//! `volumes` and `tmpfs` of a container.

use std::collections::BTreeMap;

use super::Lowering;
use crate::problem::Problem;
use crate::scalar::VolumeSource;
use crate::{Mount, MountSource};

impl Lowering<'_> {
    /// The mounts by target, so that a parent comes before what is mounted within it, and another order
    /// in the file is no change.
    pub(super) fn mounts(&mut self, container: &str) -> Vec<Mount> {
        let Some(table) = self.file.container.get(container) else { return Vec::new() };
        let mut mounts = BTreeMap::new();
        for (index, volume) in table.volumes.iter() {
            let at = index.to_string();
            let path = ["container", container, "volumes", &at];
            if let Some(source) = self.mount_source(&volume.source, &path) {
                let mount = Mount { source, target: volume.target.clone(), read_only: volume.read_only };
                self.add_mount(&mut mounts, mount, &path);
            }
        }
        for (index, tmpfs) in table.tmpfs.iter() {
            let at = index.to_string();
            let mount = Mount { source: tmpfs.source(), target: tmpfs.target.clone(), read_only: false };
            self.add_mount(&mut mounts, mount, &["container", container, "tmpfs", &at]);
        }
        mounts.into_values().collect()
    }

    fn mount_source(&mut self, source: &VolumeSource, path: &[&str]) -> Option<MountSource> {
        match source {
            VolumeSource::Volume(name) => {
                self.require_declared("volume", name.as_str(), path);
                Some(MountSource::Volume(name.clone()))
            }
            VolumeSource::Host(host) => Some(MountSource::Host(host.clone())),
            VolumeSource::Source(source) => {
                self.source_path(source, path).map(|(_, path)| MountSource::Source(path))
            }
        }
    }

    fn add_mount(&mut self, mounts: &mut BTreeMap<String, Mount>, mount: Mount, path: &[&str]) {
        let target = mount.target.as_str();
        if target == "/" {
            let problem = Problem::new("nothing can be mounted over the root of the container")
                .hint("mount it at a directory, as `/data`");
            return self.document.error_at(path, problem);
        }
        if target == "/proc" || target.starts_with("/proc/") {
            let problem = Problem::new("nothing can be mounted in `/proc` of the container")
                .hint("it belongs to the kernel, and a mount there would undo what the engine hides");
            return self.document.error_at(path, problem);
        }
        if let Some(first) = mounts.get(target) {
            let problem = Problem::new(format!("two mounts have the target `{target}`"))
                .hint(format!("the other one is `{first}`"));
            return self.document.error_at(path, problem);
        }
        mounts.insert(mount.target.clone(), mount);
    }
}
