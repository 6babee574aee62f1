//! Pruning: what nobody needs, and how long nobody has.
//!
//! Homeostat's own are the containers and volumes with its labels, the images that it has built or pulled, and the logs
//! that it has kept. The rest is others', and so is the build cache: the engines do not tell who has built what.

mod build_cache;
pub(crate) mod images;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::ContainerSummary;
use bollard::query_parameters::{ListVolumesOptions, RemoveContainerOptions, RemoveVolumeOptions};
use fs_err as fs;
use homeostat_files::{disk_usage, remove_tree};
use homeostat_reconciler::ports::{PruneRequest, Pruned, PrunedItem};
use homeostat_reconciler::{PortError, ResourceKey, chain};
use homeostat_spec::{MountSource, Name, PruneKind};
use jiff::Timestamp;

use crate::engine::Inner;
use crate::failure::Failure;
use crate::names::{APP, INSTANCE};
use crate::read::{image_id, is_anonymous};

impl Inner {
    /// Removes what the request takes. What cannot be removed, as since it is needed meanwhile, stays, and is logged.
    pub(crate) async fn prune(&self, request: &PruneRequest) -> Result<Pruned, PortError> {
        let about = |failure: Failure| failure.about("what nobody needs cannot be removed");
        let mut items = Vec::new();
        let mut gone = Gone::default();
        if request.rules.contains_key(&PruneKind::Container) {
            items.extend(self.prune_containers(request, &mut gone).await.map_err(about)?);
        }
        if request.rules.contains_key(&PruneKind::Image) {
            items.extend(self.prune_images(request, &gone).await.map_err(about)?);
        }
        if request.rules.contains_key(&PruneKind::Volume) {
            items.extend(Box::pin(self.prune_volumes(request, &gone)).await.map_err(about)?);
        }
        if request.rules.contains_key(&PruneKind::BuildCache) && request.others {
            items.extend(self.prune_build_cache(request).await.map_err(about)?);
        }
        if request.rules.contains_key(&PruneKind::Log) {
            items.extend(Box::pin(self.prune_logs(request, &gone)).await.map_err(about)?);
        }
        Ok(Pruned::of(items))
    }

    /// Exited containers. `gone` gets those that go, or would.
    async fn prune_containers(
        &self,
        request: &PruneRequest,
        gone: &mut Gone,
    ) -> Result<Vec<PrunedItem>, Failure> {
        let api = self.api().await?;
        let listed = self.hear_within(SIZED, crate::told::containers(&api, &self.endpoint, true)).await?;
        let mut items = Vec::new();
        for container in listed {
            let id = container.id.clone().unwrap_or_default();
            let Some(seen) = self.look_at(&container).await? else { continue };
            let (name, age) = match &seen.key {
                Some(key) => (key.to_string(), request.takes_container(key, &seen.observed)),
                None if request.others && !is_homeostats(container.labels.as_ref()) => {
                    (name_of(&container), takes_foreign(request, &container, &seen))
                }
                None => continue,
            };
            let Some(age) = age else { continue };
            let removed = match &seen.key {
                _ if request.dry_run => Ok(()),
                Some(key) => self.remove_container(key).await,
                // Volumes without a name stay: they may hold what somebody wants.
                None => {
                    let done = self.answer(api.remove_container(&id, None::<RemoveContainerOptions>)).await;
                    done.map_err(|failure| failure.about(format!("container {name} cannot be removed")))
                }
            };
            if told(&name, removed) {
                let bytes = container.size_rw.and_then(|size| size.try_into().ok()).unwrap_or_default();
                items.push(PrunedItem::new(PruneKind::Container, name, bytes, age));
                gone.add(&container, seen.key.as_ref());
            }
        }
        Ok(items)
    }

    async fn prune_volumes(&self, request: &PruneRequest, gone: &Gone) -> Result<Vec<PrunedItem>, Failure> {
        let used = self.used_volumes(gone).await?;
        let api = self.api().await?;
        let listed = self.answer(api.list_volumes(None::<ListVolumesOptions>)).await?;
        let mut items = Vec::new();
        for volume in listed.volumes.unwrap_or_default() {
            if used.contains(&volume.name) {
                continue;
            }
            let adopted = self.ledger.volumes(&volume.name);
            let mut owners = adopted.into_iter().chain(self.instance.owner(&volume.labels));
            let key = owners.next();
            // What apps share is nobody's to prune.
            if owners.next().is_some() {
                continue;
            }
            let labels: BTreeMap<String, String> = volume.labels.clone().into_iter().collect();
            let created = volume.created_at.as_ref().and_then(|at| at.parse().ok());
            let known = if gone.volumes.contains(&volume.name) {
                Some(request.now)
            } else {
                self.ledger.volume_needed(&volume.name).max(created)
            };
            let needed = known.unwrap_or_default();
            let age = match &key {
                Some(key) => request.takes_volume(key, &labels, needed),
                None if request.others && is_anonymous(&volume.name) => {
                    request.takes(PruneKind::Volume, Some(&volume.name), &labels, needed)
                }
                None => None,
            };
            let Some(age) = age else { continue };
            let name = key.as_ref().map_or_else(|| volume.name.clone(), ToString::to_string);
            let bytes = self.size_on_this_host(&volume.mountpoint);
            let removed = match &key {
                _ if request.dry_run => Ok(()),
                Some(key) => self.remove_volume(key).await,
                None => {
                    let done =
                        self.answer(api.remove_volume(&volume.name, None::<RemoveVolumeOptions>)).await;
                    done.map_err(|failure| failure.about(format!("volume {name} cannot be removed")))
                }
            };
            if told(&name, removed) {
                items.push(PrunedItem::new(PruneKind::Volume, name, bytes, age));
            }
        }
        Ok(items)
    }

