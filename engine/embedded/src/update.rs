//! Changing limits and log rotation in place.

use homeostat_monitor::save_rotation;
use homeostat_reconciler::ResourceKey;
use homeostat_spec::{LogRotation, Resources};
use nix::sys::signal::Signal;

use crate::EmbeddedError;
use crate::create::check_limits;
use crate::engine::Inner;

impl Inner {
    /// Changes limits and log rotation, of a container that runs at once.
    pub(crate) fn update_container(
        &self,
        key: &ResourceKey,
        resources: &Resources,
        log: &LogRotation,
    ) -> Result<(), EmbeddedError> {
        check_limits(resources)?;
        let container = self.require(key)?;
        let mut record = container.record();
        let live = container.live()?;
        if record.config.resources != *resources {
            if live.is_some() {
                container.cgroup.update(resources)?;
            }
            record.config.resources = resources.clone();
        }
        let rotated = record.config.log != *log;
        record.config.log = log.clone();
        // Before the record: were they told apart by a cut, the next update would see no difference to make up for.
        if rotated {
            save_rotation(&container.directory, log)?;
            if let Some(live) = &live {
                live.state.monitor.signal(Signal::SIGHUP)?;
            }
        }
        container.save(record)
    }
}
