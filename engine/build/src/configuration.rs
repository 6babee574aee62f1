//! What a stage has come to: its layers, and how the image is to be run.

use std::collections::HashMap;

use homeostat_dockerfile::{Arguments, Platform};
use homeostat_image::{CacheEntry, DockerConfig, Image, Layer};
use oci_spec::image::{Arch, Config, History, ImageConfiguration, Os};

/// What a program finds its programs in when the image says nothing about it.
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A stage at one instruction.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) layers: Vec<Layer>,
    pub(crate) config: Config,
    /// What Docker adds to the configuration.
    pub(crate) docker: DockerConfig,
    /// The arguments that stages on this one see.
    pub(crate) arguments: Arguments,
    /// Whether `CMD` stood in this very stage, so that `ENTRYPOINT` leaves it alone.
    pub(crate) own_command: bool,
    image: ImageConfiguration,
    history: Vec<History>,
}

impl State {
    /// Nothing, for this platform.
    pub(crate) fn scratch(platform: &Platform) -> Self {
        let mut image = ImageConfiguration::default();
        image.set_architecture(Arch::from(platform.architecture.as_str()));
        image.set_os(Os::Linux);
        if !platform.variant.is_empty() {
            image.set_variant(Some(platform.variant.clone()));
        }
        let mut config = Config::default();
        config.set_env(Some(vec![format!("PATH={DEFAULT_PATH}")]));
        Self::new(image, config, DockerConfig::default(), Vec::new())
    }

    /// On top of an image.
    pub(crate) fn on(image: Image) -> Self {
        let config = image.config.config().clone().unwrap_or_default();
        // Its triggers are instructions of the stage by now.
        let docker = DockerConfig { on_build: None, ..image.docker };
        Self::new(image.config, config, docker, image.layers)
    }

    fn new(image: ImageConfiguration, mut config: Config, docker: DockerConfig, layers: Vec<Layer>) -> Self {
        let history = image.history().clone().unwrap_or_default();
        if config.working_dir().as_deref().unwrap_or_default().is_empty() {
            config.set_working_dir(Some("/".to_owned()));
        }
        Self { layers, config, docker, arguments: Arguments::default(), own_command: false, image, history }
    }

    /// The same for a stage that begins here.
    pub(crate) fn as_base(&self) -> Self {
        // Its triggers are instructions of that stage by now.
        let docker = DockerConfig { on_build: None, ..self.docker.clone() };
        Self { own_command: false, docker, ..self.clone() }
    }

    /// The shell of the shell form.
    pub(crate) fn shell(&self) -> Vec<String> {
        self.docker.shell.clone().unwrap_or_else(|| ["/bin/sh", "-c"].map(str::to_owned).to_vec())
    }

    /// The environment, as pairs.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let pair = |line: &String| match line.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (line.clone(), String::new()),
        };
        self.config.env().iter().flatten().map(pair).collect()
    }

    /// The working directory.
    pub(crate) fn directory(&self) -> &str {
        self.config.working_dir().as_deref().filter(|path| !path.is_empty()).unwrap_or("/")
    }

    /// The user, as `USER` says it.
    pub(crate) fn user(&self) -> &str {
        self.config.user().as_deref().unwrap_or_default()
    }

    pub(crate) fn set_environment(&mut self, pairs: &[(String, String)]) {
        let lines = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.config.set_env(Some(lines));
    }

    pub(crate) fn set_command(&mut self, words: Vec<String>) {
        self.config.set_cmd(Some(words).filter(|words| !words.is_empty()));
        self.docker.args_escaped = true;
        self.own_command = true;
    }

    /// Sets the entry point; the command that the base has for its own goes.
    pub(crate) fn set_entrypoint(&mut self, words: Vec<String>) {
        self.config.set_entrypoint(Some(words).filter(|words| !words.is_empty()));
        if !self.own_command {
            self.config.set_cmd(None);
        }
    }

    pub(crate) fn add_labels(&mut self, labels: Vec<(String, String)>) {
        let mut all: HashMap<_, _> = self.config.labels().clone().unwrap_or_default();
        all.extend(labels);
        self.config.set_labels(Some(all));
    }

    pub(crate) fn add_ports(&mut self, ports: Vec<String>) {
        let all = added(self.config.exposed_ports().as_ref(), ports);
        self.config.set_exposed_ports(Some(all));
    }

    pub(crate) fn add_volumes(&mut self, paths: Vec<String>) {
        let all = added(self.config.volumes().as_ref(), paths);
        self.config.set_volumes(Some(all));
    }

    pub(crate) fn set_author(&mut self, author: String) {
        self.image.set_author(Some(author));
    }

    /// Takes what a step came to.
    pub(crate) fn take(&mut self, entry: CacheEntry, created_by: String) {
        let created = entry.created.to_string();
        let mut history = History::default();
        history.set_created(Some(created.clone()));
        history.set_created_by(Some(created_by));
        if entry.layer.is_none() {
            history.set_empty_layer(Some(true));
        }
        self.history.push(history);
        self.image.set_created(Some(created));
        self.layers.extend(entry.layer);
    }

    /// The image's configuration.
    pub(crate) fn image(&self) -> ImageConfiguration {
        let mut image = self.image.clone();
        image.set_config(Some(self.config.clone()));
        image.set_history(Some(self.history.clone()));
        image
    }
}

/// Both lists, sorted, each text once.
fn added(old: Option<&Vec<String>>, new: Vec<String>) -> Vec<String> {
    let mut all: Vec<String> = old.into_iter().flatten().cloned().chain(new).collect();
    all.sort();
    all.dedup();
    all
}
