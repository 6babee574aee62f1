//! A Dockerfile as data.

use std::time::Duration;

/// A Dockerfile. Variables in it are not put in yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// What the comments at its top say to the parser.
    pub directives: Directives,
    /// The `ARG` before the first `FROM`.
    pub globals: Vec<(usize, Argument)>,
    /// Its stages, at least one.
    pub stages: Vec<Stage>,
    /// What is worth knowing but builds all the same.
    pub warnings: Vec<Warning>,
}

impl Dockerfile {
    /// The place of the stage that `name` means: its name, in any case, or its number from 0.
    pub fn stage(&self, name: &str) -> Option<usize> {
        let by_name = || {
            self.stages
                .iter()
                .position(|stage| stage.name.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(name)))
        };
        let by_number = || name.parse().ok().filter(|number| *number < self.stages.len());
        by_name().or_else(by_number)
    }
}

/// Parser directives: comments of the form `# name=value` above everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// The character that continues lines and takes special meaning away: `\` or a backtick.
    pub escape: char,
    /// `# syntax=`: which front end Docker would load. Only noted.
    pub syntax: Option<String>,
    /// `# check=`: which checks Docker would do. Only noted.
    pub check: Option<String>,
}

impl Default for Directives {
    fn default() -> Self {
        Self { escape: '\\', syntax: None, check: None }
    }
}

/// Something worth knowing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where, from 1.
    pub line: usize,
    /// What.
    pub message: String,
}

/// From one `FROM` to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The line of its `FROM`, from 1.
    pub line: usize,
    /// The text of its `FROM`.
    pub text: String,
    /// `scratch`, an earlier stage or an image, with variables.
    pub base: String,
    /// `--platform`, with variables.
    pub platform: Option<String>,
    /// What it is called, in lower case.
    pub name: Option<String>,
    /// Its instructions, in order.
    pub instructions: Vec<Instruction>,
}

impl Stage {
    /// What it is called: its name, else `stage-` and its place in the file, from 0.
    pub fn title(&self, place: usize) -> String {
        self.name.clone().unwrap_or_else(|| format!("stage-{place}"))
    }
}

/// One instruction of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// Where it begins, from 1.
    pub line: usize,
    /// Its text with continued lines joined, without the text of heredocs.
    pub text: String,
    /// What it says.
    pub command: Command,
}

/// What an instruction says. Strings hold variables yet, save in what is handed to a shell or a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Runs a command in the image.
    Run(Run),
    /// Copies files.
    Copy(Copy),
    /// Copies files of the context, unpacks archives, and fetches files and git repositories ([`Remote`](crate::Remote)).
    Add(Copy),
    /// Sets environment variables, all seeing the values from before.
    Env(Vec<(String, String)>),
    /// Declares build arguments, in order.
    Arg(Vec<Argument>),
    /// Changes the working directory, creating it.
    Workdir(String),
    /// Changes the user that runs commands.
    User(String),
    /// Sets the command, or the arguments of the entry point.
    Cmd(CommandLine),
    /// Sets the entry point.
    Entrypoint(CommandLine),
    /// Notes ports: `80`, `53/udp`, `8000-8010/tcp`; words split after variables are put in.
    Expose(String),
    /// Notes volumes.
    Volume(Vec<String>),
    /// Sets labels.
    Label(Vec<(String, String)>),
    /// Sets the shell of the shell form.
    Shell(Vec<String>),
    /// Sets the signal that stops the container.
    StopSignal(String),
    /// Sets the health check.
    Healthcheck(Healthcheck),
    /// Names the author (deprecated).
    Maintainer(String),
    /// Keeps an instruction for builds on top of the image. Its text, which is known to be one.
    OnBuild(String),
}

