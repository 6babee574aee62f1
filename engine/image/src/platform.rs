//! Which of the platforms that an image is there for is this host's.

use std::fmt;

use oci_spec::image::Platform as Offered;

/// An operating system and a processor, in the words of Go (OCI image specification, "Image Index").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// `amd64`, `arm64`, ...
    pub architecture: String,
    /// `v7`, ...
    pub variant: Option<String>,
}

impl Platform {
    /// That of this program.
    pub fn of_this_host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", None),
            "arm" => ("arm", Some("v7")),
            "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", None),
            "loongarch64" => ("loong64", None),
            other => (other, None),
        };
        Self { architecture: architecture.to_owned(), variant: variant.map(str::to_owned) }
    }

    /// How well an image for this architecture and variant runs here, 0 best; `None` when not at all. Processors run
    /// what was made for their elders.
    pub fn rank(&self, architecture: &str, variant: Option<&str>) -> Option<usize> {
        let runs: &[(&str, &str)] = match self.architecture.as_str() {
            "amd64" => &[("amd64", ""), ("amd64", "v1"), ("386", "")],
            "arm64" => &[("arm64", ""), ("arm64", "v8"), ("arm", "v8"), ("arm", "v7"), ("arm", "v6")],
            "arm" => &[("arm", "v7"), ("arm", ""), ("arm", "v6"), ("arm", "v5")],
            _ => &[],
        };
        let first = match (self.architecture.as_str(), self.variant.as_deref()) {
            ("arm", Some(variant)) => runs.iter().position(|(_, runs)| *runs == variant).unwrap_or(0),
            _ => 0,
        };
        let variant = variant.unwrap_or("");
        if runs.is_empty() {
            return (architecture == self.architecture).then_some(0);
        }
        runs[first..].iter().position(|runs| *runs == (architecture, variant))
    }

    /// [`Platform::rank`] of an entry of an index. One that does not say for what it is comes last.
    pub fn rank_offered(&self, offered: Option<&Offered>) -> Option<usize> {
        let Some(offered) = offered else { return Some(usize::MAX) };
        if offered.os().to_string() != "linux" {
            return None;
        }
        self.rank(&offered.architecture().to_string(), offered.variant().as_deref())
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_platform_wins_and_strangers_do_not_run() {
        let platform = |architecture: &str, variant: Option<&str>| Platform {
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        };
        let amd64 = platform("amd64", None);
        assert_eq!(amd64.rank("amd64", None), Some(0));
        assert!(amd64.rank("386", None) > amd64.rank("amd64", None));
        assert_eq!(amd64.rank("amd64", Some("v3")), None);
        assert_eq!(amd64.rank("arm64", None), None);
        let arm64 = platform("arm64", None);
        assert!(arm64.rank("arm64", Some("v8")) < arm64.rank("arm", Some("v7")));
        let arm = platform("arm", Some("v6"));
        assert_eq!((arm.rank("arm", Some("v6")), arm.rank("arm", Some("v7"))), (Some(0), None));
        assert_eq!(platform("riscv64", None).rank("riscv64", None), Some(0));
    }
}
