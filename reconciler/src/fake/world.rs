//! A host in memory: what an engine does, at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use homeostat_spec::{ContainerConfig, LogRotation, MountSource, Name, Network, Resources};
use jiff::Timestamp;

use crate::backoff::later;
use crate::{
    Action, ContainerState, ErrorKind, ExitStatus, ForeignContainer, Observed, ObservedContainer,
    ObservedImage, PortError, ResourceId, ResourceKey, Step,
};

/// A host in memory.
///
/// # Guarantees
/// - It refuses what an engine refuses: a container whose image, volume, network or file is not here, a host
///   port that is taken, the removal of what is used.
/// - Doing what is done already succeeds and changes nothing.
#[derive(Debug, Clone)]
pub struct World {
    pub(super) observed: Observed,
    now: Timestamp,
    /// How long it is up; unlike its clock this never goes back.
    pub(super) up: Duration,
    /// When each container was last started, by `up`.
    pub(super) starts: BTreeMap<ResourceKey, Duration>,
    /// When each image and volume was last needed by a container, by its name.
    needed: BTreeMap<String, Timestamp>,
    pub(super) next_id: u64,
    /// Containers that are not homeostat's, by the engine's name.
    pub(super) foreign: BTreeMap<String, ForeignContainer>,
    /// What a build or pull of a reference gives, where that is not simply an image of its own.
    pub image_ids: BTreeMap<String, String>,
    /// References that cannot be built or pulled.
    pub unavailable: BTreeSet<String>,
    /// How containers behave once they run; those that are not here run until they are stopped.
    pub behaviours: BTreeMap<ResourceKey, Behaviour>,
}

/// How a container behaves once it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviour {
    /// It ends by itself so long after its start.
    pub ends_after: Duration,
    /// With this exit code.
    pub code: i32,
}

impl World {
    /// A host with nothing on it.
    pub fn at(now: Timestamp) -> Self {
        Self {
            observed: Observed::default(),
            now,
            up: Duration::ZERO,
            starts: BTreeMap::new(),
            needed: BTreeMap::new(),
            next_id: 0,
            foreign: BTreeMap::new(),
            image_ids: BTreeMap::new(),
            unavailable: BTreeSet::new(),
            behaviours: BTreeMap::new(),
        }
    }

    /// The time of the host.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// When an image or volume was last needed: when the last container that used it was removed, or since the
    /// beginning.
    pub(super) fn needed_at(&self, name: &str) -> Timestamp {
        self.needed.get(name).copied().unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Everything there is, files included.
    pub fn observe(&self) -> Observed {
        self.observed.clone()
    }

    /// To change what is there behind everybody's back.
    pub fn observed_mut(&mut self) -> &mut Observed {
        &mut self.observed
    }

    /// Lets time pass: containers whose time has come end. Returns those. With an earlier time the clock is set
    /// back, and no time passes.
    pub fn advance_to(&mut self, now: Timestamp) -> Vec<ResourceKey> {
        self.up += Duration::try_from(now.duration_since(self.now)).unwrap_or_default();
        self.now = now;
        let due: Vec<(ResourceKey, Duration)> = self.ends().filter(|(_, end)| *end <= self.up).collect();
        for (key, end) in &due {
            let ago = jiff::SignedDuration::try_from(self.up.saturating_sub(*end)).unwrap_or_default();
            let at = now.saturating_sub(ago).unwrap_or(now);
            self.end(key, Some(self.behaviours[key].code), at);
        }
        due.into_iter().map(|(key, _)| key).collect()
    }

    /// The next time at which a container ends by itself.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.ends().map(|(_, end)| later(self.now, end.saturating_sub(self.up))).min()
    }

    /// When each container that runs ends by itself, by `up`.
    fn ends(&self) -> impl Iterator<Item = (ResourceKey, Duration)> {
        let running = self.observed.containers.iter().filter(|(_, c)| c.state == ContainerState::Running);
        running.filter_map(|(key, _)| {
            Some((key.clone(), *self.starts.get(key)? + self.behaviours.get(key)?.ends_after))
        })
    }

