//! Commands and what came of them.

use std::path::PathBuf;
use std::process::{Command, Output};

/// What came of a command.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Outcome {
    /// The same, if the exit code is this one.
    #[expect(
        clippy::return_self_not_must_use,
        clippy::must_use_candidate,
        reason = "often only the code counts"
    )]
    pub fn expect_code(self, code: i32) -> Self {
        let (out, err) = (&self.stdout, &self.stderr);
        assert_eq!(self.code, Some(code), "exit code\nstdout:\n{out}\nstderr:\n{err}");
        self
    }

    /// Standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

/// Runs a program of the system that has to succeed, and returns its output.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let outcome: Outcome = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} cannot be run: {error}"))
        .into();
    assert_eq!(outcome.code, Some(0), "{program} {arguments:?}: {}{}", outcome.stdout, outcome.stderr);
    outcome.stdout
}

/// The built binary, beside the directory of the test's own executable.
pub(crate) fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its executable");
    let path = test.ancestors().nth(2).expect("tests lie in target/PROFILE/deps").join("homeostat");
    assert!(path.exists(), "{} is not built: cargo build -p homeostat", path.display());
    path
}
