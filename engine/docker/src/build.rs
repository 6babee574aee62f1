//! Building images with the engine's own builder.

mod agent;
mod buildkit;
mod classic;
mod context;
mod grpc;
mod needs;
mod protobuf;
mod session;
#[cfg(test)]
mod telling;
mod trace;

use std::collections::HashMap;
use std::io;

use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder, BuilderVersion};
use bytes::Bytes;
use futures::stream::{self, Stream};
use homeostat_reconciler::ports::{BuildRequest, Progress};
use homeostat_reconciler::{ErrorKind, PortError, spelled_out};
use jiff::Timestamp;
use tokio::sync::mpsc;

use context::ContextArchive;

use crate::cache::List;
use crate::connection::Builder;
use crate::engine::Inner;
use crate::failure::Failure;

/// Chunks of the context that wait for a slow engine.
const AHEAD: usize = 16;
/// The size of a chunk, in bytes.
const CHUNK: usize = 64 << 10;

/// How a build failed.
#[derive(Debug)]
struct Failed {
    /// At which step, if it got so far.
    step: Option<String>,
    failure: Failure,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { step: None, failure }
    }
}

impl Inner {
    pub(crate) async fn build_image(
        &self,
        request: &BuildRequest,
        progress: &dyn Progress,
    ) -> Result<String, PortError> {
        let about = |failure: Failure| failure.about(format!("image {} cannot be built", request.reference));
        let connection = self.connection().await.map_err(about)?;
        needs::refuse_what_the_builder_has_not(connection.builder, request)?;
        let context = ContextArchive::of(request, connection.builder);
        let options = self.options(request, &context.dockerfile, connection.builder);
        let built = match connection.builder {
            Builder::BuildKit => {
                let version = connection.api.client_version().to_string();
                self.build_with_buildkit(&version, options, context, request, progress).await
            }
            Builder::Classic | Builder::Buildah => {
                self.build_with_classic(&connection.api, options, context, progress).await
            }
        };
        built.map_err(|failed| told(request, failed))?;
        self.changed(List::Images);
        let image = self.answer(connection.api.inspect_image(&request.reference)).await.map_err(about)?;
        let id = crate::read::image_id(image.id.as_deref().unwrap_or_default());
        self.ledger.brought(&id, spelled_out(&request.reference), Timestamp::now())?;
        Ok(id)
    }

    fn options(&self, request: &BuildRequest, dockerfile: &str, builder: Builder) -> BuildImageOptions {
        let version = match builder {
            Builder::BuildKit => BuilderVersion::BuilderBuildKit,
            Builder::Classic | Builder::Buildah => BuilderVersion::BuilderV1,
        };
        let mut options = BuildImageOptionsBuilder::default()
            .dockerfile(dockerfile)
            .t(&request.reference)
            .nocache(request.no_cache)
            .rm(true)
            .forcerm(true)
            .version(version)
            .labels(&self.instance.build_labels())
            .buildargs(&request.args.clone().into_iter().collect::<HashMap<_, _>>());
        if let Some(target) = &request.target {
            options = options.target(target);
        }
        options.build()
    }
}

/// The step at which it failed is what the user looks for first.
fn told(request: &BuildRequest, Failed { step, failure }: Failed) -> PortError {
    let reference = &request.reference;
    let transient = failure.is_of_connection();
    let mut error = match step {
        Some(step) => failure.about(format!("image {reference} cannot be built: {step}")),
        None => failure.about(format!("image {reference} cannot be built")),
    };
    if !transient {
        error.kind = ErrorKind::User;
    }
    error
}

/// The context as the body of a request, read while it is sent.
fn body(context: ContextArchive) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let writer = io::BufWriter::with_capacity(CHUNK, Chunks(sender.clone()));
        if let Err(error) = context.write(writer) {
            // The engine may have had enough, and nobody listens any more.
            let _ = sender.blocking_send(Err(error));
        }
    });
    stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) })
}

/// Sends what is written.
struct Chunks(mpsc::Sender<io::Result<Bytes>>);

impl io::Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
