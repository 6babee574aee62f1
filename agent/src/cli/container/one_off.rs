//! Another container like a declared one, as Compose's `run`.

use homeostat_spec::{Container, RestartPolicy};

/// The declared container with what the options say of their own. It publishes no ports but those, as the declared one
/// may hold its own; it waits for nothing, is not checked and not restarted.
pub(super) fn like(declared: &Container, options: Container) -> Container {
    let mut config = declared.config.clone();
    let own = options.config;
    config.env.extend(own.env);
    config.labels.extend(own.labels);
    config.ports = own.ports;
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
    Container {
        config,
        image: declared.image.clone(),
        restart: RestartPolicy::No,
        health: None,
        stop: options.stop,
        pull: declared.pull,
        ..options
    }
}
