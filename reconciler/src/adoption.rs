//! What is taken over that homeostat did not make.

use std::collections::{BTreeMap, BTreeSet};

use homeostat_spec::{Adopt, Container, DesiredState};

use crate::changes::container_changes;
use crate::{ContainerState, Desired, FieldChange, ForeignContainer, Observed, ResourceKey};

impl Desired {
    /// Names by which the engine is to be asked for containers that are not homeostat's, before a plan is made: those
    /// that a spec takes over and that are not there yet.
    pub fn adoptable(&self, observed: &Observed) -> BTreeSet<String> {
        let absent = self.containers().filter(|(key, _)| !observed.containers.contains_key(key));
        absent.flat_map(|(key, container)| names(&key, container.adopt.as_ref())).collect()
    }
}

/// The names of what is taken over as a container, the best first.
pub(crate) fn names(key: &ResourceKey, adopt: Option<&Adopt>) -> Vec<String> {
    let ResourceKey { app, name } = key;
    match adopt {
        None => Vec::new(),
        Some(Adopt::Named(_) | Adopt::AnyOf(_)) => {
            adopt.map(|adopt| adopt.written().to_vec()).unwrap_or_default()
        }
        // As homeostat names it, as version 2 and version 1 of Compose do, and as a person would.
        Some(Adopt::ByName) => vec![
            format!("{app}_{name}"),
            format!("{app}-{name}-1"),
            format!("{app}_{name}_1"),
            name.to_string(),
        ],
    }
}

/// What is there to be taken over as a container, but for those with these ids, and its name.
pub(crate) fn candidate<'a>(
    key: &ResourceKey,
    adopt: Option<&Adopt>,
    foreign: &'a BTreeMap<String, ForeignContainer>,
    taken: &BTreeSet<String>,
) -> Option<(&'a str, &'a ForeignContainer)> {
    let found = |name: &String| foreign.get_key_value(name);
    let mut there = names(key, adopt).iter().filter_map(found).collect::<Vec<_>>().into_iter();
    there.find(|(_, there)| !taken.contains(&there.container.id)).map(|(name, there)| (name.as_str(), there))
}

/// What of a container that is there could only be had as declared by a new container, and what a new one would not have.
pub(crate) fn obstacles(
    key: &ResourceKey,
    declared: &Container,
    there: &ForeignContainer,
    desired: &Desired,
    observed: &Observed,
) -> Vec<FieldChange> {
    let reference = desired.image_of(key).unwrap_or_default();
    let (there, lost) = match desired.apps.get(&key.app) {
        Some(app) => there.seen_by(app, declared, observed),
        None => (there.container.clone(), Vec::new()),
    };
    let mut fields = container_changes(declared, &reference, &there, observed).recreate;
    fields.extend(lost);
    if declared.state == DesiredState::Created && there.state != ContainerState::Created {
        let (old, new) = (Some(there.state.to_string()), Some(declared.state.to_string()));
        fields.push(FieldChange { field: "state".to_owned(), old, new });
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::World;
    use crate::fake::specs::{app_with, container, desired, key};

    #[test]
    fn true_stands_for_the_names_of_homeostat_of_compose_and_of_people_in_this_order() {
        let names = names(&key("shop/web"), Some(&Adopt::ByName));
        assert_eq!(names, ["shop_web", "shop-web-1", "shop_web_1", "web"]);
    }

    #[test]
    fn the_engine_is_asked_only_for_what_a_spec_takes_over_and_is_not_there() {
        let mut named = container("nginx");
        named.adopt = Some(Adopt::Named("old-db".to_owned()));
        let mut by_name = container("nginx");
        by_name.adopt = Some(Adopt::ByName);
        let all = [("db", named), ("plain", container("nginx")), ("web", by_name.clone())];
        let desired = desired([app_with("shop", all)]);
        let mut world = World::at(jiff::Timestamp::UNIX_EPOCH);
        let asked = desired.adoptable(&world.observe());
        let expected = ["old-db", "shop-web-1", "shop_web", "shop_web_1", "web"];
        assert_eq!(asked.into_iter().collect::<Vec<_>>(), expected);
        world.bring_image("nginx").unwrap();
        world.create_container(&key("shop/web"), "nginx", &by_name.config).unwrap();
        assert_eq!(desired.adoptable(&world.observe()).into_iter().collect::<Vec<_>>(), ["old-db"]);
    }
}
