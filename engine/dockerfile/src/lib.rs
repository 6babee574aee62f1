//! Dockerfiles and .dockerignore files, as text and rules: nothing here reads a file or builds an image.
//!
//! - [`parse`] turns a Dockerfile into a [`Dockerfile`]: stages of [`Instruction`]s, each with its line.
//! - [`Scope`] holds the variables an instruction sees (`ARG`, `ENV`, the platform's) and [`expand_word`] puts them in.
//! - [`Ignore`] says which files of a build context a .dockerignore file leaves out; [`Pattern`] is its matcher and
//!   that of wildcards in `COPY`.
//!
//! What homeostat does not build is refused when the file is read, with the line and what to do instead, so that no
//! build fails half-way over it.
//!
//! The format is that of Docker's reference: <https://docs.docker.com/reference/dockerfile/>.

mod clean;
mod error;
mod expand;
mod file;
mod heredoc;
mod ignore;
mod lines;
mod parse;
mod pattern;
mod remote;
mod scope;
mod words;

pub use clean::clean_path;
pub use error::{DockerfileError, Problem};
pub use expand::{ExpandError, expand_text, expand_word, expand_words};
pub use file::{
    Argument, Command, CommandLine, Copy, Directives, Dockerfile, Healthcheck, Instruction, Mount, MountKind,
    Run, RunCommand, Sharing, Source, Stage, Warning,
};
pub use heredoc::Heredoc;
pub use ignore::{Ignore, IgnoreError};
pub use parse::{parse, parse_trigger};
pub use pattern::{Pattern, PatternError};
pub use remote::{Remote, Repository};
pub use scope::{Arguments, Globals, Platform, Scope, is_proxy_argument};
