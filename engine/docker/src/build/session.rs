//! What BuildKit asks whoever builds: the session beside a build, a small gRPC server on a connection that the engine has
//! taken over. It asks for credentials of registries, for secrets, for agents for SSH keys, and whether the session still
//! lives; everything else that could be asked for is sent with the build.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bollard::errors::Error;
use bytes::Bytes;
use homeostat_credentials::{Credentials, Login};
use homeostat_reconciler::ports::{BuildRequest, Secret};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderMap, UPGRADE};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use tokio::task::JoinHandle;

use super::agent;
use super::grpc::{Frames, Messages, Refusal, answer, refuse};
use super::protobuf::{message_of, text};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::stream::send;

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const CREDENTIALS: &str = "/moby.filesync.v1.Auth/Credentials";
const SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
const CHECK_AGENT: &str = "/moby.sshforward.v1.SSH/CheckAgent";
const FORWARD_AGENT: &str = "/moby.sshforward.v1.SSH/ForwardAgent";
/// What can be asked for.
const METHODS: [&str; 5] = [HEALTH, CREDENTIALS, SECRET, CHECK_AGENT, FORWARD_AGENT];

/// `HealthCheckResponse` with the status `SERVING`.
const SERVING: [u8; 2] = [0x08, 1];
/// The host at which BuildKit asks Docker's own registry.
const DOCKER_HUB: &str = "registry-1.docker.io";
/// The header that says which agent is to be talked with.
const AGENT: &str = "buildkit.ssh.id";
/// The agent of a mount that names none.
const DEFAULT_AGENT: &str = "default";

/// A session, ended when it is dropped.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    task: JoinHandle<()>,
}

impl Session {
    /// Opens a session beside this build, with the engine at this version of its API.
    pub(super) async fn open(
        endpoint: &Endpoint,
        version: &str,
        build: &BuildRequest,
    ) -> Result<Self, Failure> {
        let failure = |error: Error| Failure::new(error, endpoint);
        let id = unique();
        let mut request = Request::post(format!("/v{version}/session"))
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "h2c")
            .header("X-Docker-Expose-Session-Uuid", &id)
            .header("X-Docker-Expose-Session-Name", "homeostat");
        for method in METHODS {
            request = request.header("X-Docker-Expose-Session-Grpc-Method", method);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| failure(error.into()))?;
        let answer = send(endpoint, request).await?;
        let connection = hyper::upgrade::on(answer).await.map_err(|error| failure(error.into()))?;
        let offer = Arc::new(Offer { secrets: build.secrets.clone(), ssh: build.ssh.clone() });
        let service = service_fn(move |request| {
            let offer = Arc::clone(&offer);
            async move { Ok::<_, Infallible>(offer.answer_to(request).await) }
        });
        let task = tokio::spawn(async move {
            let server = http2::Builder::new(TokioExecutor::new());
            // It ends with the build; a build that it fails tells so.
            let _ = server.serve_connection(connection, service).await;
        });
        Ok(Self { id, task })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A name that no other session of the engine has.
fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("homeostat-{}-{}-{number}", std::process::id(), Timestamp::now().as_nanosecond())
}

/// What one build may have of this host, each by its id.
struct Offer {
    secrets: BTreeMap<String, Secret>,
    ssh: BTreeMap<String, PathBuf>,
}

impl Offer {
    async fn answer_to(&self, request: Request<Incoming>) -> Response<Frames> {
        let (head, body) = request.into_parts();
        let mut messages = Messages::of(body);
        if head.uri.path() == FORWARD_AGENT {
            return match self.ssh.get(&agent_of(&head.headers)) {
                Some(path) => agent::lead(path, messages).await,
                None => refuse(Refusal::NotFound),
            };
        }
        let message = messages.next().await.unwrap_or_default();
        let asked = text(&message, 1);
        match head.uri.path() {
            HEALTH => answer(SERVING.to_vec()),
            CREDENTIALS => answer(credentials(asked).await),
            SECRET => match self.secrets.get(&asked) {
                Some(secret) => answer(message_of(&[(1, secret.bytes())])),
                None => refuse(Refusal::NotFound),
            },
            CHECK_AGENT if self.ssh.contains_key(&or_default(asked)) => answer(Vec::new()),
            // Of an agent that is not there BuildKit says so itself then.
            _ => refuse(Refusal::Unimplemented),
        }
    }
}

fn agent_of(headers: &HeaderMap) -> String {
    let id = headers.get(AGENT).and_then(|id| id.to_str().ok());
    or_default(id.unwrap_or_default().to_owned())
}

fn or_default(id: String) -> String {
    if id.is_empty() { DEFAULT_AGENT.to_owned() } else { id }
}

/// `CredentialsResponse`; an empty one where there are none.
async fn credentials(host: String) -> Vec<u8> {
    let registry = if host == DOCKER_HUB { "docker.io".to_owned() } else { host };
    let found = tokio::task::spawn_blocking(move || homeostat_credentials::for_registry(&registry)).await;
    match found.ok().flatten().map(|Credentials { login, .. }| login) {
        Some(Login::Password { username, password }) => message_of(&[(1, username), (2, password)]),
        Some(Login::IdentityToken(token)) => message_of(&[(2, token)]),
        None => Vec::new(),
    }
}
