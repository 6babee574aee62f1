use std::io;
use std::path::PathBuf;

/// An operation on control groups failed.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The path is empty, absolute, or has `.` or `..` components.
    #[error("{} is no path of a control group", path.display())]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// The host has no cgroups, or not this controller.
    #[error(
        "this host has no cgroup controller for {controller}: mount /sys/fs/cgroup, and enable the controller in the kernel's command line"
    )]
    Missing {
        /// What is missing.
        controller: &'static str,
    },
    /// The kernel refused.
    #[error("cannot use a control group")]
    File(#[from] io::Error),
    /// A file of the kernel has not the form it should have.
    #[error("{} is malformed", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Processes did not do in time what they must.
    #[error("the processes of control group {} did not {what} in time", path.display())]
    Timeout {
        /// What they should do.
        what: &'static str,
        /// The control group.
        path: PathBuf,
    },
}

impl CgroupError {
    /// Whether it failed because the control group is not there, or was removed meanwhile.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::File(error) if error.kind() == io::ErrorKind::NotFound)
    }
}
