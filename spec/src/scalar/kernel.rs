//! Limits of processes, and parameters of the kernel.

use super::Scalar;
use crate::problem::Problem;
use crate::suggest::did_you_mean;
use crate::{ULIMITS, Ulimit, sysctl_namespace};

/// Name of a limit of a process.
pub(crate) struct UlimitName;

impl Scalar for UlimitName {
    const FORMAT: &'static str = "ulimit-name";
    const EXAMPLES: &'static [&'static str] = &["nofile", "nproc"];

    fn parse(text: &str) -> Result<Self, Problem> {
        if ULIMITS.contains(&text) {
            return Ok(Self);
        }
        let near = did_you_mean(text, ULIMITS.iter().copied());
        Err(Problem::new(format!("{text:?} is no limit of a process"))
            .hint(format!("there are {}", ULIMITS.join(", ")))
            .maybe_hint(near))
    }
}

impl Scalar for Ulimit {
    const FORMAT: &'static str = "ulimit";
    const EXAMPLES: &'static [&'static str] = &["1024:4096", "unlimited"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let (soft, hard) = text.split_once(':').unwrap_or((text, text));
        let limit = Self { soft: parse_limit(soft)?, hard: parse_limit(hard)? };
        if limit.soft.unwrap_or(u64::MAX) > limit.hard.unwrap_or(u64::MAX) {
            return Err(Problem::new(format!("the soft limit of {text:?} is above the hard one"))
                .hint("write `SOFT:HARD`, the lower one first"));
        }
        Ok(limit)
    }
}

fn parse_limit(text: &str) -> Result<Option<u64>, Problem> {
    if matches!(text, "unlimited" | "-1") {
        return Ok(None);
    }
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && *number < u64::MAX);
    number.map(Some).ok_or_else(|| {
        Problem::new(format!("{text:?} is no limit"))
            .hint("write `SOFT:HARD` or one number for both, as `1024:4096`, or `unlimited`")
    })
}

/// Name of a parameter of the kernel that a container can have of its own.
pub(crate) struct SysctlName;

impl Scalar for SysctlName {
    const FORMAT: &'static str = "sysctl-name";
    const EXAMPLES: &'static [&'static str] = &["net.core.somaxconn", "kernel.shmmax"];

    fn parse(text: &str) -> Result<Self, Problem> {
        if sysctl_namespace(text).is_some() {
            return Ok(Self);
        }
        Err(Problem::new(format!("{text:?} is no parameter that a container has of its own")).hint(
            "there are net.*, fs.mqueue.*, kernel.sem, kernel.msg* and kernel.shm*; the others are the host's",
        ))
    }
}

/// Name or number of a group.
pub(crate) struct Group(pub(crate) String);

impl Scalar for Group {
    const FORMAT: &'static str = "group";
    const EXAMPLES: &'static [&'static str] = &["audio", "2000"];

    fn parse(text: &str) -> Result<Self, Problem> {
        if super::user::is_part(text) && !text.is_empty() {
            return Ok(Self(text.to_owned()));
        }
        Err(Problem::new(format!("{text:?} is no group"))
            .hint("write the name or number of a group, as `audio`"))
    }
}
