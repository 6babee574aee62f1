//! `depends_on`: that what is waited for can come true.

use std::collections::{BTreeMap, BTreeSet};

use super::Lowering;
use crate::problem::Problem;
use crate::{Container, DependencyCondition, DesiredState, Name, RestartPolicy};

impl Lowering<'_> {
    /// The conditions of one container, with names that are not there reported.
    pub(super) fn depends_on(&mut self, container: &str) -> BTreeMap<Name, DependencyCondition> {
        let Some(table) = self.file.container.get(container) else { return BTreeMap::new() };
        let mut conditions = BTreeMap::new();
        for (name, condition) in table.depends_on.iter() {
            self.require_declared(
                "container",
                name.as_str(),
                &["container", container, "depends_on", name.as_str()],
            );
            conditions.insert(name, *condition);
        }
        conditions
    }

    /// Checks what needs to know all containers of the app.
    pub(super) fn dependencies(&mut self, containers: &BTreeMap<Name, Container>) {
        for (name, container) in containers {
            for (on, condition) in &container.depends_on {
                let impossible =
                    containers.get(on).and_then(|target| self.impossible(on, target, *condition));
                if let Some(problem) = impossible {
                    self.document.error_at(&["container", name.as_str(), "depends_on", on.as_str()], problem);
                }
            }
        }
        for cycle in cycles(containers) {
            let (last, first) = (&cycle[cycle.len() - 1], &cycle[0]);
            let names: Vec<_> = cycle.iter().chain([first]).map(Name::as_str).collect();
            let problem =
                Problem::new(format!("these containers wait for each other: {}", names.join(" -> ")))
                    .hint("none of them could ever start; take one of the dependencies out");
            self.document.error_at(&["container", last.as_str(), "depends_on", first.as_str()], problem);
        }
    }

    /// Why a condition can never come true of a container.
    fn impossible(&self, on: &Name, target: &Container, condition: DependencyCondition) -> Option<Problem> {
        let state = target.state;
        let never = |hint: &str| {
            Problem::new(format!("`{on}` never becomes {condition}: its state is `{state}`")).hint(hint)
        };
        match (condition, state) {
            (_, DesiredState::Created) => Some(never("it is never started; give it another `state`")),
            (DependencyCondition::Completed, DesiredState::Paused) => Some(never("wait for `started`")),
            (DependencyCondition::Completed, DesiredState::Running)
                if target.restart == RestartPolicy::Always =>
            {
                Some(
                    Problem::new(format!("`{on}` never completes: it is restarted whenever it exits"))
                        .hint("give it `state = \"exited\"` (a one-shot) or `restart = \"on-failure\"`"),
                )
            }
            (DependencyCondition::Healthy, _)
                if !self.document.has(&["container", on.as_str(), "health"]) =>
            {
                Some(
                    Problem::new(format!("`{on}` never becomes healthy: it has no health check"))
                        .hint(format!("add `health` to [container.{on}], or wait for `started`")),
                )
            }
            _ => None,
        }
    }
}

/// Cycles of dependencies, each once, rotated so that the first name is the least.
///
/// Containers without dependencies are taken away until none is left that has none; what remains waits, directly
/// or not, for a cycle. Iterative, as a chain of dependencies may be as long as a file allows.
fn cycles(containers: &BTreeMap<Name, Container>) -> Vec<Vec<Name>> {
    let next = waiting_forever(containers);
    let mut seen = BTreeSet::new();
    let mut cycles = Vec::new();
    for start in next.keys() {
        let mut path = Vec::new();
        let mut name = *start;
        while seen.insert(name) {
            path.push(name);
            name = next[name];
        }
        if let Some(begin) = path.iter().position(|other| *other == name) {
            let cycle = &mut path[begin..];
            let least = cycle.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(index, _)| index);
            cycle.rotate_left(least);
            cycles.push(cycle.iter().map(|name| (*name).clone()).collect());
        }
    }
    cycles
}

/// Every container that can never start, with one such container that it waits for.
fn waiting_forever(containers: &BTreeMap<Name, Container>) -> BTreeMap<&Name, &Name> {
    let mut unmet: BTreeMap<&Name, usize> = BTreeMap::new();
    let mut dependents: BTreeMap<&Name, Vec<&Name>> = BTreeMap::new();
    for (name, container) in containers {
        let known = container.depends_on.keys().filter(|on| containers.contains_key(*on));
        for on in known {
            *unmet.entry(name).or_default() += 1;
            dependents.entry(on).or_default().push(name);
        }
    }
    let mut ready: Vec<&Name> = containers.keys().filter(|name| !unmet.contains_key(name)).collect();
    while let Some(name) = ready.pop() {
        for dependent in dependents.get(name).into_iter().flatten() {
            let count = unmet.entry(dependent).or_default();
            *count -= 1;
            if *count == 0 {
                unmet.remove(dependent);
                ready.push(dependent);
            }
        }
    }
    let first_unmet = |name: &Name| containers[name].depends_on.keys().find(|on| unmet.contains_key(on));
    unmet.keys().filter_map(|name| Some((*name, first_unmet(name)?))).collect()
}
