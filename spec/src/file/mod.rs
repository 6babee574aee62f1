//! The files as they are written: one type for each table, with the text that the JSON Schema
//! shows in editors.

mod adopt;
mod app;
mod prune;
mod source;

pub(crate) use adopt::AdoptValue;
pub(crate) use app::{
    AppFile, BuildTable, Command, ContainerTable, HealthTable, MOST_PORTS, UlimitValue, VolumeTable,
};
pub(crate) use prune::HostPruneTable;
pub(crate) use source::{Defaults, LogTable, ResourcesTable, SourceFile, StopTable};
