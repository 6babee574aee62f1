//! Progress on a terminal: steps as they end, builds as they go on.
//!
//! Where stderr is no terminal, plain lines are written instead of moving ones.

use std::io::Write as _;
use std::time::Duration;

use anstream::eprintln;
use homeostat_reconciler::ports::{Event, EventKind, Progress};
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
    fn step(&self, number: usize, total: usize, text: &str) {
        self.bar.set_message(format!("[{number}/{total}] {text}"));
    }

    fn cached(&self) {}

    fn output(&self, line: &str) {
        self.bar.set_message(line.to_owned());
    }
}

impl Drop for BarProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Shows `homeostat build`.
pub(crate) struct BuildDisplay {
    bar: ProgressBar,
    output: Output,
}

impl BuildDisplay {
    pub(crate) fn new(output: Output) -> Self {
        let bar = spinner("");
        if output == Output::Json {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { bar, output }
    }

    fn say(&self, line: &str) {
        if self.output == Output::Text {
            self.bar.suspend(|| eprintln!("{line}"));
        }
    }

    pub(crate) fn step(&self, number: usize, total: usize, text: &str) {
        self.say(&format!("[{number}/{total}] {text}"));
        self.bar.set_message(text.to_owned());
    }

    pub(crate) fn cached(&self) {
        self.say(&format!("  {DIM}cached{DIM:#}"));
    }

    pub(crate) fn output(&self, line: &str) {
        self.say(&format!("  {DIM}{line}{DIM:#}"));
    }

    pub(crate) fn failed(&self) {
        self.bar.finish_and_clear();
    }

    pub(crate) fn done(&self, reference: &str, id: &str) -> std::io::Result<()> {
        self.bar.finish_and_clear();
        let mut out = anstream::stdout();
        match self.output {
            Output::Text => writeln!(out, "{reference} is {}", short(id)),
            Output::Json => writeln!(out, "{}", serde_json::json!({ "reference": reference, "id": id })),
        }
    }
}

fn spinner(message: &str) -> ProgressBar {
    // A spinner of indicatif turns only where stderr is a terminal.
    let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner().with_style(style).with_message(message.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
