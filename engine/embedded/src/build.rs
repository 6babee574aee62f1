//! Building images: what the builder needs of an engine.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, mpsc};

use homeostat_build::{
    BuildError, BuildOptions, Cancel, Reporter, RunError, RunStep, StepError, StepMount, StepRunner, Stream,
};
use homeostat_monitor::{Mount, MountSource, Network, Process, StepNetwork, StepRequest};
use homeostat_reconciler::ports::{BuildRequest, Progress, ProgressStep};
use homeostat_spec::Names;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_send_signal};
use tokio::runtime::Handle;
use tokio::sync::mpsc as news;

use crate::EmbeddedError;
use crate::engine::Inner;
use crate::fetch::Fetching;
use crate::instance::Instance;
use crate::networks::dns;
use crate::program::Program;
use crate::run::blocking;
use crate::staging::random_id;

/// A line of output is passed on in pieces of so many bytes.
const LINE_LIMIT: u64 = 64 << 10;

/// How many lines a step may be ahead of who is told them; then it waits. One that writes faster than they can be taken
/// would fill the memory.
const LINES_AHEAD: usize = 128;

impl Inner {
    /// Builds an image, pulls what it begins with or copies from, and tells how it goes on.
    pub(crate) async fn build_image(
        self: &Arc<Self>,
        request: &BuildRequest,
        progress: &dyn Progress,
    ) -> Result<String, EmbeddedError> {
        let mut pulled = BTreeSet::new();
        loop {
            let (reference, source) = match self.build_once(request, progress).await {
                Err(EmbeddedError::Build { reference, source }) => (reference, source),
                done => return done,
            };
            // What was done up to there comes out of the cache when it begins again.
            match missing_image(&source) {
                Some(missing) if pulled.insert(missing.to_owned()) => {
                    self.pull_image(missing, progress).await?;
                }
                _ => return Err(EmbeddedError::Build { reference, source }),
            }
        }
    }

    async fn build_once(
        self: &Arc<Self>,
        request: &BuildRequest,
        progress: &dyn Progress,
    ) -> Result<String, EmbeddedError> {
        let (told, mut telling) = news::channel(LINES_AHEAD);
        let (inner, request) = (Arc::clone(self), request.clone());
        let cancel = Cancel::default();
        // A build that nobody waits for any more would go on in its threads.
        let _abandoned = CancelOnDrop(cancel.clone());
        let runtime = Handle::current();
        let building = blocking(move || inner.build(request, told, runtime, &cancel));
        let forwarding = async {
            while let Some(news) = telling.recv().await {
                news.tell(progress);
            }
        };
        futures::join!(building, forwarding).0
    }

    fn build(
        &self,
        request: BuildRequest,
        told: news::Sender<News>,
        runtime: Handle,
        cancel: &Cancel,
    ) -> Result<String, EmbeddedError> {
        let _building = self.building();
        let steps = Steps {
            program: Arc::clone(&self.program),
            instance: self.instance.clone(),
            runtime: self.layout.runtime(),
        };
        let reference = request.reference.clone();
        let options = BuildOptions {
            context: request.context,
            dockerfile: request.dockerfile,
            dockerfile_text: request.dockerfile_text,
            args: request.args,
            target: request.target,
            reference: request.reference,
            secrets: request.secrets,
            ssh: request.ssh,
            no_cache: request.no_cache,
        };
        let fetching = Fetching { inner: self, runtime };
        let built = homeostat_build::build(&self.images, &options, &steps, &fetching, &Telling(told), cancel);
        match built {
            Ok(outcome) => Ok(outcome.id.to_string()),
            Err(source) => Err(EmbeddedError::Build { reference, source: Box::new(source) }),
        }
    }
}

/// Ends a build when whoever wanted it is gone.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The image that a build failed for, because it is not here.
fn missing_image(error: &BuildError) -> Option<&str> {
    match error {
        BuildError::Step { source, .. } => match &**source {
            StepError::NoImage { reference } => Some(reference),
            _ => None,
        },
        _ => None,
    }
}

/// What happens in a build.
enum News {
    Step(ProgressStep),
    Cached(usize),
    Missed(usize, String),
    Output(Option<usize>, String),
}

impl News {
    fn tell(&self, progress: &dyn Progress) {
        match self {
            Self::Step(step) => progress.step(step),
            Self::Cached(step) => progress.cached(*step),
            Self::Missed(step, cause) => progress.missed(*step, cause),
            Self::Output(step, line) => progress.output(*step, line),
        }
    }
}

