//! A container with busybox in it, run by a monitor of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    dead_code,
    unreachable_pub,
    reason = "tests, each of which uses a part"
)]

pub mod attached;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use homeostat_log::{LogQuery, LogReader, LogStream};
use homeostat_monitor::cgroup::{Cgroup, Version};
use homeostat_monitor::{
    Dns, ExecMode, ExecRequest, ExitRecord, Failure, Log, Network, Process, Report, Rootfs, RunRequest,
    RunState, Security,
};
use homeostat_spec::{Confinement, Kernel, LogRotation, Resources};

/// Long enough for a loaded machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The binary that calls the monitor's `main`.
pub fn monitor() -> Command {
    let test = std::env::current_exe().unwrap();
    let directory = test.parent().unwrap().parent().unwrap();
    Command::new(directory.join("examples/monitor"))
}

/// Docker's default set, as `CapBnd` of a container shows it; without `CAP_MKNOD` where devices are not controlled.
pub fn default_capabilities() -> &'static str {
    match Cgroup::at("any").unwrap().version() {
        Version::V1 => "00000000a80425fb",
        Version::V2 => "00000000a00425fb",
    }
}

/// A directory with a busybox root file system that is not mounted anywhere.
pub struct Files {
    pub base: tempfile::TempDir,
}

impl Files {
    pub fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        let layer = base.path().join("layer");
        for directory in ["bin", "etc", "tmp", "root"] {
            fs::create_dir_all(layer.join(directory)).unwrap();
        }
        fs::copy("/bin/busybox", layer.join("bin/busybox")).unwrap();
        let list = Command::new("/bin/busybox").arg("--list").output().unwrap();
        for applet in String::from_utf8(list.stdout).unwrap().lines().filter(|applet| *applet != "busybox") {
            symlink("busybox", layer.join("bin").join(applet)).unwrap();
        }
        fs::write(layer.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n")
            .unwrap();
        fs::write(layer.join("etc/group"), "root:x:0:\nwww:x:34:\nextra:x:50:web\n").unwrap();
        Self { base }
    }

    pub fn path(&self) -> &Path {
        self.base.path()
    }

    pub fn layer(&self) -> PathBuf {
        self.path().join("layer")
    }
}

pub fn shell(script: &str) -> Process {
    process(&["sh", "-c", script])
}

pub fn process(args: &[&str]) -> Process {
    Process {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: BTreeMap::new(),
        cwd: None,
        user: None,
        additional_gids: Vec::new(),
        groups: Vec::new(),
    }
}

/// One container.
pub struct Container {
    pub files: Files,
    pub request: RunRequest,
    pub monitor: Option<Child>,
}

impl Container {
    pub fn new(process: Process) -> Self {
        let files = Files::new();
        let directory = files.path().join("container");
        fs::create_dir_all(&directory).unwrap();
        // The random name of the directory is unique on this host.
        let name = files.path().file_name().unwrap().to_str().unwrap();
        let id = format!("test{}", name.trim_start_matches('.'));
        let request = RunRequest {
            key: "test/container".into(),
            rootfs: Rootfs {
                lower: vec![files.layer()],
                upper: files.path().join("upper"),
                work: files.path().join("work"),
                read_only: false,
            },
            process,
            hostname: "box".into(),
            mounts: Vec::new(),
            terminal: false,
            stdin_open: false,
            network: Network::None,
            ports: Vec::new(),
            dns: Dns::default(),
            resources: Resources::default(),
            security: Security::default(),
            kernel: Kernel::default(),
            confinement: Confinement::default(),
            init: false,
            cgroup: PathBuf::from(format!("homeostat-{id}")),
            log: Log {
                directory: files.path().join("log"),
                rotation: LogRotation { max_size: 1 << 20, max_files: 3 },
            },
            runtime_dir: files.path().join("runtime"),
            id,
        };
        Self { files, request, monitor: None }
    }

    pub fn directory(&self) -> PathBuf {
        self.files.path().join("container")
    }

    pub fn cgroup(&self) -> Cgroup {
        Cgroup::at(&self.request.cgroup).unwrap()
    }

    pub fn start(&mut self) -> Result<RunState, Failure> {
        self.start_with(Stdio::null())
    }

    /// Starts the monitor with this as its stdin.
    pub fn start_with(&mut self, stdin: impl Into<Stdio>) -> Result<RunState, Failure> {
        self.request.save(&self.directory()).unwrap();
        let mut monitor =
            monitor().arg("run").arg(self.directory()).stdin(stdin).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(monitor.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.monitor = Some(monitor);
        match serde_json::from_str(&line) {
            Ok(Report::Ready(state)) => Ok(state),
            Ok(Report::Failed(failure)) => Err(failure),
            Err(error) => panic!("the monitor said {line:?}: {error}"),
        }
    }

    /// Waits until the monitor has ended.
    pub fn wait(&mut self) -> ExitRecord {
        let mut monitor = self.monitor.take().expect("started");
        until("the monitor ends", || monitor.try_wait().unwrap().is_some());
        ExitRecord::load(&self.directory()).unwrap().expect("a record")
    }

    /// Starts, waits, and returns the record and what was written to stdout.
    pub fn run(&mut self) -> (ExitRecord, String) {
        self.start().unwrap();
        let record = self.wait();
        (record, self.output(LogStream::Stdout))
    }

    pub fn output(&self, stream: LogStream) -> String {
        let mut reader = LogReader::open(&self.request.log.directory, &LogQuery::default()).unwrap();
        let mut text = String::new();
        while let Some(line) = reader.next_line().unwrap() {
            if line.stream == stream {
                text.push_str(&String::from_utf8_lossy(&line.text));
                text.push('\n');
            }
        }
        text
    }

    /// Waits until the container has written a line.
    pub fn wait_for_line(&self, line: &str) {
        until(&format!("the line {line}"), || {
            self.output(LogStream::Stdout).lines().any(|found| found == line)
        });
    }

    pub fn exec(&self, process: Process) -> std::process::Output {
        let request = ExecRequest {
            mode: ExecMode::Waiting,
            parent: std::process::id(),
            runtime_dir: self.request.runtime_dir.clone(),
            id: self.request.id.clone(),
            process,
            timeout_millis: None,
        };
        exec(&request)
    }

    pub fn assert_nothing_left(&self) {
        assert!(!self.cgroup().exists(), "cgroups are left");
        assert!(!self.request.runtime_dir.join(&self.request.id).exists(), "the runtime's state is left");
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let base = self.files.path().to_str().unwrap();
        assert!(!mounts.contains(base), "a mount is left");
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(monitor) = &mut self.monitor {
            let _ = monitor.kill();
            let _ = monitor.wait();
        }
        let _ = homeostat_monitor::remove_remains(&self.request);
    }
}

pub fn exec(request: &ExecRequest) -> std::process::Output {
    feed(monitor().arg("exec"), &serde_json::to_vec(request).unwrap())
}

/// Runs a command with these bytes on its stdin.
pub fn feed(command: &mut Command, bytes: &[u8]) -> std::process::Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap()
}

/// Looks again and again until it is so.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
