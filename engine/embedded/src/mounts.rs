//! What is mounted into a container, and whether it is there.

use std::path::{Path, PathBuf};

use homeostat_monitor::{Mount, MountSource};
use homeostat_reconciler::ResourceKey;
use homeostat_spec::{Mount as SpecMount, MountSource as SpecSource, SourcePath};

use crate::EmbeddedError;
use crate::engine::Inner;
use crate::record::ContainerRecord;

/// Where the anonymous volume of this number is, in its container's directory.
pub(crate) fn anonymous_volume(container: &Path, number: usize) -> PathBuf {
    container.join("volumes").join(number.to_string())
}

/// The image's volumes that no mount of the spec covers, sorted, none twice.
pub(crate) fn anonymous_volumes(declared: &[String], mounts: &[SpecMount]) -> Vec<String> {
    let covered = |target: &str| mounts.iter().any(|mount| normal(&mount.target) == normal(target));
    let mut targets: Vec<String> = declared
        .iter()
        .map(|target| normal(target))
        .filter(|target| target != "/" && !covered(target))
        .collect();
    targets.sort();
    targets.dedup();
    targets
}

/// An absolute path without `.`, empty components and a slash at its end.
fn normal(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    format!("/{}", parts.join("/"))
}

impl Inner {
    /// The mounts of a container whose directory is given. Fails if something that is to be mounted is missing.
    pub(crate) fn mounts(
        &self,
        record: &ContainerRecord,
        directory: &Path,
    ) -> Result<Vec<Mount>, EmbeddedError> {
        let mut mounts = Vec::new();
        for mount in &record.config.mounts {
            let source = match &mount.source {
                SpecSource::Tmpfs => MountSource::Tmpfs,
                SpecSource::TmpfsWith(options) => MountSource::TmpfsWith(*options),
                SpecSource::Volume(name) => {
                    let key = ResourceKey::new(record.key.app.clone(), name.clone());
                    MountSource::Volume(self.volume_data(&key)?)
                }
                SpecSource::Host(path) => MountSource::Path(host_path(path, &mount.target)?),
                SpecSource::Source(file) => MountSource::Volume(source_file(record, file)?),
            };
            let of_source = matches!(mount.source, SpecSource::Source(_));
            mounts.push(Mount {
                source,
                target: mount.target.clone(),
                read_only: mount.read_only || of_source,
            });
        }
        for (number, target) in record.anonymous_volumes.iter().enumerate() {
            let source = MountSource::Volume(anonymous_volume(directory, number));
            mounts.push(Mount { source, target: target.clone(), read_only: false });
        }
        Ok(mounts)
    }
}

fn host_path(path: &str, target: &str) -> Result<PathBuf, EmbeddedError> {
    let path = PathBuf::from(path);
    if path.exists() { Ok(path) } else { Err(EmbeddedError::NoHostPath { path, target: target.to_owned() }) }
}

fn source_file(record: &ContainerRecord, file: &SourcePath) -> Result<PathBuf, EmbeddedError> {
    let path = record.files.join(&file.digest);
    let plain = file.digest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if plain && path.exists() {
        return Ok(path);
    }
    Err(EmbeddedError::NoSourceFile { path: file.path.clone(), expected: path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_of_the_spec_takes_the_place_of_the_images_volume() {
        let declared = ["/data/", "/var//lib/./db", "/", "/data", "/own"].map(str::to_owned);
        let mount = SpecMount { source: SpecSource::Tmpfs, target: "/own/".to_owned(), read_only: false };
        assert_eq!(anonymous_volumes(&declared, &[mount]), ["/data", "/var/lib/db"]);
    }
}
