//! Daemons of a user without rights.

use std::path::Path;
use std::process::Command;

const SCRIPT: &str = include_str!("rootless.sh");

/// What it takes, with the packages that have it.
const PROGRAMS: [(&str, &str); 3] =
    [("newuidmap", "uidmap"), ("slirp4netns", "slirp4netns"), ("rootlesskit", "rootlesskit")];

/// The same command, as a user without rights. `None`, and a word on why, where the host has not what it takes.
pub(crate) fn as_user(directory: &Path, command: &Command) -> Option<Command> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &str| std::env::split_paths(&path).any(|place| place.join(program).exists());
    if let Some((program, package)) = PROGRAMS.iter().find(|(program, _)| !is_there(program)) {
        println!("skipped: there is no {program}, which the package {package} has");
        return None;
    }
    let mut wrapped = Command::new("sh");
    wrapped.args(["-c", SCRIPT, "rootless"]).arg(directory);
    wrapped.arg(command.get_program()).args(command.get_args());
    wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Some(wrapped)
}
