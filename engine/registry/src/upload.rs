//! Blobs on their way to a registry (distribution specification, "Pushing Blobs"), gone on with after a break.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use futures::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE,
};
use reqwest::{Body, Method, Response, StatusCode, Url};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::time::Instant;

use crate::manifest::Blob;
use crate::repository::Repository;
use crate::retry::Attempts;
use crate::telling::Telling;
use crate::{RegistryError, failure};

/// How many bytes are read from the disk at once.
const PIECE: usize = 1 << 18;

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content<'a> {
    Text(&'a [u8]),
    File(&'a Path),
}

/// A blob that is to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sending<'a> {
    pub(crate) blob: &'a Blob,
    pub(crate) content: Content<'a>,
}

/// An upload that the registry knows of, and how much of it has arrived there.
#[derive(Debug, Clone)]
struct Session {
    url: Url,
    at: u64,
}

/// One request.
struct Asked<'a> {
    method: Method,
    url: Url,
    headers: HeaderMap,
    /// What is sent with it, and from which byte on.
    content: Option<(Content<'a>, u64)>,
}

impl Repository {
    /// Whether the registry has a blob.
    pub(crate) async fn has(&self, blob: &Blob) -> Result<bool, RegistryError> {
        let mut attempts = Attempts::new(self.patience);
        loop {
            match self.has_once(blob).await {
                Err(error) => attempts.after(error).await?,
                done => return done,
            }
        }
    }

    async fn has_once(&self, blob: &Blob) -> Result<bool, RegistryError> {
        let url = self.url(&format!("blobs/{}", blob.digest))?;
        let asked = Asked::new(Method::HEAD, url);
        let response = self.exchange(&asked, &AtomicU64::new(0)).await?;
        match response.status() {
            // A redirect leads to where it is.
            status if status.is_success() || status.is_redirection() => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(failure::of_answer(response, self.host(), "the repository").await),
        }
    }

