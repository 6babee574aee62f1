//! What people ask for by hand: containers of their own, and other states for any.
//!
//! Each of these writes down what is wanted and waits until it is so, or until it is known why not. The work is done by the
//! loop, where one runs; so nothing is done twice at once, and a crash in the middle leaves nothing half done.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::StreamExt as _;
use homeostat_reconciler::ports::{AttachEnd, AttachRequest, Attachment};
use homeostat_reconciler::{
    ByHandContainer, ContainerState, ErrorKind, ExitStatus, ObservedContainer, Override, PortError,
    ResourceId, ResourceKey, WaitReason, chain,
};
use homeostat_spec::{DesiredState, Name, Network, Volume};
use serde::{Deserialize, Serialize};

use super::{Agent, Service, ended, unknown};
use crate::controller::Command;
use crate::view::View;

/// A container that is asked for by hand.
#[derive(Debug, Serialize, Deserialize)]
pub struct NewContainer {
    /// The container.
    #[serde(flatten)]
    pub container: ByHandContainer,
    /// Volumes that it mounts, unless its app has them.
    pub volumes: BTreeMap<Name, Volume>,
    /// Networks that it is on, unless its app has them.
    pub networks: BTreeMap<Name, Network>,
    /// It is started by whoever attaches to it.
    pub attended: bool,
}

impl Service {
    /// `create`, and `run`: the container is there when this returns, and was started if it is to run. Of one that cannot be
    /// started nothing is left, and the end is returned that it had.
    ///
    /// # Errors
    /// When the name is taken, or it cannot be created.
    pub async fn create(&self, key: &ResourceKey, new: NewContainer) -> Result<Option<AttachEnd>, PortError> {
        let runs = !new.attended && new.container.container.state != DesiredState::Created;
        let view = self.view().await?;
        if view.desired.container(key).is_some() || view.observed.containers.contains_key(key) {
            return Err(is_taken(key));
        }
        self.by_hand.forget_end(key);
        let version = self.by_hand.change(|by_hand| {
            // Somebody else may ask for the same name at this moment.
            if by_hand.container(key).is_some() {
                return Err(is_taken(key));
            }
            by_hand.add(key, new.container, new.volumes, new.networks);
            if new.attended {
                by_hand.overrides.insert(key.clone(), Override::Attended);
            }
            Ok(())
        })?;
        let there = |view: &View| {
            let actual = view.observed.containers.get(key);
            actual.is_some_and(|actual| !runs || actual.started_at.is_some())
                || self.by_hand.end(key).is_some()
        };
        let Err(error) = self.until(key, version, there).await else { return Ok(None) };
        let end = self.end_without_run(key, &error).await?;
        self.forget(key).await?;
        end.map_or(Err(error), |end| Ok(Some(end)))
    }

