//! Starting, watching, pausing and stopping.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::time::Duration;

use homeostat_monitor::cgroup;
use homeostat_monitor::{Log, Report, RunRequest, RunState, Security};
use homeostat_reconciler::ports::EngineEvent;
use homeostat_reconciler::{ContainerState, PortError, ResourceKey, chain};
use nix::sys::signal::Signal;
use tokio::sync::watch;

use crate::EmbeddedError;
use crate::container::{Container, Ended, Live, Run};
use crate::descriptor::readable;
use crate::engine::Inner;
use crate::monitor::{self, Monitor};
use crate::networks::dns;
use crate::process::{named_signal, process, stop_signal};

/// How long killed processes may take to be gone, and their monitor to say so.
const END_LIMIT: Duration = Duration::from_secs(15);

/// Time until a settlement that failed is tried again: twice as long each time, between these.
const SETTLE_AGAIN: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(10)];

impl Inner {
    /// Starts a container that does not run, with one who is connected to it, if there is one; says whether it did not run.
    pub(crate) async fn start_container(
        self: &Arc<Self>,
        key: &ResourceKey,
        attached: Option<OwnedFd>,
    ) -> Result<bool, EmbeddedError> {
        let container = self.require(key)?;
        // Beside the rest of the start, and nothing depends on it.
        tokio::task::spawn_blocking(|| {
            if let Err(error) = cgroup::expect_moves() {
                tracing::debug!("starts take longer: {error}");
            }
        });
        let (inner, prepared) = (Arc::clone(self), Arc::clone(&container));
        let Some((monitor, pipe)) = blocking(move || inner.launch(&prepared, attached)).await? else {
            return Ok(false);
        };
        let report = match monitor::report(pipe, &container.directory).await {
            Ok(report) => report,
            Err(error) => {
                blocking(move || abandon(&container, &monitor)).await?;
                return Err(error);
            }
        };
        match report {
            Report::Ready(state) => {
                self.watch(&container, state, monitor);
                self.publish_or_stop(key, &container).await?;
                Ok(true)
            }
            Report::Failed(failure) => {
                blocking(move || note_failure(&container, &monitor)).await?;
                Err(EmbeddedError::Start(failure))
            }
        }
    }

    /// Starts the monitor of a container; `None` when it runs already.
    fn launch(
        &self,
        container: &Container,
        attached: Option<OwnedFd>,
    ) -> Result<Option<(Monitor, OwnedFd)>, EmbeddedError> {
        if container.live()?.is_some() {
            return Ok(None);
        }
        self.adapt_root(container)?;
        let request = self.run_request(container)?;
        request.save(&container.directory)?;
        monitor::spawn(&self.program, &container.directory, attached).map(Some)
    }

    fn run_request(&self, container: &Container) -> Result<RunRequest, EmbeddedError> {
        let record = container.record();
        let directory = &container.directory;
        let image = self.images.find(&record.image_id)?;
        let image = image.ok_or_else(|| EmbeddedError::NoImage(record.image.clone()))?;
        let rootfs = self.rootfs(directory, &image, record.config.read_only)?;
        let mounts = self.mounts(&record, directory)?;
        let missing = container.cgroup.unsupported(&record.config.resources);
        if !missing.is_empty() {
            return Err(EmbeddedError::CannotLimit(missing.join(", ")));
        }
        let process = process(&record)?;
        let ports = record.ports();
        let network = self.connect(container)?;
        let dns = dns(&network, &record.config.names);
        let config = record.config;
        let own_name = container.key.name.to_string();
        Ok(RunRequest {
            id: container.id.clone(),
            key: container.key.to_string(),
            rootfs,
            process,
            hostname: config.hostname.unwrap_or(own_name),
            mounts,
            terminal: config.tty,
            stdin_open: config.stdin_open,
            network,
            ports,
            dns,
            resources: config.resources,
            security: Security {
                cap_add: config.cap_add,
                cap_drop: config.cap_drop,
                no_new_privileges: config.no_new_privileges,
            },
            kernel: config.kernel,
            confinement: config.confinement,
            init: config.init,
            cgroup: self.instance.cgroup(&container.id),
            log: Log { directory: self.layout.log(&container.key), rotation: config.log },
            runtime_dir: self.layout.runtime(),
        })
    }

    /// Watches a run until its end, which is settled and told.
    pub(crate) fn watch(self: &Arc<Self>, container: &Arc<Container>, state: RunState, monitor: Monitor) {
        let (settled, settling) = watch::channel(false);
        let monitor = Arc::new(monitor);
        let run = Live { state, monitor: Arc::clone(&monitor), settled: settling };
        container.set_run(Run::Live(run));
        // Weak: an engine that nobody holds any more lets go of its data directory, whatever runs.
        let (inner, container) = (Arc::downgrade(self), Arc::clone(container));
        tokio::spawn(async move {
            wait_for_end(&monitor).await;
            let [mut pause, longest] = SETTLE_AGAIN;
            while !settled_by(&inner, &container).await {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(longest);
            }
            // Nobody may be waiting.
            let _ = settled.send(true);
            if let Some(inner) = inner.upgrade() {
                let _ = inner.events.send(EngineEvent::ContainerExited(container.key.clone()));
            }
        });
    }

    /// Leads published ports to a container that has just started. One that cannot be reached is no success.
    async fn publish_or_stop(
        self: &Arc<Self>,
        key: &ResourceKey,
        container: &Arc<Container>,
    ) -> Result<(), EmbeddedError> {
        let (inner, started) = (Arc::clone(self), Arc::clone(container));
        let published =
            blocking(move || if started.networks().is_empty() { Ok(()) } else { inner.sync_rules() }).await;
        if published.is_err() {
            self.stop_container(key, Some("SIGKILL"), Duration::ZERO).await?;
        }
        published
    }

