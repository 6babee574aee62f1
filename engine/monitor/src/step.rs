//! `homeostat monitor step`: one command of a build in a root file system.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fs_err as fs;
use homeostat_files::Root;
use homeostat_spec::{Confinement, Kernel, Resources, TmpfsOptions};
use nix::mount::{MsFlags, mount};

use crate::cgroup::{Cgroup, controls_devices};
use crate::container::names;
use crate::container::spec::{self, Bind};
use crate::container::targets::{self, Created, TargetKind};
use crate::container::{capabilities, executor, mounts, user};
use crate::failure::{OrFail as _, chain};
use crate::foreground::{self, Caller};
use crate::runtime::{self, Prepared, Streams};
use crate::stdio::Ends;
use crate::{
    Failure, FailureKind, ProcessIdentity, Security, StepNetwork, StepRequest, documents, isolation, remains,
};

/// Runs the command and returns its exit code.
pub(crate) fn step() -> ExitCode {
    foreground::conclude(foreground::request().and_then(|request| execute(&request)))
}

fn execute(request: &StepRequest) -> Result<i32, Failure> {
    documents::check_id(&request.id)?;
    let caller = Caller::watch(request.parent)?;
    // What a signal to the caller's terminal means is the caller's to decide.
    let _ = nix::unistd::setsid();
    let cgroup = Cgroup::at(&request.cgroup).or_fail(FailureKind::Unsupported, "use cgroups")?;
    let bundle = request.runtime_dir.join(format!("{}.bundle", request.id));
    clear(request, &cgroup, &bundle)?;
    let mut created = Created::default();
    let started = begin(request, &cgroup, &bundle, &mut created);
    let code = started.map(|init| {
        caller.wait(init.pid, None, || {
            let _ = cgroup.kill();
        })
    });
    let cleared = clear(request, &cgroup, &bundle);
    created.remove();
    code.and_then(|code| cleared.map(|()| code))
}

fn begin(
    request: &StepRequest,
    cgroup: &Cgroup,
    bundle: &Path,
    created: &mut Created,
) -> Result<ProcessIdentity, Failure> {
    isolation::spare_no_more()?;
    isolation::leave_host(request.network == StepNetwork::None)?;
    if request.network == StepNetwork::None {
        homeostat_network::loopback_up().or_fail(FailureKind::Network, "set up the step's network")?;
    }
    shield(&request.rootfs)?;
    fs::create_dir_all(bundle).or_fail(FailureKind::Runtime, "make the step's directory")?;
    let root = Root::open(&request.rootfs).or_fail(FailureKind::InvalidRequest, "open the root")?;
    targets::refuse_links(&root)?;
    let binds = places(&root, request, bundle, created)?;
    let process = &request.process;
    let user = user::look_up(&root, process)?;
    // A working directory that the step makes is part of its result.
    let cwd = mounts::working_directory(&root, process.cwd.as_deref(), &binds, &mut Created::default())?;
    let granted = capabilities::granted(&Security::default(), controls_devices(cgroup))?;
    let kernel = Kernel::default();
    let content = spec::Content {
        kernel: &kernel,
        init: false,
        confinement: Confinement::default(),
        devices: &[],
        rootfs: &request.rootfs,
        read_only: false,
        args: &process.args,
        env: executor::environment(&process.env, &user.home, names::BUILD_HOST, false)?,
        cwd: &cwd,
        user: &user,
        hostname: names::BUILD_HOST,
        binds: &binds,
        resources: &Resources::default(),
        granted: &granted,
        no_new_privileges: false,
        terminal: false,
        cgroup,
        cgroup_path: &request.cgroup,
    };
    let spec = spec::build(&content).or_fail(FailureKind::Runtime, "describe the step")?;
    let streams =
        Streams::inherited().map(Ends::Streams).or_fail(FailureKind::Runtime, "pass on the output")?;
    let secrets = executor::secret_variables(&request.secrets)?;
    let program = Prepared { granted, variables: secrets, terminal: None };
    runtime::start(&request.id, &spec, bundle, &request.runtime_dir, streams, program)
}

/// Mounts the root over itself without device files, in this process's own mount namespace.
fn shield(rootfs: &Path) -> Result<(), Failure> {
    let none: Option<&str> = None;
    mount(Some(rootfs), rootfs, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)
        .or_fail(FailureKind::Runtime, "mount the root file system")?;
    isolation::forbid_devices(rootfs)
}

/// Makes a place for everything that will be mounted, also where the runtime would: so that all of it can be
/// taken away again.
fn places(
    root: &Root,
    request: &StepRequest,
    bundle: &Path,
    created: &mut Created,
) -> Result<Vec<Bind>, Failure> {
    for path in ["/dev", "/proc", "/sys"] {
        targets::ensure(root, path, TargetKind::Directory, created)?;
    }
    let files = [
        ("resolv.conf", names::resolv_conf(&request.dns)),
        (
            "hosts",
            match request.network {
                StepNetwork::Host => names::for_host_network(names::BUILD_HOST, &request.dns).hosts,
                StepNetwork::None => names::for_container(names::BUILD_HOST, None, &request.dns).hosts,
            },
        ),
    ];
    let write = |(name, content): (&str, String)| {
        let path: PathBuf = bundle.join(name);
        fs::write(&path, content).or_fail(FailureKind::Runtime, "write the step's names")?;
        Ok(Bind {
            source: Some(path),
            target: Path::new("/etc").join(name),
            read_only: false,
            devices: false,
            tmpfs: TmpfsOptions::default(),
        })
    };
    let names: Vec<_> = files.into_iter().map(write).collect::<Result<_, Failure>>()?;
    mounts::place(root, &request.mounts, names, created)
}

/// Ends and removes everything of the step but its result.
fn clear(request: &StepRequest, cgroup: &Cgroup, bundle: &Path) -> Result<(), Failure> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(FailureKind::Runtime, format!("cannot clean up the step: {}", chain(error)))
    };
    if cgroup.exists() {
        cgroup.kill().and_then(|()| cgroup.remove()).map_err(|error| failed(&error))?;
    }
    for directory in [&request.runtime_dir.join(&request.id), bundle] {
        remains::remove_state(directory).map_err(|error| failed(&error))?;
    }
    Ok(())
}
