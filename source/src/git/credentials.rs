//! Who one is to a git server.

use std::fmt;
use std::path::PathBuf;

use git2::{Cred, CredentialType, Error, ErrorClass, ErrorCode};

use super::known_hosts;
use super::location::{Location, Transport};

/// Default keys of a user, in the order that they are tried, in `~/.ssh` (ssh(1), `-i`).
const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// How to prove who one is to the server, and how the server does. What is absent has a default.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The user. For SSH `git`; for HTTPS one that hosts ignore beside a token.
    pub username: Option<String>,
    /// A password or access token, for HTTPS.
    pub password: Option<String>,
    /// A private key without passphrase, for SSH. Otherwise the agent at `SSH_AUTH_SOCK` and the default keys of this user are tried.
    pub ssh_key: Option<PathBuf>,
    /// Host keys as in sshd(8), `SSH_KNOWN_HOSTS FILE FORMAT`. Otherwise `~/.ssh/known_hosts` and `/etc/ssh/ssh_known_hosts`.
    pub known_hosts: Option<PathBuf>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "(not shown)"))
            .field("ssh_key", &self.ssh_key)
            .field("known_hosts", &self.known_hosts)
            .finish()
    }
}

impl Credentials {
    /// These, and for what is absent the others.
    pub(super) fn or(self, other: Self) -> Self {
        // A password goes with its user: never one of here with one of there.
        let (username, password) = if self.password.is_some() {
            (self.username, self.password)
        } else {
            (self.username.or(other.username), other.password)
        };
        Self {
            username,
            password,
            ssh_key: self.ssh_key.or(other.ssh_key),
            known_hosts: self.known_hosts.or(other.known_hosts),
        }
    }

    /// The files with host keys.
    pub(super) fn known_hosts_files(&self) -> Vec<PathBuf> {
        match &self.known_hosts {
            Some(file) => vec![file.clone()],
            None => known_hosts::default_files(home()),
        }
    }
}

/// Answers a server's questions about who one is, each way once: libgit2 asks again after every refusal.
pub(super) struct Answers<'a> {
    location: &'a Location,
    credentials: &'a Credentials,
    keys: Vec<PathBuf>,
    agent: bool,
    password: bool,
}

impl<'a> Answers<'a> {
    pub(super) fn new(location: &'a Location, credentials: &'a Credentials) -> Self {
        let mut keys: Vec<PathBuf> = match (&credentials.ssh_key, home()) {
            (Some(key), _) => vec![key.clone()],
            (None, Some(home)) => DEFAULT_KEYS.iter().map(|key| home.join(".ssh").join(key)).collect(),
            (None, None) => Vec::new(),
        };
        if credentials.ssh_key.is_none() {
            keys.retain(|key| key.exists());
        }
        keys.reverse();
        let agent = credentials.ssh_key.is_none() && std::env::var_os("SSH_AUTH_SOCK").is_some();
        Self { location, credentials, keys, agent, password: credentials.password.is_some() }
    }

    /// What to answer to a server at this URL that accepts these types.
    pub(super) fn next(&mut self, url: &str, accepted: CredentialType) -> Result<Cred, Error> {
        // After a redirect to another host, the answers are none of its business.
        if Location::parse(url).is_ok_and(|asking| asking.host() != self.location.host()) {
            return Err(refused("the server redirects to another host, which gets no credentials"));
        }
        let user = self.credentials.username.as_deref().unwrap_or("git");
        if accepted.contains(CredentialType::USERNAME) {
            return Cred::username(user);
        }
        if accepted.contains(CredentialType::SSH_KEY) {
            if std::mem::take(&mut self.agent) {
                return Cred::ssh_key_from_agent(user);
            }
            if let Some(key) = self.keys.pop() {
                return Cred::ssh_key(user, None, &key, None);
            }
        }
        let is_http = self.location.transport() == Transport::Http;
        if is_http
            && accepted.contains(CredentialType::USER_PASS_PLAINTEXT)
            && std::mem::take(&mut self.password)
        {
            return Cred::userpass_plaintext(user, self.credentials.password.as_deref().unwrap_or_default());
        }
        Err(refused("the server wants credentials that are not configured, or refused those that are"))
    }
}

fn refused(message: &str) -> Error {
    Error::new(ErrorCode::Auth, ErrorClass::Callback, message)
}

/// The home directory of the user that this process runs as. Not from `HOME`, which services do not have.
fn home() -> Option<PathBuf> {
    nix::unistd::User::from_uid(nix::unistd::Uid::effective()).ok().flatten().map(|user| user.dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let credentials = Credentials { password: Some("hunter2".into()), ..Credentials::default() };
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }

    #[test]
    fn a_password_is_never_paired_with_the_other_user() {
        let configured = Credentials { password: Some("token".into()), ..Credentials::default() };
        let of_url = Credentials {
            username: Some("me".into()),
            password: Some("mine".into()),
            ..Credentials::default()
        };
        let both = configured.or(of_url);
        assert_eq!((both.username, both.password.as_deref()), (None, Some("token")));
    }
}
