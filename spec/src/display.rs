//! Values of the model as they are written in a spec, for messages and for the differences in a plan.

use std::fmt;

use crate::{
    ContainerImage, DependencyCondition, DesiredState, Mount, MountSource, NetworkMode, Probe, Protocol,
    PublishedPort, RestartPolicy, SourcePath, TmpfsOptions, format_size,
};

impl fmt::Display for DesiredState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Exited => "exited",
        })
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Always => "always",
            Self::OnFailure => "on-failure",
            Self::No => "no",
        })
    }
}

impl fmt::Display for DependencyCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Started => "started",
            Self::Healthy => "healthy",
            Self::Completed => "completed",
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// `[IP:][HOST:]CONTAINER[/udp]`.
impl fmt::Display for PublishedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ip) = self.host_ip {
            write!(f, "{ip}:")?;
        }
        match (self.host_port, self.host_port_last) {
            (0, _) if self.host_ip.is_none() => {}
            (0, _) => f.write_str(":")?,
            (first, None) => write!(f, "{first}:")?,
            (first, Some(last)) => write!(f, "{first}-{last}:")?,
        }
        write!(f, "{}", self.container_port)?;
        match self.protocol {
            Protocol::Tcp => Ok(()),
            Protocol::Udp => f.write_str("/udp"),
        }
    }
}

/// `SOURCE:TARGET[:ro]`; for a tmpfs mount, whose key in a spec is `tmpfs`, `tmpfs TARGET`.
impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            MountSource::Tmpfs => write!(f, "tmpfs {}", self.target)?,
            MountSource::TmpfsWith(options) => write!(f, "tmpfs {}:{options}", self.target)?,
            source => write!(f, "{source}:{}", self.target)?,
        }
        if self.read_only { f.write_str(":ro") } else { Ok(()) }
    }
}

/// `size=SIZE,mode=MODE`, what there is of it.
impl fmt::Display for TmpfsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.size.map(|size| format!("size={}", format_size(size)));
        let mode = self.mode.map(|mode| format!("mode={mode:o}"));
        f.write_str(&[size, mode].into_iter().flatten().collect::<Vec<_>>().join(","))
    }
}

impl fmt::Display for MountSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Volume(name) => name.fmt(f),
            Self::Host(path) => f.write_str(path),
            Self::Source(path) => path.fmt(f),
            Self::Tmpfs | Self::TmpfsWith(_) => f.write_str("tmpfs"),
        }
    }
}

/// `./PATH`, without the digest.
impl fmt::Display for SourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "./{}", self.path)
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bridge => f.write_str("bridge"),
            Self::Host => f.write_str("host"),
            Self::None => f.write_str("none"),
            Self::Named(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for ContainerImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(name) => name.fmt(f),
            Self::Reference(reference) => f.write_str(reference),
        }
    }
}

/// `http://:PORT/PATH`, `:PORT`, or the words of the command.
impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { port, path } => write!(f, "http://:{port}{path}"),
            Self::Tcp { port } => write!(f, ":{port}"),
            Self::Command(words) => f.write_str(&words.join(" ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scalar::{PortRange, Scalar as _};

    #[test]
    fn a_port_is_printed_as_it_is_written() {
        for text in ["8080:80", "127.0.0.1:9000:9001/udp", "80", "127.0.0.1::80", "8000-8010:80/udp"] {
            let printed: Vec<String> =
                PortRange::parse(text).unwrap().ports().map(|port| port.to_string()).collect();
            assert_eq!(printed, [text]);
        }
    }

    #[test]
    fn a_mount_is_printed_as_it_is_written() {
        let mount = |source, read_only| Mount { source, target: "/x".to_owned(), read_only }.to_string();
        assert_eq!(mount(MountSource::Volume("data".parse().unwrap()), false), "data:/x");
        assert_eq!(mount(MountSource::Host("/srv".to_owned()), true), "/srv:/x:ro");
        let path = SourcePath { path: "conf".to_owned(), digest: String::new() };
        assert_eq!(mount(MountSource::Source(path), true), "./conf:/x:ro");
        assert_eq!(mount(MountSource::Tmpfs, false), "tmpfs /x");
        let options = TmpfsOptions { size: Some(64 << 20), mode: Some(0o700) };
        assert_eq!(mount(MountSource::TmpfsWith(options), false), "tmpfs /x:size=64MiB,mode=700");
    }
}
