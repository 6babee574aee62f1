//! What there is altogether.

use std::collections::BTreeMap;

use homeostat_monitor::cgroup::{Cgroup, Version};
use homeostat_reconciler::ports::EngineInfo;
use homeostat_reconciler::{PortError, ShownState};
use nix::sys::utsname::{UtsName, uname};
use serde::{Deserialize, Serialize};

use super::Service;

/// `info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// The version of homeostat.
    pub version: String,
    /// An agent keeps everything as declared.
    pub agent: bool,
    /// The source, where an agent runs: path or URL.
    pub source: Option<String>,
    /// The revision that was last compiled.
    pub revision: String,
    /// What runs the containers.
    pub engine: EngineInfo,
    /// Why the engine cannot be seen, if it cannot; then the counts are older.
    pub engine_error: Option<String>,
    /// Where homeostat runs; an engine may run on another host.
    pub host: HostInfo,
    /// How many apps are declared.
    pub apps: usize,
    /// How many containers are in each state; those in which there is none are left out.
    pub containers: BTreeMap<ShownState, usize>,
    /// How many images the engine has under a name, whoever brought them.
    pub images: usize,
    /// How many volumes there are.
    pub volumes: usize,
    /// How many networks there are.
    pub networks: usize,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInfo {
    /// Its name.
    pub name: String,
    /// The release of its kernel.
    pub kernel: String,
    /// What it is made of, as `x86_64`.
    pub architecture: String,
    /// The version of its control groups, 1 or 2; `None` without any.
    pub cgroup_version: Option<u8>,
}

impl Service {
    /// `info`.
    ///
    /// # Errors
    /// Those of [`Service::view`].
    pub async fn info(&self) -> Result<Info, PortError> {
        let view = self.view().await?;
        let engine = self.engine.info();
        let report = view.status(&engine);
        let mut containers = BTreeMap::new();
        for container in report.apps.iter().flat_map(|app| &app.containers) {
            *containers.entry(container.actual).or_default() += 1;
        }
        Ok(Info {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            agent: self.agent.is_some(),
            source: self.agent.as_ref().map(|_| view.source.description.clone()),
            revision: report.revision,
            engine,
            engine_error: view.engine_error.as_ref().map(ToString::to_string),
            host: HostInfo::of_this_one(),
            apps: view.desired.apps.len(),
            containers,
            images: view.observed.images.len(),
            volumes: view.observed.volumes.len(),
            networks: view.observed.networks.len(),
        })
    }
}

impl HostInfo {
    fn of_this_one() -> Self {
        let cgroup_version = Cgroup::at("any").ok().map(|cgroup| match cgroup.version() {
            Version::V1 => 1,
            Version::V2 => 2,
        });
        let told = uname().ok();
        let text = |text: Option<&std::ffi::OsStr>| text.unwrap_or_default().to_string_lossy().into_owned();
        Self {
            name: text(told.as_ref().map(UtsName::nodename)),
            kernel: text(told.as_ref().map(UtsName::release)),
            architecture: text(told.as_ref().map(UtsName::machine)),
            cgroup_version,
        }
    }
}
