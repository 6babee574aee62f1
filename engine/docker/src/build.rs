//! Building images with the engine's own builder.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, Stream};
use homeostat_reconciler::ports::{BuildRequest, Progress, ProgressStep};
use homeostat_reconciler::{ErrorKind, PortError};
use tokio::sync::mpsc;

use crate::cache::List;
use crate::engine::Inner;
use crate::failure::Failure;
use crate::{context, credentials};

/// Chunks of the context that wait for a slow engine.
const AHEAD: usize = 16;
/// The size of a chunk, in bytes.
const CHUNK: usize = 64 << 10;

impl Inner {
    pub(crate) async fn build_image(
        &self,
        request: &BuildRequest,
        progress: &dyn Progress,
    ) -> Result<String, PortError> {
        let about = |failure: Failure| failure.about(format!("image {} cannot be built", request.reference));
        if !request.secrets.is_empty() || !request.ssh.is_empty() {
            let message =
                format!("image {} cannot be built: it needs secrets or an SSH agent", request.reference);
            return Err(PortError::new(ErrorKind::Config, message)
                .with_hint("the builder of this engine's API takes none; the embedded engine does"));
        }
        let api = self.api().await.map_err(about)?;
        let credentials = tokio::task::spawn_blocking(credentials::all).await.unwrap_or_default();
        let context = body(request.context.clone(), request.dockerfile.clone());
        let body = bollard::body_try_stream(context);
        let mut told = api.build_image(self.options(request), Some(credentials), Some(body));
        let mut steps = Steps::default();
        while let Some(told) = told.next().await {
            let told = told.map_err(|error| failed(request, &steps, Failure::new(error, &self.endpoint)))?;
            for line in told.stream.iter().flat_map(|text| text.lines()) {
                steps.line(line, progress);
            }
        }
        self.changed(List::Images);
        let image = self.answer(api.inspect_image(&request.reference)).await.map_err(about)?;
        Ok(crate::read::image_id(image.id.as_deref().unwrap_or_default()))
    }

    fn options(&self, request: &BuildRequest) -> BuildImageOptions {
        let mut options = BuildImageOptionsBuilder::default()
            .dockerfile(&request.dockerfile)
            .t(&request.reference)
            .nocache(request.no_cache)
            .rm(true)
            .forcerm(true)
            .labels(&self.instance.build_labels())
            .buildargs(&request.args.clone().into_iter().collect::<HashMap<_, _>>());
        if let Some(target) = &request.target {
            options = options.target(target);
        }
        options.build()
    }
}

/// The step at which it failed is what the user looks for first.
fn failed(request: &BuildRequest, steps: &Steps, failure: Failure) -> PortError {
    let reference = &request.reference;
    let transient = failure.is_of_connection();
    let mut error = match &steps.current {
        Some(step) => failure.about(format!("image {reference} cannot be built: {}", step.text)),
        None => failure.about(format!("image {reference} cannot be built")),
    };
    if !transient {
        error.kind = ErrorKind::User;
    }
    error
}

/// Follows what the builder says.
#[derive(Debug, Default)]
struct Steps {
    current: Option<ProgressStep>,
}

impl Steps {
    /// Docker says `Step 2/3 : RUN make`, Podman `STEP 2/3: RUN make`.
    fn line(&mut self, line: &str, progress: &dyn Progress) {
        let trimmed = line.trim();
        let number = self.current.as_ref().map(|step| step.number);
        if let Some(step) = step(trimmed) {
            progress.step(&step);
            self.current = Some(step);
        } else if trimmed.starts_with("---> Using cache") || trimmed.starts_with("--> Using cache") {
            number.into_iter().for_each(|number| progress.cached(number));
        } else if !trimmed.is_empty() && !is_own_word(trimmed) {
            progress.output(number, line);
        }
    }
}

fn step(line: &str) -> Option<ProgressStep> {
    let rest = line.strip_prefix("Step ").or_else(|| line.strip_prefix("STEP "))?;
    let (count, text) = rest.split_once(':')?;
    let (number, total) = count.trim().split_once('/')?;
    let (number, total) = (number.parse().ok()?, total.parse().ok()?);
    Some(ProgressStep { number, total, stage: None, text: text.trim().to_owned() })
}

/// What the builder says of itself, which is no output of a step.
fn is_own_word(line: &str) -> bool {
    let words = [
        "--->",
        "-->",
        "Removing intermediate container ",
        "Successfully built ",
        "Successfully tagged ",
        "COMMIT ",
    ];
    let is_id = line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id || words.iter().any(|word| line.starts_with(word))
}

/// The context as the body of a request, read while it is sent.
fn body(context: PathBuf, dockerfile: String) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let writer = io::BufWriter::with_capacity(CHUNK, Chunks(sender.clone()));
        if let Err(error) = context::write(&context, &dockerfile, writer) {
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Told(Mutex<Vec<String>>);

    impl Progress for Told {
        fn step(&self, step: &ProgressStep) {
            self.0.lock().unwrap().push(step.to_string());
        }
        fn cached(&self, _step: usize) {
            self.0.lock().unwrap().push("cached".to_owned());
        }
        fn missed(&self, _step: usize, _cause: &str) {}
        fn output(&self, _step: Option<usize>, line: &str) {
            self.0.lock().unwrap().push(format!("> {line}"));
        }
    }

    #[test]
    fn the_words_of_both_builders_are_understood() {
        let docker = [
            "Step 1/2 : FROM a",
            " ---> 0a1b",
            "Step 2/2 : RUN echo made",
            " ---> Using cache",
            "Successfully built 0a",
        ];
        let podman = ["STEP 1/2: FROM a", "STEP 2/2: RUN echo made", "--> Using cache 0a", "made"];
        for (lines, last) in [(docker.as_slice(), "cached"), (podman.as_slice(), "> made")] {
            let (told, mut steps) = (Told::default(), Steps::default());
            for line in lines {
                steps.line(line, &told);
            }
            let told = told.0.into_inner().unwrap();
            assert_eq!(told[..2], ["[1/2] FROM a", "[2/2] RUN echo made"]);
            assert_eq!(told.last().unwrap(), last);
            assert_eq!(steps.current.map(|step| step.text).as_deref(), Some("RUN echo made"));
        }
    }
}
