//! Why an image could not be pulled or pushed, or a file not be downloaded.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use homeostat_image::{Digest, StoreError};
use homeostat_reconciler::ErrorKind;

/// An image cannot be pulled or pushed, or a file not be downloaded.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The reference is none.
    #[error("{reference:?} is no reference to an image: {reason}")]
    InvalidReference {
        /// What was given.
        reference: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The host's configuration of registries cannot be used.
    #[error("{what} cannot be used")]
    Config {
        /// A URL, or a file.
        what: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// No connection comes about.
    #[error("{host} cannot be reached")]
    Unreachable {
        /// Host and port.
        host: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The registry cannot prove who it is.
    #[error("the certificate of {host} is not trusted")]
    Certificate {
        /// Host and port.
        host: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The registry does not speak TLS.
    #[error("{host} does not speak HTTPS")]
    NoTls {
        /// Host and port.
        host: String,
        /// What it said instead.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A connection broke.
    #[error("the connection with {host} broke")]
    Broken {
        /// Host and port.
        host: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Nothing arrives any more.
    #[error("nothing has come from {host} for {} seconds", time.as_secs_f64())]
    Stalled {
        /// Host and port.
        host: String,
        /// For how long.
        time: Duration,
    },
    /// The registry wants to know who asks, or does not let in who does.
    #[error("{host} answers unauthorized: {}", if *with_credentials { "the credentials are not right" } else { "it asks for credentials, and there are none" })]
    Unauthorized {
        /// Host and port.
        host: String,
        /// Whether there were any.
        with_credentials: bool,
    },
    /// The registry knows who asks, and refuses.
    #[error("{host} does not allow it{}", words(message))]
    Forbidden {
        /// Host and port.
        host: String,
        /// What it says.
        message: String,
    },
    /// The registry does not have it.
    #[error("{host} does not have {what}{}", words(message))]
    NotFound {
        /// Host and port.
        host: String,
        /// What it does not have.
        what: String,
        /// What it says.
        message: String,
    },
    /// The registry asks for patience.
    #[error("{host} has had too many requests{}", retry_after.map(|time| format!(": the next in {} seconds", time.as_secs())).unwrap_or_default())]
    TooManyRequests {
        /// Host and port.
        host: String,
        /// For how long.
        retry_after: Option<Duration>,
    },
    /// The registry answers something else than asked for.
    #[error("{host} answers {code}{}", words(message))]
    Status {
        /// Host and port.
        host: String,
        /// The HTTP status code.
        code: u16,
        /// What it says.
        message: String,
        /// For how long it asks for patience.
        retry_after: Option<Duration>,
    },
    /// The registry does not keep to the protocol.
    #[error("{host} does not keep to the protocol: {what}")]
    Protocol {
        /// Host and port.
        host: String,
        /// What it does.
        what: String,
    },
    /// Something else came than was asked for.
    #[error("{host} has sent something else than {expected}: {actual}")]
    WrongDigest {
        /// Host and port.
        host: String,
        /// What was asked for.
        expected: String,
        /// What came.
        actual: String,
    },
    /// The image is for other hosts.
    #[error("the image is not there for {wanted}, only for {}", offered.join(", "))]
    NoPlatform {
        /// This host's platform.
        wanted: String,
        /// What there is.
        offered: Vec<String>,
    },
    /// What the reference names cannot be run, or not by this program.
    #[error("it is no image that can be run: it has {what}")]
    NotAnImage {
        /// What it has.
        what: String,
    },
    /// A document of the image makes no sense.
    #[error("the image's {what} makes no sense")]
    Document {
        /// Manifest, index or configuration.
        what: &'static str,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// There is no room for the image.
    #[error(
        "the image needs {} MiB on the disk of {} ({} MiB to download, unpacked about {} MiB), and {} MiB are free",
        (download + unpacked).div_ceil(MIB), path.display(), download.div_ceil(MIB), unpacked.div_ceil(MIB), free / MIB
    )]
    NoRoom {
        /// The image store.
        path: PathBuf,
        /// What has yet to be downloaded, in bytes.
        download: u64,
        /// What it takes unpacked, about, in bytes.
        unpacked: u64,
        /// What is free, in bytes.
        free: u64,
    },
    /// There is no room for a file.
    #[error("the file from {host} has {} MiB or more, and {} MiB are free", size.div_ceil(MIB), room / MIB)]
    TooLarge {
        /// Host and port.
        host: String,
        /// How large it is, or how much of it there was no room for, in bytes.
        size: u64,
        /// What is free, in bytes.
        room: u64,
    },
    /// A file cannot be written.
    #[error("the file cannot be written")]
    File(#[source] std::io::Error),
    /// The image cannot be stored.
    #[error("the image cannot be stored")]
    Store(#[from] StoreError),
    /// A part of the engine panicked.
    #[error("a part of the engine has panicked")]
    Panicked,
}

const MIB: u64 = 1 << 20;

/// What a registry says, behind what that means.
fn words(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl RegistryError {
    pub(crate) fn protocol(host: &str, what: impl Into<String>) -> Self {
        Self::Protocol { host: host.to_owned(), what: what.into() }
    }

    pub(crate) fn document(what: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Document { what, source: source.into() }
    }

    /// Whether another attempt within the minute may go better.
    pub(crate) fn may_pass_soon(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::Stalled { .. }
            | Self::TooManyRequests { .. } => true,
            Self::Status { code, .. } => matches!(code, 408 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// How long the registry asks to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyRequests { retry_after, .. } | Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the blob that came is not the one that was announced.
    pub(crate) fn is_wrong_blob(&self) -> Option<(&Digest, &Digest)> {
        match self {
            Self::Store(StoreError::WrongBlob { expected, actual }) => Some((expected, actual)),
            _ => None,
        }
    }

    /// Who can do something about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidReference { .. }
            | Self::NotFound { .. }
            | Self::Forbidden { .. }
            | Self::NoPlatform { .. }
            | Self::NotAnImage { .. }
            | Self::Document { .. } => ErrorKind::User,
            Self::Config { .. }
            | Self::Certificate { .. }
            | Self::NoTls { .. }
            | Self::Unauthorized { .. } => ErrorKind::Config,
            Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::Stalled { .. }
            | Self::TooManyRequests { .. }
            | Self::Status { .. }
            | Self::Protocol { .. }
            | Self::WrongDigest { .. }
            | Self::NoRoom { .. }
            | Self::TooLarge { .. }
            | Self::File(_)
            | Self::Store(_) => ErrorKind::Transient,
            Self::Panicked => ErrorKind::Internal,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unreachable { host, .. } => {
                return Some(format!("check the network, the name {host}, and whether the registry runs"));
            }
            Self::Certificate { host, .. } => {
                return Some(format!(
                    "put the authority's certificate into /etc/docker/certs.d/{host}/ca.crt, or name it as `ca_file` of [registries.\"{host}\"] in the host's configuration"
                ));
            }
            Self::NoTls { host, .. } => {
                return Some(format!(
                    "if it is meant to be so, allow it with `plain_http = true` of [registries.\"{host}\"] in the host's configuration"
                ));
            }
            Self::Unauthorized { with_credentials: false, .. } => {
                "log in with `docker login`, or name a credential helper in Docker's config.json of the user that homeostat runs as"
            }
            Self::Unauthorized { .. } => "log in again with `docker login`",
            Self::Forbidden { .. } => "ask for access to the repository, or log in as somebody who has it",
            Self::NotFound { .. } => "check the image's name, its tag, and who may see it",
            Self::TooManyRequests { .. } => "log in, or set a mirror for the registry",
            Self::Status { code: 413, .. } => {
                "the registry, or a proxy before it, limits how large a layer may be"
            }
            Self::NoPlatform { .. } => "choose another image, or build one for this host",
            Self::NoRoom { .. } | Self::TooLarge { .. } => {
                "free space, for example with `homeostat prune`, or move the data directory to a larger disk"
            }
            Self::WrongDigest { .. } => {
                "something between here and the registry, or the registry itself, changes what is sent"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
