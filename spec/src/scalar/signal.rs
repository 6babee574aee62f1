//! Names of signals (signal(7)).

use super::Scalar;
use crate::problem::Problem;
use crate::suggest::did_you_mean;

/// The signals of Linux by name, without the real-time ones.
const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// The distance from `SIGRTMIN` to `SIGRTMAX` on Linux.
const REAL_TIME_SIGNALS: u8 = 30;

/// A signal that stops a container, as `SIGTERM`.
pub(crate) struct Signal(pub(crate) String);

impl Scalar for Signal {
    const FORMAT: &'static str = "signal";
    const EXAMPLES: &'static [&'static str] = &["SIGTERM", "SIGQUIT", "SIGRTMIN+3"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let full = if text.starts_with("SIG") { text.to_owned() } else { format!("SIG{text}") };
        if SIGNALS.contains(&full.as_str()) || is_real_time(&full) {
            return Ok(Self(full));
        }
        Err(Problem::new(format!("{text:?} is no signal"))
            .hint("write its name, as `SIGTERM`")
            .maybe_hint(did_you_mean(&full, SIGNALS)))
    }
}

/// `SIGRTMIN`, `SIGRTMIN+N`, `SIGRTMAX` or `SIGRTMAX-N`.
fn is_real_time(name: &str) -> bool {
    let offset = match (name.strip_prefix("SIGRTMIN"), name.strip_prefix("SIGRTMAX")) {
        (Some(""), _) | (_, Some("")) => return true,
        (Some(rest), _) => rest.strip_prefix('+'),
        (_, Some(rest)) => rest.strip_prefix('-'),
        (None, None) => None,
    };
    let digits = offset.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    digits.and_then(|digits| digits.parse::<u8>().ok()).is_some_and(|number| number <= REAL_TIME_SIGNALS)
}
