//! What a container uses.

use std::path::Path;
use std::time::Duration;

use super::files::{counter, find_counter, read, read_if_there};
use super::{Cgroup, CgroupError, Version};

/// A v1 limit at or above this is no limit: the kernel shows "unlimited" as the largest multiple of the page size.
const UNLIMITED: u64 = 1 << 60;

/// What a container uses now. What no controller measures is zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in all.
    pub cpu: Duration,
    /// Memory in use without inactive page cache, in bytes: cAdvisor's working set.
    pub memory_working_set: u64,
    /// Memory in use with page cache, in bytes.
    pub memory_usage: u64,
    /// The memory limit in bytes.
    pub memory_limit: Option<u64>,
    /// How often the out-of-memory killer struck.
    pub oom_kills: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Bytes read from block devices and written to them; `None` when no controller counts them.
    pub block: Option<(u64, u64)>,
}

pub(super) fn read_all(cgroup: &Cgroup) -> Result<Usage, CgroupError> {
    let mut usage =
        Usage { cpu: cpu(cgroup)?, oom_kills: oom_kills(cgroup)?, block: block(cgroup)?, ..Usage::default() };
    if cgroup.hierarchies.has("memory") {
        memory(&cgroup.controller("memory")?, cgroup.version(), &mut usage)?;
    }
    if cgroup.hierarchies.has("pids") {
        usage.pids = number(&cgroup.controller("pids")?.join("pids.current"))?.unwrap_or(0);
    }
    Ok(usage)
}

pub(super) fn oom_kills(cgroup: &Cgroup) -> Result<u64, CgroupError> {
    if !cgroup.hierarchies.has("memory") {
        return Ok(0);
    }
    let directory = cgroup.controller("memory")?;
    let file = match cgroup.version() {
        Version::V1 => directory.join("memory.oom_control"),
        Version::V2 => directory.join("memory.events"),
    };
    Ok(read_if_there(&file)?.and_then(|text| find_counter(&text, "oom_kill")).unwrap_or(0))
}

fn cpu(cgroup: &Cgroup) -> Result<Duration, CgroupError> {
    if cgroup.version() == Version::V2 {
        let file = cgroup.controller("cpu")?.join("cpu.stat");
        return Ok(Duration::from_micros(counter(&file, "usage_usec")?));
    }
    if !cgroup.hierarchies.has("cpuacct") {
        return Ok(Duration::ZERO);
    }
    let file = cgroup.controller("cpuacct")?.join("cpuacct.usage");
    let nanoseconds = read(&file)?.trim().parse();
    nanoseconds.map(Duration::from_nanos).map_err(|_| CgroupError::Malformed { path: file })
}

fn memory(directory: &Path, version: Version, usage: &mut Usage) -> Result<(), CgroupError> {
    let (current, limit, inactive) = match version {
        Version::V1 => ("memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file"),
        Version::V2 => ("memory.current", "memory.max", "inactive_file"),
    };
    usage.memory_usage = number(&directory.join(current))?.unwrap_or(0);
    usage.memory_limit = number(&directory.join(limit))?.filter(|bytes| *bytes < UNLIMITED);
    let stat = read_if_there(&directory.join("memory.stat"))?.unwrap_or_default();
    let inactive = find_counter(&stat, inactive).unwrap_or(0);
    usage.memory_working_set = usage.memory_usage.saturating_sub(inactive);
    Ok(())
}

fn block(cgroup: &Cgroup) -> Result<Option<(u64, u64)>, CgroupError> {
    let (controller, file) = match cgroup.version() {
        Version::V1 => ("blkio", "blkio.throttle.io_service_bytes_recursive"),
        Version::V2 => ("io", "io.stat"),
    };
    if !cgroup.hierarchies.has(controller) {
        return Ok(None);
    }
    let text = read_if_there(&cgroup.controller(controller)?.join(file))?;
    Ok(text.map(|text| (sum_of(&text, ["Read ", "rbytes="]), sum_of(&text, ["Write ", "wbytes="]))))
}

/// The sum over all devices of what lines as `8:0 Read 4096` (v1) and `8:0 rbytes=4096 wbytes=0` (v2) say.
fn sum_of(text: &str, names: [&str; 2]) -> u64 {
    let number = |line: &str| {
        let (_, rest) = names.iter().find_map(|name| line.split_once(name))?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    };
    text.lines().filter_map(number).sum()
}

/// The number in a file; `None` when it says `max`, or is not there.
fn number(path: &Path) -> Result<Option<u64>, CgroupError> {
    let Some(text) = read_if_there(path)? else { return Ok(None) };
    match text.trim() {
        "max" => Ok(None),
        text => text.parse().map(Some).map_err(|_| CgroupError::Malformed { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::sum_of;

    #[test]
    fn bytes_of_all_devices_are_summed_up() {
        let v1 = "8:0 Read 4096\n8:0 Write 512\n8:0 Total 4608\n8:16 Read 1\n8:16 Write 2\nTotal 4611\n";
        let v2 =
            "8:0 rbytes=4096 wbytes=512 rios=1 wios=1 dbytes=9 dios=9\n8:16 rbytes=1 wbytes=2 rios=1\n7:0\n";
        for text in [v1, v2] {
            assert_eq!(sum_of(text, ["Read ", "rbytes="]), 4097);
            assert_eq!(sum_of(text, ["Write ", "wbytes="]), 514);
        }
        assert_eq!(sum_of("", ["Read ", "rbytes="]), 0);
    }
}
