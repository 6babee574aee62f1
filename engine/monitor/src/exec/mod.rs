//! `homeostat monitor exec`: one command in a running container.

mod attached;
mod detached;

use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use homeostat_files::Root;
use homeostat_files::accounts::User;
use homeostat_reconciler::ports::TerminalSize;
use libcontainer::container::Container;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use oci_spec::runtime::{Capabilities, Process, Spec};

use crate::cgroup::{Cgroup, controls_devices};
use crate::container::executor::DEFAULT_TERM;
use crate::container::user;
use crate::container::{capabilities, spec};
use crate::failure::OrFail as _;
use crate::foreground::{self, Caller};
use crate::runtime::{self, Prepared, Streams};
use crate::stdio::Ends;
use crate::{ExecMode, ExecRequest, Failure, FailureKind, RunRequest, RunState, documents, isolation};

/// Runs the command and returns its exit code.
pub(crate) fn exec() -> ExitCode {
    let request = match foreground::request::<ExecRequest>() {
        Ok(request) => request,
        Err(failure) => return foreground::conclude(Err(failure)),
    };
    match request.mode {
        ExecMode::Waiting => foreground::conclude(wait_for(&request)),
        ExecMode::Attached { stdin, terminal } => attached::run(&request, stdin, terminal),
        ExecMode::Detached { terminal } => detached::run(&request, terminal),
    }
}

fn wait_for(request: &ExecRequest) -> Result<i32, Failure> {
    documents::check_id(&request.id)?;
    let caller = Caller::watch(request.parent)?;
    let target = Target::find(request)?;
    isolation::spare_no_more()?;
    let streams = Streams::inherited().or_fail(FailureKind::Runtime, "pass on the output")?;
    let pid = target.start(request, Ends::Streams(streams), None)?;
    let time = request.timeout_millis.map(Duration::from_millis);
    Ok(caller.wait(pid.as_raw().cast_unsigned(), time, || kill_session(pid)))
}

/// The command leads a session of its own: its children go with it, unless they left it.
fn kill_session(pid: Pid) {
    let _ = killpg(pid, Signal::SIGKILL);
    let _ = kill(pid, Signal::SIGKILL);
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
    cgroup: Cgroup,
    root: Root,
    /// What the container may do; its specification has what its start took.
    granted: Capabilities,
    /// Supplementary groups that its creator gave it.
    groups: Vec<String>,
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
        let asked = RunRequest::load(container.bundle())?;
        let granted = capabilities::granted(&asked.security, controls_devices(&cgroup))?;
        let root = Root::open(PathBuf::from(format!("/proc/{}/root", state.init.pid)))
            .or_fail(FailureKind::Runtime, "look into the container")?;
        join_network(state.init.pid)?;
        // What was opened is the container's only if its process lived all the time.
        if !state.init.is_alive() {
            return Err(not_running());
        }
        Ok(Self { spec, cgroup, root, granted, groups: asked.process.groups })
    }

    fn start(
        &self,
        request: &ExecRequest,
        ends: Ends,
        terminal: Option<TerminalSize>,
    ) -> Result<Pid, Failure> {
        let mut process = self.process(request, terminal.is_some())?;
        process.set_terminal(terminal.map(|_| true));
        let process = in_memory(&process).or_fail(FailureKind::Runtime, "describe the command")?;
        let path = format!("/proc/self/fd/{}", process.as_raw_fd());
        let prepared = Prepared { granted: self.granted.clone(), variables: Vec::new(), terminal };
        runtime::join(&request.id, &request.runtime_dir, ends, prepared, |builder| {
            builder.as_tenant().with_detach(true).with_process(Some(path)).build()
        })
    }

    /// The container's own process with what the command has of its own. libcontainer would begin with defaults, which
    /// lower the limit of open files.
    fn process(&self, request: &ExecRequest, terminal: bool) -> Result<Process, Failure> {
        let own = self.spec.process().as_ref();
        let mut process =
            own.ok_or_else(|| Failure::new(FailureKind::Runtime, "the container has no process"))?.clone();
        let user = self.user(request, process.user())?;
        let env = environment(request, &user, terminal, process.env().as_deref().unwrap_or_default());
        if let Some(cwd) = &request.process.cwd {
            if !cwd.starts_with('/') {
                return Err(Failure::invalid(format!("the working directory {cwd} is not absolute")));
            }
            process.set_cwd(cwd.into());
        }
        process.set_user(spec::user(&user).or_fail(FailureKind::Runtime, "describe the user")?);
        process.set_args(Some(request.process.args.clone())).set_env(Some(env));
        Ok(process)
    }

    /// As asked for, else the container's own.
    fn user(&self, request: &ExecRequest, own: &oci_spec::runtime::User) -> Result<User, Failure> {
        if request.process.user.is_some() {
            // The container's groups are those of every user in it.
            let groups = [&self.groups[..], &request.process.groups].concat();
            return user::look_up(&self.root, &crate::Process { groups, ..request.process.clone() });
        }
        let mut groups = own.additional_gids().clone().unwrap_or_default();
        groups.extend(&request.process.additional_gids);
        Ok(User { uid: own.uid(), gid: own.gid(), groups, home: String::new() })
    }
}

/// The container's own, and what is added to it.
fn environment(request: &ExecRequest, user: &User, terminal: bool, own: &[String]) -> Vec<String> {
    let mut added = request.process.env.clone();
    if terminal && !own.iter().any(|entry| entry.starts_with("TERM=")) {
        added.entry("TERM".to_owned()).or_insert_with(|| DEFAULT_TERM.to_owned());
    }
    if !user.home.is_empty() {
        added.entry("HOME".to_owned()).or_insert_with(|| user.home.clone());
    }
    let is_replaced =
        |entry: &String| entry.split_once('=').is_some_and(|(name, _)| added.contains_key(name));
    let kept = own.iter().filter(|entry| !is_replaced(entry)).cloned();
    kept.chain(added.iter().map(|(name, value)| format!("{name}={value}"))).collect()
}

/// A file that libcontainer can read and nobody else finds: the environment may hold secrets.
fn in_memory(process: &Process) -> std::io::Result<OwnedFd> {
    let memory = rustix::fs::memfd_create("process", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(memory);
    file.write_all(&serde_json::to_vec(process)?)?;
    Ok(file.into())
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
