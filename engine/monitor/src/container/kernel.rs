//! Limits of processes, and parameters of the kernel that a container has of its own.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use fs_err as fs;
use homeostat_spec::{Kernel, SysctlNamespace, Ulimit, sysctl_namespace};
use oci_spec::OciSpecError;
use oci_spec::runtime::{PosixRlimit, PosixRlimitBuilder, PosixRlimitType};

use crate::failure::chain;
use crate::{Failure, FailureKind, Network, RunRequest};

/// How many files a program of a container may have open unless it asks for more: as systemd gives it to services. What
/// needs more descriptors raises its limit, and what closes each that it could have does not do so a million times,
/// whatever limit homeostat itself has.
const SOFT_OPEN_FILES: u64 = 1024;

/// The limits of each process of a container.
pub(super) fn rlimits(asked: &BTreeMap<String, Ulimit>) -> Result<Vec<PosixRlimit>, OciSpecError> {
    let mut limits = Vec::new();
    for (name, limit) in asked {
        let typ: PosixRlimitType = serde_json::from_value(format!("RLIMIT_{}", name.to_uppercase()).into())?;
        limits.push(rlimit(typ, limit.soft.unwrap_or(u64::MAX), limit.hard.unwrap_or(u64::MAX))?);
    }
    if !asked.contains_key("nofile") {
        let own = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let hard = own.maximum.unwrap_or(u64::MAX);
        limits.push(rlimit(PosixRlimitType::RlimitNofile, hard.min(SOFT_OPEN_FILES), hard)?);
    }
    Ok(limits)
}

fn rlimit(typ: PosixRlimitType, soft: u64, hard: u64) -> Result<PosixRlimit, OciSpecError> {
    PosixRlimitBuilder::default().typ(typ).soft(soft).hard(hard).build()
}

/// Those that the runtime sets: of the ipc namespace, which it makes.
pub(super) fn ipc_parameters(kernel: &Kernel) -> Option<HashMap<String, String>> {
    let of_ipc =
        kernel.sysctls.iter().filter(|(name, _)| sysctl_namespace(name) == Some(SysctlNamespace::Ipc));
    let parameters: HashMap<String, String> =
        of_ipc.map(|(name, value)| (name.clone(), value.clone())).collect();
    (!parameters.is_empty()).then_some(parameters)
}

/// Sets those of the network that this process is in now, which is the container's own: its specification names none, so
/// that the runtime would take it for the host's.
///
/// # Errors
/// For a parameter that is the host's, and one that the kernel does not have or does not take.
pub(crate) fn set_network_parameters(request: &RunRequest) -> Result<(), Failure> {
    for (name, value) in &request.kernel.sysctls {
        match sysctl_namespace(name) {
            Some(SysctlNamespace::Ipc) => continue,
            Some(SysctlNamespace::Network) if request.network != Network::Host => {}
            _ => {
                return Err(Failure::invalid(format!("{name} is a parameter of the host"))
                    .with_hint("set it on the host, or take it from `sysctls`"));
            }
        }
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        fs::write(&path, value).map_err(|error| {
            let message = format!("the kernel does not take {name} = {value:?}: {}", chain(&error));
            Failure::new(FailureKind::InvalidRequest, message)
        })?;
    }
    Ok(())
}

/// Refuses limits that this process itself may not give, which the runtime would tell in no words.
pub(crate) fn refuse_above_own(request: &RunRequest) -> Result<(), Failure> {
    let privileged = rustix::thread::capabilities(None)
        .is_ok_and(|own| own.effective.contains(rustix::thread::CapabilitySet::SYS_RESOURCE));
    for (name, limit) in request.kernel.ulimits.iter().filter(|_| !privileged) {
        let own = own_hard_limit(name).unwrap_or(u64::MAX);
        if limit.hard.unwrap_or(u64::MAX) > own {
            let message = format!(
                "the limit {name} = {limit} is above {own}, that of homeostat, which may not raise it"
            );
            return Err(Failure::new(FailureKind::Unsupported, message)
                .with_hint("run homeostat with CAP_SYS_RESOURCE or a higher limit of its own"));
        }
    }
    Ok(())
}

/// Of this process, from proc(5): `None` for no limit.
fn own_hard_limit(name: &str) -> Option<u64> {
    let title = match name {
        "as" => "Max address space",
        "core" => "Max core file size",
        "cpu" => "Max cpu time",
        "data" => "Max data size",
        "fsize" => "Max file size",
        "locks" => "Max file locks",
        "memlock" => "Max locked memory",
        "msgqueue" => "Max msgqueue size",
        "nice" => "Max nice priority",
        "nofile" => "Max open files",
        "nproc" => "Max processes",
        "rss" => "Max resident set",
        "rtprio" => "Max realtime priority",
        "rttime" => "Max realtime timeout",
        "sigpending" => "Max pending signals",
        "stack" => "Max stack size",
        _ => return None,
    };
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix(title))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
