//! A file system in memory that only the thread of a stage and its commands see.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::os::unix::fs::{OpenOptionsExt as _, chown};
use homeostat_files::{Permissions, overlay};
use homeostat_image::{ImageStore, StagedLayer};
use nix::mount::{MsFlags, mount};

use crate::StepError;

/// Mounted over a staging directory; nothing of it ever reaches the disk, and it is gone when it is dropped.
pub(crate) struct Memory {
    path: PathBuf,
    _staged: StagedLayer,
}

impl Memory {
    /// A directory that everybody may write to, as `/tmp`, with room for so many bytes; as much as half of the host's
    /// memory when nothing is said.
    pub(crate) fn directory(store: &ImageStore, size: Option<u64>) -> Result<Self, StepError> {
        let size = size.map(|size| format!(",size={size}")).unwrap_or_default();
        Self::new(store, &format!("mode=1777{size}"), MsFlags::empty())
    }

    /// A place for files that nobody else on the host may enter.
    pub(crate) fn vault(store: &ImageStore) -> Result<Self, StepError> {
        Self::new(store, "mode=0700", MsFlags::MS_NOEXEC)
    }

    fn new(store: &ImageStore, options: &str, flags: MsFlags) -> Result<Self, StepError> {
        let staged = store.begin_layer(None)?;
        let path = staged.upper();
        let flags = flags | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("tmpfs"), &path, Some("tmpfs"), flags, Some(options)).map_err(std::io::Error::from)?;
        Ok(Self { path, _staged: staged })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A new file in it.
    pub(crate) fn file(
        &self,
        name: &str,
        content: &[u8],
        permissions: Permissions,
    ) -> Result<PathBuf, StepError> {
        let path = self.path.join(name);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(content)?;
        allow(&path, permissions)?;
        Ok(path)
    }
}

/// Sets owner and mode, in this order: a change of the owner takes bits away.
pub(crate) fn allow(path: &Path, permissions: Permissions) -> Result<(), StepError> {
    let Permissions { mode, uid, gid } = permissions;
    chown(path, Some(uid), Some(gid))?;
    Ok(fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?)
}

impl Drop for Memory {
    fn drop(&mut self) {
        // Before the staging directory is removed, which would take the files one by one.
        let _ = overlay::unmount(&self.path);
    }
}
