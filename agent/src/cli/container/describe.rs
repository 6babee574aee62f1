//! What options say, as a spec says it.

use homeostat_reconciler::PortError;
use toml::Table;

use super::document::Document;
use super::environment;
use super::mounts::Mounts;
use super::options::{ContainerOptions, IMAGE, refuse};

impl ContainerOptions {
    /// Says all of it.
    ///
    /// # Errors
    /// When one of them is not understood.
    pub(super) fn describe(&self, document: &mut Document, mounts: &Mounts) -> Result<(), PortError> {
        // A spec takes a short name for one of its own images; on a command line it is one of a registry, as Docker has it.
        document.set(&["image"], IMAGE);
        document.declare(
            "image",
            IMAGE,
            Table::from_iter([("reference".to_owned(), self.image.clone().into())]),
        );
        for (name, value) in environment::variables(&self.env_file, &self.env)? {
            document.set(&["env", &name], value);
        }
        for label in &self.label {
            let (name, value) = label.split_once('=').unwrap_or((label, ""));
            document.set(&["labels", name], value);
        }
        document.set_all(&["command"], &self.command);
        // As in a Dockerfile, an empty one takes the image's away.
        let entrypoint =
            |program: &String| if program.is_empty() { Vec::new() } else { vec![program.clone()] };
        document.set_if(&["entrypoint"], self.entrypoint.as_ref().map(entrypoint));
        document.set_if(&["working_dir"], self.workdir.clone());
        document.set_if(&["user"], self.user.clone());
        document.set_if(&["hostname"], self.hostname.clone());
        for (key, values) in [
            ("ports", &self.publish),
            ("cap_add", &self.cap_add),
            ("cap_drop", &self.cap_drop),
            ("group_add", &self.group_add),
            ("devices", &self.device),
            ("extra_hosts", &self.add_host),
            ("dns", &self.dns),
            ("dns_search", &self.dns_search),
            ("dns_options", &self.dns_option),
            ("volumes", &mounts.volumes),
            ("tmpfs", &mounts.tmpfs),
        ] {
            document.set_all(&[key], values);
        }
        document.set_if(&["stop", "signal"], self.stop_signal.clone());
        document.set_if(&["stop", "grace"], self.stop_timeout.map(|seconds| format!("{seconds}s")));
        document.set_if(&["pull"], self.pull.clone());
        for (flag, key) in
            [(self.read_only, "read_only"), (self.tty, "tty"), (self.interactive, "stdin_open")]
        {
            document.set_if(&[key], flag.then_some(true));
        }
        self.describe_networks(document)?;
        declare_volumes(document, mounts);
        self.describe_restart(document);
        self.describe_limits(document)?;
        self.describe_health(document);
        self.describe_words(document)
    }

    /// The first network is the one that leads out.
    fn describe_networks(&self, document: &mut Document) -> Result<(), PortError> {
        let is_word = |network: &String| ["bridge", "host", "none"].contains(&network.as_str());
        document.set_if(&["network"], self.network.first().cloned());
        for network in self.network.iter().filter(|network| !is_word(network)) {
            document.declare("network", network, Table::new());
            document.set(&["networks", network], Table::new());
        }
        if let Some(word) = self.network.iter().skip(1).find(|network| is_word(network)) {
            return Err(refuse(&format!("--network: {word} is no further network")));
        }
        if self.network_alias.is_empty() {
            return Ok(());
        }
        match self.network.first().filter(|network| !is_word(network)) {
            Some(network) => document.set_all(&["networks", network, "aliases"], &self.network_alias),
            None => return Err(refuse("--network-alias: it takes a --network of its own")),
        }
        Ok(())
    }

    /// Other than what is declared, what is run by hand is not restarted unless that is said.
    fn describe_restart(&self, document: &mut Document) {
        let policy = self.restart.as_deref().unwrap_or("no");
        document.set(&["restart"], if policy == "unless-stopped" { "always" } else { policy });
    }

    fn describe_limits(&self, document: &mut Document) -> Result<(), PortError> {
        document.set_if(&["resources", "memory"], self.memory.as_deref().map(size));
        document.set_if(&["resources", "cpus"], self.cpus.filter(|cpus| *cpus != 0.0));
        // To Docker, -1 and 0 are no limit.
        document.set_if(&["resources", "pids"], self.pids_limit.filter(|pids| *pids > 0));
        document.set_if(&["shm_size"], self.shm_size.as_deref().map(size));
        for (key, option, values) in
            [("ulimits", "--ulimit", &self.ulimit), ("sysctls", "--sysctl", &self.sysctl)]
        {
            for text in values {
                let (name, value) =
                    text.split_once('=').ok_or_else(|| refuse(&format!("{option}: {text:?} has no =")))?;
                document.set(&[key, name], value);
            }
        }
        for option in &self.log_opt {
            match option.split_once('=') {
                Some(("max-size", value)) => document.set(&["log", "max_size"], size(value)),
                Some(("max-file", value)) => {
                    let files: i64 = value.parse().map_err(|_| refuse("--log-opt: max-file is a number"))?;
                    document.set(&["log", "max_files"], files);
                }
                _ => return Err(refuse(&format!("--log-opt: {option:?} is not understood"))),
            }
        }
        Ok(())
    }

    fn describe_health(&self, document: &mut Document) {
        document.set_if(&["health", "command"], self.health_cmd.clone());
        document.set_if(&["health", "interval"], self.health_interval.clone());
        document.set_if(&["health", "timeout"], self.health_timeout.clone());
        document.set_if(&["health", "retries"], self.health_retries.map(i64::from));
        document.set_if(&["health", "start_period"], self.health_start_period.clone());
    }

    fn describe_words(&self, document: &mut Document) -> Result<(), PortError> {
        for option in &self.security_opt {
            match option.as_str() {
                "no-new-privileges" | "no-new-privileges=true" | "no-new-privileges:true" => {
                    document.set(&["no_new_privileges"], true);
                }
                "seccomp=unconfined" | "seccomp:unconfined" => document.set(&["seccomp"], "unconfined"),
                "systempaths=unconfined" => document.set(&["system_paths"], "unconfined"),
                _ => return Err(refuse(&format!("--security-opt: {option:?} is not understood"))),
            }
        }
        Ok(())
    }
}

fn declare_volumes(document: &mut Document, mounts: &Mounts) {
    for name in &mounts.named {
        document.declare("volume", name, Table::new());
    }
    for name in &mounts.anonymous {
        document.declare("volume", name, Table::from_iter([("retain".to_owned(), false.into())]));
    }
}

/// Docker's `512m` as a spec writes it.
fn size(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &lower[digits.len()..] {
        "k" | "kb" => "KiB",
        "m" | "mb" => "MiB",
        "g" | "gb" => "GiB",
        "b" => "B",
        _ => return text.to_owned(),
    };
    format!("{digits}{unit}")
}