    /// Ends a container that runs or is paused, as a crash or a kill does.
    pub fn exit(&mut self, key: &ResourceKey, code: Option<i32>) {
        let state = self.observed.containers.get(key).map(|container| container.state);
        if matches!(state, Some(ContainerState::Running | ContainerState::Paused)) {
            self.end(key, code, self.now);
        }
    }

    /// Ends everything that runs; nobody sees how.
    pub fn power_cut(&mut self) {
        let keys: Vec<ResourceKey> = self.observed.containers.keys().cloned().collect();
        for key in keys {
            self.exit(&key, None);
        }
    }

    fn end(&mut self, key: &ResourceKey, code: Option<i32>, at: Timestamp) {
        if let Some(container) = self.observed.containers.get_mut(key) {
            container.state = ContainerState::Exited;
            container.pid = None;
            container.exit = Some(ExitStatus { code, oom_killed: false, finished_at: at, error: None });
        }
    }

    /// Does a step of a plan.
    ///
    /// # Errors
    /// What an engine refuses.
    pub fn apply(&mut self, step: &Step) -> Result<(), PortError> {
        match (&step.resource, &step.action) {
            (_, Action::BuildImage { reference, .. } | Action::PullImage { reference }) => {
                self.bring_image(reference).map(|_| ())
            }
            (_, Action::RemoveImage { reference }) => self.remove_image(reference),
            (_, Action::ExportFile { path }) => {
                self.observed.files.insert(path.digest.clone());
                Ok(())
            }
            (_, Action::RemoveFile { digest }) => {
                self.observed.files.remove(digest);
                Ok(())
            }
            (ResourceId::Declared(_, key), action) => self.apply_declared(key, action),
            (resource, action) => Err(refused(format!("{} of {resource}", action.verb()))),
        }
    }

    fn apply_declared(&mut self, key: &ResourceKey, action: &Action) -> Result<(), PortError> {
        match action {
            Action::CreateVolume { .. } => {
                self.create_volume(key);
                Ok(())
            }
            Action::RemoveVolume => self.remove_volume(key),
            Action::CreateNetwork { network } => self.create_network(key, network),
            Action::RemoveNetwork => self.remove_network(key),
            Action::CreateContainer { image, config, .. } => self.create_container(key, image, config),
            Action::AdoptContainer { id, .. } => self.adopt_container(key, id),
            Action::StartContainer => self.start_container(key),
            Action::StopContainer { .. } => self.stop_container(key),
            Action::PauseContainer => self.pause_container(key),
            Action::ResumeContainer => self.resume_container(key),
            Action::UpdateContainer { resources, log } => self.update_container(key, resources, log),
            Action::RemoveContainer => self.remove_container(key),
            _ => Err(refused(format!("{} of {key}", action.verb()))),
        }
    }

    /// Builds or pulls an image. Returns its id.
    ///
    /// # Errors
    /// If it is [`unavailable`](Self::unavailable).
    pub fn bring_image(&mut self, reference: &str) -> Result<String, PortError> {
        if self.unavailable.contains(reference) {
            return Err(PortError::new(ErrorKind::Transient, format!("{reference} is not available")));
        }
        let own = || format!("sha256:{reference}");
        let id = self.image_ids.get(reference).cloned().unwrap_or_else(own);
        self.needed.insert(reference.to_owned(), self.now);
        let image = ObservedImage { id: id.clone(), size: 1 << 20, digest: None };
        self.observed.images.insert(reference.to_owned(), image);
        Ok(id)
    }

    /// Removes a reference.
    ///
    /// # Errors
    /// If a container was created from it.
    pub fn remove_image(&mut self, reference: &str) -> Result<(), PortError> {
        if self.observed.containers.values().any(|container| container.image == reference) {
            return Err(refused(format!("image {reference} is in use")));
        }
        self.observed.images.remove(reference);
        Ok(())
    }

