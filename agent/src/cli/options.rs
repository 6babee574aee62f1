//! Options that several commands share.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use homeostat_reconciler::PortError;
use homeostat_spec::{Node, parse_duration};

use crate::engines::{EngineChoice, EngineName};
use crate::host::Directories;
use crate::render::Output;
use crate::settings::ConfigFile;
use crate::sources::SourceSettings;

/// How often a git source is asked when nothing else is said.
const DEFAULT_INTERVAL: Duration = Duration::from_mins(1);

/// Options of every command.
#[derive(Args)]
pub(super) struct Global {
    /// Images, containers, volumes, logs [default: /var/lib/homeostat]
    #[arg(long, global = true, env = "HOMEOSTAT_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Sockets and process ids [default: /run/homeostat]
    #[arg(long, global = true, env = "HOMEOSTAT_RUN_DIR", value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// What runs the containers [default: embedded]
    #[arg(long, global = true, env = "HOMEOSTAT_ENGINE", value_enum, value_name = "ENGINE")]
    engine: Option<EngineName>,
    /// Where docker or podman is reached, a path or an address as HOST:2376 [default: as the
    /// environment of docker and podman says, or their usual sockets]
    #[arg(long, global = true, env = "HOMEOSTAT_ENGINE_SOCKET", value_name = "PATH|URL")]
    engine_socket: Option<String>,
    /// Configuration file [default: /etc/homeostat/config.toml, if it is there]
    #[arg(long, global = true, env = "HOMEOSTAT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// How results are printed
    #[arg(short, long, global = true, env = "HOMEOSTAT_OUTPUT", value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// [`Global`] with the configuration file and the defaults taken in.
pub(super) struct Resolved {
    /// Where this host keeps what it has.
    pub(super) directories: Directories,
    /// What runs the containers.
    pub(super) engine: EngineChoice,
    /// The configuration file.
    pub(super) config: ConfigFile,
    /// How results are printed.
    pub(super) output: Output,
}

impl Global {
    /// Reads the configuration file and fills in what is not said.
    ///
    /// # Errors
    /// Those of [`ConfigFile::read`].
    pub(super) fn resolve(self) -> Result<Resolved, PortError> {
        let config = ConfigFile::read(self.config.as_deref())?;
        let data = self.data_dir.or(config.data_dir.clone()).unwrap_or_else(|| "/var/lib/homeostat".into());
        let run = self.run_dir.or(config.run_dir.clone()).unwrap_or_else(|| "/run/homeostat".into());
        let engine = engine_choice(self.engine, self.engine_socket, &config);
        Ok(Resolved { directories: Directories { data, run }, engine, config, output: self.output })
    }
}

/// The socket of the configuration file is that of the file's engine, and no other's.
fn engine_choice(name: Option<EngineName>, socket: Option<String>, config: &ConfigFile) -> EngineChoice {
    let configured = config.engine.unwrap_or_default();
    let name = name.unwrap_or(configured);
    let configured_socket = || config.engine_socket.clone().filter(|_| name == configured);
    EngineChoice { name, socket: socket.or_else(configured_socket), registries: config.registries() }
}

impl Resolved {
    /// The node that specs are compiled for.
    pub(super) fn node(&self) -> Node {
        Node { variables: self.config.variables.clone() }
    }
}

/// Options that say how a git source is read.
#[derive(Args)]
pub(super) struct SourceOptions {
    /// Branch of a git source [default: the one that the server's HEAD names]
    #[arg(long, env = "HOMEOSTAT_BRANCH", value_name = "NAME")]
    branch: Option<String>,
    /// Directory in a git source that holds the specs [default: its root]
    #[arg(long, env = "HOMEOSTAT_PATH", value_name = "PATH")]
    path: Option<String>,
    /// How often a git source is asked, as 30s or 5m [default: 1m]
    #[arg(long, env = "HOMEOSTAT_INTERVAL", value_name = "TIME", value_parser = parse_duration)]
    interval: Option<Duration>,
}

impl SourceOptions {
    /// The settings for `source`, or for the configuration file's source.
    ///
    /// # Errors
    /// When neither says which source, or the configured interval is no time.
    pub(super) fn settings(
        self,
        source: Option<String>,
        global: &Resolved,
    ) -> Result<SourceSettings, PortError> {
        let config = &global.config;
        let location = source.or(config.source.clone()).ok_or_else(|| {
            PortError::new(homeostat_reconciler::ErrorKind::User, "no source is given")
                .with_hint("name a directory or git URL, or set `source` in the configuration file")
        })?;
        let configured = config.interval.as_deref().map(parse_duration).transpose().map_err(|message| {
            PortError::new(
                homeostat_reconciler::ErrorKind::Config,
                format!("interval in the configuration: {message}"),
            )
        })?;
        Ok(SourceSettings {
            location,
            branch: self.branch.or(config.branch.clone()),
            path: self.path.or(config.path.clone()),
            interval: self.interval.or(configured).unwrap_or(DEFAULT_INTERVAL),
            credentials: config.git.clone(),
            mirrors: global.directories.mirrors(),
        })
    }
}

/// A number that differs from process to process.
pub(super) fn seed() -> u64 {
    std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_win_over_the_file_and_a_socket_goes_with_its_engine() {
        let socket = |text: &str| Some(text.to_owned());
        let config = ConfigFile {
            engine: Some(EngineName::Docker),
            engine_socket: socket("/file.sock"),
            ..ConfigFile::default()
        };
        let choice = |name, socket| EngineChoice { name, socket, ..EngineChoice::default() };
        let docker = choice(EngineName::Docker, socket("/file.sock"));
        assert_eq!(engine_choice(None, None, &config), docker);
        assert_eq!(engine_choice(Some(EngineName::Docker), None, &config), docker);
        let other = choice(EngineName::Docker, socket("/option.sock"));
        assert_eq!(engine_choice(None, socket("/option.sock"), &config), other);
        let podman = choice(EngineName::Podman, None);
        assert_eq!(engine_choice(Some(EngineName::Podman), None, &config), podman);
        let nothing_said = engine_choice(None, None, &ConfigFile::default());
        assert_eq!(nothing_said, choice(EngineName::Embedded, None));
    }
}
