//! The process that answers names on the bridges: started with the first bridge, adopted by the next engine, started again
//! when it has ended, and ended with the last bridge.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use fs_err as fs;
use homeostat_dns::{ContainerName, Names, NetworkNames, Report, Responder, ask_again};
use homeostat_files::remove_tree;
use homeostat_monitor::cgroup::Cgroup;
use homeostat_network::InterfaceName;
use homeostat_reconciler::{PortError, ResourceKey, chain};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::watch;

use super::{Net, NetworkId, State, rules};
use crate::EmbeddedError;
use crate::engine::Inner;
use crate::monitor::{self, Monitor};
use crate::run::{blocking, wait_for_end};

/// How long it may take to listen, or to end. It waits for nothing meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time until it is started again that has ended soon after it was started: twice as long each time, between these.
const START_AGAIN: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(10)];

/// A process that lives so long has ended by an accident, and is started again at once.
const LONG: Duration = Duration::from_secs(10);

/// What is known of the process.
#[derive(Debug)]
pub(super) struct Answering {
    /// What it was told last; nothing when it has to be told anew.
    told: Option<Names>,
    /// Where it listens: the firewall's rules lead port 53 of each bridge there.
    pub(super) ports: BTreeMap<InterfaceName, u16>,
    /// What it was in trouble with when it was last told something.
    troubles: Vec<String>,
    /// The process; nothing when there is none.
    process: watch::Sender<Option<Arc<Monitor>>>,
}

impl Default for Answering {
    fn default() -> Self {
        let process = watch::Sender::new(None);
        Self { told: None, ports: BTreeMap::new(), troubles: Vec::new(), process }
    }
}

impl Answering {
    fn is_alive(&self) -> bool {
        self.process.borrow().as_ref().is_some_and(|process| !process.has_ended())
    }

    /// Takes over what the process has said about these names.
    fn note(&mut self, mut names: Names, report: Report) {
        for (bridge, network) in &mut names.networks {
            network.port = report.ports.get(bridge).copied();
        }
        // Told once, not with every container.
        for trouble in report.troubles.iter().filter(|trouble| !self.troubles.contains(trouble)) {
            tracing::warn!("{trouble}");
        }
        self.told = Some(names);
        self.ports = report.ports;
        self.troubles = report.troubles;
    }

    fn take_over(&self, process: Option<Monitor>) {
        self.process.send_replace(process.map(Arc::new));
    }
}

/// Tells the process who is on which bridge. It is started if it is not there, and ends when there is no bridge.
pub(super) fn tell(engine: &Inner, state: &mut State) -> Result<(), EmbeddedError> {
    let names = names(engine, state);
    let answering = &mut state.answering;
    let needed = !names.networks.is_empty();
    if answering.told.as_ref() == Some(&names) && answering.is_alive() == needed {
        return Ok(());
    }
    // Until it has said that it knows, it does not.
    answering.told = None;
    let report = if needed { reach(engine, answering, &names)? } else { end(engine, answering)? };
    answering.note(names, report);
    Ok(())
}

/// Who is on which bridge.
fn names(engine: &Inner, state: &State) -> Names {
    let up = state.nets().filter(|(_, net)| net.up);
    let networks = up.filter_map(|(network, net)| {
        let port = state.answering.ports.get(&net.bridge).copied();
        Some((net.bridge.clone(), names_of(engine, &network, net, port)?))
    });
    Names { networks: networks.collect() }
}

fn names_of(engine: &Inner, network: &NetworkId, net: &Net, port: Option<u16>) -> Option<NetworkNames> {
    let addresses = net.addresses.as_ref()?;
    let containers = addresses.iter().filter_map(|(key, address)| {
        let ResourceKey { app, name } = key.parse().ok()?;
        let container = engine.find(&ResourceKey { app: app.clone(), name: name.clone() });
        let endpoint = container.as_ref().and_then(|container| container.endpoint(network));
        let servers = container.map(|container| container.lock().record.config.names.servers.clone());
        Some(ContainerName {
            app: app.to_string(),
            name: name.to_string(),
            aliases: endpoint.unwrap_or_default().aliases.into_iter().collect(),
            address,
            servers: servers.unwrap_or_default(),
        })
    });
    let (subnet, internal) = (addresses.subnet(), net.is_internal());
    Some(NetworkNames { subnet, internal, port, containers: containers.collect() })
}

fn reach(engine: &Inner, answering: &Answering, names: &Names) -> Result<Report, EmbeddedError> {
    let directory = engine.layout.names();
    fs::create_dir_all(&directory)?;
    names.save(&directory)?;
    // After an upgrade the new program answers: the old one may not know all that the names say.
    let is_current = |found: &Responder| engine.program.is_run_by(found.pid);
    let Some(found) = found(&directory).filter(|found| answering.is_alive() || is_current(found)) else {
        let (process, report) = start(engine)?;
        answering.take_over(Some(process));
        return Ok(report);
    };
    if !answering.is_alive() {
        // An earlier engine has started it.
        answering.take_over(Some(Monitor::held(found.pid, found.process)));
    }
    Ok(found.report)
}

