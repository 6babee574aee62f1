//! Instructions that change no file.

use std::time::Duration;

use homeostat_dockerfile::{Argument, Command, CommandLine, ExpandError, Healthcheck};

use super::StageBuild;
use crate::StepError;
use crate::key::Key;

impl StageBuild<'_> {
    /// Does what an instruction says about how the image is run. Such steps have cache entries for their time's sake.
    pub(super) fn configure(&mut self, command: &Command, text: &str) -> Result<(), StepError> {
        let created_by = match command {
            Command::Env(pairs) => self.set_environment(pairs)?,
            Command::Arg(arguments) => self.declare(arguments)?,
            Command::Label(pairs) => {
                let labels = self.expand_pairs(pairs)?;
                let shown = shown_pairs("LABEL", &labels);
                self.state.add_labels(labels);
                shown
            }
            Command::User(user) => {
                let user = self.expand_value(user, "user")?;
                self.state.config.set_user(Some(user.clone()));
                format!("USER {user}")
            }
            Command::StopSignal(signal) => {
                let signal = self.expand_value(signal, "signal")?;
                if !is_signal(&signal) {
                    return Err(StepError::Value { value: signal, what: "signal" });
                }
                self.state.config.set_stop_signal(Some(signal.clone()));
                format!("STOPSIGNAL {signal}")
            }
            Command::Expose(ports) => self.expose(ports)?,
            Command::Volume(paths) => {
                let paths = paths
                    .iter()
                    .map(|path| self.expand_value(path, "path"))
                    .collect::<Result<Vec<_>, _>>()?;
                let shown = format!("VOLUME [{}]", paths.join(" "));
                self.state.add_volumes(paths);
                shown
            }
            Command::Cmd(command) => {
                let words = self.words(command);
                let shown = format!("CMD {}", shown_words(&words));
                self.state.set_command(words);
                shown
            }
            Command::Entrypoint(command) => {
                let words = self.words(command);
                let shown = format!("ENTRYPOINT {}", shown_words(&words));
                self.state.set_entrypoint(words);
                shown
            }
            Command::Shell(words) => {
                self.state.docker.shell = Some(words.clone());
                format!("SHELL [{}]", words.join(" "))
            }
            Command::Maintainer(author) => {
                self.state.set_author(author.clone());
                format!("MAINTAINER {author}")
            }
            Command::Healthcheck(check) => {
                self.warn_of_health_check(check);
                self.state.docker.healthcheck = Some(Self::health_check(check));
                text.to_owned()
            }
            Command::OnBuild(trigger) => {
                self.state.docker.on_build.get_or_insert_default().push(trigger.clone());
                self.build.note_cached(self.number);
                return Ok(());
            }
            Command::Run(_) | Command::Copy(_) | Command::Add(_) | Command::Workdir(_) => text.to_owned(),
        };
        let mut key = Key::new("configuration", &self.state.layers);
        key.add("what it says with its variables put in", &created_by);
        self.step(key, created_by, |_| Ok(None))
    }

    /// All values see the variables from before the instruction.
    fn set_environment(&mut self, pairs: &[(String, String)]) -> Result<String, StepError> {
        let pairs = self.expand_pairs(pairs)?;
        for (name, value) in &pairs {
            self.scope.set(name, value);
        }
        self.state.set_environment(self.scope.environment());
        Ok(shown_pairs("ENV", &pairs))
    }

    /// Values given to the build stay out of the history, where they would be for all to see.
    fn declare(&mut self, arguments: &[Argument]) -> Result<String, StepError> {
        let mut shown = "ARG".to_owned();
        for argument in arguments {
            self.scope.declare(argument)?;
            shown.push(' ');
            shown.push_str(&argument.name);
            if let Some(default) = &argument.default {
                shown.push('=');
                shown.push_str(&self.scope.expand(default)?);
            }
        }
        Ok(shown)
    }

    fn expose(&mut self, text: &str) -> Result<String, StepError> {
        let words = self.scope.expand_words(text)?;
        let mut ports = Vec::new();
        for word in &words {
            let valid = exposed(word);
            ports.extend(valid.ok_or_else(|| StepError::Value { value: word.clone(), what: "port" })?);
        }
        if ports.is_empty() {
            return Err(StepError::Value { value: text.to_owned(), what: "port" });
        }
        let mut shown: Vec<String> = ports.iter().map(|port| format!("{port}:{{}}")).collect();
        shown.sort();
        self.state.add_ports(ports);
        Ok(format!("EXPOSE map[{}]", shown.join(" ")))
    }

    fn expand_pairs(&self, pairs: &[(String, String)]) -> Result<Vec<(String, String)>, StepError> {
        let expand = |(name, value): &(String, String)| -> Result<_, ExpandError> {
            Ok((self.scope.expand(name)?, self.scope.expand(value)?))
        };
        let pairs: Vec<_> = pairs.iter().map(expand).collect::<Result<_, _>>()?;
        match pairs
            .iter()
            .find(|(name, value)| name.is_empty() || name.contains('\0') || value.contains('\0'))
        {
            Some((name, _)) => Err(StepError::Value { value: name.clone(), what: "name" }),
            None => Ok(pairs),
        }
    }

    fn expand_value(&self, text: &str, what: &'static str) -> Result<String, StepError> {
        let value = self.scope.expand(text)?;
        if value.trim().is_empty() { Err(StepError::Value { value, what }) } else { Ok(value) }
    }

    /// The words of a command; the shell form is for the stage's shell.
    fn words(&self, command: &CommandLine) -> Vec<String> {
        match command {
            CommandLine::Exec(words) => words.clone(),
            CommandLine::Shell(text) if text.is_empty() => Vec::new(),
            CommandLine::Shell(text) => self.state.shell().into_iter().chain([text.clone()]).collect(),
        }
    }

    fn health_check(check: &Healthcheck) -> homeostat_image::Healthcheck {
        let Healthcheck::Command { command, interval, timeout, start_period, start_interval, retries } =
            check
        else {
            return homeostat_image::Healthcheck { test: vec!["NONE".to_owned()], ..Default::default() };
        };
        let nanoseconds = |time: &Option<Duration>| {
            time.filter(|time| !time.is_zero()).map(|time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
        };
        let test = match command {
            CommandLine::Exec(words) => {
                std::iter::once("CMD".to_owned()).chain(words.iter().cloned()).collect()
            }
            CommandLine::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
        };
        homeostat_image::Healthcheck {
            test,
            interval: nanoseconds(interval),
            timeout: nanoseconds(timeout),
            start_period: nanoseconds(start_period),
            start_interval: nanoseconds(start_interval),
            retries: retries.map(i64::from),
        }
    }

    fn warn_of_health_check(&self, check: &Healthcheck) {
        if *check != Healthcheck::None {
            self.build.reporter.warning(
                "homeostat keeps HEALTHCHECK in the image and does not run it; give the container a `health` in its spec",
            );
        }
    }
}

