//! Builds by the builder of the API itself: Docker's classic one, before release 23, and Podman's.

use bollard::query_parameters::BuildImageOptions;
use futures::StreamExt as _;
use homeostat_reconciler::ports::{Progress, ProgressStep};

use super::context::ContextArchive;
use super::{Failed, body};
use crate::credentials;
use crate::engine::Inner;
use crate::failure::Failure;

impl Inner {
    pub(super) async fn build_with_classic(
        &self,
        api: &bollard::Docker,
        options: BuildImageOptions,
        context: ContextArchive,
        progress: &dyn Progress,
    ) -> Result<(), Failed> {
        let credentials = tokio::task::spawn_blocking(credentials::all).await.unwrap_or_default();
        let body = body(context);
        let mut told = api.build_image(options, Some(credentials), Some(bollard::body_try_stream(body)));
        let mut steps = Steps::default();
        while let Some(told) = told.next().await {
            let told = told.map_err(|error| {
                let failure = Failure::new(error, &self.endpoint);
                Failed { step: steps.current.take().map(|step| step.text), failure }
            })?;
            for line in told.stream.iter().flat_map(|text| text.lines()) {
                steps.line(line, progress);
            }
        }
        Ok(())
    }
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
            if let Some(number) = number {
                progress.cached(number);
            }
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

#[cfg(test)]
mod tests {
    use super::super::telling::Told;
    use super::*;

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
            let told = told.lines();
            assert_eq!(told[..2], ["[1/2] FROM a", "[2/2] RUN echo made"]);
            assert_eq!(told.last().unwrap(), last);
            assert_eq!(steps.current.map(|step| step.text).as_deref(), Some("RUN echo made"));
        }
    }
}
