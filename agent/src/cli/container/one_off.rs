//! Another container like a declared one, as Compose's `run`.

use homeostat_reconciler::{ErrorKind, PortError};
use homeostat_spec::{Container, ContainerConfig, RestartPolicy};

/// The declared container with what the options say of their own. It publishes no ports but those, as the declared one
/// may hold its own; it waits for nothing, is not checked and not restarted.
///
/// # Errors
/// When the options say what only its spec can.
pub(super) fn like(declared: &Container, options: Container) -> Result<Container, PortError> {
    let own = options.config;
    refuse_others(&own)?;
    let mut config = declared.config.clone();
    config.env.extend(own.env);
    config.labels.extend(own.labels);
    (config.ports, config.publish_all) = (own.ports, own.publish_all);
    config.mounts.retain(|mount| own.mounts.iter().all(|other| other.target != mount.target));
    config.mounts.extend(own.mounts);
    config.mounts.sort_by(|one, other| one.target.cmp(&other.target));
    // A command is for the entrypoint that it is given with.
    if own.entrypoint.is_some() {
        config.command = None;
    }
    config.entrypoint = own.entrypoint.or(config.entrypoint);
    config.command = own.command.or(config.command);
    config.working_dir = own.working_dir.or(config.working_dir);
    config.user = own.user.or(config.user);
    // The declared one is known by its name.
    config.hostname = own.hostname;
    (config.tty, config.stdin_open) = (own.tty, own.stdin_open);
    Ok(Container {
        config,
        image: declared.image.clone(),
        restart: RestartPolicy::No,
        health: None,
        stop: options.stop,
        pull: declared.pull,
        ..options
    })
}

/// What is not taken over is not ignored.
fn refuse_others(own: &ContainerConfig) -> Result<(), PortError> {
    let none = ContainerConfig::default();
    let others = ContainerConfig {
        env: none.env.clone(),
        labels: none.labels.clone(),
        ports: none.ports.clone(),
        publish_all: none.publish_all,
        mounts: none.mounts.clone(),
        entrypoint: none.entrypoint.clone(),
        command: none.command.clone(),
        working_dir: none.working_dir.clone(),
        user: none.user.clone(),
        hostname: none.hostname.clone(),
        tty: none.tty,
        stdin_open: none.stdin_open,
        ..own.clone()
    };
    if others == none {
        return Ok(());
    }
    let message =
        "another container like a declared one has the network, the limits and the privileges of that one";
    Err(PortError::new(ErrorKind::User, message)
        .with_hint("leave out those options, or change the spec of its app"))
}
