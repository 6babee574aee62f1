//! Errors of commands, printed once with their chain and hint.

use anstream::eprintln;
use anstyle::{AnsiColor, Style};
use homeostat_reconciler::{PortError, chain};

use crate::api::ClientError;

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// An operation on this host failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The agent could not be asked, or answered with an error.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// What was found could not be printed.
    #[error("the output could not be written")]
    Output(#[from] std::io::Error),
}

/// Prints an error with its causes and what to do about it.
pub(super) fn print(error: &CliError) {
    let hint = match error {
        CliError::Port(error) => error.hint.as_deref(),
        CliError::Client(ClientError::Api(error)) => error.hint.as_deref(),
        CliError::Client(_) | CliError::Output(_) => None,
    };
    print_message(&chain(error), hint);
}

/// Prints an error message and what to do about it.
pub(super) fn print_message(message: &str, hint: Option<&str>) {
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    eprintln!("{red}error{red:#}: {message}");
    if let Some(hint) = hint {
        let cyan = Style::new().bold().fg_color(Some(AnsiColor::Cyan.into()));
        eprintln!("{cyan}hint{cyan:#}: {hint}");
    }
}
