//! An agent that runs in the background.

use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::host::container_of;
use crate::{Host, eventually};

/// `homeostat agent`, ended with the test.
pub struct Agent<'a> {
    host: &'a Host,
    child: Child,
}

impl<'a> Agent<'a> {
    /// Starts an agent and waits until it answers.
    pub fn start(host: &'a Host, source: &str, options: &[&str]) -> Self {
        let log = fs_err::OpenOptions::new().create(true).append(true).open(host.path("agent.log"));
        let child = host
            .command()
            .args(["agent", "--source", source])
            .args(options)
            .stdout(Stdio::null())
            .stderr(log.expect("a log file").into_parts().0)
            .spawn()
            .expect("the binary can be run");
        let mut agent = Self { host, child };
        eventually("the agent answers", || {
            assert!(agent.child.try_wait().expect("a child").is_none(), "the agent ended: {}", agent.log());
            // A socket that a killed agent left does not count.
            UnixStream::connect(host.path("run/agent.sock")).ok()
        });
        agent
    }

    /// What it has logged so far, with the agents before it.
    pub fn log(&self) -> String {
        fs_err::read_to_string(self.host.path("agent.log")).unwrap_or_default()
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process ids are small")
    }

    /// Waits until a container's status is as wanted, and returns it.
    pub fn wait_for(&self, key: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(&format!("{key} is {what}"), || {
                last = container_of(&self.host.status(), key);
                wanted(&last).then(|| last.clone())
            })
        }));
        found.unwrap_or_else(|_| panic!("{key} is not {what}: {last}\n{}", self.log()))
    }

    /// Waits until a container runs.
    pub fn wait_running(&self, key: &str) -> Value {
        self.wait_for(key, "running", |status| status["actual"] == "running")
    }

    /// Waits until everything is as declared.
    pub fn wait_converged(&self) -> Value {
        eventually("everything is as declared", || {
            let status = self.host.status();
            (status["converged"] == true).then_some(status)
        })
    }

    /// Ends it with a signal and waits for its end.
    pub fn end(mut self, signal: Signal) -> Option<i32> {
        kill(Pid::from_raw(self.pid()), signal).expect("the agent runs");
        self.child.wait().expect("a child").code()
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(Pid::from_raw(self.pid()), Signal::SIGTERM);
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}
