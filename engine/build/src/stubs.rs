//! Mount points that whoever runs a command makes, and that are no part of the image.

use homeostat_files::{FileKind, Handle, Metadata, Root};

use crate::StepError;

/// What may be mounted over, parents first.
const STUBS: [&str; 7] = ["proc", "sys", "dev", "etc", "etc/hosts", "etc/hostname", "etc/resolv.conf"];

/// Overlayfs' mark of a directory that hides the one beneath.
const OPAQUE: &str = "trusted.overlay.opaque";

/// What was at the stubs before a command ran.
pub(crate) struct Stubs(Vec<(&'static str, Option<Metadata>)>);

impl Stubs {
    /// Looks at them in the mounted root.
    pub(crate) fn before(root: &Root) -> Result<Self, StepError> {
        let look = |path: &&'static str| Ok((*path, root.symlink_metadata(path)?));
        STUBS.iter().map(look).collect::<Result<_, StepError>>().map(Self)
    }

    /// Takes those away, from the mounted root, that were not there before and are still empty.
    pub(crate) fn remove_new(&self, root: &Root) -> Result<(), StepError> {
        for (path, before) in self.0.iter().rev() {
            if before.is_none()
                && let Some(metadata) = root.symlink_metadata(path)?
                && is_empty(root, path, &metadata)?
            {
                root.remove(path)?;
            }
        }
        Ok(())
    }

    /// Takes directories away, from the layer's own directory, that are there only because a stub came and went: they
    /// are empty and as they were before.
    pub(crate) fn remove_traces(&self, upper: &Root) -> Result<(), StepError> {
        for (path, before) in self.0.iter().rev() {
            let (Some(before), Some(now)) = (before, upper.symlink_metadata(path)?) else { continue };
            if before.is_directory()
                && now.is_directory()
                && now.permissions == before.permissions
                && is_empty(upper, path, &now)?
                && !is_opaque(&upper.resolve(path)?)?
            {
                upper.remove(path)?;
            }
        }
        Ok(())
    }
}

fn is_empty(root: &Root, path: &str, metadata: &Metadata) -> Result<bool, StepError> {
    Ok(match metadata.kind {
        FileKind::Regular => metadata.size == 0,
        FileKind::Directory => root.read_directory(path)?.is_empty(),
        _ => false,
    })
}

fn is_opaque(directory: &Handle) -> Result<bool, StepError> {
    Ok(directory.xattr(OPAQUE.as_ref())?.is_some())
}
