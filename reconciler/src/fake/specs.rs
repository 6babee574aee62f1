//! Apps in few words.

use std::collections::BTreeMap;
use std::time::Duration;

use homeostat_spec::{
    App, Build, Container, ContainerConfig, ContainerImage, DesiredState, HealthCheck, Name, Network, Probe,
    Protocol, PublishedPort, PullPolicy, RestartPolicy, SourcePath, StopPolicy, Volume,
};

use crate::{Desired, ResourceKey};

/// A name.
///
/// # Panics
/// If the text is none.
pub fn name(text: &str) -> Name {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// The key `APP/NAME`.
///
/// # Panics
/// If the text is none.
pub fn key(text: &str) -> ResourceKey {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// An app with nothing in it.
pub fn app(text: &str) -> App {
    App {
        name: name(text),
        file: format!("{text}.toml"),
        description: None,
        images: BTreeMap::new(),
        containers: BTreeMap::new(),
        volumes: BTreeMap::new(),
        networks: BTreeMap::new(),
    }
}

/// An app with these containers.
pub fn app_with<const N: usize>(text: &str, containers: [(&str, Container); N]) -> App {
    let mut app = app(text);
    app.containers = containers.into_iter().map(|(text, container)| (name(text), container)).collect();
    app
}

/// These apps and no others.
pub fn desired<const N: usize>(apps: [App; N]) -> Desired {
    Desired {
        revision: "r1".to_owned(),
        apps: apps.into_iter().map(|app| (app.name.clone(), app)).collect(),
        ..Desired::default()
    }
}

/// A container that is wanted running and always restarted, with every default.
pub fn container(image: &str) -> Container {
    Container {
        image: ContainerImage::Reference(image.to_owned()),
        config: ContainerConfig::default(),
        state: DesiredState::Running,
        restart: RestartPolicy::Always,
        depends_on: BTreeMap::new(),
        health: None,
        stop: StopPolicy { signal: None, grace: Duration::from_secs(10) },
        pull: PullPolicy::Missing,
        adopt: None,
    }
}

/// The same wanted in another state.
pub fn in_state(state: DesiredState, container: Container) -> Container {
    Container { state, ..container }
}

/// A TCP port of the host, published to the same port of the container.
pub fn port(number: u16) -> PublishedPort {
    PublishedPort {
        host_ip: None,
        host_port: number,
        host_port_last: None,
        container_port: number,
        protocol: Protocol::Tcp,
    }
}

/// A health check with Kubernetes' defaults.
pub fn health() -> HealthCheck {
    HealthCheck {
        probe: Probe::Tcp { port: 80 },
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        retries: 3,
        start_period: Duration::ZERO,
    }
}

/// The build of a context with this digest.
pub fn build(digest: &str) -> Build {
    Build {
        secrets: BTreeMap::new(),
        ssh: BTreeMap::new(),
        context: SourcePath { path: "web".to_owned(), digest: digest.to_owned() },
        dockerfile: "Dockerfile".to_owned(),
        args: BTreeMap::new(),
        target: None,
    }
}

/// A volume that is, or is not, kept when it is no longer declared.
pub fn volume(retain: bool) -> Volume {
    Volume { retain, adopt: None, labels: BTreeMap::new() }
}

/// A network with this subnet.
pub fn network(subnet: Option<&str>) -> Network {
    Network { subnet: subnet.map(str::to_owned), internal: false, adopt: None, labels: BTreeMap::new() }
}
