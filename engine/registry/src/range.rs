//! Parts of what a server has.

use reqwest::Response;
use reqwest::header::{CONTENT_RANGE, HeaderValue};

/// What asks for everything from a byte on (RFC 9110, section 14.2).
pub(crate) fn from(at: u64) -> HeaderValue {
    HeaderValue::try_from(format!("bytes={at}-")).expect("digits are a header's value")
}

/// The byte that a partial answer begins with (RFC 9110, section 14.4: `bytes 5-9/10`).
pub(crate) fn start_of(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    range.split('-').next()?.parse().ok()
}
