//! What failed requests and answers mean.

use std::error::Error;
use std::io;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use crate::RegistryError;

/// How much of an answer that is an error is read.
const MESSAGE_LIMIT: usize = 16 << 10;

/// A request that got no answer, or an answer that broke off.
pub(crate) fn of_request(error: reqwest::Error, host: &str) -> RegistryError {
    let host = host.to_owned();
    match tls_error(&error) {
        Some(rustls::Error::InvalidCertificate(reason)) => {
            return RegistryError::Certificate { host, source: reason.to_string().into() };
        }
        Some(rustls::Error::InvalidMessage(reason)) => {
            return RegistryError::NoTls {
                host,
                source: format!("it answers with no TLS record: {reason:?}").into(),
            };
        }
        _ => {}
    }
    let is_connect = error.is_connect();
    // The URL may hold a token, and the host is named anyway.
    let source = innermost(&error.without_url());
    if is_connect {
        RegistryError::Unreachable { host, source }
    } else {
        RegistryError::Broken { host, source }
    }
}

/// The layers above only repeat that there was an error.
fn innermost(error: &reqwest::Error) -> Box<dyn Error + Send + Sync> {
    let mut text = error.to_string();
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(source) = next {
        text = source.to_string();
        next = source.source();
    }
    text.into()
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next: Option<&'a (dyn Error + 'static)> = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        // An I/O error hides what it wraps from `source`.
        let wrapped = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => current.source(),
        };
    }
    None
}

/// An answer that is not what was asked for. `what` names that.
pub(crate) async fn of_answer(response: Response, host: &str, what: &str) -> RegistryError {
    let host = host.to_owned();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|text| pause_of(text.to_str().ok()?));
    let status = response.status();
    let message = message(response).await;
    match status {
        StatusCode::FORBIDDEN => RegistryError::Forbidden { host, message },
        StatusCode::NOT_FOUND => RegistryError::NotFound { host, what: what.to_owned(), message },
        StatusCode::TOO_MANY_REQUESTS => RegistryError::TooManyRequests { host, retry_after },
        _ => RegistryError::Status { host, code: status.as_u16(), message, retry_after },
    }
}

/// How long a `Retry-After` asks to wait (RFC 9110, section 10.2.3): seconds, or a date.
pub(crate) fn pause_of(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(date.duration_since(Timestamp::now())).ok()
}

/// The distribution specification, "Error Codes".
#[derive(Debug, Deserialize)]
struct Errors {
    errors: Vec<OneError>,
}

#[derive(Debug, Deserialize)]
struct OneError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What an answer says went wrong.
async fn message(mut response: Response) -> String {
    let mut body = Vec::new();
    while body.len() < MESSAGE_LIMIT {
        match tokio::time::timeout(Duration::from_secs(5), response.chunk()).await {
            Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
            _ => break,
        }
    }
    message_of(&body)
}

/// What an answer's body says went wrong; empty when it says nothing that can be understood.
pub(crate) fn message_of(body: &[u8]) -> String {
    let Ok(Errors { errors }) = serde_json::from_slice(body) else { return String::new() };
    let texts =
        errors.into_iter().map(|error| if error.message.is_empty() { error.code } else { error.message });
    // It goes to terminals and logs.
    texts
        .collect::<Vec<_>>()
        .join("; ")
        .chars()
        .filter(|character| !character.is_control())
        .take(500)
        .collect()
}
