//! The embedded engine: containers on a host that has no container engine.
//!
//! [`Embedded`] is homeostat's own implementation of the engine port. It has no daemon: every running container has a
//! monitor, a small process that outlives this one, and everything else is files and the kernel.
//!
//! - `engine`: what is held in memory, and the opening of a data directory
//! - `layout`, `record`, `staging`: what lies where on disk, and how it gets there and away as a whole
//! - `container`, `monitor`, `program`: a container, how it runs, the process that runs it, and what that process runs
//! - `create`, `run`, `update`, `exec`, `logs`, `observe`, `usage`, `processes`: what is done with containers, and seen of them
//! - `root`, `changes`: the container's own file system, out of the layers of its image, and how it differs from them
//! - `process`, `mounts`, `copy_up`, `mount_namespace`: what the image says and what the spec says, put together
//! - `volumes`, `networks`, `images`, `build`, `fetch`: what containers need
//! - `prune`: what nobody needs any more
//! - `port`: all of it by the port's names

mod archives;
mod attach;
mod build;
mod changes;
mod check;
mod container;
mod copy_up;
mod create;
mod descriptor;
mod disk;
mod engine;
mod error;
mod exec;
mod fetch;
mod images;
mod instance;
mod layout;
mod logs;
mod monitor;
mod mount_namespace;
mod mounts;
mod networks;
mod observe;
mod port;
mod process;
mod processes;
mod program;
mod prune;
mod record;
mod root;
mod run;
mod staging;
mod update;
mod usage;
mod volumes;

pub use engine::{Embedded, EmbeddedConfig};
pub use error::EmbeddedError;
pub use homeostat_registry::{HostConfig, RegistryConfig};
pub use instance::instance_name;

#[cfg(test)]
mod tests {
    //! What several tests need.

    use std::path::PathBuf;

    use homeostat_spec::{ContainerConfig, NetworkMode};

    use crate::record::{ContainerRecord, ImageDefaults};

    /// A container that asks for nothing.
    pub(crate) fn record() -> ContainerRecord {
        ContainerRecord {
            key: "shop/web".parse().unwrap(),
            image: "localhost/web:1".to_owned(),
            image_id: format!("sha256:{:064}", 0),
            defaults: ImageDefaults::default(),
            config: ContainerConfig { network: NetworkMode::None, ..ContainerConfig::default() },
            files: PathBuf::from("/nowhere"),
            anonymous_volumes: Vec::new(),
            created_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }
}
