//! What can be wrong with a Dockerfile.

use crate::{ExpandError, PatternError};

/// Something in a Dockerfile that is wrong, or that homeostat does not build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct DockerfileError {
    /// Where it begins, from 1.
    pub line: usize,
    /// What it is.
    pub problem: Problem,
}

impl DockerfileError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        self.problem.hint()
    }
}

/// What is wrong in a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file has no instruction.
    #[error("there is no instruction")]
    Empty,
    /// No such instruction exists.
    #[error("unknown instruction `{word}`")]
    UnknownInstruction {
        /// As it stands there.
        word: String,
        /// The instruction that was probably meant.
        similar: Option<&'static str>,
    },
    /// The instruction has no such flag.
    #[error("{instruction} has no flag `--{flag}`")]
    UnknownFlag {
        /// The instruction.
        instruction: &'static str,
        /// The flag without its dashes.
        flag: String,
    },
    /// Valid for Docker, but not built here.
    #[error("{what} is not supported")]
    Unsupported {
        /// The feature.
        what: String,
        /// What to do instead.
        instead: &'static str,
    },
    /// The instruction says nothing, or too little, or too much.
    #[error("{instruction} {needs}")]
    Arguments {
        /// The instruction.
        instruction: &'static str,
        /// What it needs: "needs an image".
        needs: &'static str,
        /// How it is written.
        usage: &'static str,
    },
    /// A word of `ENV`, `LABEL` or `ARG` has no `=`, or no name before it.
    #[error("{instruction} has `{word}` where `name=value` is needed")]
    NoPair {
        /// The instruction.
        instruction: &'static str,
        /// As it stands there.
        word: String,
    },
    /// A JSON array has something else than strings.
    #[error("the JSON array of {instruction} may hold strings only")]
    NotStrings {
        /// The instruction.
        instruction: &'static str,
    },
    /// A flag's value means nothing.
    #[error("{instruction} --{flag} cannot be `{value}`")]
    FlagValue {
        /// The instruction.
        instruction: &'static str,
        /// The flag without its dashes.
        flag: &'static str,
        /// Its value.
        value: String,
        /// How it is written.
        usage: &'static str,
    },
    /// A stage cannot be called that.
    #[error("`{name}` cannot be the name of a stage")]
    StageName {
        /// As it stands there.
        name: String,
    },
    /// Two stages have one name.
    #[error("there is a stage `{name}` already, at line {first}")]
    StageTwice {
        /// The name.
        name: String,
        /// Where the other one begins.
        first: usize,
    },
    /// An instruction stands before the first `FROM`.
    #[error("{instruction} stands before the first FROM")]
    BeforeFrom {
        /// The instruction.
        instruction: &'static str,
    },
    /// A heredoc has no end.
    #[error("the text after `<<{name}` has no end")]
    HeredocWithoutEnd {
        /// The word that ends it.
        name: String,
    },
    /// A parser directive stands there twice.
    #[error("the directive `{name}` stands there twice")]
    DirectiveTwice {
        /// Its name.
        name: String,
    },
    /// `# escape=` with something else than a backslash or a backtick.
    #[error("the escape character cannot be `{value}`")]
    Escape {
        /// The value.
        value: String,
    },
    /// A variable cannot be put in.
    #[error("{0}")]
    Expand(ExpandError),
    /// A wildcard is malformed.
    #[error("{0}")]
    Pattern(PatternError),
}

impl Problem {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Empty => Some("begin with FROM".to_owned()),
            Self::UnknownInstruction { similar: Some(similar), .. } => {
                Some(format!("did you mean {similar}?"))
            }
            Self::UnknownInstruction { .. } => {
                Some("a line that goes on must end in the escape character `\\`".to_owned())
            }
            Self::Unsupported { instead, .. } => Some((*instead).to_owned()),
            Self::Arguments { usage, .. } | Self::FlagValue { usage, .. } => Some(format!("write {usage}")),
            Self::NoPair { .. } => Some("values with spaces need quotes: NAME=\"a b\"".to_owned()),
            Self::NotStrings { .. } => Some("put numbers in double quotes".to_owned()),
            Self::StageName { .. } => {
                Some("begin with a letter; go on with letters, digits, `-`, `_` and `.`".to_owned())
            }
            Self::StageTwice { .. } => Some("give one of them another name".to_owned()),
            Self::BeforeFrom { .. } => Some("only ARG may stand before the first FROM".to_owned()),
            Self::HeredocWithoutEnd { name } => Some(format!("end it with a line that holds `{name}` alone")),
            Self::Escape { .. } => Some("use `\\` or a backtick".to_owned()),
            Self::Expand(error) => error.hint().map(str::to_owned),
            Self::UnknownFlag { .. } | Self::DirectiveTwice { .. } | Self::Pattern(_) => None,
        }
    }

    pub(crate) fn at(self, line: usize) -> DockerfileError {
        DockerfileError { line, problem: self }
    }
}
