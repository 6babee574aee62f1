//! A kernel that has overlayfs or not, as a test wishes.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use libseccomp::error::SeccompError;
use libseccomp::{
    ScmpAction, ScmpFd, ScmpFilterContext, ScmpNotifReq, ScmpNotifResp, ScmpNotifRespFlags, ScmpSyscall,
};
use nix::libc;

/// Stands between the kernel and all processes that come from the thread which has made it: whether there is a file system
/// `overlay`, this says.
pub(crate) struct Overlayfs {
    is_there: Arc<AtomicBool>,
}

impl Overlayfs {
    /// Has the kernel ask a thread of this process about each `fsopen(2)` from now on.
    pub(crate) fn watch() -> Result<Self, SeccompError> {
        let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
        // Root may load a filter without it, and programs in containers are to be as they always are.
        filter.set_ctl_nnp(false)?;
        filter.add_rule(ScmpAction::Notify, ScmpSyscall::from_name("fsopen")?)?;
        let is_there = Arc::new(AtomicBool::new(true));
        // Before the filter is there: this thread is not to be asked about itself.
        let (sender, receiver) = std::sync::mpsc::channel();
        let answer = Arc::clone(&is_there);
        std::thread::spawn(move || {
            let Ok(asked) = receiver.recv() else { return };
            loop {
                // Who is gone meanwhile needs no answer, be it in the middle of the question.
                let Ok(request) = ScmpNotifReq::receive(asked) else { continue };
                let _ = respond(asked, &request, answer.load(Ordering::SeqCst));
            }
        });
        filter.load()?;
        let _ = sender.send(filter.get_notify_fd()?);
        // Questions come as long as this process is there.
        std::mem::forget(filter);
        Ok(Self { is_there })
    }

    /// Takes overlayfs away, or gives it back.
    pub(crate) fn set(&self, is_there: bool) {
        self.is_there.store(is_there, Ordering::SeqCst);
    }
}

fn respond(asked: ScmpFd, request: &ScmpNotifReq, is_there: bool) -> Result<(), SeccompError> {
    let is_overlay = name(request).is_ok_and(|name| name == *b"overlay\0");
    let response = if is_overlay && !is_there {
        ScmpNotifResp::new_error(request.id, -libc::ENODEV, ScmpNotifRespFlags::empty())
    } else {
        ScmpNotifResp::new_continue(request.id, ScmpNotifRespFlags::empty())
    };
    response.respond(asked)
}

/// The beginning of the name of the file system that a process asks for.
fn name(request: &ScmpNotifReq) -> io::Result<[u8; 8]> {
    let memory = fs_err::File::open(format!("/proc/{}/mem", request.pid))?;
    let mut name = [0; 8];
    memory.file().read_exact_at(&mut name, request.data.args[0])?;
    Ok(name)
}