/// Passes news of a build on, which happens on another thread. When nobody wants them any more they are dropped.
struct Telling(news::Sender<News>);

impl Reporter for Telling {
    fn step(&self, step: &ProgressStep) {
        let _ = self.0.blocking_send(News::Step(step.clone()));
    }

    fn cached(&self, step: usize) {
        let _ = self.0.blocking_send(News::Cached(step));
    }

    fn missed(&self, step: usize, cause: &str) {
        let _ = self.0.blocking_send(News::Missed(step, cause.to_owned()));
    }

    fn output(&self, step: usize, _stream: Stream, line: &str) {
        let _ = self.0.blocking_send(News::Output(Some(step), line.to_owned()));
    }

    fn warning(&self, message: &str) {
        let _ = self.0.blocking_send(News::Output(None, format!("warning: {message}")));
    }
}

/// Runs `RUN` steps with `PROGRAM monitor step`.
struct Steps {
    program: Arc<Program>,
    instance: Instance,
    runtime: PathBuf,
}

impl StepRunner for Steps {
    fn run(
        &self,
        step: &RunStep,
        cancel: &Cancel,
        output: &mut dyn FnMut(Stream, &str),
    ) -> Result<i32, RunError> {
        let request = serde_json::to_vec(&self.request(step)?)?;
        // The child is this thread's own, and so sees the step's root in the thread's mount namespace.
        let mut child = self
            .program
            .monitor("step")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let process = rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
        let passed = process.map_err(io::Error::from).and_then(|process| {
            // Its monitor ends the command, and takes away what it made for it.
            let _watching = cancel.watch(move || {
                // One that has ended needs no signal.
                let _ = pidfd_send_signal(&process, Signal::TERM);
            });
            pass_on(&mut child, &request, output)
        });
        let status = child.wait()?;
        passed?;
        status.code().ok_or_else(|| "the step's monitor was killed".into())
    }
}

impl Steps {
    fn request(&self, step: &RunStep) -> Result<StepRequest, EmbeddedError> {
        let id = format!("step-{}", random_id()?);
        let (network, names) = if step.network {
            (StepNetwork::Host, Network::Host)
        } else {
            (StepNetwork::None, Network::None)
        };
        Ok(StepRequest {
            parent: std::process::id(),
            rootfs: step.rootfs.clone(),
            process: process(step),
            mounts: step.mounts.iter().map(mount).collect(),
            secrets: step.secrets.clone(),
            network,
            dns: dns(&names, &Names::default()),
            cgroup: self.instance.cgroup(&id),
            runtime_dir: self.runtime.clone(),
            id,
        })
    }
}

fn mount(mount: &StepMount) -> Mount {
    let source = MountSource::Volume(mount.source.clone());
    Mount { source, target: mount.target.clone(), read_only: mount.read_only }
}

fn process(step: &RunStep) -> Process {
    let variables = step.env.iter().filter_map(|variable| variable.split_once('='));
    let env: BTreeMap<String, String> =
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Process {
        args: step.args.clone(),
        env,
        cwd: Some(step.cwd.clone()),
        user: Some(format!("{}:{}", step.uid, step.gid)),
        additional_gids: step.groups.clone(),
        groups: Vec::new(),
    }
}

/// Hands the request over, and passes both streams on line by line until they end.
fn pass_on(child: &mut Child, request: &[u8], output: &mut dyn FnMut(Stream, &str)) -> io::Result<()> {
    let mut stdin = child.stdin.take().expect("stdin was asked to be a pipe");
    let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
    let stderr = child.stderr.take().expect("stderr was asked to be a pipe");
    match stdin.write_all(request) {
        // It has ended already, and says why on stderr.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written?,
    }
    drop(stdin);
    let (sender, lines) = mpsc::sync_channel(LINES_AHEAD);
    std::thread::scope(|scope| {
        let of_stderr = sender.clone();
        let stdout = scope.spawn(move || read_lines(stdout, Stream::Stdout, &sender));
        let stderr = scope.spawn(move || read_lines(stderr, Stream::Stderr, &of_stderr));
        for (stream, line) in lines {
            output(stream, &line);
        }
        let joined = |thread: std::thread::ScopedJoinHandle<'_, io::Result<()>>| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a reader has panicked")))
        };
        joined(stdout).and(joined(stderr))
    })
}

fn read_lines(
    stream: impl Read,
    which: Stream,
    sender: &mpsc::SyncSender<(Stream, String)>,
) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut reader).take(LINE_LIMIT).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).into_owned();
        if sender.send((which, text)).is_err() {
            return Ok(());
        }
    }
}
