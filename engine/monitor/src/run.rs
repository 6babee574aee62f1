//! `homeostat monitor run DIRECTORY`: one container from its start to its end.

use std::net::IpAddr;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fs_err as fs;
use homeostat_files::lock::{self, LockError};
use homeostat_files::overlay::{self, Overlay, Upper};
use homeostat_files::{Root, read_json, write_json_durably};
use homeostat_log::Writer;
use homeostat_network::{HostSocket, ReserveError, Reserved};
use homeostat_reconciler::ports::AttachEnd;
use homeostat_spec::{PublishedPort, TmpfsOptions};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use oci_spec::runtime::{Capabilities, Spec};

use crate::cgroup::{Cgroup, controls_devices};
use crate::clients::Clients;
use crate::container::names::{self, Names};
use crate::container::spec::{self, Bind};
use crate::container::targets::{self, Created};
use crate::container::{capabilities, devices, executor, kernel, mounts, user};
use crate::failure::OrFail as _;
use crate::runtime::Prepared;
use crate::session::Session;
use crate::supervise::{self, Ending};
use crate::{
    ATTACH_SOCKET, EXIT_FILE, ExitRecord, Failure, FailureKind, Network, ProcessIdentity, RUN_FILE, Report,
    RunRequest, RunState, documents, isolation, remains, runtime, stdio,
};

/// Name of the file that a monitor holds locked as long as it lives.
const LOCK_FILE: &str = "monitor.lock";

/// Name of the file that says which ports of the host the last run had, where the engine had to choose.
const PORTS_FILE: &str = "ports.json";

/// Name of the directory where the root file system is mounted.
const ROOT_DIRECTORY: &str = "rootfs";

/// Runs the container and returns when it has ended and nothing is left of it.
pub(crate) fn run(directory: &Path) -> ExitCode {
    // A monitor that is started from a shell must not end with it; one that leads a session already stays so.
    let _ = nix::unistd::setsid();
    let lock = match take_lock(directory) {
        Ok(lock) => lock,
        Err(failure) => {
            // Whoever has the lock also has the records.
            report(&Report::Failed(failure));
            return ExitCode::FAILURE;
        }
    };
    let code = match begin(directory) {
        Ok(running) => {
            report(&Report::Ready(running.state.clone()));
            // Nobody waits for this any more: the kernel takes its time for such a move.
            let _ = running.cgroup.put_beside(std::process::id());
            isolation::give_back_memory();
            running.finish();
            ExitCode::SUCCESS
        }
        Err(failure) => {
            record_failure(directory, &failure);
            report(&Report::Failed(failure));
            ExitCode::FAILURE
        }
    };
    drop(lock);
    code
}

/// A container that runs, and what it holds.
struct Running {
    directory: PathBuf,
    request: RunRequest,
    state: RunState,
    cgroup: Cgroup,
    session: Session,
    signals: SignalFd,
    /// Held as long as the container runs.
    _ports: Reserved,
}

fn begin(directory: &Path) -> Result<Running, Failure> {
    let request = RunRequest::load(directory)?;
    show_key(&request.key);
    forget_last_run(directory, &request)?;
    let made = make(directory, request.clone());
    if made.is_err() {
        // What failed matters more than what cannot be removed; the next start tries again.
        let _ = remains::remove(&request);
    }
    made
}

fn make(directory: &Path, request: RunRequest) -> Result<Running, Failure> {
    let signals = isolation::take_signals(&[Signal::SIGCHLD, Signal::SIGHUP])?;
    let cgroup = Cgroup::at(&request.cgroup).or_fail(FailureKind::Unsupported, "use cgroups")?;
    refuse_unsupported(&request, &cgroup)?;
    kernel::refuse_above_own(&request)?;
    let ports = reserve(directory, &request)?;
    enter_network(&request)?;
    kernel::set_network_parameters(&request)?;
    let rootfs = mount_root(directory, &request)?;
    let granted = capabilities::granted(&request.security, controls_devices(&cgroup))?;
    let spec = specify(directory, &request, &rootfs, &cgroup, &granted)?;
    let log = open_log(directory, &request)?;
    let clients = Clients::listen(directory)?;
    let (ends, expected) = stdio::prepare(request.terminal, request.stdin_open, directory, "console.sock")?;
    let terminal = request.terminal.then(|| clients.size().unwrap_or_default());
    let spared = isolation::spare_no_more()?;
    let prepared = Prepared { granted, variables: Vec::new(), terminal };
    let init = runtime::start(&request.id, &spec, directory, &request.runtime_dir, ends, prepared)?;
    spared.again();
    let session = Session::new(expected.take()?, Some(log), clients);
    let monitor =
        ProcessIdentity::of(std::process::id()).or_fail(FailureKind::Runtime, "find this process")?;
    let state = RunState { monitor, init, started_at: Timestamp::now(), ports: ports.ports.clone() };
    state.save(directory)?;
    Ok(Running { directory: directory.to_owned(), request, state, cgroup, session, signals, _ports: ports })
}

