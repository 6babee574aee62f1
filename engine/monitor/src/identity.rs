//! Telling one process from every other, also after its process id was used again.

use std::io;

use fs_err as fs;
use nix::sys::signal::Signal;
use rustix::process::{Pid, PidfdFlags};

use crate::ProcessIdentity;

impl ProcessIdentity {
    /// The process that has this id now.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(pid: u32) -> io::Result<Self> {
        let (_, start_time) = stat(pid)?;
        Ok(Self { pid, start_time, boot_id: boot_id()? })
    }

    /// Whether it still runs. One that has ended and waits to be reaped does not.
    pub fn is_alive(&self) -> bool {
        process_is(self.pid, self.start_time, &self.boot_id)
    }

    /// Sends a signal to this process and never to another; says whether it was there.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        // The descriptor pins the process, so what is true of the id after opening it stays true of the descriptor.
        let Some(descriptor) = open(self.pid)? else { return Ok(false) };
        if !self.is_alive() {
            return Ok(false);
        }
        let signal = rustix::process::Signal::from_named_raw(signal as i32)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        match rustix::process::pidfd_send_signal(descriptor, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether `pid` runs now, started at `start_time` (clock ticks since boot) in the boot `boot_id`.
fn process_is(pid: u32, start_time: u64, boot_id: &str) -> bool {
    self::boot_id().is_ok_and(|now| now == boot_id)
        && stat(pid).is_ok_and(|(state, started)| started == start_time && !matches!(state, 'Z' | 'X'))
}

/// The kernel's random id of this boot.
///
/// # Errors
/// When `/proc` is not mounted.
fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// A descriptor for the process with this id; `None` when there is none.
pub(crate) fn open(pid: u32) -> io::Result<Option<std::os::fd::OwnedFd>> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let Some(pid) = pid else { return Ok(None) };
    match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => Ok(Some(descriptor)),
        Err(rustix::io::Errno::SRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// State and start time of a process, from `/proc/PID/stat`.
fn stat(pid: u32) -> io::Result<(char, u64)> {
    let text = fs::read(format!("/proc/{pid}/stat"))?;
    parse_stat(&String::from_utf8_lossy(&text))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is malformed")))
}

fn parse_stat(text: &str) -> Option<(char, u64)> {
    // The name, in parentheses, may hold anything, also spaces and parentheses.
    let fields = text.get(text.rfind(')')? + 1..)?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let start_time = fields.nth(18)?.parse().ok()?;
    Some((state, start_time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_imitates_fields_does_not_confuse() {
        let text = "42 (a) Z 1 2) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 100 200";
        assert_eq!(parse_stat(text), Some(('S', 987_654)));
    }

    #[test]
    fn this_process_is_itself_and_no_other() {
        let me = ProcessIdentity::of(std::process::id()).unwrap();
        assert!(me.is_alive());
        assert!(!process_is(me.pid, me.start_time + 1, &me.boot_id));
        assert!(!process_is(me.pid, me.start_time, "another boot"));
    }

    #[test]
    fn a_dead_process_is_neither_alive_nor_signalled() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let identity = ProcessIdentity::of(child.id()).unwrap();
        assert!(identity.signal(Signal::SIGKILL).unwrap());
        let wait = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        let pid = Pid::from_child(&child);
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), wait).unwrap();
        assert!(!identity.is_alive(), "a zombie does not run");
        child.wait().unwrap();
        assert!(!identity.signal(Signal::SIGKILL).unwrap());
    }
}
