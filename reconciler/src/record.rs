//! What the agent remembers between plans.

use std::collections::{BTreeMap, BTreeSet};

use homeostat_spec::{DesiredState, StopPolicy};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ResourceId, ResourceKey};

/// What the agent remembers between plans. Losing it costs back-off and counts, nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// By container.
    pub containers: BTreeMap<ResourceKey, ContainerRecord>,
    /// Resources whose last attempt failed.
    #[serde(with = "crate::pairs")]
    pub failures: BTreeMap<ResourceId, Failure>,
    /// Resources that were changed and still differed afterwards.
    #[serde(default, with = "crate::pairs")]
    pub stalls: BTreeMap<ResourceId, Stall>,
    /// Declared volumes that were there when it was last looked.
    #[serde(default)]
    pub volumes: BTreeSet<ResourceKey>,
    /// Volumes whose spec said `retain = false` when it was last seen.
    pub volumes_not_retained: BTreeSet<ResourceKey>,
    /// Which images each container had.
    #[serde(default)]
    pub images: BTreeMap<ResourceKey, ImageHistory>,
    /// For which revision a registry was last asked what the reference of an image means, where `pull = "always"`.
    #[serde(default)]
    pub asked: BTreeMap<String, String>,
    /// When what nobody needs was last removed by itself.
    #[serde(default)]
    pub pruned_at: Option<Timestamp>,
    /// Mixed into the jitter of every delay, so that the nodes of a fleet do not all try again
    /// at the same moment. Any number that differs between nodes, chosen once.
    #[serde(default)]
    pub seed: u64,
}

impl Record {
    /// Whether anything differs that is worth being written down. When probes were last made is not: it changes all
    /// the time, and without it a probe is made at once.
    pub fn differs_lastingly(&self, other: &Self) -> bool {
        let lasting = |record: &Self| {
            let mut record = record.clone();
            record.containers.values_mut().for_each(|known| known.health.probed_at = None);
            record
        };
        self != other && lasting(self) != lasting(other)
    }
}

/// What is remembered of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// The engine's id of the container that this is about; with another id everything else here starts anew.
    #[serde(default)]
    pub id: Option<String>,
    /// The desired state that it was last started for.
    pub started_as: Option<DesiredState>,
    /// How often it was started again after its run had ended by itself.
    pub restarts: u64,
    /// Runs in a row that ended too soon.
    pub short_runs: u32,
    /// The run (by its start) that was last counted in `restarts` or `short_runs`.
    pub counted_run: Option<Timestamp>,
    /// Its health.
    pub health: Health,
    /// How its spec said last that it is stopped: that counts also when it is no longer declared.
    #[serde(default)]
    pub stop: Option<StopPolicy>,
}

/// Which images a container had, by their ids: what it takes to go back to the revision before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageHistory {
    /// The one that it has.
    pub now: String,
    /// The one that it had before.
    pub before: Option<String>,
    /// The revision that declares it no more; forgotten with the next one.
    pub gone_with: Option<String>,
}

impl ImageHistory {
    /// The ids of all.
    pub fn ids(&self) -> impl Iterator<Item = &String> {
        self.before.iter().chain([&self.now])
    }
}

/// Health of a container, after Docker's `HEALTHCHECK`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Where it stands.
    pub status: HealthStatus,
    /// Failed probes in a row.
    pub failures: u32,
    /// The run that this is about, by its start.
    pub run: Option<Timestamp>,
    /// When the last probe of this run ended.
    #[serde(default)]
    pub probed_at: Option<Timestamp>,
    /// What the last failed probe said.
    pub message: Option<String>,
}

/// Where a container's health stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// It has no health check, or does not run.
    #[default]
    None,
    /// It runs and no probe has told yet.
    Starting,
    /// The last probe passed.
    Healthy,
    /// As many probes in a row failed as its spec allows.
    Unhealthy,
}

impl HealthStatus {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::None, Self::Starting, Self::Healthy, Self::Unhealthy];
}

/// A failed attempt at a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Attempts that failed in a row.
    pub attempts: u32,
    /// Not tried again before.
    pub retry_at: Timestamp,
    /// The error with its causes.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// A digest of what was attempted: with another desired state the back-off starts anew.
    pub attempted: String,
    /// It was attempted at a container that existed: with the container goes the failure.
    #[serde(default)]
    pub at_existing: bool,
}

/// A resource that was changed towards a target and still differed from it afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// A digest of the desired state: with another one the count starts anew.
    pub target: String,
    /// The fields that differed, as they are written in a spec.
    pub fields: Vec<String>,
    /// How often in a row it was changed for these fields.
    pub times: u32,
}

/// What a probe of a container's health check told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// It works.
    Passed,
    /// It does not, and why, in a line.
    Failed(String),
    /// Nothing: the engine through which it was made cannot be seen.
    Unknown,
}
