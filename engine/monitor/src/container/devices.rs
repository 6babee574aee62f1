//! Devices of the host that a container is given.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use homeostat_spec::Device;
use oci_spec::OciSpecError;
use oci_spec::runtime::{
    LinuxDevice, LinuxDeviceBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType,
};

use crate::failure::OrFail as _;
use crate::{Failure, FailureKind};

/// A device: the file that the container gets, and what it may do with it.
pub(crate) type Granted = (LinuxDevice, LinuxDeviceCgroup);

/// As deep as directories of devices are looked into: `/dev/dri/by-path`.
const DEPTH: usize = 4;

/// Finds the devices; of a directory all that are in it.
///
/// # Errors
/// When one is not there or is none, and for rights that nobody would see to: without a controller for devices a container
/// does with one what it likes.
pub(crate) fn find(asked: &[Device], controlled: bool) -> Result<Vec<Granted>, Failure> {
    let mut found = Vec::new();
    for device in asked {
        if !controlled && device.permissions != Device::EVERYTHING {
            let message = format!("only {:?} of {} cannot be granted", device.permissions, device.host);
            return Err(Failure::new(
                FailureKind::Unsupported,
                format!("{message}: this host does not control which devices a container uses"),
            )
            .with_hint("leave the rights out, or boot with the controller for devices of cgroup v1"));
        }
        let before = found.len();
        add(Path::new(&device.host), Path::new(&device.container), device, DEPTH, &mut found)?;
        if found.len() == before {
            return Err(Failure::invalid(format!("there is no device in {}", device.host)));
        }
    }
    Ok(found)
}

fn add(
    host: &Path,
    container: &Path,
    device: &Device,
    depth: usize,
    found: &mut Vec<Granted>,
) -> Result<(), Failure> {
    let metadata = fs::metadata(host).map_err(|error| {
        Failure::invalid(format!("the device cannot be given to the container: {error}"))
            .with_hint("see `ls /dev` on the host")
    })?;
    let typ = metadata.file_type();
    let typ = if typ.is_char_device() {
        LinuxDeviceType::C
    } else if typ.is_block_device() {
        LinuxDeviceType::B
    } else if typ.is_dir() && depth > 0 {
        for entry in fs::read_dir(host).or_fail(FailureKind::Runtime, "look for devices")? {
            let entry = entry.or_fail(FailureKind::Runtime, "look for devices")?;
            // Beside devices there may be anything, and links lead to what has another name here.
            let kind = entry.file_type().or_fail(FailureKind::Runtime, "look for devices")?;
            if kind.is_dir() || kind.is_char_device() || kind.is_block_device() {
                add(&entry.path(), &container.join(entry.file_name()), device, depth - 1, found)?;
            }
        }
        return Ok(());
    } else {
        return Err(Failure::invalid(format!("{} is no device", host.display())));
    };
    let granted = describe(typ, &metadata, container.to_owned(), &device.permissions);
    found.push(granted.or_fail(FailureKind::Runtime, "describe a device")?);
    Ok(())
}

fn describe(
    typ: LinuxDeviceType,
    metadata: &std::fs::Metadata,
    path: PathBuf,
    permissions: &str,
) -> Result<Granted, OciSpecError> {
    let (major, minor) = (libc::major(metadata.rdev()), libc::minor(metadata.rdev()));
    let (major, minor) = (i64::from(major), i64::from(minor));
    let node = LinuxDeviceBuilder::default()
        .path(path)
        .typ(typ)
        .major(major)
        .minor(minor)
        .file_mode(metadata.mode() & 0o7777)
        .uid(metadata.uid())
        .gid(metadata.gid());
    let rule = LinuxDeviceCgroupBuilder::default()
        .allow(true)
        .typ(typ)
        .major(major)
        .minor(minor)
        .access(permissions);
    Ok((node.build()?, rule.build()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(host: &str, container: &str, permissions: &str) -> Device {
        Device { host: host.to_owned(), container: container.to_owned(), permissions: permissions.to_owned() }
    }

    #[test]
    fn a_device_is_found_with_its_number() {
        let found = find(&[device("/dev/full", "/dev/brim", "r")], true).unwrap();
        let (node, rule) = &found[0];
        assert_eq!((node.path().to_str(), node.major(), node.minor()), (Some("/dev/brim"), 1, 7));
        assert_eq!((rule.major(), rule.minor(), rule.access().as_deref()), (Some(1), Some(7), Some("r")));
    }

    #[test]
    fn what_is_no_device_and_rights_that_nobody_sees_to_are_refused() {
        let refused = |host, permissions, controlled| {
            find(&[device(host, "/dev/x", permissions)], controlled).unwrap_err().kind
        };
        assert_eq!(refused("/dev/not-there", "rwm", true), FailureKind::InvalidRequest);
        assert_eq!(refused("/etc/passwd", "rwm", true), FailureKind::InvalidRequest);
        assert_eq!(refused("/etc", "rwm", true), FailureKind::InvalidRequest);
        assert_eq!(refused("/dev/null", "r", false), FailureKind::Unsupported);
    }
}
