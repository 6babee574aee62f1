//! What root may do in a container.

use std::str::FromStr as _;

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, LinuxCapabilitiesBuilder};
use rustix::thread::CapabilitySet;

use crate::{Failure, FailureKind, Security};

/// What a container has unless told otherwise: Docker's default.
const DEFAULT: [Capability; 14] = [
    Capability::AuditWrite,
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Mknod,
    Capability::NetBindService,
    Capability::NetRaw,
    Capability::Setfcap,
    Capability::Setgid,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysChroot,
];

/// The capabilities of a container. Where the host does not control devices the default lacks `CAP_MKNOD`:
/// a device file could be made and opened.
pub(crate) fn granted(security: &Security, controls_devices: bool) -> Result<Capabilities, Failure> {
    let mut granted: Capabilities =
        if names_all(&security.cap_drop) { Capabilities::new() } else { DEFAULT.into_iter().collect() };
    if !controls_devices {
        granted.remove(&Capability::Mknod);
    }
    for name in security.cap_drop.iter().filter(|name| !is_all(name)) {
        granted.remove(&parse(name)?);
    }
    if names_all(&security.cap_add) {
        granted.extend(every().filter(|capability| is_available(*capability)));
    }
    for name in security.cap_add.iter().filter(|name| !is_all(name)) {
        granted.insert(require(parse(name)?, controls_devices)?);
    }
    // A default that the host itself lacks, as in a container, can not be given.
    granted.retain(|capability| is_available(*capability));
    Ok(granted)
}

/// The sets of a process that has these. Nothing is inheritable or ambient: a program that is not root's gains nothing
/// (CVE-2022-24769).
pub(crate) fn sets(granted: &Capabilities) -> LinuxCapabilities {
    LinuxCapabilitiesBuilder::default()
        .bounding(granted.clone())
        .effective(granted.clone())
        .permitted(granted.clone())
        .inheritable(Capabilities::new())
        .ambient(Capabilities::new())
        .build()
        .expect("every field has a default")
}

/// What the last steps before the program take: to load a filter, to give a terminal to its user, and to give capabilities up.
const LAST_STEPS: [Capability; 3] = [Capability::SysAdmin, Capability::Chown, Capability::Setpcap];

/// What a container's process has until the program begins.
pub(crate) fn until_narrowed(granted: &Capabilities) -> Capabilities {
    granted.iter().copied().chain(LAST_STEPS).collect()
}

/// The kernel's bit of a capability.
pub(crate) fn bit(capability: Capability) -> CapabilitySet {
    CapabilitySet::from_name(&capability.to_string()).unwrap_or(CapabilitySet::empty())
}

fn require(capability: Capability, controls_devices: bool) -> Result<Capability, Failure> {
    if capability == Capability::Mknod && !controls_devices {
        return Err(Failure {
            kind: FailureKind::Unsupported,
            message: "CAP_MKNOD cannot be given: this host does not control which devices a container uses"
                .to_owned(),
            hint: Some("bind-mount the device file that the container needs instead".to_owned()),
        });
    }
    if is_available(capability) {
        return Ok(capability);
    }
    Err(Failure {
        kind: FailureKind::Unsupported,
        message: format!("CAP_{capability} cannot be given: homeostat itself does not have it"),
        hint: Some("take it from cap_add, or run homeostat with it".to_owned()),
    })
}

fn is_available(capability: Capability) -> bool {
    rustix::thread::capability_is_in_bounding_set(bit(capability)).unwrap_or(false)
}

fn parse(name: &str) -> Result<Capability, Failure> {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    Capability::from_str(short).map_err(|_| Failure {
        kind: FailureKind::InvalidRequest,
        message: format!("{name} is no capability of Linux"),
        hint: Some("see capabilities(7); a name looks like CAP_NET_ADMIN".to_owned()),
    })
}

fn names_all(names: &[String]) -> bool {
    names.iter().any(|name| is_all(name))
}

fn is_all(name: &str) -> bool {
    name.eq_ignore_ascii_case("ALL") || name.eq_ignore_ascii_case("CAP_ALL")
}

fn every() -> impl Iterator<Item = Capability> {
    CapabilitySet::all().iter_names().filter_map(|(name, _)| Capability::from_str(name).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn security(add: &[&str], drop: &[&str]) -> Security {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Security { cap_add: owned(add), cap_drop: owned(drop), no_new_privileges: false }
    }

    #[test]
    fn every_capability_has_a_bit_of_its_own() {
        assert_eq!(every().count(), 41);
        let bits = every().fold(CapabilitySet::empty(), |bits, capability| bits | bit(capability));
        assert_eq!(bits.bits().count_ones(), 41);
    }

    #[test]
    fn all_may_be_dropped_and_some_given_back() {
        let granted = granted(&security(&["net_bind_service"], &["ALL"]), true).unwrap();
        assert_eq!(granted, Capabilities::from([Capability::NetBindService]));
    }

    #[test]
    fn mknod_is_not_given_where_devices_are_not_controlled() {
        assert!(granted(&security(&[], &[]), true).unwrap().contains(&Capability::Mknod));
        assert!(!granted(&security(&[], &[]), false).unwrap().contains(&Capability::Mknod));
        let refused = granted(&security(&["CAP_MKNOD"], &[]), false).unwrap_err();
        assert_eq!(refused.kind, FailureKind::Unsupported);
    }

    #[test]
    fn unknown_names_are_refused() {
        let refused = granted(&security(&[], &["CAP_FLY"]), true).unwrap_err();
        assert_eq!(refused.kind, FailureKind::InvalidRequest);
    }
}
