//! Where a repository is.

use std::path::{Path, PathBuf};

use homeostat_reconciler::{ErrorKind, PortError};

use super::Credentials;

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// A directory of this host.
    Local,
    /// TLS with the system's certificates, or plain HTTP to this host itself.
    Http,
    /// SSH with known host keys.
    Ssh,
}

/// A checked URL, without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    url: String,
    transport: Transport,
    path: Option<PathBuf>,
    host: String,
    port: u16,
    user: Option<String>,
    password: Option<String>,
}

impl Location {
    /// Reads a URL, an scp-like `user@host:path`, or a path.
    pub(crate) fn parse(text: &str) -> Result<Self, PortError> {
        if text.is_empty() || text.starts_with('-') || text.chars().any(char::is_control) {
            return Err(refused("it is empty, begins with - or has control characters"));
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return Self::parse_url(scheme, rest);
        }
        if is_helper(text) {
            return Err(refused("helper programs of git (as ext::) are not run"));
        }
        match text.split_once(':') {
            Some((host, path)) if !host.contains('/') => Self::parse_scp_like(text, host, path),
            _ => {
                let path = std::path::absolute(text).unwrap_or_else(|_| text.into());
                Ok(Self::local(path.display().to_string(), path))
            }
        }
    }

    fn parse_url(scheme: &str, rest: &str) -> Result<Self, PortError> {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let scheme = scheme.to_ascii_lowercase();
        if scheme == "file" {
            if !matches!(authority, "" | "localhost") {
                return Err(refused("a file:// URL is about this host: file:///path"));
            }
            let decoded = decode(path)?.unwrap_or_default();
            return Ok(Self::local(format!("file:///{path}"), format!("/{decoded}").into()));
        }
        if rest.contains(' ') {
            return Err(refused("a space in a URL is written %20"));
        }
        let (user_info, address) =
            authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let (host, port) = split_port(address)?;
        let (user, password) = match user_info.map(|info| info.split_once(':').unwrap_or((info, ""))) {
            Some((user, password)) => (decode(user)?, decode(password)?),
            None => (None, None),
        };
        let (transport, default_port) = match scheme.as_str() {
            "https" => (Transport::Http, 443),
            "http" if matches!(host, "localhost" | "127.0.0.1" | "[::1]") => (Transport::Http, 80),
            "http" => {
                return Err(refused("plain http:// is only accepted for this host itself; use https://"));
            }
            "ssh" | "git+ssh" | "ssh+git" => (Transport::Ssh, 22),
            _ => {
                return Err(refused(&format!(
                    "{scheme}:// is not accepted; use https://, ssh:// or file://"
                )));
            }
        };
        if transport == Transport::Ssh && password.is_some() {
            return Err(refused("an ssh:// URL takes no password; give a key"));
        }
        check_host(host)?;
        let at_user = match (&user, transport) {
            (Some(_), Transport::Ssh) => format!("{}@", user_info.unwrap_or_default().trim_end_matches(':')),
            _ => String::new(),
        };
        let scheme = if transport == Transport::Ssh { "ssh" } else { &scheme };
        let url = format!("{scheme}://{at_user}{address}/{path}");
        let (host, port) = (bare(host), port.unwrap_or(default_port));
        Ok(Self { url, transport, path: None, host, port, user, password })
    }

    fn parse_scp_like(text: &str, host: &str, path: &str) -> Result<Self, PortError> {
        let (user, host) = host.rsplit_once('@').map_or((None, host), |(user, host)| (Some(user), host));
        check_host(host)?;
        if path.is_empty()
            || path.starts_with('-')
            || text.contains(' ')
            || user.is_some_and(|user| user.contains(':'))
        {
            return Err(refused("git's short form is user@host:path"));
        }
        if let Some(user) = user {
            check_user(user)?;
        }
        let user = user.map(str::to_owned);
        let (url, host, transport) = (text.to_owned(), bare(host), Transport::Ssh);
        Ok(Self { url, transport, path: None, host, port: 22, user, password: None })
    }

    fn local(url: String, path: PathBuf) -> Self {
        let (transport, path) = (Transport::Local, Some(path));
        Self { url, transport, path, host: String::new(), port: 0, user: None, password: None }
    }

    /// The URL, without password, and without user where it is not part of the address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How it is reached.
    pub(super) fn transport(&self) -> Transport {
        self.transport
    }