/// The process, which has read its names anew; nothing when there is none, or one that does not answer and is no good.
fn found(directory: &Path) -> Option<Responder> {
    ask_again(directory).unwrap_or_else(|error| {
        tracing::warn!(%error, "the process that answers names does not do so any more; another takes its place");
        None
    })
}

/// Ends it, and takes its directory away.
fn end(engine: &Inner, answering: &Answering) -> Result<Report, EmbeddedError> {
    let directory = engine.layout.names();
    if !directory.exists() {
        return Ok(Report::default());
    }
    Names::default().save(&directory)?;
    if let Some(found) = found(&directory) {
        Monitor::held(found.pid, found.process).ended_within(PATIENCE);
    }
    end_strays(&directory)?;
    if let Some(process) = &*answering.process.borrow() {
        process.reap();
    }
    answering.take_over(None);
    remove_tree(&directory)?;
    Ok(Report::default())
}

/// Starts `PROGRAM dns DIRECTORY`, and waits until it listens.
fn start(engine: &Inner) -> Result<(Monitor, Report), EmbeddedError> {
    end_strays(&engine.layout.names())?;
    let failed = |source| EmbeddedError::Spawn { program: engine.program.path(), source };
    let mut command = engine.program.command("dns");
    command.arg(engine.layout.names()).current_dir("/").env_clear();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(failed)?;
    let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
    let pid = child.id();
    let process = Monitor::started(child).map_err(failed)?;
    match first_report(stdout) {
        Ok(report) => {
            // As monitors do, it goes on without the service that has started it.
            let beside = Cgroup::at(engine.instance.cgroup("dns")).and_then(|group| group.put_beside(pid));
            if let Err(error) = beside {
                tracing::debug!(%error, "names are answered in the control group of the engine");
            }
            Ok((process, report))
        }
        Err(error) => {
            process.kill();
            process.ended_within(PATIENCE);
            process.reap();
            Err(EmbeddedError::Names(error))
        }
    }
}

/// Ends processes that cannot be reached any more, as when they hang, or somebody has emptied the run directory.
fn end_strays(directory: &Path) -> Result<(), EmbeddedError> {
    for (_, identity) in monitor::find(&["dns"], |found| found == directory)? {
        if let Some(stray) = Monitor::adopt(&identity)? {
            stray.kill();
            stray.ended_within(PATIENCE);
        }
    }
    Ok(())
}

/// What it says when it listens: then it closes its stdout.
fn first_report(mut stdout: std::process::ChildStdout) -> io::Result<Report> {
    let deadline = Instant::now() + PATIENCE;
    let mut text = Vec::new();
    loop {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok();
        if poll(&mut [PollFd::new(&stdout, PollFlags::IN)], left.as_ref())? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut buffer = [0; 4096];
        match stdout.read(&mut buffer)? {
            0 => return Ok(serde_json::from_slice(&text)?),
            read => text.extend_from_slice(&buffer[..read]),
        }
    }
}

impl Inner {
    /// The process that answers names, whenever it is another one.
    pub(crate) fn responders(&self) -> watch::Receiver<Option<Arc<Monitor>>> {
        self.networks.lock().answering.process.subscribe()
    }

    /// Has names answered again after the process has ended.
    fn revive_names(&self) -> Result<(), EmbeddedError> {
        let containers = self.containers();
        let mut state = self.networks.lock();
        if let Some(process) = &*state.answering.process.borrow() {
            process.reap();
        }
        tell(self, &mut state)?;
        // It may listen elsewhere now.
        rules::apply(&mut state, &containers)
    }
}

/// Starts the process again when it has ended, as long as the engine is there.
pub(crate) async fn keep(engine: Weak<Inner>, mut responders: watch::Receiver<Option<Arc<Monitor>>>) {
    let [shortest, longest] = START_AGAIN;
    let mut pause = Duration::ZERO;
    loop {
        let process = responders.borrow_and_update().clone();
        let begun = Instant::now();
        tokio::select! {
            changed = responders.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            () = ended(process.as_ref()) => {}
        }
        pause = if begun.elapsed() > LONG { Duration::ZERO } else { pause };
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).clamp(shortest, longest);
            let Some(engine) = engine.upgrade() else { return };
            let Err(error) = blocking(move || engine.revive_names()).await else { break };
            let error = chain(&PortError::from(error));
            tracing::warn!(error, "names of containers cannot be answered again yet");
        }
        if !responders.has_changed().unwrap_or(false) {
            // Nobody needs it any more.
            if responders.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Waits for the end of a process; for ever if there is none.
async fn ended(process: Option<&Arc<Monitor>>) {
    match process {
        Some(process) => wait_for_end(process).await,
        None => std::future::pending().await,
    }
}
