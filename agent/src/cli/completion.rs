//! `homeostat completion`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, DONE};

#[derive(Args)]
pub(super) struct Completion {
    /// The shell
    shell: Shell,
}

impl Completion {
    pub(super) fn run(&self) -> u8 {
        clap_complete::generate(self.shell, &mut Cli::command(), "homeostat", &mut std::io::stdout());
        DONE
    }
}