    /// Starts a container that was created to be attended, connected to it.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn start_attached(
        &self,
        key: &ResourceKey,
        request: &AttachRequest,
    ) -> Result<Attachment, PortError> {
        let attachment = self.engine.start_attached(key, request).await?;
        self.look_again().await?;
        Ok(attachment)
    }

    /// How a container ended that could not be started, if that is known.
    async fn end_without_run(
        &self,
        key: &ResourceKey,
        error: &PortError,
    ) -> Result<Option<AttachEnd>, PortError> {
        let view = self.view().await?;
        let exit = view.observed.containers.get(key).and_then(|actual| actual.exit.as_ref());
        let code = exit.filter(|exit| exit.error.is_some()).and_then(|exit| exit.code);
        let end = |code| AttachEnd { code: Some(code), error: Some(chain(error)), hint: error.hint.clone() };
        Ok(code.map(end))
    }

    /// `start`. What runs is left alone.
    ///
    /// # Errors
    /// When there is no such container, or it cannot be started. One that was created by hand and never ran is tried again
    /// with back-off, as what is to run; any other is not tried again for this.
    pub async fn start(&self, key: &ResourceKey) -> Result<(), PortError> {
        let before = self.existing(key).await?;
        let run = before.started_at;
        let alive = is_alive(&before);
        let declared = self.view().await?.desired.container(key).map(|container| container.state);
        let version = self.by_hand.change(|by_hand| {
            by_hand.overrides.remove(key);
            if alive {
                return Ok(());
            }
            match by_hand.container_mut(key) {
                Some(asked) if asked.container.state == DesiredState::Created => {
                    asked.container.state = DesiredState::Running;
                }
                None if declared == Some(DesiredState::Created) => return Err(is_to_be_created_only(key)),
                _ => drop(by_hand.overrides.insert(key.clone(), Override::Again { run, grace: None })),
            }
            Ok(())
        })?;
        let started = |view: &View| {
            let actual = view.observed.containers.get(key);
            actual.is_some_and(|actual| actual.state == ContainerState::Running || actual.started_at != run)
                || self.by_hand.end(key).is_some()
        };
        self.or_take_back(key, self.until(key, version, started).await).await
    }

    /// `restart`. What does not run is started.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn restart(&self, key: &ResourceKey, grace: Option<Duration>) -> Result<(), PortError> {
        let before = self.existing(key).await?;
        if before.state == ContainerState::Created {
            return self.start(key).await;
        }
        let run = before.started_at;
        let version = self.keep(key, Override::Again { run, grace })?;
        let again = |view: &View| {
            view.observed.containers.get(key).is_some_and(|actual| actual.started_at != run)
                || self.by_hand.end(key).is_some()
        };
        self.or_take_back(key, self.until(key, version, again).await).await
    }

    /// `stop`: it does not run until it is started again, whatever happens meanwhile.
    ///
    /// # Errors
    /// When there is no such container, or it cannot be stopped.
    pub async fn stop(&self, key: &ResourceKey, grace: Option<Duration>) -> Result<(), PortError> {
        self.existing(key).await?;
        let version = self.keep(key, Override::Stopped { grace })?;
        self.until(key, version, |view| !view.observed.containers.get(key).is_some_and(is_alive)).await
    }

    /// `pause`: it is frozen until it is resumed, whatever happens meanwhile.
    ///
    /// # Errors
    /// When it does not run, or cannot be frozen.
    pub async fn pause(&self, key: &ResourceKey) -> Result<(), PortError> {
        if !is_alive(&self.existing(key).await?) {
            return Err(does_not_run(key));
        }
        let version = self.keep(key, Override::Paused)?;
        let paused = self.until(key, version, |view| is_in(view, key, ContainerState::Paused)).await;
        self.or_take_back(key, paused).await
    }

    /// `unpause`.
    ///
    /// # Errors
    /// When it is not paused, or its spec wants it so.
    pub async fn unpause(&self, key: &ResourceKey) -> Result<(), PortError> {
        if self.existing(key).await?.state != ContainerState::Paused {
            return Err(PortError::new(ErrorKind::User, format!("container {key} is not paused")));
        }
        let declared = self.view().await?.desired.container(key).map(|container| container.state);
        if declared == Some(DesiredState::Paused) {
            let message = format!("container {key} is declared as paused");
            return Err(
                PortError::new(ErrorKind::User, message).with_hint("change `state` in the spec of its app")
            );
        }
        let version = self.take_back(key)?;
        self.until(key, version, |view| !is_in(view, key, ContainerState::Paused)).await
    }

    /// `kill`: sends a signal to its first process. What follows from that is as if it had ended by itself.
    ///
    /// # Errors
    /// When it does not run, or there is no such signal.
    pub async fn kill(&self, key: &ResourceKey, signal: &str) -> Result<(), PortError> {
        if !is_alive(&self.existing(key).await?) {
            return Err(does_not_run(key));
        }
        self.engine.signal_container(key, signal).await
    }

    /// `wait`: how its run ended, once it has.
    ///
    /// # Errors
    /// When there is no such container.
    pub async fn wait(&self, key: &ResourceKey) -> Result<ExitStatus, PortError> {
        let run = self.existing(key).await?.started_at;
        let mut events = self.engine.events();
        let mut views = self.agent.as_ref().map(|agent| agent.view.clone());
        loop {
            let view = self.view().await?;
            match view.observed.containers.get(key) {
                Some(actual) if actual.state == ContainerState::Exited || actual.started_at != run => {
                    if let Some(exit) = &actual.exit {
                        return Ok(exit.clone());
                    }
                }
                Some(_) => {}
                None => return self.by_hand.end(key).ok_or_else(|| gone(key)),
            }
            match &mut views {
                Some(views) => views.changed().await.map_err(|_| ended())?,
                None => drop(events.next().await),
            }
        }
    }

    /// `rm`: removes a container that was asked for by hand, or that nobody asks for.
    ///
    /// # Errors
    /// When a spec declares it, or it runs and `force` is not given.
    pub async fn remove(&self, key: &ResourceKey, force: bool) -> Result<(), PortError> {
        let view = self.view().await?;
        let by_hand = self.by_hand.read(|by_hand| by_hand.container(key).is_some())?;
        if let Some(app) = view.desired.apps.get(&key.app)
            && app.containers.contains_key(&key.name)
            && !by_hand
        {
            return Err(is_declared(key, &app.file));
        }
        let actual = view.observed.containers.get(key);
        if actual.is_none() && !by_hand {
            return Err(unknown(&key.to_string(), &view.keys()));
        }
        if !force && actual.is_some_and(is_alive) {
            let message = format!("container {key} runs");
            let hint = "stop it before, or give --force";
            return Err(PortError::new(ErrorKind::User, message).with_hint(hint));
        }
        self.forget(key).await
    }

    /// Takes a container out of what was asked for, and waits until it is gone.
    async fn forget(&self, key: &ResourceKey) -> Result<(), PortError> {
        let version = self.by_hand.change(|by_hand| {
            if !by_hand.remove(key) {
                by_hand.removed.insert(key.clone());
            }
            Ok(())
        })?;
        self.until(key, version, |view| !view.observed.containers.contains_key(key)).await
    }

    fn keep(&self, key: &ResourceKey, kept: Override) -> Result<u64, PortError> {
        self.by_hand.change(|by_hand| {
            by_hand.overrides.insert(key.clone(), kept);
            Ok(())
        })
    }

    fn take_back(&self, key: &ResourceKey) -> Result<u64, PortError> {
        self.by_hand.change(|by_hand| {
            by_hand.overrides.remove(key);
            Ok(())
        })
    }

    /// What could not be done is not wanted any more.
    async fn or_take_back(&self, key: &ResourceKey, done: Result<(), PortError>) -> Result<(), PortError> {
        if done.is_err() {
            self.take_back(key)?;
            self.look_again().await?;
        }
        done
    }

    async fn existing(&self, key: &ResourceKey) -> Result<ObservedContainer, PortError> {
        let view = self.view().await?;
        let found = view.observed.containers.get(key).cloned();
        found.ok_or_else(|| unknown(&key.to_string(), &view.keys()))
    }

    /// Waits until something is so that was asked for with this version.
    async fn until(
        &self,
        key: &ResourceKey,
        version: u64,
        reached: impl Fn(&View) -> bool + Send + Sync,
    ) -> Result<(), PortError> {
        match &self.agent {
            Some(agent) => agent.until(key, version, reached).await,
            None => self.converge(key, reached).await,
        }
    }
}