    /// Has the registry take a blob from another of its repositories, if it has it there and likes to.
    pub(crate) async fn mount(&self, blob: &Blob, from: &str) -> Result<bool, RegistryError> {
        let mut url = self.url("blobs/uploads/")?;
        url.query_pairs_mut().append_pair("mount", blob.digest.as_str()).append_pair("from", from);
        let response = self.exchange(&Asked::new(Method::POST, url.clone()), &AtomicU64::new(0)).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Ok(response.status() == StatusCode::CREATED);
        }
        // It has begun an upload instead, which nobody will go on with.
        if let Ok(upload) = self.redirected(&url, &response) {
            let _ = self.exchange(&Asked::new(Method::DELETE, upload), &AtomicU64::new(0)).await;
        }
        Ok(false)
    }

    /// Sends a blob that the registry does not have.
    pub(crate) async fn upload(
        &self,
        sending: Sending<'_>,
        telling: &Telling<'_>,
    ) -> Result<(), RegistryError> {
        let mut attempts = Attempts::new(self.patience);
        let mut session = None;
        let mut reached = 0;
        loop {
            let Err(error) = self.upload_once(sending, &mut session, telling).await else { return Ok(()) };
            // What has got further since is the registry's word, not what was written into a connection.
            if let Some(Session { url, .. }) = session.take()
                && matches!(sending.content, Content::File(_))
            {
                session = self.arrived(&url, sending.blob.size).await.unwrap_or_default();
            }
            let at = session.as_ref().map_or(0, |session| session.at);
            attempts.progressed(at.saturating_sub(reached));
            reached = reached.max(at);
            attempts.after(error).await?;
            // The answer may have got lost when all was done.
            if session.is_none() && self.has(sending.blob).await? {
                return Ok(());
            }
        }
    }

    async fn upload_once(
        &self,
        sending: Sending<'_>,
        session: &mut Option<Session>,
        telling: &Telling<'_>,
    ) -> Result<(), RegistryError> {
        let known = match session.take() {
            Some(known) => known,
            None => Session { url: self.begin_upload().await?, at: 0 },
        };
        *session = Some(known.clone());
        let mut url = known.url;
        if known.at < sending.blob.size && matches!(sending.content, Content::File(_)) {
            url = self.send_rest(sending, url, known.at, telling).await?;
            *session = Some(Session { url: url.clone(), at: sending.blob.size });
        }
        self.end_upload(sending, url).await
    }

    async fn begin_upload(&self) -> Result<Url, RegistryError> {
        let url = self.url("blobs/uploads/")?;
        let response = self.exchange(&Asked::new(Method::POST, url.clone()), &AtomicU64::new(0)).await?;
        self.next_place(&url, response, "an upload").await
    }

    /// Sends all that the registry does not have yet, as one piece. Says where the upload goes on.
    async fn send_rest(
        &self,
        sending: Sending<'_>,
        url: Url,
        at: u64,
        telling: &Telling<'_>,
    ) -> Result<Url, RegistryError> {
        let size = sending.blob.size;
        let mut asked = Asked::new(Method::PATCH, url.clone());
        asked.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        asked.headers.insert(CONTENT_LENGTH, number(size - at));
        if at > 0 {
            let range = HeaderValue::try_from(format!("{at}-{}", size - 1));
            asked.headers.insert(CONTENT_RANGE, range.expect("digits are a header's value"));
        }
        asked.content = Some((sending.content, at));
        let sent = AtomicU64::new(at);
        let told = async {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                telling.arrived(sent.load(Ordering::Relaxed));
            }
        };
        let response = tokio::select! {
            response = self.exchange(&asked, &sent) => response?,
            () = told => unreachable!("it never ends"),
        };
        self.next_place(&url, response, "the upload").await
    }

    /// Says that the blob is whole. What is small is sent with that.
    async fn end_upload(&self, sending: Sending<'_>, mut url: Url) -> Result<(), RegistryError> {
        url.query_pairs_mut().append_pair("digest", sending.blob.digest.as_str());
        let mut asked = Asked::new(Method::PUT, url);
        asked.headers.insert(CONTENT_LENGTH, number(0));
        if let Content::Text(text) = sending.content {
            asked.headers.insert(CONTENT_LENGTH, number(text.len() as u64));
            asked.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            asked.content = Some((sending.content, 0));
        }
        let response = self.exchange(&asked, &AtomicU64::new(0)).await?;
        if response.status() == StatusCode::CREATED {
            return Ok(());
        }
        Err(failure::of_answer(response, self.host(), "the upload").await)
    }

    /// How much of an upload has arrived; nothing when the registry knows it no more.
    async fn arrived(&self, url: &Url, size: u64) -> Result<Option<Session>, RegistryError> {
        let response = self.exchange(&Asked::new(Method::GET, url.clone()), &AtomicU64::new(0)).await?;
        if response.status() != StatusCode::NO_CONTENT {
            return Ok(None);
        }
        let range = response.headers().get(RANGE).and_then(|range| range.to_str().ok());
        let at = range.map_or(0, bytes_of);
        let url = self.redirected(url, &response).unwrap_or_else(|_| url.clone());
        Ok((at <= size).then_some(Session { url, at }))
    }

    /// Where an upload goes on, of an answer that has accepted something.
    async fn next_place(&self, from: &Url, response: Response, what: &str) -> Result<Url, RegistryError> {
        if response.status() == StatusCode::ACCEPTED {
            return self.redirected(from, &response);
        }
        Err(failure::of_answer(response, self.host(), what).await)
    }

    /// Gives a manifest to a tag, and returns the digest that the registry says it has.
    pub(crate) async fn put_manifest(
        &self,
        tag: &str,
        media_type: &str,
        text: &[u8],
    ) -> Result<Option<String>, RegistryError> {
        let mut attempts = Attempts::new(self.patience);
        loop {
            match self.put_manifest_once(tag, media_type, text).await {
                Err(error) => attempts.after(error).await?,
                done => return done,
            }
        }
    }

    async fn put_manifest_once(
        &self,
        tag: &str,
        media_type: &str,
        text: &[u8],
    ) -> Result<Option<String>, RegistryError> {
        let mut asked = Asked::new(Method::PUT, self.url(&format!("manifests/{tag}"))?);
        let invalid = |_| RegistryError::document("manifest", format!("its media type is {media_type:?}"));
        asked.headers.insert(CONTENT_TYPE, HeaderValue::from_str(media_type).map_err(invalid)?);
        asked.headers.insert(CONTENT_LENGTH, number(text.len() as u64));
        asked.content = Some((Content::Text(text), 0));
        let response = self.exchange(&asked, &AtomicU64::new(0)).await?;
        if response.status() != StatusCode::CREATED {
            let what = format!("{}:{tag}", self.name);
            return Err(failure::of_answer(response, self.host(), &what).await);
        }
        let digest = response.headers().get("docker-content-digest");
        Ok(digest.and_then(|digest| digest.to_str().ok()).map(str::to_owned))
    }

    /// Asks once, and once more after a login. Credentials are shown to the registry only.
    async fn exchange(&self, asked: &Asked<'_>, sent: &AtomicU64) -> Result<Response, RegistryError> {
        let shown = self.authorization().filter(|_| self.is_own(&asked.url));
        let response = self.ask(asked, shown.clone(), sent).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !self.is_own(&asked.url) {
            return Ok(response);
        }
        self.log_in(&response, shown).await?;
        let response = self.ask(asked, self.authorization(), sent).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let with_credentials = self.credentials().await?.is_some();
            return Err(RegistryError::Unauthorized { host: self.host().to_owned(), with_credentials });
        }
        Ok(response)
    }

    /// Sends a request, as long as something moves.
    async fn ask(
        &self,
        asked: &Asked<'_>,
        authorization: Option<HeaderValue>,
        sent: &AtomicU64,
    ) -> Result<Response, RegistryError> {
        let name = self.name_of(&asked.url);
        let mut headers = asked.headers.clone();
        headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
        let client = self.clients.of(&name, &asked.url)?;
        let mut request = client.request(asked.method.clone(), asked.url.clone()).headers(headers);
        let counter = Arc::new(AtomicU64::new(sent.load(Ordering::Relaxed)));
        if let Some((content, at)) = asked.content {
            counter.store(at, Ordering::Relaxed);
            request = request.body(body(content, at, Arc::clone(&counter)).await?);
        }
        let mut answer = std::pin::pin!(request.send());
        let mut silent_since = Instant::now();
        let mut seen = counter.load(Ordering::Relaxed);
        let step = self.patience.silence / 10;
        loop {
            if let Ok(answer) = tokio::time::timeout(step, &mut answer).await {
                return answer.map_err(|error| failure::of_request(error, &name));
            }
            let now = counter.load(Ordering::Relaxed);
            sent.store(now, Ordering::Relaxed);
            if now != seen {
                (seen, silent_since) = (now, Instant::now());
            } else if silent_since.elapsed() >= self.patience.silence {
                return Err(RegistryError::Stalled { host: name, time: self.patience.silence });
            }
        }
    }
}

