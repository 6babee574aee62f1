//! Where a container's mounts go, and in which order.

use std::path::{Component, Path, PathBuf};

use homeostat_files::Root;
use homeostat_spec::TmpfsOptions;

use super::spec::Bind;
use super::targets::{self, Created, TargetKind};
use crate::{Failure, Mount, MountSource};

/// The user's mounts and those of `names` that the user's do not replace, those nearer the root first; places in
/// the root are made for them.
pub(crate) fn place(
    root: &Root,
    mounts: &[Mount],
    names: Vec<Bind>,
    created: &mut Created,
) -> Result<Vec<Bind>, Failure> {
    let mut binds: Vec<_> = mounts.iter().map(bind).collect::<Result<_, _>>()?;
    for name in names {
        if !binds.iter().any(|bind| bind.target == name.target) {
            binds.push(name);
        }
    }
    binds.sort_by_key(|bind| bind.target.components().count());
    let targets: Vec<_> = binds.iter().map(|bind| bind.target.clone()).collect();
    for (index, bind) in binds.iter_mut().enumerate() {
        // A place inside another mount is made when that is mounted; libcontainer does so, beneath the root.
        let inside = targets[..index].iter().any(|other| bind.target.starts_with(other));
        if !inside && !is_kernels(&bind.target) {
            let kind = if is_file(bind) { TargetKind::File } else { TargetKind::Directory };
            let asked = std::mem::take(&mut bind.target);
            bind.target = targets::ensure(root, &asked.to_string_lossy(), kind, created)?;
            if is_kernels(&bind.target) {
                return Err(Failure::invalid(format!(
                    "{} leads to {} through a link of the image; nothing can be mounted there",
                    asked.display(),
                    bind.target.display()
                )));
            }
        }
    }
    Ok(binds)
}

/// The working directory; made if it is missing.
pub(crate) fn working_directory(
    root: &Root,
    cwd: Option<&str>,
    binds: &[Bind],
    created: &mut Created,
) -> Result<String, Failure> {
    let cwd = cwd.filter(|cwd| !cwd.is_empty()).unwrap_or("/");
    if !cwd.starts_with('/') || cwd.contains('\0') {
        return Err(Failure::invalid(format!("the working directory {cwd} is not absolute")));
    }
    let path = Path::new(cwd);
    let inside = binds.iter().any(|bind| path.starts_with(&bind.target));
    if !inside && !is_kernels(path) {
        targets::ensure(root, cwd, TargetKind::Directory, created)?;
    }
    Ok(cwd.to_owned())
}

fn bind(mount: &Mount) -> Result<Bind, Failure> {
    let target = Path::new(&mount.target);
    let mut components = target.components();
    let absolute = components.next() == Some(Component::RootDir);
    let plain = components.clone().all(|part| matches!(part, Component::Normal(_)));
    if !absolute || !plain || mount.target.contains('\0') {
        return Err(Failure::invalid(format!("{} is no absolute path of the container", mount.target)));
    }
    if components.next().is_none() {
        return Err(Failure::invalid("nothing can be mounted over the root of the container"));
    }
    // Without `.` and doubled slashes, so that targets compare.
    let target: PathBuf = target.components().collect();
    let source = match &mount.source {
        MountSource::Tmpfs | MountSource::TmpfsWith(_) => None,
        MountSource::Path(path) => Some(checked(path)?),
        MountSource::Volume(path) => {
            refuse_kernels(&target)?;
            Some(checked(path)?)
        }
    };
    let devices = matches!(mount.source, MountSource::Path(_));
    let tmpfs = match mount.source {
        MountSource::TmpfsWith(options) => options,
        _ => TmpfsOptions::default(),
    };
    Ok(Bind { source, target, read_only: mount.read_only, devices, tmpfs })
}

/// A volume in the place of `/dev` or `/proc` would have its devices, or what is masked and read-only there, made up by
/// whoever filled it: an image that declares it.
fn refuse_kernels(target: &Path) -> Result<(), Failure> {
    let own = target == Path::new("/dev") || ["/proc", "/sys"].iter().any(|top| target.starts_with(top));
    if !own {
        return Ok(());
    }
    Err(Failure::invalid(format!("a volume cannot be mounted at {}", target.display())).with_hint(
        "an image that declares such a volume is not run; for what the host has there, mount the host's path",
    ))
}

fn checked(source: &Path) -> Result<PathBuf, Failure> {
    if !source.is_absolute() {
        return Err(Failure::invalid(format!("the mounted path {} is not absolute", source.display())));
    }
    if fs_err::metadata(source).is_err() {
        return Err(Failure::invalid(format!(
            "{}, which is to be mounted, does not exist",
            source.display()
        ))
        .with_hint("create it on the host first"));
    }
    Ok(source.to_owned())
}

fn is_file(bind: &Bind) -> bool {
    bind.source.as_ref().is_some_and(|source| fs_err::metadata(source).is_ok_and(|found| !found.is_dir()))
}

/// Inside the file systems that the kernel makes, nothing of the image is seen.
fn is_kernels(path: &Path) -> bool {
    ["/dev", "/proc", "/sys"].iter().any(|top| path.starts_with(top))
}
