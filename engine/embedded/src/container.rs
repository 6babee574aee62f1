//! One container: what is on disk of it, and how it runs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use homeostat_files::{StateError, read_json, remove_tree, write_json_durably};
use homeostat_monitor::cgroup::{Cgroup, CgroupError};
use homeostat_monitor::{ExitRecord, RunState};
use homeostat_reconciler::{ContainerState, ExitStatus, ResourceKey};
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
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of its record.
    pub(crate) fn record(&self) -> ContainerRecord {
        self.lock().record.clone()
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
        let paused = state == ContainerState::Running && self.is_frozen()?;
        Ok(if paused { ContainerState::Paused } else { state })
    }

    /// Whether its first process has ended: then its control groups may vanish at any moment.
    pub(crate) fn is_ending(&self) -> bool {
        match &self.lock().run {
            Run::Live(live) => !live.state.init.is_alive(),
            Run::Never | Run::Ended(_) => true,
        }
    }

    /// Whether all of its processes are frozen.
    pub(crate) fn is_frozen(&self) -> Result<bool, EmbeddedError> {
        match self.cgroup.is_frozen() {
            Ok(frozen) => Ok(frozen),
            // This host has no freezer to freeze with.
            Err(CgroupError::Missing { .. }) => Ok(false),
            // The run ends at this moment.
            Err(_) if self.is_ending() => Ok(false),
            Err(error) => Err(error.into()),
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
    pub(crate) fn settle(&self) -> Result<(), EmbeddedError> {
        let mut state = self.lock();
        let Run::Live(live) = &state.run else { return Ok(()) };
        if !live.monitor.has_ended() {
            return Ok(());
        }
        live.monitor.reap();
        let ended = self.end_of(&live.state)?;
        state.run = Run::Ended(ended);
        Ok(())
    }

    /// What is known on disk of the last run; `None` when there was none. A run that goes on is left out.
    pub(crate) fn last_run(&self) -> Result<(Option<RunState>, Option<Ended>), EmbeddedError> {
        if let Some(run) = RunState::load(&self.directory) {
            if run.monitor.is_alive() {
                return Ok((Some(run), None));
            }
            let ended = self.end_of(&run)?;
            return Ok((None, Some(ended)));
        }
        let exit = whole(ExitRecord::load(&self.directory))?;
        Ok((None, exit.map(Ended::from)))
    }

    /// How a run has ended: as its monitor says, else as nobody knows.
    fn end_of(&self, run: &RunState) -> Result<Ended, EmbeddedError> {
        let exit = whole(ExitRecord::load(&self.directory))?;
        // A record without a start is of a later attempt that failed.
        if let Some(exit) = exit.filter(|exit| exit.started_at.is_none_or(|start| start == run.started_at)) {
            return Ok(exit.into());
        }
        self.clean_up()?;
        let lost: Option<LostRun> = whole(read_json(self.directory.join(LOST_FILE)))?;
        let lost = lost.filter(|lost| lost.started_at == run.started_at);
        let lost = lost.map_or_else(|| self.record_loss(run), Ok)?;
        Ok(Ended {
            started_at: Some(lost.started_at),
            status: ExitStatus { code: None, oom_killed: false, finished_at: lost.finished_at, error: None },
        })
    }

    fn record_loss(&self, run: &RunState) -> Result<LostRun, EmbeddedError> {
        let lost = LostRun { started_at: run.started_at, finished_at: Timestamp::now() };
        write_json_durably(self.directory.join(LOST_FILE), &lost)?;
        Ok(lost)
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

/// A state file that a power cut has torn is as good as none: what it told of ended with the cut.
fn whole<T>(read: Result<Option<T>, StateError>) -> Result<Option<T>, StateError> {
    match read {
        Err(StateError::Damaged { .. }) => Ok(None),
        read => read,
    }
}
