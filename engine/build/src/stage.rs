//! The instructions of one stage.

mod arrival;
mod configure;
mod copy;
mod held;
mod mounts;
mod run;

use std::io;

use homeostat_dockerfile::{Command, Scope, clean_path};
use homeostat_files::{Permissions, Root};
use homeostat_image::{CacheEntry, Layer};

use crate::StepError;
use crate::build::{Build, SOURCE_DATE_EPOCH};
use crate::configuration::State;
use crate::journal::Journal;
use crate::key::{Key, Part};
use crate::mounts::{Work, Workspace};
use crate::owner;
use crate::running::Entered;
use crate::schedule::{Done, Needed};
use crate::times::limit_times;

/// A stage that is being built.
pub(crate) struct StageBuild<'a> {
    build: &'a Build<'a>,
    place: usize,
    state: State,
    scope: Scope<'a>,
    done: Done,
    /// The number and the text of the step that goes on.
    number: usize,
    text: String,
    journal: Journal,
}

impl<'a> StageBuild<'a> {
    pub(crate) fn new(build: &'a Build<'a>, needed: &Needed, state: State, done: Done) -> Self {
        let scope = Scope::new(build.globals, state.environment(), state.arguments.clone());
        let title = build.file.stages[needed.place].title(needed.place);
        let base = state.layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let journal = Journal::open(build.store, &build.options.reference, &title, base);
        let (place, number) = (needed.place, needed.first);
        Self { build, place, state, scope, done, number, text: String::new(), journal }
    }

    /// Where it stands in the file.
    pub(crate) fn place(&self) -> usize {
        self.place
    }

    /// What the stage has come to; all of it, or up to the step that failed.
    pub(crate) fn finish(mut self, is_whole: bool) -> State {
        self.journal.close(self.build.store, is_whole);
        self.state.arguments = self.scope.into_arguments();
        self.state
    }

    /// Does what one instruction says, as the step with this number.
    pub(crate) fn execute(&mut self, number: usize, command: &Command, text: &str) -> Result<(), StepError> {
        self.number = number;
        text.clone_into(&mut self.text);
        match command {
            Command::Run(run) => self.run(run),
            Command::Copy(copy) | Command::Add(copy) => self.copy(copy, command.name()),
            Command::Workdir(path) => self.change_directory(path),
            command => self.configure(command, text),
        }
    }

    fn change_directory(&mut self, path: &str) -> Result<(), StepError> {
        let path = self.absolute(&self.scope.expand(path)?);
        let mut key = Key::new("WORKDIR", &self.state.layers);
        key.add("the directory", &path);
        key.add("the user", Some(self.state.user()).filter(|user| !user.is_empty()).unwrap_or("0"));
        self.state.config.set_working_dir(Some(path.clone()));
        self.step(key, format!("WORKDIR {path}"), |stage| {
            let workspace = Workspace::new(stage.build.store, &stage.state.layers, Work::Files)?;
            // Who is nobody in the image fails the command that is to run as him.
            let owner = match owner::user(&workspace.root()?, stage.state.user()) {
                Ok(user) => (user.uid, user.gid),
                Err(StepError::NoUser { .. } | StepError::NoGroup { .. }) => (0, 0),
                Err(error) => return Err(error),
            };
            make_directory(&workspace, &path, owner)?;
            stage.commit(workspace, |_| Ok(()))
        })
    }

    /// Makes the layer of what was done in a workspace, after some last work on it.
    fn commit(
        &self,
        workspace: Workspace,
        work: impl FnOnce(&Root) -> Result<(), StepError>,
    ) -> Result<Option<Layer>, StepError> {
        workspace.commit(|layer| {
            work(layer)?;
            self.build.source_date_epoch.map_or(Ok(()), |limit| limit_times(layer, limit))
        })
    }

    /// Takes the step's result from the cache, or does the work.
    fn step(
        &mut self,
        mut key: Key,
        created_by: String,
        work: impl FnOnce(&Self) -> Result<Option<Layer>, StepError>,
    ) -> Result<(), StepError> {
        if let Some(limit) = self.build.source_date_epoch {
            key.add(SOURCE_DATE_EPOCH, limit.to_string());
        }
        let (key, parts) = key.finish();
        let mut entry = self.result(&key, &parts, work)?;
        self.journal.note(&self.text, parts);
        if let Some(created) = self.build.source_date_epoch {
            entry.created = created;
        }
        self.state.take(entry, created_by);
        Ok(())
    }

    /// What the step with this key leaves: made by a stage beside this one, or known to the cache, or made now.
    fn result(
        &self,
        key: &str,
        parts: &[Part],
        work: impl FnOnce(&Self) -> Result<Option<Layer>, StepError>,
    ) -> Result<CacheEntry, StepError> {
        let store = self.build.store;
        let turn = match self.build.running.enter(key) {
            Entered::Made(entry) => {
                self.build.note_cached(self.number);
                return Ok(entry);
            }
            Entered::Turn(turn) => turn,
        };
        if self.build.cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        let known = if self.build.options.no_cache { None } else { store.cache_get(key) };
        let entry = if let Some(entry) = known {
            self.build.note_cached(self.number);
            entry
        } else {
            let cause = if self.build.options.no_cache {
                "the cache is not used".to_owned()
            } else {
                self.journal.cause(&self.text, parts)
            };
            self.build.reporter.missed(self.number, &cause);
            let entry = CacheEntry { layer: work(self)?, created: jiff::Timestamp::now() };
            store.cache_put(key, &entry)?;
            entry
        };
        turn.made(&entry);
        Ok(entry)
    }

    /// The path in the image, absolute and clean. It ends in `/` when it is written as a directory.
    fn absolute(&self, path: &str) -> String {
        let directory = path.is_empty() || path == "." || path.ends_with('/') || path.ends_with("/.");
        let base = if path.starts_with('/') { "" } else { self.state.directory() };
        let clean = clean_path(&format!("{base}/{path}"));
        if directory && clean != "/" { format!("{clean}/") } else { clean }
    }
}

/// Creates a directory in the image unless it is there. It gets an owner, as do those above it that are missing.
fn make_directory(workspace: &Workspace, path: &str, (uid, gid): (u32, u32)) -> Result<(), StepError> {
    match workspace.root()?.create_directories(path, Permissions { mode: 0o755, uid, gid }) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(StepError::InTheWay { path: path.to_owned(), found: "no directory" })
        }
        Err(error) => Err(error.into()),
    }
}