impl Asked<'_> {
    fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), content: None }
    }
}

fn number(value: u64) -> HeaderValue {
    HeaderValue::from(value)
}

/// What is sent from a byte on, read while it goes.
async fn body(content: Content<'_>, at: u64, counter: Arc<AtomicU64>) -> Result<Body, RegistryError> {
    let path = match content {
        Content::Text(text) => {
            let start = usize::try_from(at).unwrap_or(usize::MAX).min(text.len());
            return Ok(Body::from(text[start..].to_vec()));
        }
        Content::File(path) => path,
    };
    let stored = |error: io::Error| RegistryError::Store(error.into());
    let mut file = tokio::fs::File::open(path).await.map_err(stored)?;
    file.seek(io::SeekFrom::Start(at)).await.map_err(stored)?;
    let pieces = stream::unfold(file, move |mut file| {
        let counter = Arc::clone(&counter);
        async move {
            let mut piece = BytesMut::with_capacity(PIECE);
            match file.read_buf(&mut piece).await {
                Ok(0) => None,
                Ok(length) => {
                    counter.fetch_add(length as u64, Ordering::Relaxed);
                    Some((Ok(Frame::data(piece.freeze())), file))
                }
                Err(error) => Some((Err(error), file)),
            }
        }
    });
    Ok(Body::wrap(StreamBody::new(pieces)))
}

/// How many bytes a `Range` says have arrived: `0-99` are a hundred, and so, alas, is `0-0` none.
pub(crate) fn bytes_of(range: &str) -> u64 {
    match range.strip_prefix("0-").and_then(|end| end.parse::<u64>().ok()) {
        None | Some(0) => 0,
        Some(end) => end.saturating_add(1),
    }
}
