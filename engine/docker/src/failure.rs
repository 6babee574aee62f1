//! Why a request to the engine came to nothing.

use std::fmt;
use std::time::Duration;

use bollard::errors::Error;
use homeostat_reconciler::{ErrorKind, PortError};

/// Why a request to the engine came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nobody listens, or the connection broke.
    #[error("the engine at {endpoint} cannot be reached")]
    Unreachable {
        endpoint: String,
        #[source]
        source: Box<Error>,
    },
    /// It took the request and has said nothing.
    #[error("the engine at {endpoint} has not answered within {} s", after.as_secs())]
    Silent { endpoint: String, after: Duration },
    /// It said no.
    #[error("the engine says: {message}")]
    Refused { code: u16, message: String },
    /// What it said cannot be understood.
    #[error("the engine's answer cannot be understood")]
    Garbled(#[source] Box<Error>),
    /// It speaks only versions of its API that are too old.
    #[error("the engine has version {found} of the API, and {needed} is needed")]
    TooOld { found: String, needed: String },
    /// The certificates for TLS cannot be used.
    #[error("the certificates cannot be used")]
    Certificates(#[source] Box<Error>),
}

impl Failure {
    pub(crate) fn new(error: Error, endpoint: impl fmt::Display) -> Self {
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                Self::Refused { code: status_code, message: message.trim().to_owned() }
            }
            Error::DockerStreamError { error } => Self::Refused { code: 500, message: error },
            Error::JsonDataError { .. } | Error::JsonSerdeError { .. } | Error::StrParseError { .. } => {
                Self::Garbled(Box::new(error))
            }
            Error::CertPathError { .. }
            | Error::CertMultipleKeys { .. }
            | Error::CertParseError { .. }
            | Error::NoNativeCertsError { .. }
            | Error::LoadNativeCertsErrors { .. } => Self::Certificates(Box::new(error)),
            other => Self::Unreachable { endpoint: endpoint.to_string(), source: Box::new(other) },
        }
    }

    /// Whether the engine said that what was named is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: 404, .. })
    }

    /// Whether the engine said that what is there is in the way.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { code: 409, .. })
    }

    /// Whether the connection is at fault, so that it should be made anew.
    pub(crate) fn is_of_connection(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Silent { .. })
    }

    /// As an error of the port about `what`.
    pub(crate) fn about(self, what: impl fmt::Display) -> PortError {
        let kind = match &self {
            Self::Refused { code: 400..=499, .. } => ErrorKind::User,
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Refused { .. } => ErrorKind::Transient,
            Self::Garbled(_) => ErrorKind::Terminal,
            Self::TooOld { .. } | Self::Certificates(_) => ErrorKind::Config,
        };
        let hint = match &self {
            Self::Unreachable { .. } => {
                Some("start the engine, or say where it listens with --engine-socket; it is tried again")
            }
            Self::TooOld { .. } => Some("Docker 20.10 or Podman 4.3 and newer will do"),
            Self::Certificates(_) => {
                Some("DOCKER_CERT_PATH names the directory of ca.pem, cert.pem and key.pem")
            }
            _ => None,
        };
        let error = PortError::new(kind, what.to_string()).caused_by(self);
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}
