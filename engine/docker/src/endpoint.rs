//! Where an engine listens.

use std::fmt;
use std::path::{Path, PathBuf};

use homeostat_reconciler::{ErrorKind, PortError};

use crate::Flavour;

/// The port on which Docker listens with TLS (IANA: docker-s).
const TLS_PORT: &str = ":2376";

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A unix socket: the first of these that is there.
    Unix(Vec<PathBuf>),
    /// HTTP over TCP, `HOST:PORT`.
    Tcp(String),
    /// HTTP over TLS, `HOST:PORT`, with `ca.pem`, `cert.pem` and `key.pem` in a directory.
    Tls(String, PathBuf),
}

impl Endpoint {
    /// The endpoint that is given, or that the environment names as the engine's own programs read it, or else the
    /// places where the engine listens by default: as root, and rootless.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn find(
        flavour: Flavour,
        given: Option<&str>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, PortError> {
        let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
        let named = given.map(str::to_owned).or_else(|| match flavour {
            Flavour::Docker => variable("DOCKER_HOST"),
            Flavour::Podman => variable("CONTAINER_HOST").or_else(|| variable("DOCKER_HOST")),
        });
        match named {
            Some(named) => Self::parse(&named, &variable),
            None => Ok(Self::Unix(well_known(flavour, variable("XDG_RUNTIME_DIR").as_deref()))),
        }
    }

    fn parse(text: &str, variable: &impl Fn(&str) -> Option<String>) -> Result<Self, PortError> {
        if let Some(path) = text.strip_prefix("unix://").or_else(|| text.starts_with('/').then_some(text)) {
            return Ok(Self::Unix(vec![PathBuf::from(path)]));
        }
        let Some((scheme, address)) = text.split_once("://") else { return Err(unknown(text)) };
        let address = address.trim_end_matches('/');
        let address = if address.contains(':') { address.to_owned() } else { format!("{address}{TLS_PORT}") };
        let wants_tls = variable("DOCKER_TLS_VERIFY").is_some() || address.ends_with(TLS_PORT);
        match scheme {
            "https" => Ok(Self::Tls(address, certificates(variable))),
            "tcp" if wants_tls => Ok(Self::Tls(address, certificates(variable))),
            "tcp" | "http" => Ok(Self::Tcp(address)),
            _ => Err(unknown(text)),
        }
    }

    /// Whether the engine is on this host.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::Unix(_))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(paths) => {
                let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
                f.write_str(&shown.join(" or "))
            }
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Tls(address, _) => write!(f, "https://{address}"),
        }
    }
}

fn well_known(flavour: Flavour, runtime_directory: Option<&str>) -> Vec<PathBuf> {
    let (root, rootless) = match flavour {
        Flavour::Docker => ("/var/run/docker.sock", "docker.sock"),
        Flavour::Podman => ("/run/podman/podman.sock", "podman/podman.sock"),
    };
    let rootless = runtime_directory.map(|directory| Path::new(directory).join(rootless));
    std::iter::once(PathBuf::from(root)).chain(rootless).collect()
}

/// As Docker's own client looks for them.
fn certificates(variable: &impl Fn(&str) -> Option<String>) -> PathBuf {
    let home = || Path::new(&variable("HOME").unwrap_or_else(|| "/root".to_owned())).join(".docker");
    variable("DOCKER_CERT_PATH").or_else(|| variable("DOCKER_CONFIG")).map_or_else(home, PathBuf::from)
}

fn unknown(text: &str) -> PortError {
    PortError::new(ErrorKind::Config, format!("{text:?} is no address of an engine"))
        .with_hint("write the path of a socket, unix://PATH, tcp://HOST:PORT or https://HOST:PORT")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(flavour: Flavour, given: Option<&str>, environment: &[(&str, &str)]) -> String {
        let value = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        Endpoint::find(flavour, given, value)
            .map_or_else(|error| error.to_string(), |found| found.to_string())
    }

    #[test]
    fn an_option_wins_over_the_environment_and_that_over_the_default() {
        let environment = [("DOCKER_HOST", "unix:///run/other.sock"), ("XDG_RUNTIME_DIR", "/run/user/7")];
        assert_eq!(find(Flavour::Docker, Some("/a.sock"), &environment), "/a.sock");
        assert_eq!(find(Flavour::Docker, None, &environment), "/run/other.sock");
        let rootless = "/var/run/docker.sock or /run/user/7/docker.sock";
        assert_eq!(find(Flavour::Docker, None, &environment[1..]), rootless);
        assert_eq!(find(Flavour::Podman, None, &[]), "/run/podman/podman.sock");
        assert_eq!(find(Flavour::Podman, None, &[("CONTAINER_HOST", "unix:///p")]), "/p");
    }

    #[test]
    fn tls_is_used_where_it_is_asked_for() {
        assert_eq!(find(Flavour::Docker, Some("tcp://h:2375"), &[]), "tcp://h:2375");
        assert_eq!(find(Flavour::Docker, Some("tcp://h:2376"), &[]), "https://h:2376");
        assert_eq!(find(Flavour::Docker, Some("tcp://h"), &[]), "https://h:2376");
        assert_eq!(find(Flavour::Docker, Some("tcp://h:1"), &[("DOCKER_TLS_VERIFY", "1")]), "https://h:1");
        assert_eq!(find(Flavour::Docker, Some("https://h:1"), &[]), "https://h:1");
    }

    #[test]
    fn certificates_are_where_dockers_own_client_looks_for_them() {
        let directory = |environment: &[(&str, &str)]| {
            let value = |name: &str| {
                environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            };
            match Endpoint::find(Flavour::Docker, Some("https://h:1"), value) {
                Ok(Endpoint::Tls(_, directory)) => directory,
                other => panic!("{other:?}"),
            }
        };
        let all = [("DOCKER_CERT_PATH", "/certs"), ("DOCKER_CONFIG", "/config"), ("HOME", "/home/a")];
        assert_eq!(directory(&all), Path::new("/certs"));
        assert_eq!(directory(&all[1..]), Path::new("/config"));
        assert_eq!(directory(&all[2..]), Path::new("/home/a/.docker"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["docker.sock", "ssh://host", ""] {
            let message = find(Flavour::Docker, Some(text), &[]);
            assert!(message.contains("no address of an engine"), "{text}: {message}");
        }
    }
}
