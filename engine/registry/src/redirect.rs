//! Answers that say to go on elsewhere.

use reqwest::header::LOCATION;
use reqwest::{Response, StatusCode, Url};

use crate::RegistryError;

/// Whether an answer is one.
pub(crate) fn is_one(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

/// Where an answer from `host` says to go on. Never from TLS to where there is none.
pub(crate) fn target(from: &Url, response: &Response, host: &str) -> Result<Url, RegistryError> {
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    match location.and_then(|location| from.join(location).ok()) {
        Some(to) if to.scheme() == "https" || (to.scheme() == "http" && from.scheme() == "http") => Ok(to),
        Some(to) => {
            let what = format!("it redirects from {} to {}", from.scheme(), to.scheme());
            Err(RegistryError::protocol(host, what))
        }
        None => Err(RegistryError::protocol(host, "it redirects to nowhere")),
    }
}
