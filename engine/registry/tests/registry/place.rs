//! A store in a directory of its own, and pulls into it.

use std::sync::Mutex;
use std::time::Duration;

use homeostat_image::{Digest, ImageStore};
use homeostat_reconciler::ports::{Progress, ProgressStep};
use homeostat_registry::{Patience, Platform, Registries, RegistryConfig, RegistryError};

use crate::fake::Fake;

/// The processor that the images of the tests are for.
pub(crate) const ARCHITECTURE: &str = "amd64";

/// A store, and how registries are reached.
pub(crate) struct Place {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) config: RegistryConfig,
    store: Option<ImageStore>,
}

/// Keeps what it is told.
#[derive(Default)]
pub(crate) struct Told(pub(crate) Mutex<Vec<String>>);

impl Progress for Told {
    fn step(&self, step: &ProgressStep) {
        self.0.lock().unwrap().push(step.to_string());
    }

    fn cached(&self, _step: usize) {}

    fn missed(&self, _step: usize, _cause: &str) {}

    fn output(&self, _step: Option<usize>, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let patience = Patience {
            attempts: 3,
            first_pause: Duration::from_millis(5),
            silence: Duration::from_millis(500),
            ..Patience::default()
        };
        let config = RegistryConfig {
            certificates: Vec::new(),
            credentials: Some(directory.path().to_owned()),
            patience,
            ..RegistryConfig::default()
        };
        let store = Some(ImageStore::open(directory.path().join("store")).unwrap());
        Self { directory, config, store }
    }

    pub(crate) fn store(&self) -> &ImageStore {
        self.store.as_ref().unwrap()
    }

    /// Closes the store and opens it again, as a restart does.
    pub(crate) fn reopen(&mut self) {
        self.store = None;
        self.store = Some(ImageStore::open(self.directory.path().join("store")).unwrap());
    }

    pub(crate) fn registries(&self) -> Registries {
        let platform = Platform { architecture: ARCHITECTURE.to_owned(), variant: None };
        Registries::for_platform(self.config.clone(), platform)
    }

    /// Pulls `app:1`.
    pub(crate) fn pull(&self, fake: &Fake) -> Result<Digest, RegistryError> {
        self.pull_reference(&format!("{}/app:1", fake.host()))
    }

    pub(crate) fn pull_reference(&self, reference: &str) -> Result<Digest, RegistryError> {
        run(self.registries().pull(self.store(), reference, &Told::default()))
    }

    /// The content of a file of an image.
    pub(crate) fn read(&self, reference: &str, file: &str) -> Vec<u8> {
        let image = self.store().find(reference).unwrap().unwrap();
        let directories = self.store().layer_directories(&image).unwrap();
        let found = directories.iter().find_map(|directory| fs_err::read(directory.join(file)).ok());
        found.unwrap()
    }

    /// How many names are in one of the store's directories.
    pub(crate) fn count(&self, directory: &str) -> usize {
        fs_err::read_dir(self.store().directory().join(directory)).unwrap().count()
    }

    /// Nothing of an image is in the store, neither listed nor unpacked, and nothing waits to be.
    pub(crate) fn assert_empty(&self) {
        assert!(self.store().list().is_empty());
        for directory in ["blobs/sha256", "layers", "ingest", "staging"] {
            assert_eq!(self.count(directory), 0, "{directory}");
        }
    }

    /// All that is listed is whole.
    pub(crate) fn assert_sound(&self) {
        let report = self.store().check(false).unwrap();
        assert!(report.findings.is_empty(), "{report:?}");
    }

    /// Writes Docker's `config.json`.
    pub(crate) fn log_in(&self, host: &str, entry: &str) {
        let text = format!(r#"{{"auths":{{"{host}":{entry}}}}}"#);
        fs_err::write(self.directory.path().join("config.json"), text).unwrap();
    }
}

pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(work)
}
