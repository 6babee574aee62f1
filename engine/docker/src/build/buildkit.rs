//! Builds by BuildKit: Docker's builder from release 23 on.
//!
//! The context goes with the request, as to the classic builder; how the build goes on comes back as BuildKit's own
//! messages. A session beside it gives it the credentials of registries, secrets and agents for SSH keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::errors::Error;
use bollard::query_parameters::BuildImageOptions;
use futures::StreamExt as _;
use homeostat_reconciler::ports::{BuildRequest, Masks, Progress};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::Request;
use hyper::body::Frame;
use hyper::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::Value;

use super::context::ContextArchive;
use super::session::Session;
use super::trace::Trace;
use super::{Failed, body};
use crate::engine::Inner;
use crate::failure::Failure;
use crate::stream::send;

/// Of the answer's messages, those that are BuildKit's.
const TRACE: &str = "moby.buildkit.trace";

/// A line of the answer.
#[derive(Debug, Default, Deserialize)]
struct Told {
    #[serde(default)]
    id: String,
    aux: Option<Value>,
    error: Option<String>,
}

impl Inner {
    pub(super) async fn build_with_buildkit(
        &self,
        version: &str,
        options: BuildImageOptions,
        context: ContextArchive,
        request: &BuildRequest,
        progress: &dyn Progress,
    ) -> Result<(), Failed> {
        let session = Session::open(&self.endpoint, version, request).await?;
        let failure = |error: Error| Failure::new(error, &self.endpoint);
        let query = serde_urlencoded::to_string(options).map_err(|error| failure(error.into()))?;
        let body = body(context);
        let asked = Request::post(format!("/v{version}/build?{query}&session={}", session.id))
            .header(CONTENT_TYPE, "application/x-tar")
            .body(StreamBody::new(body.map(|chunk| chunk.map(Frame::data))))
            .map_err(|error| failure(error.into()))?;
        let mut answer = send(&self.endpoint, asked).await?.into_body();
        let masks = Masks::new(request.secrets.values());
        let mut trace = Trace::new(masks.clone());
        let mut begun = Vec::new();
        while let Some(frame) = answer.frame().await {
            let frame = frame.map_err(|error| failure(error.into()))?;
            begun.extend(frame.data_ref().into_iter().flatten());
            let whole = begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            for line in begun.drain(..whole).as_slice().split(|byte| *byte == b'\n') {
                // What is not understood here is for others.
                let told: Told = serde_json::from_slice(line).unwrap_or_default();
                if let Some(message) = told.error {
                    let step = trace.failed().map(str::to_owned);
                    return Err(Failed {
                        step,
                        failure: Failure::Refused { code: 500, message: masks.cover(&message).into_owned() },
                    });
                }
                if let (TRACE, Some(Value::String(text))) = (told.id.as_str(), told.aux) {
                    trace.take(&STANDARD.decode(text).unwrap_or_default(), progress);
                }
            }
        }
        Ok(())
    }
}
