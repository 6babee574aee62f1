//! Values that are written as one string: what each may be, and how it is read.
//!
//! Each has a named `format` in the JSON Schema. The check of a file against the schema calls the
//! same function that reads the value later, so the two cannot disagree.

mod capability;
mod device;
mod duration;
mod endpoint;
mod fill;
mod filter;
mod foreign;
mod hostname;
mod kernel;
mod key;
mod name;
mod path;
mod port;
mod reference;
mod resolver;
mod signal;
mod size;
mod subnet;
mod text;
mod tmpfs;
mod user;
mod volume;

pub use duration::{format_duration, parse_duration};
pub use size::{format_cpus, format_size};

pub(crate) use capability::{AddedCapability, DroppedCapability};
pub(crate) use duration::{Age, Grace, Interval, PruneInterval, StartPeriod, Timeout};
pub(crate) use endpoint::{HttpEndpoint, TcpEndpoint};
pub(crate) use fill::Fill;
pub(crate) use filter::{ImageFilter, ResourceFilter};
pub(crate) use foreign::ForeignName;
pub(crate) use hostname::{Alias, Hostname};
pub(crate) use kernel::{Group, SysctlName, UlimitName};
pub(crate) use key::{ArgumentName, EnvironmentName, LabelKey, SecretId, VariableName};
pub(crate) use name::NetworkName;
pub(crate) use path::{ContainerPath, ContextPath, DockerfilePath, HostPath};
pub(crate) use port::PortRange;
pub(crate) use reference::ImageReference;
pub(crate) use resolver::{NameServer, ResolverOption, SearchDomain};
pub(crate) use signal::Signal;
pub(crate) use size::{Bytes, LogSize, MemoryLimit, ShmSize};
pub(crate) use subnet::Subnet;
pub(crate) use text::{Keyed, List, Scalar, Text};
pub(crate) use tmpfs::TmpfsMount;
pub(crate) use user::User;
pub(crate) use volume::{VolumeMount, VolumeSource};

use std::net::Ipv4Addr;

use crate::problem::Problem;
use crate::{Device, ExtraHost, Name, Ulimit};

type Check = fn(&str) -> Result<(), Problem>;

/// Every format with its check.
const FORMATS: &[(&str, Check)] = &[
    entry::<Name>(),
    entry::<NetworkName>(),
    entry::<PortRange>(),
    entry::<VolumeMount>(),
    entry::<ContainerPath>(),
    entry::<TmpfsMount>(),
    entry::<ContextPath>(),
    entry::<DockerfilePath>(),
    entry::<HostPath>(),
    entry::<ImageReference>(),
    entry::<MemoryLimit>(),
    entry::<LogSize>(),
    entry::<ShmSize>(),
    entry::<UlimitName>(),
    entry::<Ulimit>(),
    entry::<SysctlName>(),
    entry::<Group>(),
    entry::<Device>(),
    entry::<ExtraHost>(),
    entry::<NameServer>(),
    entry::<Alias>(),
    entry::<Ipv4Addr>(),
    entry::<SearchDomain>(),
    entry::<ResolverOption>(),
    entry::<Fill>(),
    entry::<Grace>(),
    entry::<Interval>(),
    entry::<Timeout>(),
    entry::<StartPeriod>(),
    entry::<Age>(),
    entry::<PruneInterval>(),
    entry::<ImageFilter>(),
    entry::<ResourceFilter>(),
    entry::<HttpEndpoint>(),
    entry::<TcpEndpoint>(),
    entry::<AddedCapability>(),
    entry::<DroppedCapability>(),
    entry::<Signal>(),
    entry::<Subnet>(),
    entry::<User>(),
    entry::<Hostname>(),
    entry::<ForeignName>(),
    entry::<EnvironmentName>(),
    entry::<ArgumentName>(),
    entry::<VariableName>(),
    entry::<LabelKey>(),
    entry::<SecretId>(),
];

const fn entry<T: Scalar>() -> (&'static str, Check) {
    (T::FORMAT, |text| T::parse(text).map(drop))
}

/// The check of a format; `None` for a format that is none of ours.
pub(crate) fn check_of(format: &str) -> Option<Check> {
    FORMATS.iter().find(|(name, _)| *name == format).map(|(_, check)| *check)
}
