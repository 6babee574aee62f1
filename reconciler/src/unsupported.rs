//! What a spec asks for and an engine cannot do.

use homeostat_spec::{Container, DesiredState, Image, MountSource, Probe};

use crate::Abilities;

/// What of a container and of the image that the app declares for it the engine cannot do, with the fields of the spec;
/// `None` if it can do all of it.
pub(crate) fn unsupported(
    container: &Container,
    image: Option<&Image>,
    abilities: &Abilities,
) -> Option<String> {
    let mut reasons = limits(container, abilities);
    if container.state == DesiredState::Paused && !abilities.pause {
        reasons.push("it cannot pause containers (state)".to_owned());
    }
    if !abilities.host_paths {
        reasons.extend(paths(container));
    }
    if let Some(Image::Build(build)) = image
        && !abilities.build_secrets
        && !(build.secrets.is_empty() && build.ssh.is_empty())
    {
        reasons
            .push("it builds without secrets and agents for SSH keys (build.secrets, build.ssh)".to_owned());
    }
    let probe = container.health.as_ref().map(|health| &health.probe);
    if !abilities.addresses && matches!(probe, Some(Probe::Http { .. } | Probe::Tcp { .. })) {
        let reason = "its containers cannot be reached from this host (health; a command can be run there)";
        reasons.push(reason.to_owned());
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

fn limits(container: &Container, abilities: &Abilities) -> Vec<String> {
    let resources = &container.config.resources;
    let limits = [
        (resources.memory.is_some(), abilities.memory_limit, "it cannot limit memory (resources.memory)"),
        (resources.cpu_millis.is_some(), abilities.cpu_limit, "it cannot limit CPU time (resources.cpus)"),
        (resources.pids.is_some(), abilities.pids_limit, "it cannot limit processes (resources.pids)"),
    ];
    let wanting = limits.into_iter().filter(|(asked, able, _)| *asked && !able);
    wanting.map(|(_, _, reason)| reason.to_owned()).collect()
}

/// What takes an engine that has the files of this host.
fn paths(container: &Container) -> impl Iterator<Item = String> {
    container.config.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Host(path) => {
            Some(format!("it runs elsewhere, and {path} is a path of this host (volumes)"))
        }
        MountSource::Source(file) => {
            let path = &file.path;
            Some(format!("it runs elsewhere, and {path} is a file of the source (volumes)"))
        }
        MountSource::Volume(_) | MountSource::Tmpfs | MountSource::TmpfsWith(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use homeostat_spec::{Mount, SourcePath};

    use super::*;
    use crate::fake::specs::{build, container, health, in_state, name};

    fn able() -> Abilities {
        Abilities::default()
    }

    fn mounting(source: MountSource) -> Container {
        let mut container = container("nginx");
        container.config.mounts.push(Mount { source, target: "/data".to_owned(), read_only: true });
        container
    }

    #[test]
    fn an_engine_that_can_do_everything_refuses_nothing() {
        let mut container = in_state(DesiredState::Paused, mounting(MountSource::Host("/srv".to_owned())));
        container.health = Some(health());
        container.config.resources.memory = Some(1);
        assert_eq!(unsupported(&container, None, &able()), None);
    }

    #[test]
    fn what_is_not_asked_for_needs_no_ability() {
        let nothing = Abilities {
            memory_limit: false,
            cpu_limit: false,
            pids_limit: false,
            update_resources: false,
            update_log: false,
            pause: false,
            host_paths: false,
            addresses: false,
            build_secrets: false,
        };
        assert_eq!(unsupported(&mounting(MountSource::Volume(name("data"))), None, &nothing), None);
    }

    #[test]
    fn every_limit_that_cannot_be_kept_is_named() {
        let mut container = container("nginx");
        container.config.resources =
            homeostat_spec::Resources { memory: Some(1), cpu_millis: Some(1), pids: Some(1) };
        for (abilities, expected) in [
            (Abilities { memory_limit: false, ..able() }, "resources.memory"),
            (Abilities { cpu_limit: false, ..able() }, "resources.cpus"),
            (Abilities { pids_limit: false, ..able() }, "resources.pids"),
        ] {
            let reason = unsupported(&container, None, &abilities).unwrap();
            assert!(reason.contains(expected) && !reason.contains(';'), "{reason}");
        }
        let abilities = Abilities { memory_limit: false, pids_limit: false, ..able() };
        let reason = unsupported(&container, None, &abilities).unwrap();
        assert!(reason.contains("resources.memory") && reason.contains("resources.pids"), "{reason}");
    }

    #[test]
    fn pausing_takes_an_engine_that_can() {
        let paused = in_state(DesiredState::Paused, container("nginx"));
        let reason = unsupported(&paused, None, &Abilities { pause: false, ..able() }).unwrap();
        assert!(reason.contains("pause"), "{reason}");
    }

    #[test]
    fn paths_of_this_host_take_an_engine_that_has_its_files() {
        let remote = Abilities { host_paths: false, ..able() };
        let host = mounting(MountSource::Host("/srv".to_owned()));
        let source = SourcePath { path: "conf/app".to_owned(), digest: "c1".to_owned() };
        for (container, expected) in [(host, "/srv"), (mounting(MountSource::Source(source)), "conf/app")] {
            let reason = unsupported(&container, None, &remote).unwrap();
            assert!(reason.contains(expected), "{reason}");
            assert_eq!(unsupported(&container, None, &Abilities { addresses: false, ..able() }), None);
        }
    }

    #[test]
    fn probes_from_this_host_take_an_engine_whose_containers_can_be_reached() {
        let rootless = Abilities { addresses: false, ..able() };
        let mut probed = container("nginx");
        probed.health = Some(health());
        let reason = unsupported(&probed, None, &rootless).unwrap();
        assert!(reason.contains("health"), "{reason}");
        assert_eq!(unsupported(&probed, None, &Abilities { host_paths: false, ..able() }), None);
        probed.health.as_mut().unwrap().probe = Probe::Command(vec!["true".to_owned()]);
        assert_eq!(unsupported(&probed, None, &rootless), None);
    }

    #[test]
    fn secrets_of_a_build_take_a_builder_that_has_them() {
        let without = Abilities { build_secrets: false, ..able() };
        let mut build = build("c1");
        let app = container("web");
        assert_eq!(unsupported(&app, Some(&Image::Build(build.clone())), &without), None);
        build.secrets.insert("npm".to_owned(), "/etc/npm-token".to_owned());
        let image = Image::Build(build);
        assert!(unsupported(&app, Some(&image), &without).unwrap().contains("build.secrets"));
        assert_eq!(unsupported(&app, Some(&image), &able()), None);
    }
}
