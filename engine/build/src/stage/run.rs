//! `RUN`.

use std::collections::VecDeque;
use std::io::Write as _;

use homeostat_dockerfile::{Run, RunCommand};
use homeostat_files::accounts::User;
use homeostat_files::{Permissions, Root};
use homeostat_image::{ImageStore, Layer};
use homeostat_reconciler::ports::Masks;

use super::held::Held;
use super::mounts::Prepared;
use super::{StageBuild, make_directory};
use crate::configuration::DEFAULT_PATH;
use crate::key::Key;
use crate::mounts::{Work, Workspace};
use crate::owner;
use crate::stubs::Stubs;
use crate::{RunStep, StepError};

/// Where the text of a `RUN` lies while it runs that names its own interpreter.
const SCRIPT: &str = "/.homeostat-run";

/// How many of the last lines of a failed command are kept.
const LINES_LIMIT: usize = 20;

/// How much of each is kept, in characters.
const LINE_LIMIT: usize = 1000;

/// The file system counts as full when fewer bytes than this are left.
const FULL_BELOW: u64 = 1 << 20;

impl StageBuild<'_> {
    pub(super) fn run(&mut self, run: &Run) -> Result<(), StepError> {
        let args = self.arguments(&run.command);
        let mounts = self.prepare_mounts(run)?;
        let mut key = Key::new("RUN", &self.state.layers);
        key.add_all("the command", &args);
        if let RunCommand::Script(text) = &run.command {
            key.add("the text", text);
        }
        for (name, value) in self.scope.arguments() {
            key.add(format!("build argument {name}"), value);
        }
        for (name, value) in self.scope.environment() {
            key.add(format!("variable {name}"), value);
        }
        key.add("the user", self.state.user());
        key.add("the working directory", self.state.directory());
        key.add("the network", if run.network { "network" } else { "" });
        for mount in &mounts {
            mount.add_to_key(&mut key);
        }
        let shown = format!("RUN {}", self.shown(&run.command, &args));
        self.step(key, shown, |stage| stage.run_in_layer(run, args.clone(), &mounts))
    }

    /// For the history.
    fn shown(&self, command: &RunCommand, args: &[String]) -> String {
        match command {
            // As BuildKit has it, which keeps scripts elsewhere.
            RunCommand::Script(_) => format!("{} /dev/pipes/EOF", self.state.shell().join(" ")),
            RunCommand::Exec(_) | RunCommand::Shell(_) => args.join(" "),
        }
    }

    fn arguments(&self, command: &RunCommand) -> Vec<String> {
        match command {
            RunCommand::Exec(words) => words.clone(),
            RunCommand::Script(_) => vec![SCRIPT.to_owned()],
            RunCommand::Shell(text) => self.state.shell().into_iter().chain([text.clone()]).collect(),
        }
    }

    /// What the step depends on: the image's variables, and the arguments in scope.
    fn environment(&self) -> Vec<String> {
        let of_image = self.scope.environment().iter().map(|(name, value)| format!("{name}={value}"));
        let of_build = self.scope.arguments().map(|(name, value)| format!("{name}={value}"));
        of_image.chain(of_build).collect()
    }

    fn run_in_layer(
        &self,
        run: &Run,
        args: Vec<String>,
        mounts: &[Prepared],
    ) -> Result<Option<Layer>, StepError> {
        let held = self.hold(mounts)?;
        let workspace = Workspace::new(self.build.store, &self.state.layers, Work::Commands)?;
        let stubs = {
            let root = workspace.root()?;
            make_directory(&workspace, self.state.directory(), (0, 0))?;
            let stubs = Stubs::before(&root)?;
            let user = owner::user(&root, self.state.user())?;
            if let RunCommand::Script(text) = &run.command {
                write_script(&root, text)?;
            }
            self.run_command(&self.prepared(run, args, user, &workspace, &held))?;
            if matches!(run.command, RunCommand::Script(_)) {
                root.remove(SCRIPT)?;
            }
            stubs.remove_new(&root)?;
            stubs
        };
        self.commit(workspace, |upper| stubs.remove_traces(upper))
    }

    fn prepared(
        &self,
        run: &Run,
        args: Vec<String>,
        user: User,
        workspace: &Workspace,
        held: &Held,
    ) -> RunStep {
        let mut env = self.environment();
        env.extend(held.places.iter().map(|(name, value)| format!("{name}={value}")));
        env.extend(self.scope.proxies().map(|(name, value)| format!("{name}={value}")));
        for (name, value) in [("PATH", DEFAULT_PATH), ("HOME", &user.home)] {
            if self.scope.get(name).is_none() {
                env.push(format!("{name}={value}"));
            }
        }
        env.retain(|line| !line.split_once('=').is_some_and(|(name, _)| held.variables.contains_key(name)));
        RunStep {
            rootfs: workspace.path().to_owned(),
            args,
            env,
            cwd: self.state.directory().to_owned(),
            uid: user.uid,
            gid: user.gid,
            groups: user.groups,
            network: run.network,
            mounts: held.mounts.clone(),
            secrets: held.variables.clone(),
        }
    }

    fn run_command(&self, step: &RunStep) -> Result<(), StepError> {
        let masks = Masks::new(self.build.options.secrets.values());
        let mut last = VecDeque::new();
        let code = self.build.runner.run(step, &self.build.cancel, &mut |stream, line| {
            let line = &*masks.cover(line);
            self.build.reporter.output(self.number, stream, line);
            if last.len() == LINES_LIMIT {
                last.pop_front();
            }
            last.push_back(line.chars().take(LINE_LIMIT).collect());
        });
        match code {
            Ok(0) => Ok(()),
            Ok(code) => {
                let disk_full = is_full(self.build.store);
                Err(StepError::Exit { code, output: last.into(), disk_full })
            }
            Err(error) => Err(StepError::Run(error)),
        }
    }
}

fn write_script(root: &Root, text: &str) -> Result<(), StepError> {
    Ok(root.create_file(SCRIPT, Permissions::root(0o755))?.write_all(text.as_bytes())?)
}

fn is_full(store: &ImageStore) -> bool {
    rustix::fs::statvfs(store.directory()).is_ok_and(|stat| {
        stat.f_bavail.saturating_mul(stat.f_frsize) < FULL_BELOW || stat.f_favail == 0 && stat.f_files > 0
    })
}
