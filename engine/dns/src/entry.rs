//! The command line `homeostat dns DIRECTORY`.

use std::error::Error;
use std::ffi::OsString;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::ExitCode;

use homeostat_files::lock;

use crate::control::{self, Control};
use crate::server::Server;
use crate::{Report, confine};

/// Name of the file that is locked as long as the process lives.
const LOCK_FILE: &str = "lock";

/// The process works in its directory: the way there need not be open to who has no capabilities.
const HERE: &str = ".";

/// Answers names on the bridges of the [`Names`](crate::Names) in the directory that the arguments after `homeostat dns` name, until they
/// have none. It writes one [`Report`] line to stdout when it listens, and then lets go of stdin, stdout and stderr.
///
/// # Assumptions
/// The process has one thread, runs as root in the host's network namespace, and does nothing else.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let [directory] = arguments.as_slice() else {
        let _ = std::io::stderr().write_all(b"usage: homeostat dns DIRECTORY\n");
        return ExitCode::from(2);
    };
    match serve(Path::new(directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "homeostat dns: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(directory: &Path) -> Result<(), Box<dyn Error>> {
    // It must not end with the shell that an agent was started from.
    let _ = nix::unistd::setsid();
    // Started through a descriptor, it would be called by that one's number.
    let _ = nix::sys::prctl::set_name(c"homeostat-dns");
    nix::unistd::chdir(directory)?;
    let here = Path::new(HERE);
    let _lock = lock::exclusive(here.join(LOCK_FILE))?;
    confine::allow_descriptors()?;
    confine::give_up_privileges()?;
    let control = Control::listen(here)?;
    let mut server = Server::new();
    let report = server.read_names(here);
    tell(&report)?;
    server.run(&control, here);
    Ok(())
}

/// Tells the engine that names are answered from now on, and lets go of its pipes.
fn tell(report: &Report) -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    // An engine that has ended meanwhile asks when it is back.
    let _ = stdout.write_all(&control::line(report)).and_then(|()| stdout.flush());
    let null = fs_err::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for stream in 0..=2 {
        nix::unistd::dup2(null.file().as_raw_fd(), stream)?;
    }
    Ok(())
}
