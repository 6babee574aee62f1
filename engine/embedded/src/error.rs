//! Why the engine could not do something.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use homeostat_attach::ConnectError;
use homeostat_files::lock::LockError;
use homeostat_files::overlay::OverlayError;
use homeostat_files::{FileError, StateError};
use homeostat_image::{LoadError, StoreError};
use homeostat_monitor::cgroup::CgroupError;
use homeostat_monitor::{Failure, FailureKind};
use homeostat_network::{NetworkError, NoFreeAddress, NoFreeSubnet, RulesError, SubnetError};
use homeostat_reconciler::{ErrorKind, PortError, ResourceKey};
use homeostat_registry::RegistryError;

/// The embedded engine could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The data directory belongs to another process.
    #[error("the data directory is in use")]
    Locked(#[from] LockError),
    /// A file cannot be used.
    #[error("cannot keep the engine's files")]
    File(#[from] FileError),
    /// A file cannot be used.
    #[error("cannot use the engine's files")]
    Io(#[from] io::Error),
    /// A state file cannot be used.
    #[error("cannot use the engine's state")]
    State(#[from] StateError),
    /// The kernel gives no random numbers.
    #[error("cannot make up an id: {0}")]
    Random(String),
    /// The image store cannot be used.
    #[error("cannot use the image store")]
    Store(#[from] StoreError),
    /// A network cannot be set up.
    #[error("cannot set up the network")]
    Network(#[from] NetworkError),
    /// The rules of published ports cannot be set.
    #[error("cannot set the firewall's rules")]
    Rules(#[from] RulesError),
    /// A network has no room.
    #[error("cannot give the container an address")]
    NoFreeAddress(#[from] NoFreeAddress),
    /// No subnet is left.
    #[error("cannot give the network a subnet")]
    NoFreeSubnet(#[from] NoFreeSubnet),
    /// A subnet that is none.
    #[error("cannot use the network's subnet")]
    Subnet(#[from] SubnetError),
    /// A subnet without room.
    #[error("the subnet {0} has no room for a container")]
    SubnetTooSmall(String),
    /// A subnet that is taken.
    #[error("the subnet {subnet} overlaps {taken}, which is in use on this host")]
    SubnetTaken {
        /// The subnet asked for.
        subnet: String,
        /// What it collides with.
        taken: String,
    },
    /// An address that another container has.
    #[error(transparent)]
    AddressTaken(#[from] homeostat_network::AddressTaken),
    /// Control groups cannot be used.
    #[error("cannot use the container's control groups")]
    Cgroup(#[from] CgroupError),
    /// The image's content cannot be copied to a new volume.
    #[error("cannot look into the image")]
    Overlay(#[from] OverlayError),
    /// The image's content cannot be copied to a new volume.
    #[error("cannot leave the mount namespace")]
    MountNamespace(#[source] io::Error),
    /// A part of the engine panicked.
    #[error("a part of the engine has panicked")]
    Panicked,
    /// No such container.
    #[error("there is no container {0}")]
    NoContainer(ResourceKey),
    /// The container does not run.
    #[error("container {0} does not run")]
    NotRunning(ResourceKey),
    /// The container runs.
    #[error("container {0} runs: stop it first")]
    Running(ResourceKey),
    /// The key is taken.
    #[error("container {0} exists, created from something else")]
    Different(ResourceKey),
    /// No such image.
    #[error("image {0} is not on this host")]
    NoImage(String),
    /// No such volume.
    #[error("there is no volume {0}")]
    NoVolume(ResourceKey),
    /// A container mounts the volume.
    #[error("volume {volume} is used by container {container}")]
    VolumeInUse {
        /// The volume.
        volume: ResourceKey,
        /// A container that mounts it.
        container: ResourceKey,
    },
    /// No such network.
    #[error("there is no network {0}")]
    NoNetwork(ResourceKey),
    /// The network is another.
    #[error("network {0} exists, created from something else")]
    DifferentNetwork(ResourceKey),
    /// A container is on the network.
    #[error("network {network} is used by container {container}")]
    NetworkInUse {
        /// The network.
        network: ResourceKey,
        /// A container that is on it.
        container: ResourceKey,
    },
    /// A bind mount's source is missing.
    #[error("{} is not on this host, but is to be mounted at {target}", path.display())]
    NoHostPath {
        /// The path on the host.
        path: PathBuf,
        /// The path in the container.
        target: String,
    },
    /// A file of the source is not where the caller said.
    #[error("{path} of the source is not written out at {}", expected.display())]
    NoSourceFile {
        /// The path in the source.
        path: String,
        /// Where it should be.
        expected: PathBuf,
    },
    /// There is nothing to run.
    #[error("neither the image {0} nor the spec says what to run")]
    NoCommand(String),
    /// The memory limit is too low for anything to start.
    #[error("a memory limit of {limit} bytes is below the least of {least} bytes")]
    MemoryTooSmall {
        /// The limit asked for.
        limit: u64,
        /// The lowest limit.
        least: u64,
    },
    /// This host cannot limit what should be.
    #[error("this host cannot limit {0}")]
    CannotLimit(String),
    /// No such signal.
    #[error("{0} is no signal")]
    UnknownSignal(String),
    /// The monitor cannot be started.
    #[error("cannot start {}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// What a monitor tells cannot be read.
    #[error("cannot understand the container's monitor")]
    Report(#[source] io::Error),
    /// The monitor ended without a word.
    #[error("the container's monitor has died at the start; what it said is in {}", complaints.display())]
    MonitorDied {
        /// The file that its stderr went to.
        complaints: PathBuf,
    },
    /// The monitor says nothing.
    #[error("the container's monitor has not started it in time")]
    StartTimeout,
    /// The process that answers names does not do as it is told.
    #[error("names of containers cannot be answered")]
    Names(#[source] io::Error),
    /// The container could not be started.
    #[error("cannot start the container")]
    Start(#[source] Failure),
    /// The container does not end.
    #[error("container {0} does not end, though it was killed")]
    DoesNotEnd(ResourceKey),
    /// A command in a container cannot be run.
    #[error("cannot run a command in container {key}")]
    Exec {
        /// The container.
        key: ResourceKey,
        /// What the kernel answered.
        source: io::Error,
    },
    /// A container cannot be attached to.
    #[error("cannot attach to container {key}")]
    Attach {
        /// The container.
        key: ResourceKey,
        /// Why.
        source: ConnectError,
    },
    /// The monitor of a container does not know how.
    #[error("nobody can attach to container {0} in this run: an older version of homeostat has started it")]
    CannotAttach(ResourceKey),
    /// An image cannot be pulled.
    #[error("image {reference} cannot be pulled")]
    Pull {
        /// The image's reference.
        reference: String,
        /// Why.
        source: Box<RegistryError>,
    },
    /// No such image.
    #[error("there is no image {0}")]
    UnknownImage(String),
    /// More than one image is meant.
    #[error("several images are meant by {0}")]
    AmbiguousImage(String),
    /// A container was created from the image.
    #[error("image {name} is used by {}", listed(users))]
    ImageInUse {
        /// What it was called.
        name: String,
        /// The containers.
        users: Vec<ResourceKey>,
    },
    /// The image has more than one name.
    #[error("image {name} has several names: {}", references.join(", "))]
    SeveralNames {
        /// What it was called.
        name: String,
        /// Its references.
        references: Vec<String>,
    },
    /// Images cannot be saved.
    #[error("the images cannot be saved")]
    Save(#[source] StoreError),
    /// An archive cannot be loaded.
    #[error("the archive cannot be loaded")]
    Load(#[source] LoadError),
    /// An image cannot be pushed.
    #[error("image {reference} cannot be pushed")]
    Push {
        /// The image's reference.
        reference: String,
        /// Why.
        source: Box<RegistryError>,
    },
    /// A text is no reference.
    #[error(transparent)]
    Reference(#[from] RegistryError),
    /// A build failed.
    #[error("cannot build the image {reference}")]
    Build {
        /// The image's reference.
        reference: String,
        /// What failed.
        source: Box<homeostat_build::BuildError>,
    },
}

impl EmbeddedError {
    /// Who can do something about it.
    pub fn kind(&self) -> ErrorKind {
        if is_out_of_space(self) {
            return ErrorKind::Transient;
        }
        match self {
            Self::Start(failure) => failure_kind(failure.kind),
            Self::Build { source, .. } => source.kind(),
            Self::Pull { source, .. } | Self::Push { source, .. } => source.kind(),
            Self::Network(error) => error.kind(),
            Self::Rules(error) => error.kind(),
            Self::Locked(_)
            | Self::NoFreeSubnet(_)
            | Self::Cgroup(CgroupError::Missing { .. })
            | Self::Overlay(OverlayError::Unsupported)
            | Self::CannotLimit(_)
            | Self::Spawn { .. } => ErrorKind::Config,
            Self::Different(_)
            | Self::DifferentNetwork(_)
            | Self::NoImage(_)
            | Self::UnknownImage(_)
            | Self::AmbiguousImage(_)
            | Self::ImageInUse { .. }
            | Self::SeveralNames { .. }
            | Self::Reference(_)
            | Self::Load(LoadError::Archive(_))
            | Self::NoHostPath { .. }
            | Self::NoCommand(_)
            | Self::MemoryTooSmall { .. }
            | Self::UnknownSignal(_)
            | Self::Subnet(_)
            | Self::SubnetTooSmall(_)
            | Self::SubnetTaken { .. }
            | Self::AddressTaken(_)
            | Self::NoFreeAddress(_)
            | Self::NotRunning(_)
            | Self::CannotAttach(_)
            | Self::Running(_)
            | Self::NoContainer(_)
            | Self::NoVolume(_)
            | Self::NoNetwork(_)
            | Self::VolumeInUse { .. }
            | Self::NetworkInUse { .. } => ErrorKind::User,
            Self::NoSourceFile { .. } | Self::Panicked => ErrorKind::Internal,
            _ => ErrorKind::Transient,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let no_room = matches!(
            self,
            Self::Store(StoreError::NoRoom { .. }) | Self::Load(LoadError::Store(StoreError::NoRoom { .. }))
        );
        if no_room || is_out_of_space(self) {
            return Some(
                "the disk is full: free space in the data directory, for example with `homeostat prune`"
                    .to_owned(),
            );
        }
        let hint = match self {
            Self::Start(failure) => return failure.hint.clone(),
            Self::Build { source, .. } => return source.hint(),
            Self::Pull { source, .. } | Self::Push { source, .. } => return source.hint(),
            Self::Network(error) => error.hint()?,
            Self::Rules(error) => error.hint()?,
            Self::NoFreeAddress(error) => error.hint(),
            Self::NoFreeSubnet(error) => error.hint(),
            Self::Locked(_) => "stop the process that holds it, or choose another --data-dir",
            Self::NoImage(_) => {
                "pull it, or build it, with `[image.NAME] build = { context = \"DIR\" }` in the spec"
            }
            Self::UnknownImage(_) => "`homeostat image ls` lists what there is",
            Self::AmbiguousImage(_) => "give more of the id",
            Self::SeveralNames { .. } => "remove its names one by one",
            Self::NoHostPath { .. } => {
                "create it, or use a named volume, which is created when it is missing"
            }
            Self::NoCommand(_) => "set `command` in the spec, or CMD in the Dockerfile",
            Self::MemoryTooSmall { .. } => "give the container more memory, or no limit",
            Self::UnknownSignal(_) => "signals are named as SIGTERM, or numbered",
            Self::SubnetTaken { .. } | Self::SubnetTooSmall(_) => {
                "choose another `subnet`, or leave it out to have one chosen"
            }
            Self::AddressTaken(_) => {
                "restart that container, which has the address by chance, or choose another `address`"
            }
            Self::ImageInUse { .. } | Self::VolumeInUse { .. } | Self::NetworkInUse { .. } => {
                "remove the container first"
            }
            Self::CannotAttach(_) => "stop it, and start it again",
            Self::CannotLimit(_) => {
                "enable the cgroup controller in the kernel's command line, or leave the limit out"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl From<EmbeddedError> for PortError {
    fn from(error: EmbeddedError) -> Self {
        let (kind, hint) = (error.kind(), error.hint());
        let mut port = Self::new(kind, error.to_string());
        port.hint = hint;
        // The message is the error's own; what it was caused by follows.
        match error {
            EmbeddedError::Locked(source) => port.caused_by(source),
            EmbeddedError::File(source) => port.caused_by(source),
            EmbeddedError::Io(source)
            | EmbeddedError::MountNamespace(source)
            | EmbeddedError::Spawn { source, .. }
            | EmbeddedError::Report(source)
            | EmbeddedError::Names(source)
            | EmbeddedError::Exec { source, .. } => port.caused_by(source),
            EmbeddedError::Attach { source, .. } => port.caused_by(source),
            EmbeddedError::State(source) => port.caused_by(source),
            EmbeddedError::Store(source) | EmbeddedError::Save(source) => port.caused_by(source),
            EmbeddedError::Network(source) => port.caused_by(source),
            EmbeddedError::Rules(source) => port.caused_by(source),
            EmbeddedError::NoFreeAddress(source) => port.caused_by(source),
            EmbeddedError::NoFreeSubnet(source) => port.caused_by(source),
            EmbeddedError::Subnet(source) => port.caused_by(source),
            EmbeddedError::Cgroup(source) => port.caused_by(source),
            EmbeddedError::Overlay(source) => port.caused_by(source),
            EmbeddedError::Start(source) => port.caused_by(source),
            EmbeddedError::Build { source, .. } => port.caused_by(source),
            EmbeddedError::Pull { source, .. } | EmbeddedError::Push { source, .. } => port.caused_by(source),
            EmbeddedError::Load(source) => port.caused_by(source),
            _ => port,
        }
    }
}

fn listed(keys: &[ResourceKey]) -> String {
    let names: Vec<String> = keys.iter().map(|key| format!("container {key}")).collect();
    names.join(", ")
}

fn failure_kind(kind: FailureKind) -> ErrorKind {
    match kind {
        FailureKind::InvalidRequest
        | FailureKind::CommandNotFound
        | FailureKind::CommandNotExecutable
        | FailureKind::UnknownUser => ErrorKind::User,
        FailureKind::Unsupported => ErrorKind::Config,
        FailureKind::PortInUse | FailureKind::Network | FailureKind::Exhausted | FailureKind::Runtime => {
            ErrorKind::Transient
        }
    }
}

/// Whether a full disk or quota is at the bottom of an error.
fn is_out_of_space(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let full = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        };
        if error.downcast_ref::<io::Error>().is_some_and(full) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_may_be_tried_again_wherever_it_was_full() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = EmbeddedError::from(StoreError::Io(full));
        assert_eq!(error.kind(), ErrorKind::Transient);
        assert!(error.hint().unwrap().contains("the disk is full"));
    }

    #[test]
    fn a_message_is_told_once() {
        let missing = io::Error::new(io::ErrorKind::NotFound, "no such thing");
        let port = PortError::from(EmbeddedError::Io(missing));
        assert_eq!(homeostat_reconciler::chain(&port), "cannot use the engine's files: no such thing");
    }
}
