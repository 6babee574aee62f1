//! The first process of a container that asks for one beside its program: it starts the program, passes signals on to it,
//! and takes in processes that nobody waits for.
//!
//! It is a fork of the process that would become the program, and executes nothing: the image has no part in it. Its file
//! is this program's, which cannot be written through `/proc/1/exe` (docs/decisions/0061).

use std::process::id;

use fs_err as fs;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::{ForkResult, Pid, fork, getpid, setpgid, tcsetpgrp};
use oci_spec::runtime::Spec;
use rustix::process::{WaitOptions, wait};

use crate::failure::OrFail as _;
use crate::{Failure, FailureKind};

/// The annotation of a specification that asks for it.
pub(crate) const ANNOTATION: &str = "io.homeostat.init";

/// Its name in lists of processes.
const NAME: &std::ffi::CStr = c"init";

/// Faults of a process itself: nobody means the program by them.
const FAULTS: [i32; 6] =
    [libc::SIGFPE, libc::SIGILL, libc::SIGSEGV, libc::SIGBUS, libc::SIGTRAP, libc::SIGSYS];

/// Whether this process, which is about to become the program, is to start it instead. Commands that are run in the container
/// later have the same specification.
pub(crate) fn is_wanted(spec: &Spec) -> bool {
    id() == 1 && spec.annotations().as_ref().is_some_and(|all| all.contains_key(ANNOTATION))
}

/// Goes on in a child of this process, which stays until that one has ended and then ends as it has.
///
/// # Errors
/// When there is no room for another process.
#[allow(unsafe_code)]
pub(crate) fn stay_behind() -> Result<(), Failure> {
    // None is lost between here and the loop that waits for them.
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None);
    // SAFETY: this process has one thread.
    match unsafe { fork() }.or_fail(FailureKind::Exhausted, "start the program beside its init")? {
        ForkResult::Parent { child } => watch(child),
        ForkResult::Child => {
            // A group of its own, in front of the terminal if there is one: its keys are for the program alone.
            let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
            let _ = tcsetpgrp(std::io::stdin(), getpid());
            let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
            Ok(())
        }
    }
}

fn watch(program: Pid) -> ! {
    forget_the_host();
    loop {
        match next_signal() {
            libc::SIGCHLD => {
                if let Some(code) = take_in(program) {
                    end(code);
                }
            }
            signal if FAULTS.contains(&signal) => {}
            signal => send(program, signal),
        }
    }
}

/// Takes in every child that has ended; gives the program's exit code once that one has.
fn take_in(program: Pid) -> Option<i32> {
    let mut code = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid.as_raw_pid() == program.as_raw() {
            let signal = status.terminating_signal().map(|signal| 128 + signal);
            code = status.exit_status().or(signal);
        }
    }
    code
}

/// Closes what only the monitor's side has use for, among it the pipe whose end says that the program runs, and wipes the
/// monitor's command line and environment, which anybody in the container could read. Nobody may look into this process.
#[allow(unsafe_code)]
fn forget_the_host() {
    let _ = prctl::set_dumpable(false);
    let _ = prctl::set_name(NAME);
    // SAFETY: nothing in this process uses a descriptor but the first three from here on.
    if unsafe { libc::close_range(3, libc::c_uint::MAX, 0) } != 0 {
        // The container would see them.
        end(125);
    }
    let Some([arguments, arguments_end, environment, environment_end]) = strings_of_the_kernel() else {
        return;
    };
    wipe(arguments, arguments_end);
    wipe(environment, environment_end);
    let name = NAME.to_bytes();
    if arguments_end - arguments > name.len() {
        // SAFETY: as for `wipe`; there is room for it.
        unsafe { std::ptr::copy_nonoverlapping(name.as_ptr(), arguments as *mut u8, name.len()) };
    }
}

/// Where the kernel has put command line and environment of this process: fields 48 to 51 of `/proc/PID/stat`, proc(5).
fn strings_of_the_kernel() -> Option<[usize; 4]> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut places = fields.split_whitespace().skip(45).map_while(|field| field.parse().ok());
    let places = [places.next()?, places.next()?, places.next()?, places.next()?];
    places.is_sorted().then_some(places).filter(|places| places[0] > 0)
}

#[allow(unsafe_code)]
fn wipe(start: usize, end: usize) {
    // SAFETY: the kernel has said that its strings for this process are there, at the top of its writable stack. Nothing
    // reads arguments or environment from here on.
    unsafe { std::ptr::write_bytes(start as *mut u8, 0, end - start) };
}

/// Waits for a signal; all are blocked. nix knows none of the real-time ones.
#[allow(unsafe_code)]
fn next_signal() -> i32 {
    let all = SigSet::all();
    loop {
        // SAFETY: the set lives through the call, and nothing more is to be told of the signal.
        let signal = unsafe { libc::sigwaitinfo(all.as_ref(), std::ptr::null_mut()) };
        if signal > 0 {
            return signal;
        }
    }
}

#[allow(unsafe_code)]
fn send(program: Pid, signal: i32) {
    // SAFETY: no memory is involved. One that has ended meanwhile is not waited for yet: its number is nobody else's.
    unsafe { libc::kill(program.as_raw(), signal) };
}

/// Ends without running anything that this process has inherited: the kernel ends what is left in the container.
#[allow(unsafe_code)]
fn end(code: i32) -> ! {
    // SAFETY: it does not return.
    unsafe { libc::_exit(code) }
}
