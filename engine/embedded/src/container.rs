//! One container: what is on disk of it, and how it runs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use homeostat_files::{StateError, read_json, remove_tree, write_json_durably};
use homeostat_monitor::cgroup::{Cgroup, CgroupError};
use homeostat_monitor::{ExitRecord, RunState};
use homeostat_reconciler::{ContainerState, ExitStatus, ResourceKey, chain};
use homeostat_spec::PublishedPort;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::EmbeddedError;
use crate::instance::Instance;
use crate::layout::{CONTAINER_FILE, Layout};
use crate::monitor::Monitor;
use crate::record::{ContainerRecord, LostRun};

/// Name of the file of a [`LostRun`] in the container's directory.
const LOST_FILE: &str = "lost.json";

/// A container that exists.
#[derive(Debug)]
pub(crate) struct Container {
    /// The engine's id: the name of its directory.
    pub(crate) id: String,
    /// Its key.
    pub(crate) key: ResourceKey,
    /// Its directory.
    pub(crate) directory: PathBuf,
    /// Its control groups, which exist while it runs.
    pub(crate) cgroup: Cgroup,
    /// Its directory of the OCI runtime, which exists while it runs.
    runtime: PathBuf,
    state: Mutex<State>,
    /// Held while the end of a run is settled, which may take long; the state can be looked at meanwhile.
    settling: Mutex<()>,
}

/// What changes of a container.
#[derive(Debug)]
pub(crate) struct State {
    /// As it is on disk.
    pub(crate) record: ContainerRecord,
    /// How it runs.
    pub(crate) run: Run,
}

/// How a container runs.
#[derive(Debug)]
pub(crate) enum Run {
    /// It was never started.
    Never,
    /// Its monitor lived when it was last looked at.
    Live(Live),
    /// Its last run has ended.
    Ended(Ended),
}

/// A run.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    /// Its processes.
    pub(crate) state: RunState,
    /// Its monitor.
    pub(crate) monitor: Arc<Monitor>,
    /// Becomes true when the run has ended and all that follows from it is done.
    pub(crate) settled: watch::Receiver<bool>,
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) status: ExitStatus,
}