    /// Creates a volume, unless it is there.
    pub fn create_volume(&mut self, key: &ResourceKey) {
        if self.observed.volumes.insert(key.clone()) {
            self.needed.insert(key.to_string(), self.now);
        }
    }

    /// Removes a volume.
    ///
    /// # Errors
    /// If a container uses it.
    pub fn remove_volume(&mut self, key: &ResourceKey) -> Result<(), PortError> {
        let used = self.observed.containers.iter().any(|(user, container)| {
            user.app == key.app && volumes(&container.config).any(|name| *name == key.name)
        });
        if used {
            return Err(refused(format!("volume {key} is in use")));
        }
        self.observed.volumes.remove(key);
        Ok(())
    }

    /// Creates a network.
    ///
    /// # Errors
    /// If another one is there under the same key, or has the same subnet.
    pub fn create_network(&mut self, key: &ResourceKey, network: &Network) -> Result<(), PortError> {
        let taken = |(other, there): (&ResourceKey, &Network)| {
            other != key && there.subnet.is_some() && there.subnet == network.subnet
        };
        if self.observed.networks.get(key).is_some_and(|there| there != network)
            || self.observed.networks.iter().any(taken)
        {
            return Err(refused(format!("network {key} is in the way of another")));
        }
        self.observed.networks.insert(key.clone(), network.clone());
        Ok(())
    }

    /// Removes a network.
    ///
    /// # Errors
    /// If a container is on it.
    pub fn remove_network(&mut self, key: &ResourceKey) -> Result<(), PortError> {
        let used = self
            .observed
            .containers
            .iter()
            .any(|(user, container)| user.app == key.app && container.config.is_on(&key.name));
        if used {
            return Err(refused(format!("network {key} is in use")));
        }
        self.observed.networks.remove(key);
        Ok(())
    }

    /// Creates a container.
    ///
    /// # Errors
    /// If what it needs is not here, or another one is there under the same key.
    pub fn create_container(
        &mut self,
        key: &ResourceKey,
        image: &str,
        config: &ContainerConfig,
    ) -> Result<(), PortError> {
        if let Some(there) = self.observed.containers.get(key) {
            let same = there.image == image && there.config == *config;
            return if same { Ok(()) } else { Err(refused(format!("container {key} is there already"))) };
        }
        let Some(found) = self.observed.images.get(image) else {
            return Err(refused(format!("image {image} is not here")));
        };
        let image_id = found.id.clone();
        self.check_mounts(key, config)?;
        self.next_id += 1;
        let container = ObservedContainer {
            id: format!("container-{}", self.next_id),
            image: image.to_owned(),
            image_id,
            config: config.clone(),
            state: ContainerState::Created,
            pid: None,
            started_at: None,
            exit: None,
            address: None,
            ports: config.ports.clone(),
        };
        self.observed.containers.insert(key.clone(), container);
        Ok(())
    }

    fn check_mounts(&self, key: &ResourceKey, config: &ContainerConfig) -> Result<(), PortError> {
        let own = |name: &Name| ResourceKey::new(key.app.clone(), name.clone());
        if let Some(name) = volumes(config).find(|name| !self.observed.volumes.contains(&own(name))) {
            return Err(refused(format!("volume {name} is not here")));
        }
        for mount in &config.mounts {
            if let MountSource::Source(path) = &mount.source
                && !self.observed.files.contains(&path.digest)
            {
                return Err(refused(format!("file {} is not here", path.path)));
            }
        }
        match config.app_networks().find(|name| !self.observed.networks.contains_key(&own(name))) {
            Some(name) => Err(refused(format!("network {name} is not here"))),
            None => Ok(()),
        }
    }

    fn container(&mut self, key: &ResourceKey) -> Result<&mut ObservedContainer, PortError> {
        let there = self.observed.containers.get_mut(key);
        there.ok_or_else(|| refused(format!("container {key} is not there")))
    }

