//! Progress as lines, for tests.

use std::sync::Mutex;

use homeostat_reconciler::ports::{Progress, ProgressStep};

#[derive(Default)]
pub(super) struct Told(Mutex<Vec<String>>);

impl Told {
    pub(super) fn lines(self) -> Vec<String> {
        self.0.into_inner().unwrap()
    }

    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

impl Progress for Told {
    fn step(&self, step: &ProgressStep) {
        self.note(step.to_string());
    }

    fn cached(&self, _step: usize) {
        self.note("cached".to_owned());
    }

    fn missed(&self, _step: usize, _cause: &str) {}

    fn output(&self, _step: Option<usize>, line: &str) {
        self.note(format!("> {line}"));
    }
}
