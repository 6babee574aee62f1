//! One build, from the context to an image with a name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use homeostat_dockerfile::{Command, Dockerfile, Globals, Instruction, Platform, is_proxy_argument};
use homeostat_image::{Image, ImageStore};
use homeostat_reconciler::ports::ProgressStep;

use crate::configuration::State;
use crate::copy::Tree;
use crate::running::Running;
use crate::schedule::{Done, Needed, build_stages};
use crate::stage::StageBuild;
use crate::stages::{self, Origin};
use crate::{
    BuildError, BuildOptions, BuildOutcome, Cancel, Fetcher, Reporter, StepError, StepRunner, context,
};

/// The longest text of an instruction in a message, in characters.
const TEXT_LIMIT: usize = 120;

/// The build argument that says when everything was made.
pub(crate) const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Builds an image and gives it a name, taking that from the image that has it.
///
/// It blocks until the image is on disk for good. Stages that do not need each other are built side by side; those that
/// the target does not need not at all. The first step that fails ends the others.
///
/// # Guarantees
/// Without success the name means what it meant before, and nothing is left but cache entries of steps that succeeded.
/// With the same input and all steps in the cache the image is the same, down to its id.
///
/// # Assumptions
/// The context does not change meanwhile. The process may unshare its mount namespace (`CAP_SYS_ADMIN`).
///
/// # Errors
/// With the line of the Dockerfile wherever there is one. [`BuildError::Cancelled`] when it was told to stop.
pub fn build(
    store: &ImageStore,
    options: &BuildOptions,
    runner: &dyn StepRunner,
    fetcher: &dyn Fetcher,
    reporter: &dyn Reporter,
    cancel: &Cancel,
) -> Result<BuildOutcome, BuildError> {
    let (mut file, context) = context::open(options)?;
    for warning in &file.warnings {
        reporter.warning(&format!("line {}: {}", warning.line, warning.message));
    }
    let source_date_epoch = source_date_epoch(&options.args)?;
    let platform = Platform::host();
    let globals = Globals::new(&file, &options.args, &platform)
        .map_err(|source| BuildError::Dockerfile { path: options.dockerfile.clone(), source })?;
    warn_of_unused_arguments(&file, options, &platform, reporter);
    let target = stages::target(&file, options.target.as_deref())?;
    let needed = stages::needed(&mut file, &globals, target, &|reference| {
        let image = find_image(store, &platform, reference)?;
        Ok(image.docker.on_build.unwrap_or_default())
    })?;
    let total = needed.iter().map(|stage| file.stages[stage.place].instructions.len() + 1).sum();
    // A failure ends what else goes on, and is nothing to the caller's other builds.
    let own = Cancel::default();
    let _passed_on = {
        let own = own.clone();
        cancel.watch(move || own.cancel())
    };
    let build = Build {
        store,
        options,
        runner,
        fetcher,
        reporter,
        cancel: own,
        file: &file,
        context,
        globals: &globals,
        running: Running::default(),
        source_date_epoch,
        platform,
        total,
        cached: AtomicUsize::new(0),
    };
    build.run(target, needed)
}

/// What all steps of a build share.
pub(crate) struct Build<'a> {
    pub(crate) store: &'a ImageStore,
    pub(crate) options: &'a BuildOptions,
    pub(crate) runner: &'a dyn StepRunner,
    pub(crate) fetcher: &'a dyn Fetcher,
    pub(crate) reporter: &'a dyn Reporter,
    pub(crate) cancel: Cancel,
    pub(crate) file: &'a Dockerfile,
    pub(crate) context: Tree,
    pub(crate) globals: &'a Globals,
    pub(crate) running: Running,
    pub(crate) source_date_epoch: Option<jiff::Timestamp>,
    platform: Platform,
    total: usize,
    cached: AtomicUsize,
}

impl Build<'_> {
    fn run(&self, target: usize, needed: Vec<Needed>) -> Result<BuildOutcome, BuildError> {
        let _lease = self.store.lease();
        let done = match build_stages(needed, &self.cancel, &|stage, done| self.stage(stage, done)) {
            Ok(done) => done,
            Err(error) => {
                // What went well is worth keeping; that this build failed is the error to tell.
                let _ = self.store.settle();
                return Err(error);
            }
        };
        let state = &done[&target];
        let id = self
            .store
            .commit_docker_image(state.image(), &state.docker, &state.layers, Some(&self.options.reference))
            .map_err(BuildError::Store)?;
        Ok(BuildOutcome { id, steps: self.total, cached: self.cached.load(Ordering::Relaxed) })
    }

    fn stage(&self, needed: &Needed, done: Done) -> Result<State, BuildError> {
        let stage = &self.file.stages[needed.place];
        self.begin_step(needed.place, needed.first, &stage.text)?;
        let base =
            self.base(needed.place, &done).map_err(|error| step_error(stage.line, &stage.text, error))?;
        self.note_cached(needed.first);
        let mut work = StageBuild::new(self, needed, base, done);
        let result = (needed.first + 1..)
            .zip(&stage.instructions)
            .try_for_each(|(number, instruction)| self.instruction(&mut work, number, instruction));
        let built = work.finish(result.is_ok());
        result.map(|()| built)
    }

    fn instruction(
        &self,
        stage: &mut StageBuild<'_>,
        number: usize,
        instruction: &Instruction,
    ) -> Result<(), BuildError> {
        self.begin_step(stage.place(), number, &instruction.text)?;
        stage.execute(number, &instruction.command, &instruction.text).map_err(|error| {
            if self.cancel.is_cancelled() {
                return BuildError::Cancelled;
            }
            step_error(instruction.line, &instruction.text, error)
        })
    }

    fn base(&self, place: usize, done: &Done) -> Result<State, StepError> {
        if let Some(platform) = &self.file.stages[place].platform {
            check_platform(&self.platform, &self.globals.expand(platform)?)?;
        }
        Ok(match stages::base(self.file, self.globals, place)? {
            Origin::Scratch => State::scratch(&self.platform),
            Origin::Stage(other) => done[&other].as_base(),
            Origin::Image(reference) => State::on(self.image(&reference)?),
        })
    }

    /// An image of the store, also when its reference is written shorter or longer than the store knows it.
    pub(crate) fn image(&self, reference: &str) -> Result<Image, StepError> {
        find_image(self.store, &self.platform, reference)
    }

    fn begin_step(&self, stage: usize, number: usize, text: &str) -> Result<(), BuildError> {
        if self.cancel.is_cancelled() {
            return Err(BuildError::Cancelled);
        }
        let stage = (self.file.stages.len() > 1).then(|| self.file.stages[stage].title(stage));
        self.reporter.step(&ProgressStep { number, total: self.total, stage, text: text.to_owned() });
        Ok(())
    }

    pub(crate) fn note_cached(&self, step: usize) {
        self.cached.fetch_add(1, Ordering::Relaxed);
        self.reporter.cached(step);
    }
}

