//! Checking what is on disk: the image store, and what is known of containers, volumes and networks.

use std::collections::BTreeMap;
use std::path::Path;

use homeostat_files::{StateError, read_json, write_json_durably};
use homeostat_image::{CheckReport, Problem};
use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::chain;
use homeostat_reconciler::ports::{CheckFinding, CheckKind, Checked};
use homeostat_spec::MountSource;
use serde::de::DeserializeOwned;

use crate::EmbeddedError;
use crate::container::Container;
use crate::engine::Inner;
use crate::layout::{CONTAINER_FILE, NETWORK_FILE, VOLUME_DATA, VOLUME_FILE};
use crate::record::{ContainerRecord, NetworkRecord, VolumeRecord};
use crate::root;
use crate::volumes::keys_beneath;

impl Inner {
    /// Looks at everything on disk, and mends what can be mended. Content of volumes and what containers have written are
    /// not looked at, and never changed.
    pub(crate) fn check_disk(&self, repair: bool) -> Result<Checked, EmbeddedError> {
        let mut checked = of_images(self.images.check(repair)?);
        let containers = self.containers();
        checked.counts.insert(CheckKind::Container, containers.len());
        for container in containers {
            self.check_container(&container, repair, &mut checked.findings)?;
        }
        let volumes = keys_beneath(&self.layout.volumes())?;
        checked.counts.insert(CheckKind::Volume, volumes.len());
        for key in volumes {
            let directory = self.layout.volume(&key);
            let record = read::<VolumeRecord>(&directory.join(VOLUME_FILE));
            let data = directory.join(VOLUME_DATA).is_dir().then_some(()).ok_or("its directory is gone");
            for problem in [record.err(), data.err().map(str::to_owned)].into_iter().flatten() {
                checked.findings.push(finding(CheckKind::Volume, &key, problem));
            }
        }
        let networks = keys_beneath(&self.layout.networks())?;
        checked.counts.insert(CheckKind::Network, networks.len());
        for key in networks {
            if let Err(problem) = read::<NetworkRecord>(&self.layout.network(&key).join(NETWORK_FILE)) {
                checked.findings.push(finding(CheckKind::Network, &key, problem));
            }
        }
        Ok(checked)
    }

    fn check_container(
        &self,
        container: &Container,
        repair: bool,
        findings: &mut Vec<CheckFinding>,
    ) -> Result<(), EmbeddedError> {
        let mut found = |problem: String, repaired| {
            findings
                .push(CheckFinding { repaired, ..finding(CheckKind::Container, &container.key, problem) });
        };
        let record = container.lock().record.clone();
        let file = container.directory.join(CONTAINER_FILE);
        if let Err(problem) = read::<ContainerRecord>(&file) {
            if repair {
                write_json_durably(&file, &record)?;
            }
            found(problem, repair);
        }
        if self.images.find(&record.image_id)?.is_none() {
            found(format!("its image {} ({}) is not here any more", record.image, record.image_id), false);
        }
        for mount in &record.config.mounts {
            let MountSource::Volume(name) = &mount.source else { continue };
            let volume = ResourceKey::new(container.key.app.clone(), name.clone());
            if !self.layout.volume(&volume).exists() {
                found(format!("its volume {volume} is not here any more"), false);
            }
        }
        if !root::is_there(&container.directory) {
            found("the directory of what it has written is gone".to_owned(), false);
        }
        Ok(())
    }
}

fn finding(kind: CheckKind, key: &ResourceKey, problem: String) -> CheckFinding {
    CheckFinding { kind, name: key.to_string(), problem, repaired: false }
}

/// Why a record cannot be read, if it cannot.
fn read<T: DeserializeOwned>(file: &Path) -> Result<(), String> {
    match read_json::<T>(file) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("what is known of it is gone".to_owned()),
        Err(error @ StateError::Damaged { .. }) => Err(error.to_string()),
        Err(error) => Err(chain(&error)),
    }
}

fn of_images(report: CheckReport) -> Checked {
    let counts = [
        (CheckKind::Image, report.images),
        (CheckKind::Layer, report.layers),
        (CheckKind::Blob, report.blobs),
        (CheckKind::BuildCache, report.cache),
    ];
    let findings = report.findings.into_iter().map(|found| {
        let problem = found.problem.to_string();
        let (kind, name) = match found.problem {
            Problem::Index { .. } => (CheckKind::Index, "index.json".to_owned()),
            Problem::Image { manifest, references, .. } if references.is_empty() => {
                (CheckKind::Image, manifest.to_string())
            }
            Problem::Image { references, .. } => (CheckKind::Image, references.join(", ")),
            Problem::Layer { diff_id } => (CheckKind::Layer, diff_id.to_string()),
            Problem::Blob { digest, .. } | Problem::StrayBlob { digest } => {
                (CheckKind::Blob, digest.to_string())
            }
            Problem::Cache { key } => (CheckKind::BuildCache, key),
        };
        CheckFinding { kind, name, problem, repaired: found.repaired }
    });
    Checked { counts: BTreeMap::from(counts), findings: findings.collect() }
}
