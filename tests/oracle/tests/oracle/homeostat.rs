//! Homeostat's side: the embedded engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use homeostat_embedded::{Embedded, EmbeddedConfig, RegistryConfig};
use homeostat_reconciler::chain;
use homeostat_reconciler::ports::{BuildRequest, Engine as _, Progress, ProgressStep};
use tokio::runtime::Runtime;

use crate::case::{self, BASE, Case, Outcome};
use crate::context;
use crate::image::{self, Image};

/// An engine of this test.
pub(crate) struct Homeostat {
    engine: Embedded,
    runtime: Runtime,
    images: PathBuf,
}

impl Homeostat {
    /// Opens one with the base image.
    pub(crate) fn start(work: &Path) -> Self {
        let runtime = Runtime::new().unwrap();
        let config = EmbeddedConfig {
            data_directory: work.join("data"),
            run_directory: work.join("run"),
            program: PathBuf::from(env!("CARGO_BIN_EXE_oracle-monitor")),
            registries: RegistryConfig::default(),
        };
        let engine = runtime.block_on(Embedded::open(config)).unwrap();
        let homeostat = Self { engine, runtime, images: work.join("data/image") };
        let directory = work.join("base");
        context::write_base(&directory);
        homeostat.run_build(&request(&directory, "Dockerfile", BASE)).unwrap();
        homeostat
    }

    /// Builds a case whose context is in `directory`.
    pub(crate) fn build(&self, directory: &Path, tag: &str, case: &Case) -> Outcome {
        if case.parent.is_some() {
            self.run_build(&request(directory, "Dockerfile.parent", &case::parent_tag(tag)))?;
        }
        let args: BTreeMap<String, String> = case.args.iter().cloned().collect();
        self.run_build(&BuildRequest {
            args,
            target: case.target.clone(),
            ..request(directory, "Dockerfile", tag)
        })
    }

    fn run_build(&self, request: &BuildRequest) -> Outcome {
        let built = self.runtime.block_on(self.engine.build_image(request, &Silent));
        built.map(drop).map_err(|error| chain(&error))
    }

    /// The image of a case.
    pub(crate) fn image(&self, tag: &str) -> Image {
        image::of_layout(&self.images, tag)
    }
}

fn request(context: &Path, dockerfile: &str, reference: &str) -> BuildRequest {
    BuildRequest {
        reference: reference.to_owned(),
        context: context.to_owned(),
        dockerfile: dockerfile.to_owned(),
        dockerfile_text: None,
        args: BTreeMap::new(),
        target: None,
        no_cache: false,
        secrets: BTreeMap::new(),
        ssh: BTreeMap::new(),
    }
}

struct Silent;

impl Progress for Silent {
    fn step(&self, _step: &ProgressStep) {}
    fn cached(&self, _step: usize) {}
    fn missed(&self, _step: usize, _cause: &str) {}
    fn output(&self, _step: Option<usize>, _line: &str) {}
}
