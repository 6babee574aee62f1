//! The last moments before the program: in the container's first process, after everything else is set up.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString};
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::rc::Rc;

use fs_err as fs;
use homeostat_reconciler::ports::TerminalSize;
use homeostat_spec::Secret;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::{AccessFlags, execve};
use oci_spec::runtime::{Capabilities, Spec};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::capabilities::bit;
use super::init;
use super::seccomp::{self, Filter};
use crate::failure::OrFail as _;
use crate::input::set_size;
use crate::{Failure, FailureKind};

/// Where programs are looked for in a container whose environment says nothing: Docker's default.
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a terminal can do, where the environment does not say: Docker's default.
pub(crate) const DEFAULT_TERM: &str = "xterm";

/// Runs the program of a container, and tells the monitor why it cannot.
///
/// The channel is closed by a successful exec: end of file without a word means that the program runs.
#[derive(Clone)]
pub(crate) struct Program {
    channel: Rc<OwnedFd>,
    narrowing: Rc<Narrowing>,
    /// Variables that the specification, which lies on the disk, does not have.
    variables: Rc<Vec<String>>,
    /// The size of the terminal that it has.
    terminal: Option<TerminalSize>,
}

/// What is given up last of all, immediately before the program begins.
///
/// libcontainer 0.7 would load a filter itself, but makes it anew at every start, and gives none to a program in a
/// container that runs already.
pub(crate) struct Narrowing {
    /// The container's filter.
    pub(crate) filter: Filter,
    /// The container's capabilities.
    pub(crate) granted: Capabilities,
}

impl Program {
    pub(crate) fn new(
        channel: OwnedFd,
        narrowing: Narrowing,
        variables: Vec<String>,
        terminal: Option<TerminalSize>,
    ) -> Self {
        let (channel, narrowing) = (Rc::new(channel), Rc::new(narrowing));
        Self { channel, narrowing, variables: Rc::new(variables), terminal }
    }

    fn tell(&self, failure: &Failure) {
        if let Ok(text) = serde_json::to_vec(failure)
            && let Ok(channel) = self.channel.try_clone()
        {
            // If the monitor is gone there is nobody to tell.
            let _ = std::fs::File::from(channel).write_all(&text);
        }
    }

    fn run(&self, spec: &Spec) -> Result<(), Failure> {
        let (args, mut env) = words(spec)?;
        env.extend(self.variables.iter().cloned());
        let path = find(&args[0], &env)?;
        let arguments = strings(&args)?;
        let environment = strings(&env)?;
        reset_signals();
        if !seccomp::is_unconfined(spec) {
            let filter = &self.narrowing.filter;
            filter.load().or_fail(FailureKind::Unsupported, "restrict the system calls of the program")?;
        }
        if let Some(size) = self.terminal {
            own_terminal(size)?;
        }
        narrow(&self.narrowing)?;
        if init::is_wanted(spec) {
            init::stay_behind()?;
        }
        let program = CString::new(path.as_os_str().as_encoded_bytes())
            .map_err(|_| Failure::invalid("the program's path has a NUL byte"))?;
        let Err(errno) = execve::<&CStr, &CStr>(&program, &borrowed(&arguments), &borrowed(&environment));
        Err(refused(&args[0], errno))
    }
}

impl Executor for Program {
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        // The container does not outlive its monitor, which alone reads its output.
        let _ = set_pdeathsig(Signal::SIGKILL);
        let found = words(spec).and_then(|(args, env)| find(&args[0], &env));
        found.map(|_| ()).map_err(|failure| {
            self.tell(&failure);
            ExecutorValidationError::ArgValidationError(failure.message)
        })
    }

    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        // The program gets its environment with execve, whatever bytes this process's own has.
        Ok(())
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let Err(failure) = self.run(spec) else { return Ok(()) };
        self.tell(&failure);
        Err(ExecutorError::Other(failure.message))
    }
}

