//! Progress on a terminal: steps as they end, builds as they go on.
//!
//! Where stderr is no terminal, plain lines are written instead of moving ones.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anstream::eprintln;
use homeostat_reconciler::ports::{Event, EventKind, Progress, ProgressStep};
use homeostat_reconciler::{PortError, Step, chain};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::render::Output;
use crate::render::{DIM, GREEN, RED, YELLOW, resource, short};
use crate::watcher::Watcher;

/// Shows the steps of `apply`.
pub(crate) struct TerminalWatcher {
    bars: MultiProgress,
}

impl TerminalWatcher {
    /// Shows nothing but errors when the output is for a program.
    pub(crate) fn new(output: Output) -> Self {
        let bars = MultiProgress::new();
        if output == Output::Json {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { bars }
    }

    fn say(&self, line: &str) {
        // The bars, where there are any, make room for the line.
        self.bars.suspend(|| eprintln!("{line}"));
    }
}

impl Watcher for TerminalWatcher {
    fn step_started(&self, step: &Step) -> Box<dyn Progress> {
        let bar = self.bars.add(spinner(&format!("{} {}", step.action.verb(), resource(step))));
        Box::new(BarProgress { bar })
    }

    fn step_finished(&self, step: &Step, result: &Result<(), PortError>, took: Duration) {
        let (verb, resource) = (step.action.verb(), resource(step));
        match result {
            Ok(()) => self.say(&format!("{GREEN}{verb}{GREEN:#} {resource} {DIM}{took:.0?}{DIM:#}")),
            Err(error) => {
                self.say(&format!("{RED}{verb} {resource} failed{RED:#}: {}", chain(error)));
                if let Some(hint) = &error.hint {
                    self.say(&format!("  hint: {hint}"));
                }
            }
        }
    }

    fn event(&self, event: &Event) {
        match event.kind {
            EventKind::Applied | EventKind::Failed | EventKind::Revision => {}
            EventKind::Exited
            | EventKind::Restarting
            | EventKind::Health
            | EventKind::Source
            | EventKind::Pruned
            | EventKind::Lost
            | EventKind::Agent => {
                let about = event.resource.as_ref().map(|key| format!("{key}: ")).unwrap_or_default();
                self.say(&format!("{YELLOW}{about}{}{YELLOW:#}", event.message));
            }
        }
    }
}

/// A step's line on the terminal; gone when the step has ended.
struct BarProgress {
    bar: ProgressBar,
}

impl Progress for BarProgress {
    fn step(&self, step: &ProgressStep) {
        self.bar.set_message(step.to_string());
    }

    fn cached(&self, _step: usize) {}

    fn missed(&self, _step: usize, _cause: &str) {}

    fn output(&self, _step: Option<usize>, line: &str) {
        self.bar.set_message(line.to_owned());
    }
}

impl Drop for BarProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Shows how a build, a pull or a push goes on: the step, and a line for each layer that is on its way.
pub(crate) struct WorkDisplay {
    bars: MultiProgress,
    step: ProgressBar,
    layers: Mutex<BTreeMap<String, ProgressBar>>,
    output: Output,
}

impl WorkDisplay {
    pub(crate) fn new(output: Output) -> Self {
        let bars = MultiProgress::new();
        if output == Output::Json {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        let step = bars.add(spinner(""));
        Self { bars, step, layers: Mutex::default(), output }
    }

    fn say(&self, line: &str) {
        if self.output == Output::Text {
            self.bars.suspend(|| eprintln!("{line}"));
        }
    }

    pub(crate) fn step(&self, step: &ProgressStep) {
        self.say(&step.to_string());
        self.step.set_message(step.text.clone());
    }

    pub(crate) fn cached(&self, step: usize) {
        self.output(Some(step), "cached");
    }

    pub(crate) fn missed(&self, step: usize, cause: &str) {
        self.output(Some(step), &format!("missed: {cause}"));
    }

    /// With the number of its step: lines of several may come mixed.
    pub(crate) fn output(&self, step: Option<usize>, line: &str) {
        match (step, line.split_once(": ")) {
            (Some(step), _) => self.say(&format!("  {DIM}{step}: {line}{DIM:#}")),
            (None, Some((layer, _))) if !self.bars.is_hidden() && is_short_id(layer) => {
                self.layer(layer, line);
            }
            (None, _) => self.say(&format!("  {DIM}{line}{DIM:#}")),
        }
    }

    /// On a terminal a layer has a line of its own that changes.
    fn layer(&self, layer: &str, line: &str) {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = layers.entry(layer.to_owned()).or_insert_with(|| self.bars.add(spinner("")));
        bar.set_message(line.to_owned());
    }

    /// Takes away what moves.
    pub(crate) fn clear(&self) {
        self.step.finish_and_clear();
        for bar in self.layers.lock().unwrap_or_else(PoisonError::into_inner).values() {
            bar.finish_and_clear();
        }
    }

    /// Prints what came of it: an id, or a digest.
    pub(crate) fn done(&self, reference: &str, what: &str, result: &str) -> std::io::Result<()> {
        let mut out = anstream::stdout();
        match self.output {
            Output::Text => writeln!(out, "{reference} is {}", short(result)),
            Output::Json => writeln!(out, "{}", serde_json::json!({ "reference": reference, what: result })),
        }
    }
}

/// As engines shorten the digests of layers.
fn is_short_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn spinner(message: &str) -> ProgressBar {
    // A spinner of indicatif turns only where stderr is a terminal.
    let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner().with_style(style).with_message(message.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
