//! The terminal that a command was typed in, while it shows another.

use std::io::{self, IsTerminal as _};
use std::os::fd::AsRawFd as _;
use std::sync::{Mutex, Once, PoisonError};

use homeostat_reconciler::ports::TerminalSize;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

/// As it was before.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Every key goes to the program, and what it writes is shown as it is. Dropped, the terminal is again as it was; so it is after a
/// panic, wherever that was.
pub(super) struct RawTerminal(());

impl RawTerminal {
    /// Changes the terminal that is stdin.
    pub(super) fn enter() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let next = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                next(panic);
            }));
        });
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        tcsetattr(io::stdin(), SetArg::TCSANOW, &raw)?;
        Ok(Self(()))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // It may be gone.
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &before);
    }
}

/// The size of the window, if there is one.
#[allow(unsafe_code)]
pub(in crate::cli) fn window() -> Option<TerminalSize> {
    let terminals = [io::stdin().as_raw_fd(), io::stdout().as_raw_fd(), io::stderr().as_raw_fd()];
    terminals.into_iter().find_map(|terminal| {
        let mut size = nix::libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the request writes this one structure. A descriptor that is no terminal refuses it.
        let known = unsafe { nix::libc::ioctl(terminal, nix::libc::TIOCGWINSZ, &raw mut size) } == 0;
        (known && size.ws_row > 0 && size.ws_col > 0)
            .then_some(TerminalSize { rows: size.ws_row, columns: size.ws_col })
    })
}

/// Whether somebody types.
pub(in crate::cli) fn is_typed_at() -> bool {
    io::stdin().is_terminal()
}
