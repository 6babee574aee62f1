//! `homeostat monitor exec`: one command in a running container.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use homeostat_files::Root;
use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::error::LibcontainerError;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{kill, killpg};
use nix::unistd::Pid;
use oci_spec::runtime::{Capabilities, Spec};

use crate::cgroup::{Cgroup, controls_devices};
use crate::container::capabilities::{self, LAST_STEPS};
use crate::container::user::{self, User};
use crate::failure::OrFail as _;
use crate::foreground::{self, Caller};
use crate::runtime::{self, Streams};
use crate::{ExecRequest, Failure, FailureKind, RunRequest, RunState, documents, isolation};

/// Runs the command and returns its exit code.
pub(crate) fn exec() -> ExitCode {
    foreground::conclude(foreground::request().and_then(|request| execute(&request)))
}

fn execute(request: &ExecRequest) -> Result<i32, Failure> {
    documents::check_id(&request.id)?;
    let caller = Caller::watch(request.parent)?;
    let target = Target::find(request)?;
    isolation::spare_no_more()?;
    let pid = target.start(request)?;
    let time = request.timeout_millis.map(Duration::from_millis);
    let code = caller.wait(pid.as_raw().cast_unsigned(), time, || {
        // The command leads a session of its own: its children go with it, unless they left it.
        let _ = killpg(pid, nix::sys::signal::Signal::SIGKILL);
        let _ = kill(pid, nix::sys::signal::Signal::SIGKILL);
    });
    Ok(code)
}

/// Moves this process into the container's network. It is the monitor's namespace, which the specification
/// of the container does not name and the runtime therefore does not join.
fn join_network(init: u32) -> Result<(), Failure> {
    let namespace = fs_err::File::open(format!("/proc/{init}/ns/net"))
        .or_fail(FailureKind::Runtime, "find the container's network")?;
    setns(namespace, CloneFlags::CLONE_NEWNET).or_fail(FailureKind::Runtime, "join the container's network")
}

/// The container, and what its programs are like.
struct Target {
    spec: Spec,
    root: Root,
    /// What the container may do; its specification has what its start took.
    granted: Capabilities,
}

impl Target {
    fn find(request: &ExecRequest) -> Result<Self, Failure> {
        let not_running = || Failure::invalid("the container does not run");
        let container = Container::load(request.runtime_dir.join(&request.id)).map_err(|_| not_running())?;
        let state = RunState::load(container.bundle()).filter(|state| state.init.is_alive());
        let state = state.ok_or_else(not_running)?;
        let spec = Spec::load(container.bundle().join("config.json"))
            .or_fail(FailureKind::Runtime, "read the container's specification")?;
        let cgroup = cgroup(&spec)?;
        refuse_paused(&cgroup)?;
        let security = RunRequest::load(container.bundle())?.security;
        let granted = capabilities::granted(&security, controls_devices(&cgroup))?;
        let root = Root::open(PathBuf::from(format!("/proc/{}/root", state.init.pid)))
            .or_fail(FailureKind::Runtime, "look into the container")?;
        join_network(state.init.pid)?;
        // What was opened is the container's only if its process lived all the time.
        if !state.init.is_alive() {
            return Err(not_running());
        }
        Ok(Self { spec, root, granted })
    }

    fn start(&self, request: &ExecRequest) -> Result<Pid, Failure> {
        let streams = Streams::inherited().or_fail(FailureKind::Runtime, "pass on the output")?;
        let user = self.user(request)?;
        let env = Self::environment(request, &user);
        let granted = self.granted.clone();
        runtime::join(&request.id, &request.runtime_dir, streams, granted, |builder| {
            self.build(builder, request, &user, env)
        })
    }

    fn build(
        &self,
        builder: ContainerBuilder,
        request: &ExecRequest,
        user: &User,
        env: HashMap<String, String>,
    ) -> Result<Pid, LibcontainerError> {
        builder
            .as_tenant()
            .with_detach(true)
            .with_container_args(request.process.args.clone())
            .with_cwd(Some(self.working_directory(request)))
            .with_env(env)
            .with_user(Some(user.uid))
            .with_group(Some(user.gid))
            .with_additional_gids(user.groups.clone())
            .with_capabilities(LAST_STEPS.map(|capability| format!("CAP_{capability}")).to_vec())
            .build()
    }

    /// As asked for, else the container's own.
    fn user(&self, request: &ExecRequest) -> Result<User, Failure> {
        if let Some(text) = &request.process.user {
            return user::look_up(&self.root, text, &request.process.additional_gids);
        }
        let own = self.spec.process().as_ref().map(oci_spec::runtime::Process::user);
        let own = own.ok_or_else(|| Failure::new(FailureKind::Runtime, "the container has no process"))?;
        let mut groups = own.additional_gids().clone().unwrap_or_default();
        groups.extend(&request.process.additional_gids);
        Ok(User { uid: own.uid(), gid: own.gid(), groups, home: String::new() })
    }

    /// Added to the container's own.
    fn environment(request: &ExecRequest, user: &User) -> HashMap<String, String> {
        let mut env: HashMap<_, _> =
            request.process.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        if !user.home.is_empty() {
            env.entry("HOME".to_owned()).or_insert_with(|| user.home.clone());
        }
        env
    }

    fn working_directory(&self, request: &ExecRequest) -> PathBuf {
        let own = || self.spec.process().as_ref().map_or(Path::new("/").to_owned(), |own| own.cwd().clone());
        request.process.cwd.as_ref().map_or_else(own, PathBuf::from)
    }
}

fn cgroup(spec: &Spec) -> Result<Cgroup, Failure> {
    let path = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().clone()).unwrap_or_default();
    Cgroup::at(path.strip_prefix("/").unwrap_or(&path))
        .or_fail(FailureKind::Runtime, "find the container's cgroup")
}

/// In a frozen container a new program would hang before its first instruction.
fn refuse_paused(cgroup: &Cgroup) -> Result<(), Failure> {
    if cgroup.is_frozen().unwrap_or(false) {
        return Err(Failure::invalid("the container is paused").with_hint("resume it first"));
    }
    Ok(())
}
