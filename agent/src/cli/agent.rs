//! `homeostat agent`.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use homeostat_metrics::Metrics;
use homeostat_reconciler::ports::Source;
use homeostat_reconciler::{ErrorKind, PortError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing_subscriber::EnvFilter;

use super::errors::CliError;
use super::options::{Resolved, SourceOptions, seed};
use super::{DONE, FAILED};
use crate::api::{Client, serve_socket, serve_tcp};
use crate::clock::SystemClock;
use crate::controller::{Command, Controller, Options, Ports, Until};
use crate::exposition::{AgentWatcher, Exposition};
use crate::host::Host;
use crate::service::{self, Service};
use crate::{sources, systemd};

/// Time between two looks whether the agent has ended.
const PAUSE: Duration = Duration::from_millis(20);
/// Commands that wait for the loop.
const COMMAND_QUEUE: usize = 16;

#[derive(Args)]
pub(super) struct Agent {
    /// Directory or git URL of the specs
    #[arg(long, env = "HOMEOSTAT_SOURCE", value_name = "DIR|GIT-URL")]
    source: Option<String>,
    #[command(flatten)]
    options: SourceOptions,
    /// Serve /metrics, /healthz and /readyz on this address, as 127.0.0.1:9464
    #[arg(long, env = "HOMEOSTAT_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// A source without any spec removes everything
    #[arg(long)]
    allow_empty: bool,
    /// Remove everything that homeostat runs here, and end; retained volumes stay. No source is read
    #[arg(long)]
    down: bool,
    /// How the log is written
    #[arg(long, env = "HOMEOSTAT_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// A line for people, in colour on a terminal.
    Text,
    /// A JSON object a line.
    Json,
}

impl Agent {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        start_log(self.log_format);
        if self.down {
            return take_down(global).await;
        }
        let listen = self.listen.or(global.config.listen);
        let source = sources::make(&self.options.settings(self.source, global)?)?;
        let host = super::access::open_host(global).await?;
        host.notices.iter().for_each(|notice| tracing::warn!("{notice}"));
        let options = Options {
            allow_empty: self.allow_empty,
            node: global.node(),
            until: Until::Stopped,
            prune: global.config.prune.clone(),
            seed: seed(),
        };
        run_loop(&host, global, source, options, listen).await?;
        Ok(DONE)
    }
}

/// Runs the loop with everything around it until a signal or a command ends it.
async fn run_loop(
    host: &Host,
    global: &Resolved,
    source: Arc<dyn Source>,
    options: Options,
    listen: Option<SocketAddr>,
) -> Result<(), CliError> {
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
    if host.rebuilt {
        metrics.store_rebuilt();
    }
    let watcher = Arc::new(AgentWatcher::new(metrics.clone(), Arc::new(SystemClock)));
    let ports = Ports {
        engine: host.engine.clone(),
        source,
        store: host.store.clone(),
        by_hand: host.by_hand.clone(),
        clock: Arc::new(SystemClock),
        files: host.files.clone(),
        watcher,
    };
    let (controller, view) = Controller::new(ports, options)?;
    let (commands, queue) = mpsc::channel(COMMAND_QUEUE);
    let service = Service {
        engine: host.engine.clone(),
        store: host.store.clone(),
        by_hand: host.by_hand.clone(),
        clock: Arc::new(SystemClock),
        files: host.files.clone(),
        prune: global.config.prune.clone(),
        agent: Some(service::Agent { view: view.clone(), commands: commands.clone() }),
    };
    let exposition = Arc::new(Exposition::new(service.clone(), metrics));
    serve_socket(&global.directories.socket(), service, exposition.clone()).await?;
    if let Some(address) = listen {
        let bound = serve_tcp(address, exposition).await?;
        tracing::info!("metrics on http://{bound}/metrics");
    }
    obey_signals(commands)?;
    systemd::announce(view);
    controller.run(queue).await;
    systemd::stopping();
    // The socket of an agent that has ended answers nobody.
    let _ = fs_err::remove_file(global.directories.socket());
    Ok(())
}

/// SIGTERM and SIGINT end the loop, SIGHUP has it read the source. SIGTERM while the host goes down also ends the containers.
fn obey_signals(commands: mpsc::Sender<Command>) -> Result<(), CliError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            let command = tokio::select! {
                _ = terminate.recv() => when_terminated().await,
                _ = interrupt.recv() => Command::Stop,
                _ = hangup.recv() => Command::Sync,
            };
            if commands.send(command).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// SIGTERM comes when the agent is to end, and when the host goes down.
async fn when_terminated() -> Command {
    if systemd::host_goes_down().await {
        tokio::spawn(systemd::take_time());
        return Command::Halt;
    }
    Command::Stop
}

/// `agent --down`: by the agent that runs, and then by this process what that one has left.
async fn take_down(global: &Resolved) -> Result<u8, CliError> {
    let deadline = Instant::now() + super::apply::DEFAULT_TIMEOUT;
    if let Some(mut client) = Client::connect(&global.directories.socket()).await? {
        let () = client.post("/v1/down", &()).await?;
        while Client::connect(&global.directories.socket()).await?.is_some() && Instant::now() < deadline {
            tokio::time::sleep(PAUSE).await;
        }
    }
    let host = super::access::open_host(global).await?;
    let ports = Ports {
        engine: host.engine.clone(),
        source: Arc::new(sources::Nothing),
        store: host.store.clone(),
        by_hand: host.by_hand.clone(),
        clock: Arc::new(SystemClock),
        files: host.files.clone(),
        watcher: Arc::new(crate::watcher::LogWatcher),
    };
    let deadline = Instant::now() + super::apply::DEFAULT_TIMEOUT;
    let options = Options {
        allow_empty: true,
        node: global.node(),
        until: Until::Settled(deadline),
        prune: global.config.prune.clone(),
        seed: seed(),
    };
    let (controller, view) = Controller::new(ports, options)?;
    let (commands, queue) = mpsc::channel(COMMAND_QUEUE);
    commands
        .send(Command::Down)
        .await
        .map_err(|_| PortError::new(ErrorKind::Internal, "the loop has ended"))?;
    controller.run(queue).await;
    let down = view.borrow().as_ref().is_some_and(crate::view::View::is_converged);
    Ok(if down { DONE } else { FAILED })
}

fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_env("HOMEOSTAT_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => {
            let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let log = log.with_ansi(color).with_target(false);
            // The journal has the time of each line, see `JOURNAL_STREAM` in systemd.exec(5).
            let in_journal = std::env::var_os("JOURNAL_STREAM").is_some() && !std::io::stderr().is_terminal();
            if in_journal { log.without_time().init() } else { log.init() }
        }
    }
}
