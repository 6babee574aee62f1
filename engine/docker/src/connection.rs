//! The connection to the engine, made when it is needed and again after it broke.

use std::time::Duration;

use bollard::models::{SystemInfo, SystemInfoCgroupVersionEnum};
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use homeostat_reconciler::Abilities;

use crate::Flavour;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::{certificates, remote};

/// The oldest version of the API that has all that is needed: Docker 20.10's.
const OLDEST: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };

/// bollard's own limit, in seconds, is not used: every request has one that fits it, and builds and pulls have none.
pub(crate) const NO_LIMIT: u64 = 7 * 24 * 3600;

/// An engine that has not answered a short question by then does not answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(20);

/// An engine that answers.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) api: Docker,
    /// The engine's own version.
    pub(crate) version: String,
    pub(crate) abilities: Abilities,
}

impl Connection {
    /// Asks the engine who it is, and agrees on a version of the API.
    pub(crate) async fn open(flavour: Flavour, endpoint: &Endpoint) -> Result<Self, Failure> {
        let answer = tokio::time::timeout(ANSWER, Self::ask(flavour, endpoint));
        answer
            .await
            .unwrap_or_else(|_| Err(Failure::Silent { endpoint: endpoint.to_string(), after: ANSWER }))
    }

    async fn ask(flavour: Flavour, endpoint: &Endpoint) -> Result<Self, Failure> {
        let failure = |error| Failure::new(error, endpoint);
        let api = client(endpoint)?.negotiate_version().await.map_err(failure)?;
        let agreed = api.client_version();
        if agreed < OLDEST {
            return Err(Failure::TooOld { found: agreed.to_string(), needed: OLDEST.to_string() });
        }
        let info = api.info().await.map_err(failure)?;
        let version = info.server_version.clone().unwrap_or_default();
        let abilities = Abilities {
            // Podman's Docker API has no word for it.
            update_resources: flavour == Flavour::Docker,
            ..abilities(&info, endpoint.is_local())
        };
        Ok(Self { api, version, abilities })
    }
}

fn client(endpoint: &Endpoint) -> Result<Docker, Failure> {
    let client = match endpoint {
        Endpoint::Unix(paths) => {
            let there = paths.iter().find(|path| path.exists()).or(paths.first());
            let path = there.map(|path| path.to_string_lossy()).unwrap_or_default();
            Docker::connect_with_unix(&path, NO_LIMIT, API_DEFAULT_VERSION)
        }
        Endpoint::Tcp(address) => remote::over_tcp(address),
        Endpoint::Tls(address, directory) => {
            remote::over_tls(address, certificates::trust(directory).map_err(Failure::Certificates)?)
        }
    };
    client.map_err(|error| Failure::new(error, endpoint))
}

/// What the engine says that it can do. What it keeps quiet about it can: only a plain no is one.
fn abilities(info: &SystemInfo, is_local: bool) -> Abilities {
    let options = info.security_options.as_deref().unwrap_or_default();
    let is_rootless = options.iter().any(|option| option.contains("rootless"));
    let can = |told: Option<bool>| told != Some(false);
    Abilities {
        memory_limit: can(info.memory_limit),
        cpu_limit: can(info.cpu_cfs_quota),
        pids_limit: can(info.pids_limit),
        // Neither Docker nor Podman changes the log driver's options of a container that exists.
        update_log: false,
        // A rootless engine cannot use the freezer of cgroup v1.
        pause: !is_rootless || info.cgroup_version != Some(SystemInfoCgroupVersionEnum::_1),
        local: is_local && !is_rootless,
        ..Abilities::default()
    }
}
