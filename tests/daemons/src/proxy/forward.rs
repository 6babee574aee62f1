//! Requests and answers, and what becomes of a connection that is taken over.

use std::error::Error;
use std::sync::Arc;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};

use super::{Fault, Shared};

type Answer = Response<BoxBody<Bytes, hyper::Error>>;
type Failure = Box<dyn Error + Send + Sync>;

/// Takes connections for ever.
pub(super) async fn serve(listener: UnixListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut cut = shared.cut.subscribe();
            let answer = service_fn(|request| answer(request, Arc::clone(&shared)));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .with_upgrades();
            tokio::select! {
                _ = connection => {}
                _ = cut.changed() => {}
            }
        });
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Answer, Failure> {
    shared.count(name(&request));
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    match shared.fault() {
        Fault::Refuse => Ok(refusal()),
        Fault::ForgetAnswers if changes => {
            forward(request, &shared).await?.into_body().collect().await?;
            Ok(refusal())
        }
        Fault::Delay(time) => {
            tokio::time::sleep(time).await;
            forward(request, &shared).await
        }
        Fault::SpeakOldVersion if request.uri().path().ends_with("/version") => {
            Ok(with_old_version(forward(request, &shared).await?).await?)
        }
        Fault::None | Fault::ForgetAnswers | Fault::SpeakOldVersion => forward(request, &shared).await,
    }
}

/// Method and path, without the version in front and without the query.
fn name(request: &Request<Incoming>) -> String {
    let path = request.uri().path();
    let parts = path.strip_prefix("/v").and_then(|rest| rest.split_once('/'));
    let path = match parts {
        Some((version, rest)) if version.starts_with(|first: char| first.is_ascii_digit()) => {
            format!("/{rest}")
        }
        _ => path.to_owned(),
    };
    format!("{} {path}", request.method())
}

fn refusal() -> Answer {
    let text = Bytes::from_static(br#"{"message":"the disk of this daemon is on fire"}"#);
    let mut answer = Response::new(Full::new(text).map_err(|never| match never {}).boxed());
    *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// The answer of a Docker Engine of 2016.
async fn with_old_version(answer: Answer) -> Result<Answer, Failure> {
    let (mut parts, body) = answer.into_parts();
    let mut told: serde_json::Value = serde_json::from_slice(&body.collect().await?.to_bytes())?;
    told["ApiVersion"] = "1.24".into();
    told["MinAPIVersion"] = "1.12".into();
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = Full::new(Bytes::from(told.to_string())).map_err(|never| match never {}).boxed();
    Ok(Response::from_parts(parts, body))
}

/// Asks the daemon, on a connection for this request alone.
async fn forward(mut request: Request<Incoming>, shared: &Arc<Shared>) -> Result<Answer, Failure> {
    let stream = UnixStream::connect(&shared.daemon).await?;
    let (mut daemon, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut cut = shared.cut.subscribe();
    tokio::spawn(async move {
        tokio::select! {
            _ = connection.with_upgrades() => {}
            _ = cut.changed() => {}
        }
    });
    let ours = hyper::upgrade::on(&mut request);
    let mut answer = daemon.send_request(request).await?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let theirs = hyper::upgrade::on(&mut answer);
        let mut cut = shared.cut.subscribe();
        tokio::spawn(async move {
            let (ours, theirs) = (ours.await?, theirs.await?);
            let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut ours, &mut theirs) => {}
                _ = cut.changed() => {}
            }
            Ok::<(), Failure>(())
        });
    }
    Ok(answer.map(BodyExt::boxed))
}