    /// Where it is, if on this host.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The host's name or address, without brackets; empty for this host.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The port of the server.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// What the URL itself said about who one is.
    pub(super) fn credentials(&self) -> Credentials {
        let (user, password) = (self.user.clone(), self.password.clone());
        // https://TOKEN@host: a token alone, as the large hosts accept it.
        match (self.transport, user, password) {
            (Transport::Http, Some(token), None) => {
                Credentials { username: None, password: Some(token), ..Credentials::default() }
            }
            (_, username, password) => Credentials { username, password, ..Credentials::default() },
        }
    }
}

/// Whether git would run a program for this: `HELPER::ADDRESS` (gitremote-helpers(7)).
pub(crate) fn is_helper(text: &str) -> bool {
    text.split_once("::").is_some_and(|(helper, _)| !helper.contains('/'))
}

fn refused(message: &str) -> PortError {
    PortError::new(ErrorKind::Config, format!("not a usable repository URL: {message}")).with_hint(
        "for example https://example.org/fleet.git, git@example.org:fleet.git or file:///srv/fleet.git",
    )
}

fn split_port(address: &str) -> Result<(&str, Option<u16>), PortError> {
    let after_host = address.rfind(']').map_or(0, |bracket| bracket + 1);
    match address[after_host..].find(':') {
        Some(colon) => {
            let (host, port) = address.split_at(after_host + colon);
            let number = port[1..].parse().ok().filter(|number| *number != 0);
            number.map(|number| (host, Some(number))).ok_or_else(|| refused("its port is no port"))
        }
        None => Ok((address, None)),
    }
}

/// A host name, an IPv4 address, or an IPv6 address in brackets. Never what a program would take for an option.
fn check_host(host: &str) -> Result<(), PortError> {
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match inside {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && !host.starts_with(['-', '.'])
                && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '_'))
        }
    };
    if good { Ok(()) } else { Err(refused("its host is no host name")) }
}

fn check_user(user: &str) -> Result<(), PortError> {
    let good =
        !user.is_empty() && !user.starts_with('-') && !user.contains(['/', '\\', '\'', '"', '`', '$', '@']);
    if good { Ok(()) } else { Err(refused("its user is no user name")) }
}

fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

/// Undoes percent-encoding (RFC 3986, section 2.1); `None` for an empty text.
fn decode(text: &str) -> Result<Option<String>, PortError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = after.get(..2).and_then(|digits| str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| refused("its user or password is not percent-encoded"))?);
        rest = &after[2..];
    }
    let decoded = String::from_utf8(bytes).ok().filter(|text| !text.contains(['\0', '\n', '\r']));
    let decoded = decoded.ok_or_else(|| refused("its user or password has impossible characters"))?;
    if decoded.starts_with('-') {
        return Err(refused("its user is no user name"));
    }
    Ok(Some(decoded).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_of_the_url() {
        let location = Location::parse("https://me:s%40cret@example.org:8443/fleet.git").unwrap();
        assert_eq!(location.url(), "https://example.org:8443/fleet.git");
        assert_eq!(location.credentials().username.as_deref(), Some("me"));
        assert_eq!(location.credentials().password.as_deref(), Some("s@cret"));
        assert_eq!((location.host(), location.port()), ("example.org", 8443));

        let token = Location::parse("https://abc123@example.org/fleet").unwrap();
        assert_eq!(token.url(), "https://example.org/fleet");
        assert_eq!(token.credentials().password.as_deref(), Some("abc123"));
    }

    #[test]
    fn the_user_of_an_ssh_url_stays() {
        let location = Location::parse("ssh://git@[::1]:2222/srv/fleet.git").unwrap();
        assert_eq!(location.url(), "ssh://git@[::1]:2222/srv/fleet.git");
        assert_eq!((location.host(), location.port()), ("::1", 2222));
        let short = Location::parse("git@Example.org:acme/fleet.git").unwrap();
        assert_eq!((short.host(), short.port(), short.transport()), ("example.org", 22, Transport::Ssh));
        assert_eq!(short.credentials().username.as_deref(), Some("git"));
    }

    #[test]
    fn plain_http_is_for_this_host_alone() {
        assert!(Location::parse("http://127.0.0.1:8080/fleet.git").is_ok());
        assert!(Location::parse("http://localhost/fleet.git").is_ok());
        assert!(Location::parse("http://localhost.example.org/fleet.git").is_err());
        assert!(Location::parse("http://127.0.0.1@example.org/fleet.git").is_err());
    }
}
