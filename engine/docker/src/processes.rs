//! Processes on this host that belong to a container.

use fs_err as fs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Sends a signal to a command that was started in a container, by its process id on this host, and to everything of its
/// session. `first` is the container's first process: whatever is not in its pid namespace is somebody else, whose number
/// this has become.
pub(crate) fn signal_session(command: u32, first: u32, signal: Signal) {
    let Some(session_id) = session(command) else { return };
    for process in processes() {
        if session(process) == Some(session_id) {
            signal_process(process, first, signal);
        }
    }
}

/// Sends a signal to one process of a container, as [`signal_session`] does.
pub(crate) fn signal_process(process: u32, first: u32, signal: Signal) {
    let Some(namespace) = pid_namespace(first) else { return };
    if pid_namespace(process).as_ref() == Some(&namespace) {
        // It may have ended by itself just now.
        let _ = kill(Pid::from_raw(process.cast_signed()), signal);
    }
}

fn processes() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

fn pid_namespace(process: u32) -> Option<std::path::PathBuf> {
    fs::read_link(format!("/proc/{process}/ns/pid")).ok()
}

/// The session of a process: the sixth field of `/proc/PID/stat`, see proc(5).
fn session(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The program's name before may have spaces and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(3)?.parse().ok()
}