fn shown_pairs(instruction: &str, pairs: &[(String, String)]) -> String {
    pairs.iter().fold(instruction.to_owned(), |shown, (name, value)| format!("{shown} {name}={value}"))
}

/// `9`, `SIGQUIT`, `quit`, `SIGRTMIN+3`: what Docker takes for a signal.
fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<u32>() {
        return (1..=64).contains(&number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |prefix: &str| {
        let offset = name.strip_prefix(prefix).map(|rest| rest.trim_start_matches(['+', '-']));
        offset.is_some_and(|rest| rest.is_empty() || rest.parse::<u32>().is_ok_and(|offset| offset <= 30))
    };
    format!("SIG{name}").parse::<nix::sys::signal::Signal>().is_ok()
        || real_time("RTMIN")
        || real_time("RTMAX")
}

/// As Go shows a list of quoted words.
fn shown_words(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

/// `80`, `53/udp` and `8000-8010/tcp` as `PORT/PROTOCOL`, one by one.
fn exposed(text: &str) -> Option<Vec<String>> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return None;
    }
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    (0 < first && first <= last).then(|| (first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

#[cfg(test)]
mod tests {
    use super::exposed;

    #[test]
    fn ports_are_numbers_with_a_protocol() {
        assert_eq!(exposed("80").unwrap(), ["80/tcp"]);
        assert_eq!(exposed("53/UDP").unwrap(), ["53/udp"]);
        assert_eq!(exposed("8000-8002").unwrap(), ["8000/tcp", "8001/tcp", "8002/tcp"]);
        for text in ["", "0", "x", "80/x", "2-1", "65536", "1:2"] {
            assert_eq!(exposed(text), None, "{text}");
        }
    }
}
