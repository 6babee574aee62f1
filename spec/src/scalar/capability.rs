//! Linux capabilities (capabilities(7), linux/capability.h).

use super::Scalar;
use crate::problem::Problem;
use crate::suggest::did_you_mean;

/// Every capability that Linux knows, in the order of linux/capability.h.
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The full name of a capability, written with or without `CAP_`.
fn parse(text: &str) -> Result<String, Problem> {
    let full = if text.starts_with("CAP_") { text.to_owned() } else { format!("CAP_{text}") };
    if CAPABILITIES.contains(&full.as_str()) {
        return Ok(full);
    }
    Err(Problem::new(format!("{text:?} is no Linux capability"))
        .hint("write it as capabilities(7) does, as `CAP_NET_ADMIN`")
        .maybe_hint(did_you_mean(&full, CAPABILITIES)))
}

/// A capability beside the default set.
pub(crate) struct AddedCapability(pub(crate) String);

impl Scalar for AddedCapability {
    const FORMAT: &'static str = "added-capability";
    const EXAMPLES: &'static [&'static str] = &["CAP_NET_ADMIN"];

    fn parse(text: &str) -> Result<Self, Problem> {
        if text == "ALL" {
            return Err(
                Problem::new("`ALL` can be dropped, not added").hint("name each capability that is needed")
            );
        }
        parse(text).map(Self)
    }
}

/// A capability taken from the default set, or `ALL`.
pub(crate) struct DroppedCapability(pub(crate) String);

impl Scalar for DroppedCapability {
    const FORMAT: &'static str = "dropped-capability";
    const EXAMPLES: &'static [&'static str] = &["CAP_NET_RAW", "ALL"];

    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "ALL" => Ok(Self(text.to_owned())),
            "all" => {
                Err(Problem::new(format!("{text:?} is no Linux capability")).hint("did you mean `ALL`?"))
            }
            _ => parse(text).map(Self),
        }
    }
}