impl Command {
    /// The instruction's name, in capitals.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Run(_) => "RUN",
            Self::Copy(_) => "COPY",
            Self::Add(_) => "ADD",
            Self::Env(_) => "ENV",
            Self::Arg(_) => "ARG",
            Self::Workdir(_) => "WORKDIR",
            Self::User(_) => "USER",
            Self::Cmd(_) => "CMD",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Expose(_) => "EXPOSE",
            Self::Volume(_) => "VOLUME",
            Self::Label(_) => "LABEL",
            Self::Shell(_) => "SHELL",
            Self::StopSignal(_) => "STOPSIGNAL",
            Self::Healthcheck(_) => "HEALTHCHECK",
            Self::Maintainer(_) => "MAINTAINER",
            Self::OnBuild(_) => "ONBUILD",
        }
    }
}

/// A build argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// Its value when the build gives none.
    pub default: Option<String>,
}

/// A command in one of its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// A line for the stage's shell.
    Shell(String),
    /// A program and its arguments: the JSON form.
    Exec(Vec<String>),
}

/// `RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What to run.
    pub command: RunCommand,
    /// Whether it has the network: all but `--network=none`.
    pub network: bool,
    /// What is mounted while it runs.
    pub mounts: Vec<Mount>,
}

/// `--mount` of `RUN`. Strings hold variables yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Where; there is one but for secrets and sockets.
    pub target: Option<String>,
    /// The stage or image that `source` is in, instead of the context.
    pub from: Option<String>,
    /// A path of the context, stage or image.
    pub source: Option<String>,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// How much may be kept in memory, in bytes.
    pub size: Option<u64>,
    /// How a cache is shared.
    pub sharing: Sharing,
    /// The name of a cache, secret or socket.
    pub id: Option<String>,
    /// Owner of a new cache, a secret or a socket.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its mode.
    pub mode: Option<u32>,
    /// Fails without the secret or socket.
    pub required: bool,
    /// The variable that is the secret, instead of a file.
    pub variable: Option<String>,
}

/// Who may use a cache at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// All.
    #[default]
    Shared,
    /// One; others get another of the same name.
    Private,
    /// One; others wait.
    Locked,
}

/// What `--mount` mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountKind {
    /// Files of the context, a stage or an image. What is written there is lost.
    Bind,
    /// A directory that is kept from build to build.
    Cache,
    /// An empty directory in memory.
    Tmpfs,
    /// A file or variable that only the command sees.
    Secret,
    /// The socket of an agent for SSH keys.
    Ssh,
}

/// What `RUN` runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunCommand {
    /// A text for the stage's shell, with its heredocs.
    Shell(String),
    /// A program and its arguments.
    Exec(Vec<String>),
    /// The content of an executable file that names its interpreter in its first line (`#!`).
    Script(String),
}

/// `COPY`, or `ADD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// What to copy, at least one.
    pub sources: Vec<Source>,
    /// Where to.
    pub destination: String,
    /// The stage or image to copy from, instead of the context.
    pub from: Option<String>,
    /// `USER[:GROUP]` by name or number.
    pub chown: Option<String>,
    /// Octal mode for all files.
    pub chmod: Option<String>,
    /// Files go into a layer that knows nothing of those beneath: `--link`.
    pub link: bool,
    /// Sources keep the directories that they are in: `--parents`.
    pub parents: bool,
    /// Patterns of what is left out: `--exclude`.
    pub exclude: Vec<String>,
    /// Whether `ADD` unpacks archives: by default those of the context.
    pub unpack: Option<bool>,
    /// What `ADD` is to fetch, and nothing else: `sha256:` and a digest, or the hash of a commit: `--checksum`.
    pub checksum: Option<String>,
}

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Files by path, maybe with wildcards.
    Path(String),
    /// A file that stands in the Dockerfile itself.
    Inline(crate::Heredoc),
}

/// `HEALTHCHECK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// None, also if the base has one.
    None,
    /// A command that says by its exit code.
    Command {
        /// The command.
        command: CommandLine,
        /// Time between checks.
        interval: Option<Duration>,
        /// How long one may take.
        timeout: Option<Duration>,
        /// How long failures do not count after the start.
        start_period: Option<Duration>,
        /// Time between checks meanwhile.
        start_interval: Option<Duration>,
        /// How many failures in a row make it unhealthy.
        retries: Option<u32>,
    },
}