    /// Starts a container.
    ///
    /// # Errors
    /// If it is not there, is paused, or a port of the host that it publishes is taken.
    pub fn start_container(&mut self, key: &ResourceKey) -> Result<(), PortError> {
        let wanted = self.container(key)?.config.ports.clone();
        let alive = |state| matches!(state, ContainerState::Running | ContainerState::Paused);
        let others = self.observed.containers.iter().filter(|(other, _)| *other != key);
        let holds = |container: &ObservedContainer| {
            let held = &container.config.ports;
            alive(container.state)
                && held.iter().any(|held| wanted.iter().any(|port| held.collides_with(port)))
        };
        let foreign = self.foreign.values().map(|there| &there.container);
        if others.map(|(_, other)| other).chain(foreign).any(holds) {
            return Err(refused(format!("a port of {key} is taken")));
        }
        let now = self.now;
        self.next_id += 1;
        let pid = u32::try_from(self.next_id).ok();
        let container = self.container(key)?;
        match container.state {
            ContainerState::Running => return Ok(()),
            ContainerState::Paused => return Err(refused(format!("container {key} is paused"))),
            ContainerState::Created | ContainerState::Exited => {}
        }
        container.state = ContainerState::Running;
        container.started_at = Some(now);
        container.pid = pid;
        container.exit = None;
        self.starts.insert(key.clone(), self.up);
        Ok(())
    }

    /// Stops a container.
    ///
    /// # Errors
    /// If it is not there.
    pub fn stop_container(&mut self, key: &ResourceKey) -> Result<(), PortError> {
        self.container(key)?;
        self.exit(key, Some(143));
        Ok(())
    }

    /// Pauses a container.
    ///
    /// # Errors
    /// If it is not there or has no processes.
    pub fn pause_container(&mut self, key: &ResourceKey) -> Result<(), PortError> {
        self.switch(key, ContainerState::Running, ContainerState::Paused)
    }

    /// Resumes a container.
    ///
    /// # Errors
    /// If it is not there or has no processes.
    pub fn resume_container(&mut self, key: &ResourceKey) -> Result<(), PortError> {
        self.switch(key, ContainerState::Paused, ContainerState::Running)
    }

    fn switch(
        &mut self,
        key: &ResourceKey,
        from: ContainerState,
        to: ContainerState,
    ) -> Result<(), PortError> {
        let container = self.container(key)?;
        if container.state == from {
            container.state = to;
        }
        let done = container.state == to;
        if done { Ok(()) } else { Err(refused(format!("container {key} is not {from}"))) }
    }

    /// Changes a container in place.
    ///
    /// # Errors
    /// If it is not there.
    pub fn update_container(
        &mut self,
        key: &ResourceKey,
        resources: &Resources,
        log: &LogRotation,
    ) -> Result<(), PortError> {
        let container = self.container(key)?;
        container.config.resources = resources.clone();
        container.config.log = log.clone();
        Ok(())
    }

    /// Removes a container.
    ///
    /// # Errors
    /// If it has processes.
    pub fn remove_container(&mut self, key: &ResourceKey) -> Result<(), PortError> {
        let state = self.observed.containers.get(key).map(|container| container.state);
        if matches!(state, Some(ContainerState::Running | ContainerState::Paused)) {
            return Err(refused(format!("container {key} runs")));
        }
        if let Some(container) = self.observed.containers.remove(key) {
            let own = |name: &Name| ResourceKey::new(key.app.clone(), name.clone()).to_string();
            let used: Vec<String> =
                volumes(&container.config).map(own).chain([container.image.clone()]).collect();
            self.needed.extend(used.into_iter().map(|name| (name, self.now)));
        }
        Ok(())
    }
}

fn volumes(config: &ContainerConfig) -> impl Iterator<Item = &Name> {
    config.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Volume(name) => Some(name),
        _ => None,
    })
}

pub(super) fn refused(message: String) -> PortError {
    PortError::new(ErrorKind::User, message)
}
