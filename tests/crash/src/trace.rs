//! A command, watched from system call to system call.

use std::collections::{HashMap, HashSet};
use std::io::{Read as _, Seek as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::Point;

/// What happens to a command at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It goes on.
    Go,
    /// It is killed, before the system call does anything.
    Kill,
}

/// What came of a command that was watched.
#[derive(Debug)]
pub struct Trace {
    /// How it ended; `None` when it was killed at a point.
    pub status: Option<ExitStatus>,
    /// How many points it has come to.
    pub points: usize,
    /// What it has written.
    pub output: String,
}

/// Runs a command, and asks at each point beneath `directory` whether it goes on. Several writes of a
/// thread to one file, one after the other, are one point. All threads of the process count, and none of the processes that it starts.
pub fn trace(command: &Command, directory: &Path, watch: impl FnMut(&Point) -> Next + Send) -> Trace {
    // A thread of its own has no other children: those of the test are none of its business.
    std::thread::scope(|scope| scope.spawn(|| watched(command, directory, watch)).join().unwrap())
}

fn watched(command: &Command, directory: &Path, mut watch: impl FnMut(&Point) -> Next) -> Trace {
    let mut output = tempfile::tempfile().unwrap();
    let process = start(command, &output);
    let mut tracer = Tracer { process, inside: HashSet::new(), status: None };
    let mut last = HashMap::new();
    let mut points = 0;
    let mut killed = false;
    while let Some(thread) = tracer.next_call() {
        let point = Point::of(thread, directory);
        let repeated = last.insert(thread, point.clone()) == Some(point.clone());
        if let Some(point) = point.filter(|_| !killed && !repeated) {
            points += 1;
            killed = watch(&point) == Next::Kill;
        }
        if killed {
            let _ = kill(process, Signal::SIGKILL);
        } else {
            resume(thread, None);
        }
    }
    let mut text = String::new();
    output.rewind().unwrap();
    output.read_to_string(&mut text).unwrap();
    Trace { status: if killed { None } else { tracer.status }, points, output: text }
}

/// Starts the command, watched from its first system call on.
fn start(command: &Command, output: &std::fs::File) -> Pid {
    // It stops by itself, and is the command only when somebody watches.
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output.try_clone().unwrap());
    #[expect(clippy::zombie_processes, reason = "it is waited for as a traced process")]
    let child = shell.spawn().unwrap();
    let process = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let stopped = waitpid(process, Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert_eq!(stopped, WaitStatus::Stopped(process, Signal::SIGSTOP));
    let options = Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL;
    ptrace::seize(process, options).unwrap();
    kill(process, Signal::SIGCONT).unwrap();
    process
}

struct Tracer {
    process: Pid,
    /// Threads that are in a system call.
    inside: HashSet<Pid>,
    status: Option<ExitStatus>,
}

impl Tracer {
    /// The next thread that begins a system call, stopped; `None` when the process is gone.
    fn next_call(&mut self) -> Option<Pid> {
        let any = Pid::from_raw(-1);
        loop {
            match waitpid(any, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
                Ok(WaitStatus::PtraceSyscall(thread)) => {
                    if self.inside.insert(thread) {
                        return Some(thread);
                    }
                    self.inside.remove(&thread);
                    resume(thread, None);
                }
                Ok(WaitStatus::PtraceEvent(thread, ..)) => resume(thread, None),
                Ok(WaitStatus::Stopped(thread, signal)) => resume(thread, Some(signal)),
                Ok(WaitStatus::Exited(thread, code)) => self.ended(thread, code << 8),
                Ok(WaitStatus::Signaled(thread, signal, _)) => self.ended(thread, signal as i32),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn ended(&mut self, thread: Pid, status: i32) {
        self.inside.remove(&thread);
        if thread == self.process {
            self.status = Some(ExitStatus::from_raw(status));
        }
    }
}

/// It may have been killed meanwhile.
fn resume(thread: Pid, signal: Option<Signal>) {
    let _ = ptrace::syscall(thread, signal);
}
