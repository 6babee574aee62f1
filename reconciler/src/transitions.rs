//! How the record changes.

use homeostat_spec::HealthCheck;
use jiff::Timestamp;

use crate::ports::Event;
use crate::{Desired, Observed, ObservedContainer, PortError, ProbeOutcome, Record, ResourceKey, Step};

impl Record {
    /// Takes in what the engine reports. To be called after every [`Engine::observe`](crate::ports::Engine::observe),
    /// before [`plan()`](crate::plan()).
    ///
    /// Counts every run that has ended exactly once, starts health anew with every run, and forgets what is gone.
    pub fn observe(&mut self, _desired: &Desired, _observed: &Observed, _now: Timestamp) -> Vec<Event> {
        Vec::new()
    }

    /// Takes in that a step was done. `desired` is what the plan was made from.
    pub fn step_succeeded(&mut self, _desired: &Desired, _step: &Step, _now: Timestamp) -> Vec<Event> {
        Vec::new()
    }

    /// Takes in that a step failed: the resource backs off. `desired` is what the plan was made from.
    pub fn step_failed(
        &mut self,
        _desired: &Desired,
        _step: &Step,
        _error: &PortError,
        _now: Timestamp,
    ) -> Vec<Event> {
        Vec::new()
    }

    /// Takes in what a probe of a container told, `now` being when it ended. Returns an event if the
    /// container's health changed.
    pub fn probe_result(
        &mut self,
        _key: &ResourceKey,
        _check: &HealthCheck,
        _outcome: ProbeOutcome,
        _now: Timestamp,
    ) -> Option<Event> {
        None
    }

    /// When the next probe of a container is due; `None` while it does not run.
    pub fn next_probe_at(
        &self,
        _key: &ResourceKey,
        _check: &HealthCheck,
        _container: &ObservedContainer,
    ) -> Option<Timestamp> {
        None
    }
}