fn take_lock(directory: &Path) -> Result<lock::Lock, Failure> {
    lock::exclusive(directory.join(LOCK_FILE)).map_err(|error| match error {
        LockError::Held { .. } => Failure::invalid(format!("the container runs already: {error}")),
        LockError::File(_) => Failure::new(FailureKind::Runtime, crate::failure::chain(&error)),
    })
}

/// Makes the container's key this process's name in lists of processes, as far as it fits.
fn show_key(key: &str) {
    if let Ok(name) = std::ffi::CString::new(key) {
        let _ = nix::sys::prctl::set_name(&name);
    }
}

/// A run that was cut off left things; one that ended left its records.
fn forget_last_run(directory: &Path, request: &RunRequest) -> Result<(), Failure> {
    for name in [EXIT_FILE, RUN_FILE] {
        match fs::remove_file(directory.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).or_fail(FailureKind::Runtime, "forget the last run");
            }
            _ => {}
        }
    }
    remains::remove(request).or_fail(FailureKind::Runtime, "remove what is left of the last run")
}

fn refuse_unsupported(request: &RunRequest, cgroup: &Cgroup) -> Result<(), Failure> {
    let missing = cgroup.unsupported(&request.resources);
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("this host has no cgroup controller for the limit of {}", missing.join(" and "));
    Err(Failure::new(FailureKind::Unsupported, message).with_hint(
        "enable it in the kernel's command line (cgroup_enable=memory on a Raspberry Pi), or take the limit away",
    ))
}

fn open_log(directory: &Path, request: &RunRequest) -> Result<Writer, Failure> {
    let rotation = documents::read_rotation(directory).unwrap_or_else(|| request.log.rotation.clone());
    Writer::new(&request.log.directory, rotation).or_fail(FailureKind::Runtime, "open the log")
}

/// Takes the ports of the host. Those that are chosen here stay the same from run to run while they are free.
fn reserve(directory: &Path, request: &RunRequest) -> Result<Reserved, Failure> {
    let choices = request.ports.iter().any(PublishedPort::is_chosen);
    let file = directory.join(PORTS_FILE);
    // A file that cannot be read is as good as none: other ports are as good.
    let before = if choices { read_json::<Vec<PublishedPort>>(&file).ok().flatten() } else { None };
    let before = before.unwrap_or_default();
    let reserved = homeostat_network::reserve(&request.ports, &before).map_err(|error| {
        let kind = match error {
            ReserveError::InUse { .. } | ReserveError::NoneFree { .. } => FailureKind::PortInUse,
            ReserveError::NoSuchAddress { .. } => FailureKind::InvalidRequest,
            ReserveError::Kernel { .. } => FailureKind::Runtime,
        };
        Failure::new(kind, crate::failure::chain(&error))
    })?;
    if choices && reserved.ports != before {
        write_json_durably(&file, &reserved.ports).or_fail(FailureKind::Runtime, "note the chosen ports")?;
    }
    Ok(reserved)
}

fn enter_network(request: &RunRequest) -> Result<(), Failure> {
    let failed = |error: homeostat_network::NetworkError| Failure {
        kind: FailureKind::Network,
        message: crate::failure::chain(&error),
        hint: error.hint().map(str::to_owned),
    };
    match &request.network {
        Network::Host => isolation::leave_host(false),
        Network::None => {
            isolation::leave_host(true)?;
            homeostat_network::loopback_up().map_err(failed)
        }
        Network::Bridges(attachments) => {
            let host = HostSocket::open().map_err(failed)?;
            isolation::leave_host(true)?;
            attachments
                .iter()
                .try_for_each(|attachment| homeostat_network::attach(&host, attachment))
                .map_err(failed)
        }
    }
}

/// Mounts the layers in this process's own mount namespace.
fn mount_root(directory: &Path, request: &RunRequest) -> Result<PathBuf, Failure> {
    let rootfs = directory.join(ROOT_DIRECTORY);
    let layers = &request.rootfs;
    for path in [&rootfs, &layers.upper, &layers.work] {
        fs::create_dir_all(path)
            .or_fail(FailureKind::Runtime, "make a directory for the root file system")?;
    }
    let upper = Upper { directory: layers.upper.clone(), work: layers.work.clone(), durable: true };
    let overlay = Overlay { lower: layers.lower.clone(), upper: Some(upper) };
    overlay::mount(&overlay, &rootfs).or_fail(FailureKind::Runtime, "mount the root file system")?;
    isolation::forbid_devices(&rootfs)?;
    Ok(rootfs)
}