    /// Stops a container that runs.
    pub(crate) async fn stop_container(
        self: &Arc<Self>,
        key: &ResourceKey,
        signal: Option<&str>,
        grace: Duration,
    ) -> Result<(), EmbeddedError> {
        let Some(container) = self.find(key) else { return Ok(()) };
        let signal = stop_signal(signal, &container.record().defaults)?;
        let asked = Arc::clone(&container);
        let Some(mut live) = blocking(move || ask_to_stop(&asked, signal)).await? else { return Ok(()) };
        if has_settled(&mut live, grace).await {
            return Ok(());
        }
        let asked = Arc::clone(&container);
        let killed = blocking(move || Ok(asked.cgroup.kill()?)).await;
        // Control groups that vanish meanwhile are the end that was wanted.
        if has_settled(&mut live, END_LIMIT).await {
            return Ok(());
        }
        killed?;
        live.monitor.kill();
        if has_settled(&mut live, END_LIMIT).await {
            Ok(())
        } else {
            Err(EmbeddedError::DoesNotEnd(key.clone()))
        }
    }

    /// Sends a signal to the first process of a container that runs.
    pub(crate) fn signal_container(&self, key: &ResourceKey, signal: &str) -> Result<(), EmbeddedError> {
        let container = self.require(key)?;
        let signal = named_signal(signal)?;
        let live = container.live()?.ok_or_else(|| EmbeddedError::NotRunning(key.clone()))?;
        if live.state.init.signal(signal)? { Ok(()) } else { Err(EmbeddedError::NotRunning(key.clone())) }
    }

    /// Freezes a container that runs.
    pub(crate) fn pause_container(&self, key: &ResourceKey) -> Result<(), EmbeddedError> {
        let container = self.require(key)?;
        match container.state()? {
            ContainerState::Paused => Ok(()),
            ContainerState::Running => Ok(container.cgroup.freeze()?),
            ContainerState::Created | ContainerState::Exited => Err(EmbeddedError::NotRunning(key.clone())),
        }
    }

    /// Thaws a container that is paused.
    pub(crate) fn resume_container(&self, key: &ResourceKey) -> Result<(), EmbeddedError> {
        let container = self.require(key)?;
        match container.state()? {
            ContainerState::Paused => Ok(container.cgroup.thaw()?),
            ContainerState::Running => Ok(()),
            ContainerState::Created | ContainerState::Exited => Err(EmbeddedError::NotRunning(key.clone())),
        }
    }
}

/// Sends the signal, and gives the run to wait for; `None` when there is none.
fn ask_to_stop(container: &Container, signal: Signal) -> Result<Option<Live>, EmbeddedError> {
    let Some(live) = container.live()? else { return Ok(None) };
    live.state.init.signal(signal)?;
    if container.is_frozen() {
        container.cgroup.thaw()?;
    }
    Ok(Some(live))
}

/// Runs what may block apart from the tasks of the runtime.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EmbeddedError> + Send + 'static,
) -> Result<T, EmbeddedError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| EmbeddedError::Panicked)?
}

async fn has_settled(live: &mut Live, time: Duration) -> bool {
    let settled = live.settled.wait_for(|settled| *settled);
    tokio::time::timeout(time, settled).await.is_ok_and(|settled| settled.is_ok())
}

/// Waits until a process has ended.
pub(crate) async fn wait_for_end(monitor: &Arc<Monitor>) {
    let registered = monitor.pidfd().try_clone_to_owned().and_then(readable);
    let waited = match &registered {
        Ok(descriptor) => descriptor.readable().await.map(drop),
        Err(_) => Err(std::io::ErrorKind::Other.into()),
    };
    if waited.is_err() {
        // The runtime has no room for one more descriptor: wait on a thread.
        let monitor = Arc::clone(monitor);
        let waited = blocking(move || {
            while !monitor.ended_within(Duration::from_hours(1)) {}
            Ok(())
        });
        // Only a panic could be lost, and waiting has none.
        let _ = waited.await;
    }
}

/// Settles the end of a run; says whether there is nothing left to do.
async fn settled_by(engine: &Weak<Inner>, container: &Arc<Container>) -> bool {
    let Some(engine) = engine.upgrade() else { return true };
    let ended = Arc::clone(container);
    let settled = blocking(move || {
        ended.settle()?;
        let has_ports = !ended.lock().record.ports().is_empty();
        if has_ports { engine.sync_rules() } else { Ok(()) }
    });
    let Err(error) = settled.await else { return true };
    let error = chain(&PortError::from(error));
    tracing::warn!(container = %container.key, error, "the end of a run cannot be settled yet");
    false
}

/// Ends a start whose monitor does not answer.
fn abandon(container: &Container, monitor: &Monitor) -> Result<(), EmbeddedError> {
    monitor.end_start()?;
    monitor.reap();
    container.clean_up()?;
    let (_, ended) = container.last_run()?;
    if let Some(ended) = ended {
        container.set_run(Run::Ended(ended));
    }
    Ok(())
}

/// A start that failed is a run that has ended: its monitor has written how.
fn note_failure(container: &Container, monitor: &Monitor) -> Result<(), EmbeddedError> {
    if !monitor.ended_within(END_LIMIT) {
        monitor.kill();
        monitor.ended_within(END_LIMIT);
    }
    monitor.reap();
    let (_, ended): (_, Option<Ended>) = container.last_run()?;
    if let Some(ended) = ended {
        container.set_run(Run::Ended(ended));
    }
    Ok(())
}