    /// Names of the volumes that containers use, whoever made these.
    async fn used_volumes(&self, gone: &Gone) -> Result<BTreeSet<String>, Failure> {
        let containers = self.list_containers().await?;
        let stays = |container: &&ContainerSummary| {
            !gone.containers.contains(container.id.as_deref().unwrap_or_default())
        };
        let mounts = containers.iter().filter(stays).flat_map(|container| container.mounts.iter().flatten());
        Ok(mounts.filter_map(|mount| mount.name.clone()).collect())
    }

    /// The size of a directory of the engine's, where that is on this host.
    fn size_on_this_host(&self, directory: &str) -> u64 {
        if !self.endpoint.is_local() || directory.is_empty() {
            return 0;
        }
        disk_usage(directory).unwrap_or_default()
    }

    /// Kept logs of containers that are no more.
    async fn prune_logs(&self, request: &PruneRequest, gone: &Gone) -> Result<Vec<PrunedItem>, Failure> {
        let observed = self.observe().await?;
        let mut items = Vec::new();
        for key in kept_logs(&self.logs) {
            let goes = gone.keys.contains(&key);
            if (observed.containers.contains_key(&key) && !goes) || request.keep.container(&key) {
                continue;
            }
            let (directory, name) = (self.log_directory(&key), key.to_string());
            let written =
                homeostat_log::last_written(&directory).ok().filter(|_| !goes).unwrap_or(request.now);
            let age = request.takes(PruneKind::Log, Some(&name), &BTreeMap::new(), written);
            let Some(age) = age else { continue };
            let bytes = disk_usage(&directory).unwrap_or_default();
            let removed = if request.dry_run { Ok(()) } else { remove_tree(&directory).map(drop) };
            match removed {
                Ok(()) => items.push(PrunedItem::new(PruneKind::Log, name, bytes, age)),
                Err(error) => tracing::warn!(%key, %error, "its log cannot be pruned"),
            }
        }
        Ok(items)
    }

    /// Notes that what a container needed was needed until now.
    pub(crate) fn note_needed(
        &self,
        key: &ResourceKey,
        container: &crate::read::Seen,
    ) -> Result<(), PortError> {
        let volumes = container.observed.config.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Volume(name) => {
                Some(self.ledger.volume_name(&ResourceKey::new(key.app.clone(), name.clone())))
            }
            _ => None,
        });
        self.ledger.needed(&container.observed.image_id, volumes.collect(), Timestamp::now())
    }
}

/// The containers that a prune removes, or would. What only they need was needed just now.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    containers: BTreeSet<String>,
    keys: BTreeSet<ResourceKey>,
    images: BTreeSet<String>,
    volumes: BTreeSet<String>,
}

impl Gone {
    fn add(&mut self, container: &ContainerSummary, key: Option<&ResourceKey>) {
        self.containers.extend(container.id.clone());
        self.keys.extend(key.cloned());
        self.images.extend(container.image_id.as_deref().map(image_id));
        self.volumes.extend(container.mounts.iter().flatten().filter_map(|mount| mount.name.clone()));
    }
}

/// Whether a container is a homeostat's, this one's or that of another data directory, which is never touched. That its
/// image was built by one, whose label it has then, does not make it so.
fn is_homeostats(labels: Option<&HashMap<String, String>>) -> bool {
    labels.is_some_and(|labels| labels.contains_key(INSTANCE) && labels.contains_key(APP))
}

/// Sizes are counted file by file.
pub(crate) const SIZED: Duration = Duration::from_mins(5);

/// For how long somebody else's container has been exited, if it is to be removed.
fn takes_foreign(
    request: &PruneRequest,
    container: &ContainerSummary,
    seen: &crate::read::Seen,
) -> Option<Duration> {
    let exit = seen.observed.exit.as_ref()?;
    let labels: BTreeMap<String, String> = container.labels.clone().unwrap_or_default().into_iter().collect();
    request.takes(PruneKind::Container, Some(&name_of(container)), &labels, exit.finished_at)
}

fn name_of(container: &ContainerSummary) -> String {
    let name = container.names.iter().flatten().next();
    name.map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default()
}

/// Whether something was removed; logs why not.
fn told(name: &str, removed: Result<(), PortError>) -> bool {
    match removed {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(name, error = chain(&error), "it cannot be pruned");
            false
        }
    }
}

fn kept_logs(directory: &Path) -> Vec<ResourceKey> {
    let apps = names_in(directory);
    let of_app = |(app, path): (Name, PathBuf)| {
        names_in(&path).into_iter().map(move |(name, _)| ResourceKey::new(app.clone(), name))
    };
    apps.into_iter().flat_map(of_app).collect()
}

fn names_in(directory: &Path) -> Vec<(Name, PathBuf)> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let named = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        Some((entry.file_name().to_str()?.parse().ok()?, entry.path()))
    });
    named.collect()
}