impl Agent {
    async fn until(
        &self,
        key: &ResourceKey,
        version: u64,
        reached: impl Fn(&View) -> bool + Send + Sync,
    ) -> Result<(), PortError> {
        self.tell(Command::Look).await?;
        let mut views = self.view.clone();
        loop {
            {
                let view = views.borrow_and_update();
                if let Some(view) = view.as_ref().filter(|view| view.by_hand >= version) {
                    if reached(view) {
                        return Ok(());
                    }
                    obstacle(view, key)?;
                }
            }
            views.changed().await.map_err(|_| ended())?;
        }
    }
}

/// What keeps a container from what is wanted of it, so that nobody waits for it in vain.
///
/// # Errors
/// That.
pub(super) fn obstacle(view: &View, key: &ResourceKey) -> Result<(), PortError> {
    if let Some(trouble) = &view.engine_error {
        return Err(PortError::new(ErrorKind::Transient, format!("the engine cannot be seen: {trouble}")));
    }
    let resource = ResourceId::container(key);
    let reason = |resource: &ResourceId| {
        view.plan.waiting.iter().find(|waiting| waiting.resource == *resource).map(|waiting| &waiting.reason)
    };
    let (culprit, reason) = match reason(&resource) {
        None | Some(WaitReason::Health | WaitReason::Completion | WaitReason::KeptByHand { .. }) => {
            return Ok(());
        }
        Some(WaitReason::Blocked { by }) => match reason(by) {
            Some(root) => (by.clone(), root),
            None => (resource.clone(), &WaitReason::Blocked { by: by.clone() }),
        },
        Some(reason) => (resource.clone(), reason),
    };
    let failure = view.record.failures.get(&culprit);
    let message = match (reason, failure) {
        (WaitReason::BackOff { message, .. }, _) => message.clone(),
        (reason, _) => format!("{culprit} {reason}"),
    };
    let error = PortError::new(ErrorKind::User, message);
    Err(match failure.and_then(|failure| failure.hint.clone()) {
        Some(hint) => error.with_hint(hint),
        None => error,
    })
}

fn is_alive(container: &ObservedContainer) -> bool {
    matches!(container.state, ContainerState::Running | ContainerState::Paused)
}

fn is_in(view: &View, key: &ResourceKey, state: ContainerState) -> bool {
    view.observed.containers.get(key).is_some_and(|actual| actual.state == state)
}

fn does_not_run(key: &ResourceKey) -> PortError {
    PortError::new(ErrorKind::User, format!("container {key} does not run"))
}

fn gone(key: &ResourceKey) -> PortError {
    PortError::new(ErrorKind::User, format!("container {key} was removed meanwhile"))
}

fn is_taken(key: &ResourceKey) -> PortError {
    PortError::new(ErrorKind::User, format!("there is a container {key} already"))
        .with_hint("choose another --name, or remove it first: homeostat rm")
}

fn is_to_be_created_only(key: &ResourceKey) -> PortError {
    PortError::new(ErrorKind::User, format!("container {key} is declared as created, and not to be started"))
        .with_hint("change `state` in the spec of its app")
}

fn is_declared(key: &ResourceKey, file: &str) -> PortError {
    PortError::new(ErrorKind::User, format!("container {key} is declared in {file}"))
        .with_hint("take it out there; or stop it: homeostat stop")
}
