//! What Compose calls that which it made: the names under which it is taken over.

use crate::spec::Toml;
use crate::yaml::Node;

/// The running project that a spec takes over.
pub(crate) struct Adoption {
    /// Its name in the names of containers, volumes and networks.
    project: String,
}

impl Adoption {
    pub(crate) fn of(project: &str) -> Self {
        let allowed = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        let project: String = project.to_lowercase().chars().filter(allowed).collect();
        Self { project: project.trim_start_matches(['-', '_']).to_owned() }
    }

    /// The container of a service, as version 2 of Compose names it, and as version 1 did.
    pub(crate) fn container(&self, service: &str, node: &Node) -> Toml {
        if let Some(name) = node.get("container_name").and_then(Node::text) {
            return Toml::text(name);
        }
        let project = &self.project;
        Toml::texts([format!("{project}-{service}-1"), format!("{project}_{service}_1")])
    }

    /// The image that is built for a service without a name for it.
    pub(crate) fn image(&self, service: &str) -> String {
        format!("{}-{service}:latest", self.project)
    }

    /// A volume or network that the file declares, with what it says of it.
    pub(crate) fn resource(&self, original: &str, node: Option<&Node>) -> Toml {
        let own_name = node.and_then(|node| node.get("name"));
        let external = node.and_then(|node| node.get("external")).filter(|external| !external.is_empty());
        // Files of version 2 have the name within.
        let external_name = external.and_then(|external| external.get("name"));
        let name = own_name.or(external_name).and_then(Node::text);
        Toml::text(match (name, external) {
            (Some(name), _) => name.to_owned(),
            (None, Some(_)) => original.to_owned(),
            (None, None) => format!("{}_{original}", self.project),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_is_called_as_compose_would_call_it() {
        for (name, project) in [("My Shop", "myshop"), ("_a_b-C.d", "a_b-cd"), ("shop", "shop")] {
            assert_eq!(Adoption::of(name).image("web"), format!("{project}-web:latest"));
        }
    }
}
