//! `[network.*]`.

use std::collections::BTreeMap;

use super::Lowering;
use crate::file::AdoptValue;
use crate::problem::Problem;
use crate::scalar::NetworkName;
use crate::{Name, Network, NetworkMode};

impl Lowering<'_> {
    pub(super) fn networks(&mut self) -> BTreeMap<Name, Network> {
        let mut networks = BTreeMap::new();
        for (name, table) in self.file.network.iter() {
            if NetworkName::RESERVED.contains(&name.as_str()) {
                let problem = Problem::new(format!("no network can be called `{name}`")).hint(
                    "as the `network` of a container the word has a meaning of its own; choose another name",
                );
                self.document.error_at(&["network", name.as_str()], problem);
            }
            let subnet = table.subnet.as_ref().map(|subnet| subnet.to_string());
            let labels = table.labels.as_written().clone();
            let adopt = table.adopt.as_ref().and_then(AdoptValue::adopt);
            networks.insert(name, Network { subnet, internal: table.internal, adopt, labels });
        }
        networks
    }

    /// What a container is connected to, with what that rules out reported.
    pub(super) fn container_network(&mut self, container: &str) -> NetworkMode {
        let Some(table) = self.file.container.get(container) else { return NetworkMode::Bridge };
        let mode = table.network.as_ref().map_or(NetworkMode::Bridge, |network| network.0.0.clone());
        if let NetworkMode::Named(name) = &mode {
            self.require_declared("network", name.as_str(), &["container", container, "network"]);
        }
        if matches!(mode, NetworkMode::Host | NetworkMode::None) && !table.ports.is_empty() {
            let problem = Problem::new(format!("ports cannot be published with `network = \"{mode}\"`"))
                .hint(match mode {
                    NetworkMode::Host => "the container's ports are the host's already: remove `ports`",
                    _ => "remove `ports`, or connect the container to a network",
                });
            self.document.error_at(&["container", container, "ports"], problem);
        }
        if matches!(mode, NetworkMode::Host | NetworkMode::None) && table.publish_all {
            let problem = Problem::new(format!("ports cannot be published with `network = \"{mode}\"`"))
                .hint("remove `publish_all`");
            self.document.error_at(&["container", container, "publish_all"], problem);
        }
        mode
    }
}
