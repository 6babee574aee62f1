//! Host keys that are known: the file format of sshd(8), `SSH_KNOWN_HOSTS FILE FORMAT`.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use sha1::Sha1;

/// The port that names in the file go without.
const SSH_PORT: u16 = 22;

/// What the known hosts say about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The key is the host's.
    Known,
    /// The host is known, but by other keys.
    Changed,
    /// The key is marked as stolen.
    Revoked,
    /// Nothing is known about the host.
    Unknown,
}

/// The files that ssh(1) looks into.
pub(super) fn default_files(home: Option<PathBuf>) -> Vec<PathBuf> {
    let of_user = home.map(|home| home.join(".ssh/known_hosts"));
    of_user.into_iter().chain([PathBuf::from("/etc/ssh/ssh_known_hosts")]).collect()
}

/// Looks for a host key, in the wire format of RFC 4253, section 6.6, in the text of the files.
pub(super) fn judge(text: &str, host: &str, port: u16, key: &[u8]) -> Verdict {
    let names = if port == SSH_PORT {
        vec![host.to_ascii_lowercase()]
    } else {
        vec![format!("[{}]:{port}", host.to_ascii_lowercase())]
    };
    let mut verdict = Verdict::Unknown;
    for entry in text.lines().filter_map(Entry::parse) {
        if !names.iter().any(|name| entry.is_about(name)) {
            continue;
        }
        let same = entry.key == key;
        match entry.marker {
            Some("@revoked") if same => return Verdict::Revoked,
            None if same => verdict = Verdict::Known,
            None if verdict != Verdict::Known => verdict = Verdict::Changed,
            // Certificates are not spoken by the SSH library; a key of an authority is no key of a host.
            _ => {}
        }
    }
    verdict
}

struct Entry<'a> {
    marker: Option<&'a str>,
    hosts: &'a str,
    key: Vec<u8>,
}

impl<'a> Entry<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace().peekable();
        let marker = fields.next_if(|field| field.starts_with('@'));
        let hosts = fields.next().filter(|hosts| !hosts.starts_with('#'))?;
        let _algorithm = fields.next()?;
        let key = BASE64.decode(fields.next()?).ok()?;
        Some(Self { marker, hosts, key })
    }

    fn is_about(&self, name: &str) -> bool {
        if let Some(hashed) = self.hosts.strip_prefix("|1|") {
            return is_hash_of(hashed, name).unwrap_or(false);
        }
        let mut found = false;
        for pattern in self.hosts.split(',') {
            match pattern.strip_prefix('!') {
                Some(excluded) if matches(excluded.as_bytes(), name.as_bytes()) => return false,
                None if matches(pattern.as_bytes(), name.as_bytes()) => found = true,
                _ => {}
            }
        }
        found
    }
}

/// `SALT|HASH`: the HMAC-SHA1 of the name under the salt.
fn is_hash_of(hashed: &str, name: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let mut mac = Hmac::<Sha1>::new_from_slice(&BASE64.decode(salt).ok()?).ok()?;
    mac.update(name.as_bytes());
    Some(mac.verify_slice(&BASE64.decode(hash).ok()?).is_ok())
}

/// Whether a pattern with `*` and `?` is about a name, whatever the case.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    // Positions to go back to after the last `*`: linear in practice, quadratic at worst.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || c.eq_ignore_ascii_case(&name[n]) => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"\x00\x00\x00\x0bssh-ed25519 and so on";

    fn line(hosts: &str, key: &[u8]) -> String {
        format!("{hosts} ssh-ed25519 {} a comment\n", BASE64.encode(key))
    }

    #[test]
    fn a_key_is_known_only_for_its_host_and_port() {
        let text = line("other.org", b"x")
            + &line("example.org,10.0.0.1", KEY)
            + &line("[example.org]:2222", b"other");
        assert_eq!(judge(&text, "example.org", 22, KEY), Verdict::Known);
        assert_eq!(judge(&text, "EXAMPLE.org", 22, KEY), Verdict::Known);
        assert_eq!(judge(&text, "10.0.0.1", 22, KEY), Verdict::Known);
        assert_eq!(judge(&text, "example.org", 2222, KEY), Verdict::Changed);
        assert_eq!(judge(&text, "example.org", 2200, KEY), Verdict::Unknown);
        assert_eq!(judge(&text, "example.com", 22, KEY), Verdict::Unknown);
    }

    #[test]
    fn hashed_names_are_found() {
        let salt = b"0123456789abcdefghij";
        let mut mac = Hmac::<Sha1>::new_from_slice(salt).unwrap();
        mac.update(b"[example.org]:2222");
        let hosts = format!("|1|{}|{}", BASE64.encode(salt), BASE64.encode(mac.finalize().into_bytes()));
        assert_eq!(judge(&line(&hosts, KEY), "example.org", 2222, KEY), Verdict::Known);
        assert_eq!(judge(&line(&hosts, KEY), "example.org", 22, KEY), Verdict::Unknown);
    }

    #[test]
    fn a_revoked_key_is_refused_though_it_is_known() {
        let text = line("example.org", KEY) + "@revoked " + &line("*", KEY);
        assert_eq!(judge(&text, "example.org", 22, KEY), Verdict::Revoked);
    }

    #[test]
    fn patterns_and_their_exceptions_hold() {
        let text = line("*.example.org,!bad.example.org", KEY);
        assert_eq!(judge(&text, "good.example.org", 22, KEY), Verdict::Known);
        assert_eq!(judge(&text, "bad.example.org", 22, KEY), Verdict::Unknown);
        assert!(matches(b"a*b?c*", b"axxbyczz") && !matches(b"a*b?c", b"axxbyczz"));
    }

    #[test]
    fn authorities_comments_and_rubbish_are_no_keys() {
        let text = "# example.org\n\n|1|x\nexample.org\nexample.org ssh-rsa !!!\n@cert-authority ".to_owned()
            + &line("example.org", KEY);
        assert_eq!(judge(&text, "example.org", 22, KEY), Verdict::Unknown);
    }
}