fn specify(
    directory: &Path,
    request: &RunRequest,
    rootfs: &Path,
    cgroup: &Cgroup,
    granted: &Capabilities,
) -> Result<Spec, Failure> {
    let root = Root::open(rootfs).or_fail(FailureKind::Runtime, "open the root file system")?;
    targets::refuse_links(&root)?;
    let process = &request.process;
    let user = user::look_up(&root, process)?;
    let names = write_names(directory, request)?;
    // What is created here belongs to the container's own layer.
    let mut created = Created::default();
    let binds = mounts::place(&root, &request.mounts, names, &mut created)?;
    let cwd = mounts::working_directory(&root, process.cwd.as_deref(), &binds, &mut created)?;
    let devices = devices::find(&request.kernel.devices, controls_devices(cgroup))?;
    let content = spec::Content {
        rootfs,
        read_only: request.rootfs.read_only,
        args: &process.args,
        env: executor::environment(&process.env, &user.home, &request.hostname, request.terminal)?,
        cwd: &cwd,
        user: &user,
        hostname: &request.hostname,
        binds: &binds,
        resources: &request.resources,
        granted,
        no_new_privileges: request.security.no_new_privileges,
        kernel: &request.kernel,
        init: request.init,
        confinement: request.confinement,
        devices: &devices,
        terminal: request.terminal,
        cgroup,
        cgroup_path: &request.cgroup,
    };
    spec::build(&content).or_fail(FailureKind::Runtime, "describe the container")
}

/// Writes the files that tell the container its names, to be mounted over the image's.
fn write_names(directory: &Path, request: &RunRequest) -> Result<Vec<Bind>, Failure> {
    let names = match &request.network {
        Network::Host => names::for_host_network(&request.hostname, &request.dns),
        Network::None => names::for_container(&request.hostname, None, &request.dns),
        Network::Bridges(attachments) => {
            let address = attachments.first().map(|attachment| IpAddr::V4(attachment.address));
            names::for_container(&request.hostname, address, &request.dns)
        }
    };
    let Names { hosts, hostname, resolv_conf } = names;
    let files = [("hosts", hosts), ("hostname", hostname), ("resolv.conf", resolv_conf)];
    let write = |(name, content): (&str, String)| {
        let path = directory.join(name);
        fs::write(&path, content).or_fail(FailureKind::Runtime, "write the container's names")?;
        let target = Path::new("/etc").join(name);
        Ok(Bind {
            source: Some(path),
            target,
            read_only: request.rootfs.read_only,
            devices: false,
            tmpfs: TmpfsOptions::default(),
        })
    };
    files.into_iter().map(write).collect()
}

impl Running {
    /// Passes on the container's output until it ends, then takes everything away and records how it ended.
    fn finish(mut self) {
        let ending = supervise::until_end(&self.state.init, &mut self.session, &self.signals, || {
            documents::read_rotation(&self.directory)
        });
        let finished_at = Timestamp::now();
        let oom_killed = self.cgroup.oom_kills().is_ok_and(|kills| kills > 0);
        let _ = overlay::unmount(self.directory.join(ROOT_DIRECTORY));
        let removed = remains::remove(&self.request);
        let error =
            removed.err().map(|error| Failure::new(FailureKind::Runtime, crate::failure::chain(&error)));
        let Ending { code, signal } = ending;
        let record = ExitRecord {
            code,
            signal,
            oom_killed,
            started_at: Some(self.state.started_at),
            finished_at,
            error,
        };
        save_record(&self.directory, &record);
        // What the record says now.
        let _ = fs::remove_file(self.directory.join(RUN_FILE));
        let _ = fs::remove_file(self.directory.join(ATTACH_SOCKET));
        self.session.end(AttachEnd { code: Some(code), ..AttachEnd::default() });
    }
}

fn record_failure(directory: &Path, failure: &Failure) {
    let record = ExitRecord {
        code: failure.kind.exit_code(),
        signal: None,
        oom_killed: false,
        started_at: None,
        finished_at: Timestamp::now(),
        error: Some(failure.clone()),
    };
    save_record(directory, &record);
}

/// Saves the record; a full disk may have room again in a moment.
fn save_record(directory: &Path, record: &ExitRecord) {
    const ATTEMPTS: u32 = 10;
    for attempt in 1..=ATTEMPTS {
        if write_json_durably(directory.join(EXIT_FILE), record).is_ok() || attempt == ATTEMPTS {
            break;
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

/// Tells the engine how the start went, then lets go of its pipes.
pub(crate) fn report(report: &Report) {
    if let Ok(mut line) = serde_json::to_vec(report) {
        line.push(b'\n');
        // If the engine is gone it reads the files when it is back.
        let _ = std::io::Write::write_all(&mut std::io::stdout(), &line);
        let _ = std::io::Write::flush(&mut std::io::stdout());
    }
    if let Ok(null) = fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
        for stream in 0..=2 {
            let _ = nix::unistd::dup2(null.file().as_raw_fd(), stream);
        }
    }
}
