//! Why there is no image.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use homeostat_dockerfile::{DockerfileError, ExpandError, IgnoreError, PatternError};
use homeostat_files::{FileError, overlay::OverlayError};
use homeostat_image::{StoreError, UnpackError};
use homeostat_reconciler::{ErrorKind, PortError};

use crate::RunError;

/// A build failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Dockerfile or the .dockerignore file cannot be read.
    #[error("cannot read `{path}` of the build context")]
    Read {
        /// Relative to the context.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The build context is no directory that can be read.
    #[error("cannot use the build context")]
    Context(#[source] FileError),
    /// The Dockerfile is wrong.
    #[error("cannot build `{path}`")]
    Dockerfile {
        /// Relative to the context.
        path: String,
        /// What is wrong.
        source: DockerfileError,
    },
    /// The .dockerignore file is wrong.
    #[error("cannot use `{path}`")]
    Ignore {
        /// Relative to the context.
        path: String,
        /// What is wrong.
        source: IgnoreError,
    },
    /// The argument `SOURCE_DATE_EPOCH` is no time.
    #[error("SOURCE_DATE_EPOCH is `{value}`, which is no number of seconds")]
    SourceDateEpoch {
        /// The argument's value.
        value: String,
    },
    /// The target is no stage.
    #[error("there is no stage `{target}`")]
    NoTarget {
        /// What was asked for.
        target: String,
        /// The names that there are.
        stages: Vec<String>,
    },
    /// A step failed.
    #[error("line {line}: {instruction}")]
    Step {
        /// Where it begins in the Dockerfile, from 1.
        line: usize,
        /// Its text, shortened.
        instruction: String,
        /// Why.
        source: Box<StepError>,
    },
    /// The image cannot be stored.
    #[error("cannot store the image")]
    Store(#[source] StoreError),
    /// No thread with mounts of its own can be had.
    #[error("cannot make a mount namespace for the build")]
    Isolation(#[source] io::Error),
    /// It was told to stop.
    #[error("the build was cancelled")]
    Cancelled,
}

/// A step of a build failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// A variable cannot be put in.
    #[error("cannot put variables in")]
    Expand(#[from] ExpandError),
    /// A wildcard is malformed.
    #[error("cannot select files")]
    Pattern(#[from] PatternError),
    /// The base image, or the one to copy from, is not on this host.
    #[error("there is no image `{reference}` on this host")]
    NoImage {
        /// Its reference.
        reference: String,
    },
    /// The image is for another platform, or another one is asked for.
    #[error("the platform is {found}, and this host's is {host}")]
    Platform {
        /// What was asked for, or the image has.
        found: String,
        /// What this host has.
        host: String,
    },
    /// What the instruction says means nothing.
    #[error("`{value}` is no {what}")]
    Value {
        /// What stands there, with its variables put in.
        value: String,
        /// What it should be.
        what: &'static str,
    },
    /// A source of `COPY` is not there.
    #[error("there is no file `{path}` to copy")]
    NoSource {
        /// As it stands in the Dockerfile, with its variables put in.
        path: String,
        /// Whether .dockerignore leaves it out.
        ignored: bool,
    },
    /// Several files cannot become one.
    #[error("several files cannot be copied to the file `{destination}`")]
    NoDirectory {
        /// Where they were to go.
        destination: String,
    },
    /// Something in the image is in the way.
    #[error("`{path}` in the image is {found}")]
    InTheWay {
        /// Path in the image.
        path: String,
        /// What it is.
        found: &'static str,
    },
    /// A device or the like cannot be copied.
    #[error("`{path}` is no file, directory or link")]
    Special {
        /// Path of the source.
        path: String,
    },
    /// An archive cannot be unpacked.
    #[error("cannot unpack the archive `{path}`")]
    Archive {
        /// Path of the source.
        path: String,
        /// Why.
        source: UnpackError,
    },
    /// A trigger of the base is malformed.
    #[error("the base has a trigger that cannot be read")]
    Trigger(#[source] DockerfileError),
    /// A secret or socket is needed and was not given.
    #[error("the {what} `{id}` is required and was not given")]
    NotGiven {
        /// What it is.
        what: &'static str,
        /// Its name.
        id: String,
    },
    /// What `ADD` names cannot be fetched.
    #[error("cannot fetch `{address}`")]
    Fetch {
        /// Its address.
        address: String,
        /// Why.
        source: PortError,
    },
    /// What was fetched is not what was asked for.
    #[error("`{address}` gives {found}, and not {expected}")]
    Checksum {
        /// Its address.
        address: String,
        /// What was asked for, as a digest or the hash of a commit.
        expected: String,
        /// What came.
        found: String,
    },
    /// The disk has no room for what is to be copied.
    #[error("it needs {} MiB on the disk of {}, and {} MiB are free", needed.div_ceil(MIB), path.display(), free / MIB)]
    NoRoom {
        /// The image store.
        path: PathBuf,
        /// What it takes, as files and as an archive, in bytes.
        needed: u64,
        /// What is free, in bytes.
        free: u64,
    },
    /// The image has no such user.
    #[error("the image has no user `{name}`")]
    NoUser {
        /// The name.
        name: String,
    },
    /// The image has no such group.
    #[error("the image has no group `{name}`")]
    NoGroup {
        /// The name.
        name: String,
    },
    /// The command failed.
    #[error("the command exited with {code}{}", shown(.output))]
    Exit {
        /// Its exit code.
        code: i32,
        /// The last lines that it printed.
        output: Vec<String>,
        /// Whether the file system of the image store was full then.
        disk_full: bool,
    },
    /// The command could not be started.
    #[error("cannot run the command")]
    Run(#[source] RunError),
    /// The build was told to stop.
    #[error("the build was cancelled")]
    Cancelled,
    /// A file cannot be used.
    #[error("cannot change the image's files")]
    File(#[from] FileError),
    /// A file cannot be read or written.
    #[error("cannot change the image's files")]
    Io(#[from] io::Error),
    /// The layers cannot be mounted.
    #[error("cannot mount the image")]
    Mount(#[from] OverlayError),
    /// The image store cannot do its part.
    #[error("cannot use the image store")]
    Store(#[from] StoreError),
}

impl BuildError {
    /// Who can do something about it.
    pub fn kind(&self) -> ErrorKind {
        if is_out_of_space(self) {
            return ErrorKind::Transient;
        }
        match self {
            Self::Dockerfile { .. }
            | Self::Ignore { .. }
            | Self::SourceDateEpoch { .. }
            | Self::NoTarget { .. }
            | Self::Read { .. } => ErrorKind::User,
            Self::Step { source, .. } => source.kind(),
            Self::Context(_) | Self::Store(_) | Self::Cancelled => ErrorKind::Transient,
            Self::Isolation(_) => ErrorKind::Config,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        if is_out_of_space(self) {
            return Some(DISK_FULL.to_owned());
        }
        match self {
            Self::Dockerfile { source, .. } => source.hint(),
            Self::NoTarget { stages, .. } if stages.is_empty() => Some("no stage has a name".to_owned()),
            Self::NoTarget { stages, .. } => Some(format!("there are: {}", stages.join(", "))),
            Self::Step { source, .. } => source.hint(),
            Self::SourceDateEpoch { .. } => {
                Some("give the seconds since 1970, as git log -1 --format=%ct says".to_owned())
            }
            Self::Isolation(_) => Some("builds need the capability CAP_SYS_ADMIN".to_owned()),
            Self::Read { .. } | Self::Context(_) | Self::Ignore { .. } | Self::Store(_) | Self::Cancelled => {
                None
            }
        }
    }
}

const MIB: u64 = 1 << 20;

const DISK_FULL: &str = "the disk of the image store is full: make room, for instance with `homeostat prune`";

impl StepError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Exit { disk_full: true, .. } | Self::NoRoom { .. } => ErrorKind::Transient,
            // Another app may build or pull the image in a moment.
            Self::NoImage { .. } | Self::File(_) | Self::Io(_) | Self::Store(_) | Self::Run(_) => {
                ErrorKind::Transient
            }
            Self::Mount(_) => ErrorKind::Config,
            Self::Fetch { source, .. } => source.kind,
            // A command may depend on a network or a mirror, but far more often it is simply wrong.
            _ => ErrorKind::User,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Expand(error) => error.hint()?,
            Self::NoImage { .. } => "pull it, build it, or check its name; FROM scratch needs no image",
            Self::NoSource { ignored: true, .. } => "the .dockerignore file leaves it out",
            Self::NoSource { .. } => "paths begin at the build context, and links lead nowhere outside of it",
            Self::NoDirectory { .. } => "end the destination with `/`",
            Self::Fetch { source, .. } => source.hint.as_deref()?,
            Self::Checksum { .. } => {
                "it has changed, or something between here and there changes it: see which, then change --checksum"
            }
            Self::Platform { .. } => "images are built for the platform of their host only",
            Self::NoUser { .. } | Self::NoGroup { .. } => "create it with RUN before, or use a number",
            Self::Exit { disk_full: true, .. } => DISK_FULL,
            Self::NoRoom { .. } | Self::Store(StoreError::NoRoom { .. }) => {
                "make room, for instance with `homeostat prune`"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

fn shown(output: &[String]) -> String {
    if output.is_empty() { String::new() } else { format!("; it printed last:\n{}", output.join("\n")) }
}

fn is_out_of_space(error: &(dyn Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(current) = error {
        if let Some(io) = current.downcast_ref::<io::Error>()
            && matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        {
            return true;
        }
        error = current.source();
    }
    false
}
