//! What went wrong with git, and who can do something about it.

use git2::{Error, ErrorClass, ErrorCode};
use homeostat_reconciler::{ErrorKind, PortError};

use crate::content::ContentError;

/// A git operation failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// For the caller as it is.
    Port(PortError),
    /// Possibly because the mirror is broken.
    Mirror(Error),
}

impl Failure {
    /// For the caller, when there is nothing more to try.
    pub(super) fn into_port(self, url: &str) -> PortError {
        match self {
            Self::Port(error) => error,
            Self::Mirror(error) => {
                PortError::new(ErrorKind::Transient, format!("cannot read the mirror of {url}"))
                    .caused_by(error.message())
            }
        }
    }
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl From<ContentError> for Failure {
    fn from(error: ContentError) -> Self {
        match error {
            ContentError::Object { source, .. } => Self::Mirror(source),
            error => Self::Port(error.into()),
        }
    }
}

/// An error while talking to the remote: the remote's, the network's or the disk's fault; or else perhaps the mirror's.
pub(super) fn while_fetching(error: Error, url: &str) -> Failure {
    use ErrorClass as Class;
    use ErrorCode as Code;
    let class = matches!(
        error.class(),
        Class::Net | Class::Http | Class::Ssh | Class::Ssl | Class::Callback | Class::Os
    );
    let code =
        matches!(error.code(), Code::Auth | Code::Certificate | Code::Timeout | Code::Owner | Code::Eof);
    if class || code { Failure::Port(remote(&error, url)) } else { Failure::Mirror(error) }
}

/// The remote's fault.
pub(super) fn remote(error: &Error, url: &str) -> PortError {
    let (kind, hint) = judge(error, url);
    let port = PortError::new(kind, format!("cannot fetch {url}")).caused_by(error.message());
    match hint {
        Some(hint) => port.with_hint(hint),
        None => port,
    }
}

fn judge(error: &Error, url: &str) -> (ErrorKind, Option<String>) {
    let says = |text: &str| error.message().contains(text);
    let hint = |text: &str| Some(text.to_owned());
    match (error.code(), error.class()) {
        (ErrorCode::Owner, _) => (
            ErrorKind::Config,
            Some(format!(
                "another user owns it; if that is meant: git config --system --add safe.directory {}",
                url.strip_prefix("file://").unwrap_or(url)
            )),
        ),
        (ErrorCode::Auth, _) => (ErrorKind::Config, hint("check user, token or SSH key of the source")),
        (ErrorCode::Certificate, ErrorClass::Ssh) => (
            ErrorKind::Config,
            hint(
                "compare the host's key with what its administrator says, then put it into known_hosts (ssh-keyscan prints it)",
            ),
        ),
        (code, class)
            if code == ErrorCode::Certificate || class == ErrorClass::Ssl && says("certificate") =>
        {
            (ErrorKind::Config, hint("check the clock of this host and its CA certificates"))
        }
        (_, ErrorClass::Http) if says("401") || says("403") => {
            (ErrorKind::Config, hint("check user or token of the source"))
        }
        (_, ErrorClass::Http) if says("404") => {
            (ErrorKind::Config, hint("check the URL, and that the token may read it"))
        }
        (_, ErrorClass::Ssh) if says("authenticat") => {
            (ErrorKind::Config, hint("check the SSH key of the source"))
        }
        (ErrorCode::NotFound, _) | (_, ErrorClass::Repository) => {
            (ErrorKind::Config, hint("check the path or URL of the source"))
        }
        (_, ErrorClass::Os) if says("failed to resolve path") => {
            (ErrorKind::Config, hint("check the path or URL of the source"))
        }
        _ => (ErrorKind::Transient, None),
    }
}
