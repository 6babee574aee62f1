//! The command line. A file per command.

mod access;
mod agent;
mod apply;
mod archives;
mod attach;
mod build;
mod check;
mod completion;
mod container;
mod create;
mod diff;
mod errors;
mod events;
mod exec;
mod export;
mod image;
mod import;
mod info;
mod inspect;
mod lifecycle;
mod logs;
mod options;
mod plan;
mod port;
mod prune;
mod ps;
mod run;
mod secret;
mod session;
mod stats;
mod status;
mod system;
mod top;
mod validate;
mod volume;
mod why;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use errors::CliError;
use options::Global;

/// Everything is as asked for.
const DONE: u8 = 0;
/// `plan` found changes; `status` found something that is not as declared; `import` could not carry over everything;
/// `check` found damage.
const CHANGES: u8 = 1;
/// An error, or `apply` did not converge.
const FAILED: u8 = 2;

/// Keeps the containers of this host as a git repository or directory of TOML specs says.
#[derive(Parser)]
#[command(name = "homeostat", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run as a daemon: follow a source, converge, heal, export metrics
    Agent(agent::Agent),
    /// Converge once and end: 0 converged, 2 not
    Apply(apply::Apply),
    /// Show what apply would do: 0 nothing, 1 changes, 2 error
    Plan(plan::Plan),
    /// Check specs: 0 valid, 2 not
    Validate(validate::Validate),
    /// Show apps and containers: 0 all as declared, 1 not
    Status,
    /// List containers
    Ps(ps::Ps),
    /// Explain the state of a container: who asks for it, what it waits for, what went wrong
    Why(why::Why),
    /// Run a command in a container: its exit code, 126 cannot be run, 127 not found, 125 error
    Exec(exec::Exec),
    /// Connect to what runs in a container: its exit code, or 125 error
    Attach(attach::Attach),
    /// Print what a container wrote
    Logs(logs::Logs),
    /// Show what containers use, again and again
    Stats(stats::Stats),
    /// List the processes of a container, as the host knows them
    Top(top::Top),
    /// List what a container has changed of its image's files: A added, C changed, D deleted
    Diff(diff::Diff),
    /// Write the files of a container as a tar archive, without its mounts
    Export(export::Export),
    /// Show on which ports of the host those of a container are published
    Port(port::Port),
    /// Run a container of an image, or another one like that of a spec
    Run(run::Run),
    /// Create a container, as run, without starting it
    Create(create::Create),
    /// Start containers, also those that were stopped by hand
    Start(lifecycle::Containers),
    /// Stop containers, until they are started again
    Stop(lifecycle::Stop),
    /// Stop containers and start them again
    Restart(lifecycle::Stop),
    /// Freeze containers, until they are unpaused
    Pause(lifecycle::Containers),
    /// Let paused containers go on
    Unpause(lifecycle::Containers),
    /// Send a signal to containers
    Kill(lifecycle::Kill),
    /// Wait until containers have ended, and print their exit codes
    Wait(lifecycle::Containers),
    /// Remove containers that were made with run or create
    Rm(lifecycle::Remove),
    /// List what happened on this host
    Events(events::Events),
    /// Print everything that is known of a container as JSON, or a part of it
    Inspect(inspect::Inspect),
    /// Show the engine, the host, and how much there is of everything
    Info,
    /// Turn what another tool reads into a spec
    Import(import::Import),
    /// Build an image from a Dockerfile
    Build(build::Build),
    /// List images, as `image ls`
    Images,
    /// Bring, send, name and remove images
    #[command(subcommand)]
    Image(image::Image),
    /// List and remove volumes
    #[command(subcommand)]
    Volume(volume::Volume),
    /// Remove images, layers and build cache that nothing needs
    Prune(prune::Prune),
    /// Look at what homeostat and its engine take
    System(system::System),
    /// Look for damage in what is on disk: 0 none left, 1 damage, 2 error
    Check(check::Check),
    /// Print a completion script for a shell
    Completion(completion::Completion),
}

/// What is under way at the end of this process is dropped by then.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Runs the command line and returns the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            anstream::eprintln!("error: threads cannot be started: {error}");
            return ExitCode::from(FAILED);
        }
    };
    let code = match runtime.block_on(run(cli)) {
        Ok(code) => code,
        // The reader of a pipe has seen enough.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => DONE,
        Err(error) => {
            errors::print(&error);
            FAILED
        }
    };
    // Commands on Docker or Podman whose user leaves with this process are ended. A blocking read that is under way (of a
    // terminal, a slow git server) does not hold up the end.
    runtime.shutdown_timeout(LAST_WORDS);
    ExitCode::from(code)
}

/// Of a command that passes on the exit code of what it runs: a failure of its own has one that programs do not.
fn own_failure(outcome: Result<u8, CliError>) -> Result<u8, CliError> {
    match outcome {
        Err(error @ CliError::Output(_)) => Err(error),
        Err(error) => {
            errors::print(&error);
            Ok(session::OWN_FAILURE)
        }
        code => code,
    }
}

async fn run(cli: Cli) -> Result<u8, CliError> {
    let global = cli.global.resolve()?;
    match cli.command {
        Command::Agent(command) => command.run(&global).await,
        Command::Apply(command) => command.run(&global).await,
        Command::Plan(command) => command.run(&global).await,
        Command::Validate(command) => command.run(&global).await,
        Command::Status => status::run(&global).await,
        Command::Why(command) => command.run(&global).await,
        Command::Exec(command) => own_failure(command.run(&global).await),
        Command::Attach(command) => own_failure(command.run(&global).await),
        Command::Logs(command) => command.run(&global).await,
        Command::Ps(command) => command.run(&global).await,
        Command::Port(command) => command.run(&global).await,
        Command::Stats(command) => command.run(&global).await,
        Command::Top(command) => command.run(&global).await,
        Command::Diff(command) => command.run(&global).await,
        Command::Export(command) => command.run(&global).await,
        Command::Run(command) => own_failure(command.run(&global).await),
        Command::Create(command) => command.run(&global).await,
        Command::Start(command) => command.start(&global).await,
        Command::Stop(command) => command.stop(&global).await,
        Command::Restart(command) => command.restart(&global).await,
        Command::Pause(command) => command.pause(&global).await,
        Command::Unpause(command) => command.unpause(&global).await,
        Command::Kill(command) => command.run(&global).await,
        Command::Wait(command) => command.wait(&global).await,
        Command::Rm(command) => command.run(&global).await,
        Command::Events(command) => command.run(&global).await,
        Command::Inspect(command) => command.run(&global).await,
        Command::Info => info::run(&global).await,
        Command::Import(command) => command.run(&global),
        Command::Build(command) => command.run(&global).await,
        Command::Images => image::list(&global).await,
        Command::Image(command) => command.run(&global).await,
        Command::Volume(command) => command.run(&global).await,
        Command::Prune(command) => command.run(&global).await,
        Command::System(command) => command.run(&global).await,
        Command::Check(command) => command.run(&global).await,
        Command::Completion(command) => Ok(command.run()),
    }
}