fn source_date_epoch(arguments: &BTreeMap<String, String>) -> Result<Option<jiff::Timestamp>, BuildError> {
    let Some(value) = arguments.get(SOURCE_DATE_EPOCH).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let time = value.parse().ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map(Some).ok_or_else(|| BuildError::SourceDateEpoch { value: value.clone() })
}

fn find_image(store: &ImageStore, platform: &Platform, reference: &str) -> Result<Image, StepError> {
    for name in spellings(reference) {
        if let Some(image) = store.find(&name)? {
            check_platform(platform, &format!("{}/{}", image.config.os(), image.config.architecture()))?;
            return Ok(image);
        }
    }
    Err(StepError::NoImage { reference: reference.to_owned() })
}

/// A variant is not compared: what it means differs between architectures.
fn check_platform(platform: &Platform, found: &str) -> Result<(), StepError> {
    let own = [platform.os.as_str(), platform.architecture.as_str()];
    if found.split('/').take(2).eq(own) {
        return Ok(());
    }
    Err(StepError::Platform { found: found.to_owned(), host: platform.to_string() })
}

pub(crate) fn step_error(line: usize, text: &str, source: StepError) -> BuildError {
    let instruction = match text.char_indices().nth(TEXT_LIMIT) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    };
    BuildError::Step { line, instruction, source: Box::new(source) }
}

/// The ways to write a reference, that of the Dockerfile first: `latest` and Docker's own registry may be left out.
fn spellings(reference: &str) -> Vec<String> {
    const REGISTRY: &str = "docker.io/";
    const LIBRARY: &str = "docker.io/library/";
    let last = reference.rsplit('/').next().unwrap_or_default();
    let mut names = vec![reference.to_owned()];
    if !last.contains([':', '@']) {
        names.push(format!("{reference}:latest"));
    } else if let Some(short) = reference.strip_suffix(":latest") {
        names.push(short.to_owned());
    }
    let with_registry = names.iter().map(|name| match name.strip_prefix(LIBRARY) {
        Some(short) => short.to_owned(),
        None => match name.strip_prefix(REGISTRY) {
            Some(short) => short.to_owned(),
            None if name.contains('/') => format!("{REGISTRY}{name}"),
            None => format!("{LIBRARY}{name}"),
        },
    });
    let with_registry: Vec<String> = with_registry.collect();
    names.extend(with_registry);
    names
}

fn warn_of_unused_arguments(
    file: &Dockerfile,
    options: &BuildOptions,
    platform: &Platform,
    reporter: &dyn Reporter,
) {
    let mut known: BTreeSet<String> = platform.arguments().map(|(name, _)| name).collect();
    known.extend(file.globals.iter().map(|(_, argument)| argument.name.clone()));
    for instruction in file.stages.iter().flat_map(|stage| &stage.instructions) {
        if let Command::Arg(arguments) = &instruction.command {
            known.extend(arguments.iter().map(|argument| argument.name.clone()));
        }
    }
    known.insert(SOURCE_DATE_EPOCH.to_owned());
    for name in options.args.keys().filter(|name| !known.contains(*name) && !is_proxy_argument(name)) {
        reporter.warning(&format!("the build argument `{name}` is declared by no ARG"));
    }
}

#[cfg(test)]
mod tests {
    use super::spellings;

    #[test]
    fn references_may_leave_out_what_everybody_knows() {
        let cases = [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox", "busybox:latest"),
            ("busybox:1", "docker.io/library/busybox:1"),
            ("busybox:latest", "busybox"),
            ("docker.io/library/busybox:1", "busybox:1"),
            ("a/b:1", "docker.io/a/b:1"),
            ("localhost:5000/a", "localhost:5000/a:latest"),
        ];
        for (reference, name) in cases {
            assert!(spellings(reference).iter().any(|spelling| spelling == name), "{reference} {name}");
        }
    }
}
