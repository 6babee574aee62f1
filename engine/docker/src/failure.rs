//! Why a request to the engine came to nothing.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use bollard::errors::Error;
use homeostat_reconciler::{ErrorKind, PortError};
use rustls::AlertDescription;

use crate::certificates::CertificateError;

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
    /// The files for TLS cannot be used.
    #[error(transparent)]
    Certificates(CertificateError),
    /// This host does not take the engine's certificate.
    #[error("the certificate of the engine at {endpoint} is not trusted")]
    Untrusted {
        endpoint: String,
        #[source]
        source: rustls::Error,
    },
    /// The engine does not take this host's certificate, or there is none.
    #[error("the engine at {endpoint} wants a certificate that it trusts")]
    Untrusting {
        endpoint: String,
        #[source]
        source: rustls::Error,
    },
    /// Whoever listens there answers something else.
    #[error("the engine at {endpoint} does not speak TLS")]
    NoTls {
        endpoint: String,
        #[source]
        source: rustls::Error,
    },
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
            other => match tls_error(&other).cloned() {
                Some(source) => Self::of_tls(source, endpoint.to_string(), other),
                None => Self::Unreachable { endpoint: endpoint.to_string(), source: Box::new(other) },
            },
        }
    }

    fn of_tls(source: rustls::Error, endpoint: String, error: Error) -> Self {
        match source {
            rustls::Error::InvalidCertificate(_) => Self::Untrusted { endpoint, source },
            rustls::Error::AlertReceived(alert) if is_about_certificates(alert) => {
                Self::Untrusting { endpoint, source }
            }
            rustls::Error::InvalidMessage(_) => Self::NoTls { endpoint, source },
            _ => Self::Unreachable { endpoint, source: Box::new(error) },
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
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Silent { .. }
                | Self::Untrusted { .. }
                | Self::Untrusting { .. }
                | Self::NoTls { .. }
        )
    }

    /// As an error of the port about `what`.
    pub(crate) fn about(self, what: impl fmt::Display) -> PortError {
        let kind = match &self {
            Self::Refused { code: 400..=499, .. } => ErrorKind::User,
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Refused { .. } => ErrorKind::Transient,
            Self::Garbled(_) => ErrorKind::Terminal,
            Self::TooOld { .. }
            | Self::Certificates(_)
            | Self::Untrusted { .. }
            | Self::Untrusting { .. }
            | Self::NoTls { .. } => ErrorKind::Config,
        };
        let error = PortError::new(kind, what.to_string());
        let error = match self.hint() {
            Some(hint) => error.with_hint(hint),
            None => error,
        };
        error.caused_by(self)
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { .. } => {
                Some("start the engine, or say where it listens with --engine-socket; it is tried again")
            }
            Self::TooOld { .. } => Some("Docker 20.10 or Podman 4.3 and newer will do"),
            Self::Certificates(_) => Some(
                "DOCKER_CERT_PATH, or ~/.docker if it is not set, is the directory of ca.pem, cert.pem and key.pem",
            ),
            Self::Untrusted { .. } => Some(
                "ca.pem in DOCKER_CERT_PATH has to be the authority of the engine's certificate, which has to be \
                 valid for the host that is asked for",
            ),
            Self::Untrusting { .. } => {
                Some("cert.pem and key.pem in DOCKER_CERT_PATH have to come from an authority that it trusts")
            }
            Self::NoTls { .. } => {
                Some("an engine without TLS is at tcp://HOST:PORT, with DOCKER_TLS_VERIFY not set")
            }
            Self::Refused { message, .. } if message.contains("HTTP request to an HTTPS server") => {
                Some("write https://HOST:PORT, or set DOCKER_TLS_VERIFY")
            }
            _ => None,
        }
    }
}

/// What TLS says within an error. The source of an [`io::Error`] is that of the error that it holds, so that one is
/// asked for it.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let held = |error: &'a (dyn StdError + 'static)| -> Option<&'a (dyn StdError + 'static)> {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(held) => Some(held),
            None => error.source(),
        }
    };
    std::iter::successors(Some(error), |error| held(*error)).find_map(|error| error.downcast_ref())
}

/// What a side says that does not take the certificate of the other.
fn is_about_certificates(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::CertificateRequired
    )
}
