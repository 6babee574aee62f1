//! Names on the host that belong to one data directory.

use std::path::{Path, PathBuf};

use homeostat_network::InterfaceName;
use homeostat_reconciler::ResourceKey;
use sha2::{Digest as _, Sha256};

/// The data directory whose instance has the plain names.
const DEFAULT_DATA_DIRECTORY: &str = "/var/lib/homeostat";

/// One engine on a host that may have several: each has its own bridges, nftables table and cgroups, named
/// after its data directory, so that no two ever touch each other's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    data_directory: PathBuf,
    suffix: Option<String>,
}

impl Instance {
    /// The instance of a data directory, given by its canonical path.
    pub(crate) fn of(data_directory: &Path) -> Self {
        let default = data_directory == Path::new(DEFAULT_DATA_DIRECTORY);
        let suffix = (!default).then(|| digest(data_directory.as_os_str().as_encoded_bytes()));
        Self { data_directory: data_directory.to_owned(), suffix }
    }

    /// `homeostat`, or `homeostat-SUFFIX`: the parent of every cgroup, relative to each hierarchy's root.
    pub(crate) fn name(&self) -> String {
        self.suffix.as_ref().map_or_else(|| "homeostat".to_owned(), |suffix| format!("homeostat-{suffix}"))
    }

    /// The control groups of a container or build step, relative to each hierarchy's root.
    pub(crate) fn cgroup(&self, id: &str) -> PathBuf {
        Path::new(&self.name()).join(id)
    }

    /// The nftables table.
    pub(crate) fn table(&self) -> InterfaceName {
        let name =
            self.suffix.as_ref().map_or_else(|| "homeostat".to_owned(), |suffix| format!("hs-{suffix}"));
        name.parse().expect("a short prefix with hex digits is a name")
    }

    /// The host's end of a container's connection to the bridge with this index among its own.
    pub(crate) fn host_interface(id: &str, index: usize) -> InterfaceName {
        let text = if index == 0 { id.to_owned() } else { format!("{id}:{index}") };
        InterfaceName::derive("hv-", &text).expect("the prefix is short and fits a name")
    }

    /// The container's end, as everywhere in the field.
    pub(crate) fn container_interface(index: usize) -> InterfaceName {
        format!("eth{index}").parse().expect("a container is on a few networks")
    }

    /// The default bridge.
    pub(crate) fn default_bridge(&self) -> InterfaceName {
        let name =
            self.suffix.as_ref().map_or_else(|| "homeostat0".to_owned(), |suffix| format!("hs-{suffix}"));
        name.parse().expect("a short prefix with hex digits is a name")
    }

    /// The bridge of a network. Every network has one of its own.
    pub(crate) fn bridge(&self, network: &ResourceKey) -> InterfaceName {
        let key = format!("{}:{network}", self.data_directory.display());
        InterfaceName::derive("hs-", &key).expect("the prefix is short and fits a name")
    }
}

/// The name that the engine of a data directory has on the host: its control groups are below one of this name.
pub fn instance_name(data_directory: &Path) -> String {
    let canonical = fs_err::canonicalize(data_directory).unwrap_or_else(|_| data_directory.to_owned());
    Instance::of(&canonical).name()
}

/// The first 8 hex digits of its SHA-256.
fn digest(bytes: &[u8]) -> String {
    let mut hex = format!("{:x}", Sha256::digest(bytes));
    hex.truncate(8);
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_data_directory_has_plain_names() {
        let instance = Instance::of(Path::new("/var/lib/homeostat"));
        assert_eq!(instance.name(), "homeostat");
        assert_eq!(instance.default_bridge().as_str(), "homeostat0");
    }

    #[test]
    fn names_of_two_data_directories_differ() {
        let (one, other) = (Instance::of(Path::new("/srv/one")), Instance::of(Path::new("/srv/other")));
        let network: ResourceKey = "shop/front".parse().unwrap();
        assert_ne!(one.name(), other.name());
        assert_ne!(one.default_bridge(), other.default_bridge());
        assert_ne!(one.bridge(&network), other.bridge(&network));
    }
}
