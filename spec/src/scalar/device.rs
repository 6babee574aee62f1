//! Devices of the host.

use super::Scalar;
use crate::Device;
use crate::problem::Problem;

impl Scalar for Device {
    const FORMAT: &'static str = "device";
    const EXAMPLES: &'static [&'static str] = &["/dev/dri", "/dev/serial/by-id/zigbee:/dev/ttyUSB0:rw"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let mut parts = text.split(':');
        let host = parts.next().unwrap_or_default();
        let rest: Vec<&str> = parts.collect();
        let (container, permissions) = match rest[..] {
            [] => (host, Self::EVERYTHING),
            [permissions] if !permissions.starts_with('/') => (host, permissions),
            [container] => (container, Self::EVERYTHING),
            [container, permissions] => (container, permissions),
            _ => return Err(malformed(text)),
        };
        if !is_plain(host) || !is_plain(container) {
            return Err(malformed(text));
        }
        if !container.starts_with("/dev/") {
            return Err(Problem::new(format!("{container:?} is not beneath /dev"))
                .hint("devices of a container are in `/dev`, as `/dev/video0`"));
        }
        Ok(Self {
            host: host.to_owned(),
            container: container.to_owned(),
            permissions: ordered(permissions)?,
        })
    }
}

fn malformed(text: &str) -> Problem {
    Problem::new(format!("{text:?} is no device"))
        .hint("write `HOST[:CONTAINER][:PERMISSIONS]` with absolute paths, as `/dev/video1:/dev/video0:rw`")
}

/// An absolute path without `.`, `..` and empty parts, but for a slash at its end.
fn is_plain(path: &str) -> bool {
    let parts = path.strip_prefix('/').map(|path| path.trim_end_matches('/'));
    parts.is_some_and(|parts| {
        parts.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'))
    })
}

/// Each once, in the order in which the kernel tells them.
fn ordered(permissions: &str) -> Result<String, Problem> {
    if permissions.is_empty() || !permissions.chars().all(|c| Device::EVERYTHING.contains(c)) {
        return Err(Problem::new(format!("{permissions:?} cannot be permitted"))
            .hint("write some of `r` (read), `w` (write) and `m` (make a file for it)"));
    }
    Ok(Device::EVERYTHING.chars().filter(|c| permissions.contains(*c)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_the_same_in_the_container_unless_it_says_otherwise() {
        for (text, shown) in [
            ("/dev/dri", "/dev/dri:/dev/dri"),
            ("/dev/a:mrw", "/dev/a:/dev/a"),
            ("/dev/a:/dev/b", "/dev/a:/dev/b"),
            ("/srv/x:/dev/b:wr", "/srv/x:/dev/b:rw"),
        ] {
            assert_eq!(Device::parse(text).unwrap().to_string(), shown);
        }
    }
}
