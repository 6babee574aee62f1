//! Being connected to a program in a container: what it writes, what it reads, its terminal, its end.

use std::collections::BTreeMap;
use std::pin::Pin;

use bytes::Bytes;
use futures::Sink;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::PortError;

/// A connection to a program in a container. It belongs to nobody else: it goes on when the engine that gave it is closed.
///
/// Whoever drops it without [`AttachInput::Detach`] is gone: a command that was run for it ends then, a container does not.
pub struct Attachment {
    /// The program has a terminal: what it writes comes as [`AttachOutput::Stdout`] alone, and sizes mean something.
    pub terminal: bool,
    /// What goes to the program. It takes no more than the program reads, but for a little that is on its way.
    pub input: Pin<Box<dyn Sink<AttachInput, Error = PortError> + Send>>,
    /// What comes from the program, up to [`AttachOutput::End`], which is the last item. Without one the connection has
    /// broken, or there was an [`AttachInput::Detach`].
    pub output: BoxStream<'static, Result<AttachOutput, PortError>>,
}

impl std::fmt::Debug for Attachment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attachment").field("terminal", &self.terminal).finish_non_exhaustive()
    }
}

/// What goes to a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttachInput {
    /// For its standard input, or typed at its terminal. Without a standard input that is open it is thrown away.
    Stdin(Bytes),
    /// Nothing more comes for its standard input. A terminal has no such end.
    EndOfStdin,
    /// The size of the window in which its terminal is shown now.
    Resize(TerminalSize),
    /// A signal, by its number on Linux, for the container's first process or the command.
    Signal(i32),
    /// The connection ends, and the program goes on.
    Detach,
}

/// What comes from a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttachOutput {
    /// From its standard output, or what its terminal shows.
    Stdout(Bytes),
    /// From its standard error.
    Stderr(Bytes),
    /// It has ended.
    End(AttachEnd),
}

/// How a program that somebody was connected to has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachEnd {
    /// Its exit code as a shell gives it: 128 + n after signal n; 127 when there is no such program, 126 when it cannot be
    /// executed, 125 when it could not be begun for another reason. `None` when nobody knows.
    pub code: Option<i32>,
    /// Why it could not be run, if so.
    pub error: Option<String>,
    /// What to do about that.
    pub hint: Option<String>,
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

impl Default for TerminalSize {
    /// As terminals were when they were made of glass.
    fn default() -> Self {
        Self { rows: 24, columns: 80 }
    }
}

/// Connects to a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachRequest {
    /// Input is sent. It reaches a container that was created with its standard input open.
    pub stdin: bool,
    /// The container belongs to this connection, as one that is run in the foreground does: it waits when what it writes is
    /// not taken, and the end of the input is that of its standard input. Any other connection that falls behind by 1 MiB is cut
    /// off, so that the container never waits for it, and leaves the standard input open for the next one.
    pub foreground: bool,
    /// The size of the window, for a container with a terminal.
    pub size: Option<TerminalSize>,
}

/// Runs a command in a container for somebody who is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecAttachRequest {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Added to the container's environment, and stronger.
    pub env: BTreeMap<String, String>,
    /// As [`ContainerConfig::user`](homeostat_spec::ContainerConfig::user); the container's own when absent.
    pub user: Option<String>,
    /// Absolute path in the container; the container's own when absent.
    pub working_dir: Option<String>,
    /// Input is sent; else the command has nothing to read.
    pub stdin: bool,
    /// The command gets a terminal of this size.
    pub terminal: Option<TerminalSize>,
}
