//! A daemon and the script that keeps it.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Release;
use crate::ping::Endpoint;

const KEEPER: &str = include_str!("keeper.sh");

/// Lines of the log that a failed test shows.
const SHOWN: usize = 40;

/// A daemon of one test.
#[derive(Debug)]
pub struct Daemon {
    directory: PathBuf,
    endpoint: Endpoint,
    keeper: Child,
    /// Closed to end everything.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    process: Option<Pid>,
}

impl Daemon {
    /// Keeps a command that is yet to be started and listens there then. The directory is taken away in the end.
    pub(crate) fn keep(
        directory: &Path,
        endpoint: Endpoint,
        release: &Release,
        command: &mut Command,
    ) -> Self {
        let name = format!("homeostat-test-{}-{}", std::process::id(), unique());
        let mut keeper = Command::new("bash");
        keeper.args(["-c", KEEPER, "keeper"]).arg(directory).arg(name).arg(release.root());
        keeper.arg(command.get_program()).args(command.get_args());
        for (variable, value) in command.get_envs() {
            keeper.env(variable, value.unwrap());
        }
        let log = fs_err::File::create(directory.join("log")).unwrap();
        // A group of its own, that who ends a test by its group's signal leaves the keeper to do its work.
        keeper.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log.into_parts().0);
        let mut keeper = keeper.spawn().unwrap();
        let orders = keeper.stdin.take();
        let answers = BufReader::new(keeper.stdout.take().unwrap());
        Self { directory: directory.to_owned(), endpoint, keeper, orders, answers, process: None }
    }

    /// The socket of an engine's API.
    pub fn socket(&self) -> &Path {
        let Endpoint::Engine(socket) = &self.endpoint else { panic!("a registry has no socket") };
        socket
    }

    /// Starts it, and waits until it answers.
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "it runs");
        self.orders.as_mut().unwrap().write_all(b"start\n").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        let Ok(process) = answer.trim().parse() else { panic!("it does not start:\n{}", self.logs()) };
        self.process = Some(Pid::from_raw(process));
        if let Err(error) = self.endpoint.wait() {
            panic!("it does not answer: {error}\n{}", self.logs());
        }
    }

    /// Ends it as an administrator does, and waits until it has ended.
    pub fn stop(&mut self) {
        self.end(Signal::SIGTERM);
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.end(Signal::SIGKILL);
    }

    /// Stops and starts it.
    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// Everything that it has is lost, as with a disk that was replaced. It must not run.
    pub fn lose_everything(&self) {
        assert!(self.process.is_none(), "it runs");
        fs_err::remove_dir_all(self.directory.join("data")).unwrap();
    }

    /// From now on it hangs: connections are taken by the kernel, and never answered.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// It goes on after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// What it has logged.
    pub fn logs(&self) -> String {
        fs_err::read_to_string(self.directory.join("log")).unwrap_or_else(|error| error.to_string())
    }

    fn signal(&self, signal: Signal) {
        kill(self.process.expect("it runs"), signal).unwrap();
    }

    fn end(&mut self, signal: Signal) {
        let process = self.process.take().expect("it runs");
        // Docker's containerd goes a moment after it, and the next Docker would still count on it.
        let mut ending = children(process);
        ending.push(process);
        kill(process, signal).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while ending.iter().any(|process| is_alive(*process)) {
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = self.logs();
            let lines: Vec<_> = logs.lines().collect();
            let mut shown = String::new();
            for line in &lines[lines.len().saturating_sub(SHOWN)..] {
                let _ = writeln!(shown, "{line}");
            }
            eprintln!("the end of the daemon's log:\n{shown}");
        }
        drop(self.orders.take());
        let _ = self.keeper.wait();
    }
}

fn children(process: Pid) -> Vec<Pid> {
    let tasks = fs_err::read_dir(format!("/proc/{process}/task")).unwrap();
    let lists = tasks.filter_map(|task| fs_err::read_to_string(task.ok()?.path().join("children")).ok());
    let children =
        lists.flat_map(|list| list.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<_>>());
    children.map(Pid::from_raw).collect()
}

/// Whether the process is there and has not ended; who inherits it may be slow to notice.
fn is_alive(process: Pid) -> bool {
    let status = fs_err::read_to_string(format!("/proc/{process}/stat"));
    status.is_ok_and(|status| !status.rsplit(')').next().unwrap_or_default().starts_with(" Z"))
}

/// A number that no other daemon of this process has.
fn unique() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
