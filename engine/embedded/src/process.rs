//! What a container runs: the image's configuration with the spec's over it.

use std::collections::{BTreeMap, BTreeSet};

use homeostat_monitor::Process;
use homeostat_spec::{ContainerConfig, Protocol};
use nix::sys::signal::Signal;
use oci_spec::image::ImageConfiguration;

use crate::EmbeddedError;
use crate::record::{ContainerRecord, ImageDefaults};

impl ImageDefaults {
    /// Those of an image's configuration.
    pub(crate) fn of(configuration: &ImageConfiguration) -> Self {
        let Some(config) = configuration.config() else { return Self::default() };
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let mut volumes = config.volumes().clone().unwrap_or_default();
        volumes.sort();
        let exposed = config.exposed_ports().iter().flatten().filter_map(|port| exposed_port(port));
        Self {
            entrypoint: config.entrypoint().clone().unwrap_or_default(),
            command: config.cmd().clone().unwrap_or_default(),
            env: config.env().clone().unwrap_or_default(),
            working_dir: text(config.working_dir()),
            user: text(config.user()),
            stop_signal: text(config.stop_signal()),
            volumes,
            exposed: exposed.collect::<BTreeSet<_>>().into_iter().collect(),
        }
    }
}

/// `80` or `53/udp`; nothing of what is neither TCP nor UDP.
fn exposed_port(text: &str) -> Option<(u16, Protocol)> {
    let (number, protocol) = match text.split_once('/') {
        None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Protocol::Tcp),
        Some((number, "udp")) => (number, Protocol::Udp),
        Some(_) => return None,
    };
    Some((number.parse().ok().filter(|number| *number > 0)?, protocol))
}

/// The first process of a container.
pub(crate) fn process(record: &ContainerRecord) -> Result<Process, EmbeddedError> {
    let (defaults, config) = (&record.defaults, &record.config);
    let args = arguments(defaults, config);
    if args.first().is_none_or(String::is_empty) {
        return Err(EmbeddedError::NoCommand(record.image.clone()));
    }
    Ok(Process {
        args,
        env: environment(defaults, config),
        cwd: config.working_dir.clone().or_else(|| defaults.working_dir.clone()),
        user: config.user.clone().or_else(|| defaults.user.clone()),
        additional_gids: Vec::new(),
        groups: config.group_add.clone(),
    })
}

/// As with Docker: the image's `CMD` is meant for the image's `ENTRYPOINT`, and is dropped with it.
fn arguments(defaults: &ImageDefaults, config: &ContainerConfig) -> Vec<String> {
    let mut arguments = config.entrypoint.as_ref().unwrap_or(&defaults.entrypoint).clone();
    match (&config.command, &config.entrypoint) {
        (Some(command), _) => arguments.extend_from_slice(command),
        (None, None) => arguments.extend_from_slice(&defaults.command),
        (None, Some(_)) => {}
    }
    arguments
}

fn environment(defaults: &ImageDefaults, config: &ContainerConfig) -> BTreeMap<String, String> {
    let of_image = defaults.env.iter().filter_map(|variable| variable.split_once('='));
    let mut environment: BTreeMap<String, String> =
        of_image.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    environment.extend(config.env.clone());
    environment
}

/// The signal that asks a container to stop: the one given, else the image's, else `SIGTERM`.
pub(crate) fn stop_signal(given: Option<&str>, defaults: &ImageDefaults) -> Result<Signal, EmbeddedError> {
    match given.or(defaults.stop_signal.as_deref()) {
        Some(name) => named_signal(name),
        None => Ok(Signal::SIGTERM),
    }
}

/// The signal of this name or number.
pub(crate) fn named_signal(name: &str) -> Result<Signal, EmbeddedError> {
    signal(name).ok_or_else(|| EmbeddedError::UnknownSignal(name.to_owned()))
}

/// A signal by its name, with or without `SIG` and in any case, or by its number, as `STOPSIGNAL` takes them.
fn signal(text: &str) -> Option<Signal> {
    if let Ok(number) = text.parse::<i32>() {
        return Signal::try_from(number).ok();
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    format!("SIG{name}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::record;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn the_images_command_goes_with_the_images_entrypoint() {
        let mut record = record();
        record.defaults.entrypoint = words(&["/entry"]);
        record.defaults.command = words(&["serve"]);
        assert_eq!(process(&record).unwrap().args, ["/entry", "serve"]);
        record.config.command = Some(words(&["check"]));
        assert_eq!(process(&record).unwrap().args, ["/entry", "check"]);
        record.config.entrypoint = Some(words(&["/other"]));
        assert_eq!(process(&record).unwrap().args, ["/other", "check"]);
        record.config.command = None;
        assert_eq!(process(&record).unwrap().args, ["/other"]);
        record.config.entrypoint = Some(Vec::new());
        assert!(matches!(process(&record), Err(EmbeddedError::NoCommand(_))));
    }

    #[test]
    fn ports_that_an_image_exposes_are_of_tcp_unless_they_say_otherwise() {
        assert_eq!(exposed_port("80"), Some((80, Protocol::Tcp)));
        assert_eq!(exposed_port("80/tcp"), Some((80, Protocol::Tcp)));
        assert_eq!(exposed_port("53/udp"), Some((53, Protocol::Udp)));
        for text in ["", "0", "/udp", "80/sctp", "65536", "80-90"] {
            assert_eq!(exposed_port(text), None, "{text}");
        }
    }

    #[test]
    fn the_specs_environment_wins() {
        let mut record = record();
        record.defaults.env = words(&["A=image", "B=image=x", "malformed"]);
        record.config.env.insert("A".to_owned(), "spec".to_owned());
        record.config.command = Some(words(&["true"]));
        let env = process(&record).unwrap().env;
        assert_eq!(
            env.into_iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(),
            ["A=spec", "B=image=x"]
        );
    }

    #[test]
    fn signals_are_named_or_numbered() {
        for (text, expected) in
            [("SIGTERM", Signal::SIGTERM), ("quit", Signal::SIGQUIT), ("9", Signal::SIGKILL)]
        {
            assert_eq!(signal(text), Some(expected), "{text}");
        }
        for text in ["", "SIG", "SIGNOTHING", "0", "-1", "4096"] {
            assert_eq!(signal(text), None, "{text}");
        }
    }
}