/// The whole environment of a program, as `NAME=VALUE`.
pub(crate) fn environment(
    env: &BTreeMap<String, String>,
    home: &str,
    hostname: &str,
    terminal: bool,
) -> Result<Vec<String>, Failure> {
    let mut env = env.clone();
    // An empty HOME counts as none: libcontainer would look for one with the image's own name service.
    env.retain(|name, value| name != "HOME" || !value.is_empty());
    for (name, value) in [("PATH", DEFAULT_PATH), ("HOME", home), ("HOSTNAME", hostname)] {
        env.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    if terminal {
        env.entry("TERM".to_owned()).or_insert_with(|| DEFAULT_TERM.to_owned());
    }
    for (name, value) in &env {
        if name.is_empty() || name.contains('=') || name.contains('\0') || value.contains('\0') {
            return Err(Failure::invalid(format!("{name:?} cannot be an environment variable")));
        }
    }
    Ok(env.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}

/// Secrets as `NAME=VALUE`.
pub(crate) fn secret_variables(secrets: &BTreeMap<String, Secret>) -> Result<Vec<String>, Failure> {
    let variable = |(name, secret): (&String, &Secret)| {
        let value = std::str::from_utf8(secret.bytes()).ok().filter(|value| !value.contains('\0'));
        match value {
            Some(value) if !name.is_empty() && !name.contains(['=', '\0']) => Ok(format!("{name}={value}")),
            _ => Err(Failure::invalid(format!("the secret for {name:?} cannot be an environment variable"))),
        }
    };
    secrets.iter().map(variable).collect()
}

fn words(spec: &Spec) -> Result<(Vec<String>, Vec<String>), Failure> {
    let process = spec.process().as_ref();
    let args = process.and_then(|process| process.args().clone()).filter(|args| !args.is_empty());
    let args = args.ok_or_else(|| Failure::invalid("there is no program to run"))?;
    let env = process.and_then(|process| process.env().clone()).unwrap_or_default();
    Ok((args, env))
}

/// The file to execute, as execvp(3) would find it.
fn find(name: &str, env: &[String]) -> Result<PathBuf, Failure> {
    if name.is_empty() {
        return Err(Failure::invalid("the program's name is empty"));
    }
    if name.contains('/') {
        let path = PathBuf::from(name);
        return check(&path, name).map(|()| path);
    }
    let path = env.iter().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let mut reason = None;
    for directory in path.split(':') {
        let candidate = PathBuf::from(if directory.is_empty() { "." } else { directory }).join(name);
        match check(&candidate, name) {
            Ok(()) => return Ok(candidate),
            Err(failure) if failure.kind == FailureKind::CommandNotFound => {}
            Err(failure) => reason = Some(failure),
        }
    }
    Err(reason.unwrap_or_else(|| {
        Failure::new(FailureKind::CommandNotFound, format!("{name} is not in any directory of PATH ({path})"))
            .with_hint("name the program by its path in the image, or install it there")
    }))
}

/// Whether this process may execute the file.
fn check(path: &std::path::Path, name: &str) -> Result<(), Failure> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(not_executable(name, "a directory on the way may not be entered"));
        }
        Err(_) => {
            return Err(Failure::new(
                FailureKind::CommandNotFound,
                format!("there is no {name} in the image"),
            ));
        }
    };
    if metadata.is_dir() {
        return Err(not_executable(name, "it is a directory"));
    }
    let executable =
        metadata.permissions().mode() & 0o111 != 0 && nix::unistd::eaccess(path, AccessFlags::X_OK).is_ok();
    if executable { Ok(()) } else { Err(not_executable(name, "it is not executable for this user")) }
}

fn not_executable(name: &str, why: &str) -> Failure {
    Failure::new(FailureKind::CommandNotExecutable, format!("{name} cannot be executed: {why}"))
}

/// What the kernel means by refusing a file that is there.
fn refused(name: &str, errno: Errno) -> Failure {
    let message = format!("{name} cannot be executed: {errno}");
    match errno {
        Errno::ENOENT => Failure::new(FailureKind::CommandNotFound, message)
            .with_hint("the interpreter in its #! line, or its dynamic loader, is not in the image"),
        Errno::ENOEXEC => Failure::new(FailureKind::CommandNotExecutable, message)
            .with_hint("it is built for another architecture, or is a script without a #! line"),
        Errno::ENOMEM | Errno::EAGAIN | Errno::E2BIG => Failure::new(FailureKind::Exhausted, message),
        _ => Failure::new(FailureKind::CommandNotExecutable, message),
    }
}

fn strings(texts: &[String]) -> Result<Vec<CString>, Failure> {
    let string = |text: &String| CString::new(text.as_bytes());
    let strings: Result<_, _> = texts.iter().map(string).collect();
    strings.map_err(|_| Failure::invalid("an argument or environment variable has a NUL byte"))
}

fn borrowed(strings: &[CString]) -> Vec<&CStr> {
    strings.iter().map(CString::as_c_str).collect()
}

fn narrow(narrowing: &Narrowing) -> Result<(), Failure> {
    let granted = narrowing.granted.iter().fold(CapabilitySet::empty(), |set, one| set | bit(*one));
    for (_, capability) in CapabilitySet::all().iter_names() {
        let bounded = rustix::thread::capability_is_in_bounding_set(capability).unwrap_or(false);
        if bounded && !granted.contains(capability) {
            rustix::thread::remove_capability_from_bounding_set(capability)
                .or_fail(FailureKind::Runtime, "give up a capability")?;
        }
    }
    let sets = CapabilitySets { effective: granted, permitted: granted, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).or_fail(FailureKind::Runtime, "give up capabilities")
}

/// The runtime has made the terminal as root, and without a size.
fn own_terminal(size: TerminalSize) -> Result<(), Failure> {
    let terminal = std::io::stdin();
    set_size(terminal.as_fd(), size);
    rustix::fs::fchown(&terminal, Some(rustix::process::getuid()), None)
        .or_fail(FailureKind::Runtime, "give the terminal to its user")
}

/// What a program expects: the monitor ignores and blocks signals, and both outlive an exec.
#[allow(unsafe_code)]
fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: the default action runs no code of this process. Those that cannot be set, as SIGKILL, need not be.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}
