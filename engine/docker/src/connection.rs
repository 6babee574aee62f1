//! The connection to the engine, made when it is needed and again after it broke.

use std::time::Duration;

use bollard::models::{SystemInfo, SystemInfoCgroupVersionEnum};
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use bytes::Bytes;
use homeostat_reconciler::Abilities;
use http_body_util::Empty;
use hyper::Request;

use crate::Flavour;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::stream::send;
use crate::{certificates, remote, told};

/// The oldest version of the API that has all that is needed: Docker 20.10's.
const OLDEST: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };

/// bollard's own limit, in seconds, is not used: every request has one that fits it, and builds and pulls have none.
pub(crate) const NO_LIMIT: u64 = 7 * 24 * 3600;

/// An engine that has not answered a short question by then does not answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(20);

/// What builds images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Builder {
    /// BuildKit, with a session beside the build.
    BuildKit,
    /// Docker's own builder before that.
    Classic,
    /// Podman's.
    Buildah,
}

/// An engine that answers.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) api: Docker,
    /// The engine's own version.
    pub(crate) version: String,
    pub(crate) abilities: Abilities,
    pub(crate) builder: Builder,
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
        let (info, is_rootless) = told::info(&api, endpoint).await?;
        let version = info.server_version.clone().unwrap_or_default();
        let builder = match flavour {
            Flavour::Podman => Builder::Buildah,
            Flavour::Docker => builder(endpoint).await?,
        };
        let abilities = Abilities {
            // Podman's Docker API has no word for it.
            update_resources: flavour == Flavour::Docker,
            build_secrets: builder == Builder::BuildKit,
            ..abilities(&info, endpoint.is_local(), is_rootless)
        };
        Ok(Self { api, version, abilities, builder })
    }
}

/// The builder that the engine recommends, as Docker's own client heeds it: BuildKit from release 23 on, and before that
/// where its configuration says so.
async fn builder(endpoint: &Endpoint) -> Result<Builder, Failure> {
    let request = Request::get("/_ping").body(Empty::<Bytes>::new());
    let request = request.map_err(|error| Failure::new(error.into(), endpoint))?;
    let answer = send(endpoint, request).await?;
    let is_buildkit = answer.headers().get("builder-version").is_some_and(|version| version == "2");
    Ok(if is_buildkit { Builder::BuildKit } else { Builder::Classic })
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
fn abilities(info: &SystemInfo, is_local: bool, is_rootless: bool) -> Abilities {
    // A rootless engine has no control groups of version 1, though Podman says that it can limit what is in them.
    let has_groups = !is_rootless || info.cgroup_version != Some(SystemInfoCgroupVersionEnum::_1);
    let can = |told: Option<bool>| has_groups && told != Some(false);
    Abilities {
        memory_limit: can(info.memory_limit),
        cpu_limit: can(info.cpu_cfs_quota),
        pids_limit: can(info.pids_limit),
        // Neither Docker nor Podman changes the log driver's options of a container that exists.
        update_log: false,
        pause: has_groups,
        host_paths: is_local,
        // A rootless engine has its networks in a namespace of its own.
        addresses: is_local && !is_rootless,
        ..Abilities::default()
    }
}
