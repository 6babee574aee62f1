//! What is there.

use std::collections::BTreeMap;

use homeostat_reconciler::{ContainerState, Observed, ObservedContainer, ObservedImage};

use crate::container::{Container, Run};
use crate::engine::Inner;

impl Inner {
    /// Everything that exists now. Records are kept in memory: only the kernel is asked, about what runs.
    ///
    /// Fails for nobody's sake: of a container that is in trouble, what was known last is told.
    pub(crate) fn observe(&self) -> Observed {
        self.heal_rules();
        let mut observed = Observed {
            volumes: self.volumes().clone(),
            networks: self.networks.observed(),
            images: self.observe_images(),
            ..Observed::default()
        };
        for container in self.containers() {
            observed.containers.insert(container.key.clone(), self.observe_container(&container));
        }
        observed
    }

    fn observe_images(&self) -> BTreeMap<String, ObservedImage> {
        let mut images = BTreeMap::new();
        let digests = self.images.registry_digests();
        for image in self.images.list() {
            for reference in image.references {
                let digest = digests.get(&reference).map(ToString::to_string);
                images
                    .insert(reference, ObservedImage { id: image.id.to_string(), size: image.size, digest });
            }
        }
        images
    }

    pub(crate) fn observe_container(&self, container: &Container) -> ObservedContainer {
        container.settle_if_told();
        let (record, run) = {
            let state = container.lock();
            let run = match &state.run {
                Run::Never => (None, None, None),
                Run::Live(live) => (Some(live.state.started_at), Some(live.state.init.pid), None),
                Run::Ended(ended) => (ended.started_at, None, Some(ended.status.clone())),
            };
            (state.record.clone(), run)
        };
        let (started_at, pid, exit) = run;
        let state = match (&pid, &exit) {
            (Some(_), _) if container.is_frozen() => ContainerState::Paused,
            (Some(_), _) => ContainerState::Running,
            (None, Some(_)) => ContainerState::Exited,
            (None, None) => ContainerState::Created,
        };
        let address = pid.and_then(|_| self.networks.address(&container.key, &record.config.network));
        ObservedContainer {
            id: container.id.clone(),
            image: record.image,
            image_id: record.image_id,
            config: record.config,
            state,
            pid,
            started_at,
            exit,
            address,
            ports: container.published(),
        }
    }
}
