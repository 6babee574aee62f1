//! `[prune]`, of `homeostat.toml` and of a host's configuration.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::scalar::{Age, Fill, ImageFilter, List, PruneInterval, ResourceFilter, Text};
use crate::{DiskRule, HostPrune, PruneFilter, PruneKind, PrunePolicy, PruneRule};

/// What is removed by itself once nobody needs it. A kind without a table is left alone.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PruneTable {
    /// Time between two prunes. Default: `24h`.
    pub(crate) interval: Option<Text<PruneInterval>>,
    /// How full the disk with the images may get until those that nobody needs are removed, whatever their age.
    pub(crate) disk: DiskTable,
    /// Exited containers that no spec declares.
    pub(crate) containers: Option<ResourceRuleTable>,
    /// Images that no container uses and no spec declares.
    pub(crate) images: Option<ImageRuleTable>,
    /// Anonymous volumes of containers that are no more, and those with `retain = false` that no spec declares.
    pub(crate) volumes: Option<ResourceRuleTable>,
    /// What earlier builds have left.
    pub(crate) build_cache: Option<AgeRuleTable>,
    /// Logs of containers that are no more.
    pub(crate) logs: Option<AgeRuleTable>,
}

/// `[prune]` of a host's configuration.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HostPruneTable {
    others: bool,
    interval: Option<Text<PruneInterval>>,
    disk: DiskTable,
    containers: Option<ResourceRuleTable>,
    images: Option<ImageRuleTable>,
    volumes: Option<ResourceRuleTable>,
    build_cache: Option<AgeRuleTable>,
    logs: Option<AgeRuleTable>,
}

/// How full the disk may get.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DiskTable {
    /// From this on room is made; `100%` is never. Default: `85%`.
    start: Option<Text<Fill>>,
    /// Until no more than this is in use. Default: `80%`.
    stop: Option<Text<Fill>>,
}

/// Which images are removed.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ImageRuleTable {
    /// Only what nobody has needed for so long. Default: `24h`.
    older_than: Option<Text<Age>>,
    /// Only what each of these lets go: `label=`, `label!=`, `reference=`, `reference!=`, `dangling=true`.
    filter: Option<List<Text<ImageFilter>>>,
}

/// Which containers or volumes are removed.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ResourceRuleTable {
    /// Only what nobody has needed for so long. Default: `24h`.
    older_than: Option<Text<Age>>,
    /// Only what each of these lets go: `label=`, `label!=`, `name=`, `name!=`.
    filter: Option<List<Text<ResourceFilter>>>,
}

/// What is removed of things without names and labels.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AgeRuleTable {
    /// Only what nobody has needed for so long. Default: `24h`.
    older_than: Option<Text<Age>>,
}

impl From<PruneTable> for PrunePolicy {
    fn from(table: PruneTable) -> Self {
        let rules = [
            (PruneKind::Container, table.containers.map(PruneRule::from)),
            (PruneKind::Image, table.images.map(PruneRule::from)),
            (PruneKind::Volume, table.volumes.map(PruneRule::from)),
            (PruneKind::BuildCache, table.build_cache.map(PruneRule::from)),
            (PruneKind::Log, table.logs.map(PruneRule::from)),
        ];
        Self {
            interval: table.interval.map(|interval| interval.0.0),
            rules: rules.into_iter().filter_map(|(kind, rule)| Some((kind, rule?))).collect(),
            disk: DiskRule {
                start: table.disk.start.map(|fill| fill.0.0),
                stop: table.disk.stop.map(|fill| fill.0.0),
            },
        }
    }
}

impl From<HostPruneTable> for HostPrune {
    fn from(table: HostPruneTable) -> Self {
        let HostPruneTable { others, interval, disk, containers, images, volumes, build_cache, logs } = table;
        Self {
            others,
            policy: PruneTable { interval, disk, containers, images, volumes, build_cache, logs }.into(),
        }
    }
}

impl From<ImageRuleTable> for PruneRule {
    fn from(table: ImageRuleTable) -> Self {
        rule(table.older_than, table.filter.map(|list| filters(&list, |filter: &ImageFilter| &filter.0)))
    }
}

impl From<ResourceRuleTable> for PruneRule {
    fn from(table: ResourceRuleTable) -> Self {
        rule(table.older_than, table.filter.map(|list| filters(&list, |filter: &ResourceFilter| &filter.0)))
    }
}

impl From<AgeRuleTable> for PruneRule {
    fn from(table: AgeRuleTable) -> Self {
        rule(table.older_than, None)
    }
}

fn rule(older_than: Option<Text<Age>>, filter: Option<Vec<PruneFilter>>) -> PruneRule {
    PruneRule { older_than: older_than.map(|age| age.0.0), filter }
}

fn filters<T>(list: &List<Text<T>>, inner: fn(&T) -> &PruneFilter) -> Vec<PruneFilter> {
    list.iter().map(|(_, filter)| inner(&filter.0).clone()).collect()
}