impl Container {
    /// The container of a record, which is on disk in `directory`.
    pub(crate) fn new(
        layout: &Layout,
        instance: &Instance,
        id: &str,
        record: ContainerRecord,
    ) -> Result<Self, EmbeddedError> {
        Ok(Self {
            id: id.to_owned(),
            key: record.key.clone(),
            directory: layout.container(id),
            cgroup: Cgroup::at(instance.cgroup(id))?,
            runtime: layout.runtime().join(id),
            state: Mutex::new(State { record, run: Run::Never }),
            settling: Mutex::default(),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of its record.
    pub(crate) fn record(&self) -> ContainerRecord {
        self.lock().record.clone()
    }

    /// The ports of the host that it holds; none while it does not run.
    pub(crate) fn published(&self) -> Vec<PublishedPort> {
        let state = self.lock();
        match &state.run {
            // The monitor of an older version, which had no choice, does not tell.
            Run::Live(live) if live.state.ports.is_empty() => state.record.config.ports.clone(),
            Run::Live(live) => live.state.ports.clone(),
            Run::Never | Run::Ended(_) => Vec::new(),
        }
    }

    /// Its run, if it runs or is paused. Settles a run that has ended.
    pub(crate) fn live(&self) -> Result<Option<Live>, EmbeddedError> {
        self.settle()?;
        match &self.lock().run {
            Run::Live(live) => Ok(Some(live.clone())),
            Run::Never | Run::Ended(_) => Ok(None),
        }
    }

    /// Its state. Settles a run that has ended.
    pub(crate) fn state(&self) -> Result<ContainerState, EmbeddedError> {
        self.settle()?;
        let state = match &self.lock().run {
            Run::Never => ContainerState::Created,
            Run::Ended(_) => ContainerState::Exited,
            Run::Live(_) => ContainerState::Running,
        };
        let paused = state == ContainerState::Running && self.is_frozen();
        Ok(if paused { ContainerState::Paused } else { state })
    }

    /// Whether its first process has ended: then its control groups may vanish at any moment.
    pub(crate) fn is_ending(&self) -> bool {
        match &self.lock().run {
            Run::Live(live) => !live.state.init.is_alive(),
            Run::Never | Run::Ended(_) => true,
        }
    }

    /// Whether it runs at this moment. Settles nothing, and waits for nothing.
    pub(crate) fn runs_now(&self) -> bool {
        match &self.lock().run {
            Run::Live(live) => !live.monitor.has_ended(),
            Run::Never | Run::Ended(_) => false,
        }
    }

    /// Whether all of its processes are frozen. Where that cannot be told, they are not.
    pub(crate) fn is_frozen(&self) -> bool {
        match self.cgroup.is_frozen() {
            Ok(frozen) => frozen,
            // This host has no freezer to freeze with.
            Err(CgroupError::Missing { .. }) => false,
            Err(error) => {
                if !self.is_ending() {
                    tracing::debug!(container = %self.key, %error, "the freezer does not tell");
                }
                false
            }
        }
    }

    /// Writes a changed record to disk, then takes it over.
    pub(crate) fn save(&self, record: ContainerRecord) -> Result<(), EmbeddedError> {
        let mut state = self.lock();
        write_json_durably(self.directory.join(CONTAINER_FILE), &record)?;
        state.record = record;
        Ok(())
    }

    /// Takes over how a run began or could not begin.
    pub(crate) fn set_run(&self, run: Run) {
        self.lock().run = run;
    }

    /// Notices that the run has ended, and finds out how.
    ///
    /// Of a run whose monitor did not live to see its end, everything is ended and cleaned up that is left of it.
    ///
    /// # Errors
    /// When that cannot be done: a process hangs in the kernel. It then counts as running.
    pub(crate) fn settle(&self) -> Result<(), EmbeddedError> {
        let _settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(live) = self.ended_run() else { return Ok(()) };
        let ended = match self.told_end(&live.state) {
            Some(ended) => ended,
            None => self.lost_end(&live.state)?,
        };
        self.set_run(Run::Ended(ended));
        Ok(())
    }

    /// Does of [`settle`](Self::settle) what never takes long, so that one container does not hold up an observation
    /// of all. The rest is on the task that watches the run.
    pub(crate) fn settle_if_told(&self) {
        let Ok(_settling) = self.settling.try_lock() else { return };
        if let Some(live) = self.ended_run()
            && let Some(ended) = self.told_end(&live.state)
        {
            self.set_run(Run::Ended(ended));
        }
    }

    /// The run that counts as live though its monitor has ended.
    fn ended_run(&self) -> Option<Live> {
        match &self.lock().run {
            Run::Live(live) if live.monitor.has_ended() => {
                live.monitor.reap();
                Some(live.clone())
            }
            Run::Never | Run::Live(_) | Run::Ended(_) => None,
        }
    }

    /// What is known on disk of the last run: that it goes on, or how it has ended.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub(crate) fn last_run(&self) -> Result<(Option<RunState>, Option<Ended>), EmbeddedError> {
        let Some(run) = RunState::load(&self.directory) else {
            return Ok((None, self.exit_record().map(Ended::from)));
        };
        if run.monitor.is_alive() {
            return Ok((Some(run), None));
        }
        let ended = match self.told_end(&run) {
            Some(ended) => ended,
            None => self.lost_end(&run)?,
        };
        Ok((None, Some(ended)))
    }

    /// How a run has ended, if its monitor has said so.
    fn told_end(&self, run: &RunState) -> Option<Ended> {
        let exit = self.exit_record()?;
        // A record without a start is of a later attempt that failed.
        exit.started_at.is_none_or(|start| start == run.started_at).then(|| exit.into())
    }

    /// The end of a run whose monitor has said nothing: as nobody knows.
    fn lost_end(&self, run: &RunState) -> Result<Ended, EmbeddedError> {
        self.clean_up()?;
        let lost = whole(read_json::<LostRun>(self.directory.join(LOST_FILE)));
        let lost = lost.filter(|lost| lost.started_at == run.started_at);
        Ok(lost.unwrap_or_else(|| self.record_loss(run)).into())
    }

    fn exit_record(&self) -> Option<ExitRecord> {
        whole(ExitRecord::load(&self.directory))
    }

    /// Where it cannot be written, as on a full disk, the time is another one after the next opening; that is all.
    fn record_loss(&self, run: &RunState) -> LostRun {
        let lost = LostRun { started_at: run.started_at, finished_at: Timestamp::now() };
        if let Err(error) = write_json_durably(self.directory.join(LOST_FILE), &lost) {
            tracing::warn!(container = %self.key, error = chain(&error), "the end of a run cannot be noted");
        }
        lost
    }

    /// Ends and removes what a killed monitor has left: processes, control groups, the runtime's notes. Mounts and
    /// network namespace have ended with the processes.
    pub(crate) fn clean_up(&self) -> Result<(), EmbeddedError> {
        self.cgroup.kill()?;
        self.cgroup.remove()?;
        remove_tree(&self.runtime)?;
        Ok(())
    }
}

impl From<ExitRecord> for Ended {
    fn from(record: ExitRecord) -> Self {
        Self {
            started_at: record.started_at,
            status: ExitStatus {
                code: Some(record.code),
                oom_killed: record.oom_killed,
                finished_at: record.finished_at,
                error: record.error.map(|failure| failure.message),
            },
        }
    }
}

impl From<LostRun> for Ended {
    fn from(lost: LostRun) -> Self {
        Self {
            started_at: Some(lost.started_at),
            status: ExitStatus { code: None, oom_killed: false, finished_at: lost.finished_at, error: None },
        }
    }
}

/// A state file that a power cut has torn, or that cannot be read for another reason, is as good as none: it tells of
/// the past only.
fn whole<T>(read: Result<Option<T>, StateError>) -> Option<T> {
    read.unwrap_or_else(|error| {
        tracing::warn!(error = chain(&error), "what is known of the end of a run cannot be read");
        None
    })
}
