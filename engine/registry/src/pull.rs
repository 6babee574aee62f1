//! Pulling an image.

use std::collections::HashSet;
use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use homeostat_image::{Digest, ImageStore, Limits, Platform, PulledImage, StoreError};
use homeostat_reconciler::ports::{Progress, ProgressStep};
use tokio::sync::mpsc;

use crate::arriving::Arriving;
use crate::fetch::Found;
use crate::manifest::Layer;
use crate::reference::Reference;
use crate::source::Source;
use crate::telling::Telling;
use crate::turns::Turns;
use crate::{RegistryConfig, RegistryError, room};

/// How many layers are brought at once, as Docker does.
pub(crate) const AT_ONCE: usize = 3;

/// How many pieces may wait between the network and the disk.
const PIECES_AHEAD: usize = 64;

/// However small its blob is, a layer may become so large, in bytes.
const SMALL_LAYER: u64 = 1 << 30;

/// How many times larger than its blob a layer may become. Programs have 3, logs 20; more than 1000 is what gzip can.
const RATIO: u64 = 200;

/// Pulls images from registries, and pushes them there.
#[derive(Debug)]
pub struct Registries {
    pub(crate) config: Arc<RegistryConfig>,
    platform: Platform,
    turns: Turns,
}

impl Registries {
    /// Nothing is asked before the first pull.
    pub fn new(config: RegistryConfig) -> Self {
        Self::for_platform(config, Platform::of_this_host())
    }

    /// [`Registries::new`] for images of another platform.
    pub fn for_platform(config: RegistryConfig, platform: Platform) -> Self {
        Self { config: Arc::new(config), platform, turns: Turns::default() }
    }

    /// Brings an image into the store under this reference, whatever has it now, and gives its id. What is there
    /// already is not downloaded again.
    ///
    /// # Guarantees
    /// - Only what has the digests that were asked for becomes part of the store.
    /// - An error, a kill or a power cut leaves the store as it was, but for the beginnings of blobs, which the next
    ///   pull goes on with.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn pull(
        &self,
        store: &ImageStore,
        reference: &str,
        progress: &dyn Progress,
    ) -> Result<Digest, RegistryError> {
        let asked = Reference::parse(reference)?;
        let _lease = store.lease();
        let mut source = Source::open(&self.config, &asked)?;
        let found = source.find(&asked.version, &self.platform).await?;
        let missing = missing(store, &found);
        room::ensure(store, &missing)?;
        let total = missing.len();
        let layers = stream::iter(missing.into_iter().enumerate()).map(|(number, layer)| {
            let text = layer.blob.digest.to_string();
            progress.step(&ProgressStep { number: number + 1, total, stage: None, text });
            self.layer(store, &source, layer, progress)
        });
        layers.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        let (store, reference) = (store.clone(), reference.to_owned());
        blocking(move || commit(&store, &found, &reference)).await
    }

    async fn layer(
        &self,
        store: &ImageStore,
        source: &Source,
        layer: Layer,
        progress: &dyn Progress,
    ) -> Result<(), RegistryError> {
        let telling = Telling::new(progress, &layer.blob);
        // What was damaged on its way, or by a power cut since, is brought once more; from the next mirror if there is one.
        for skip in [0, 1] {
            let turn = self.turns.take(&layer.blob.digest).await;
            if store.has_layer(&layer.diff_id, &layer.blob.digest) {
                telling.say("is here");
                return Ok(());
            }
            let brought = bring(store, source, &layer, &telling, skip, turn).await;
            match brought {
                Err(error) if skip == 0 && error.is_wrong_blob().is_some() => {
                    tracing::warn!(
                        error = homeostat_reconciler::chain(&error),
                        "a layer is brought once more"
                    );
                }
                Err(error) => return Err(source.blame(error)),
                Ok(()) => break,
            }
        }
        telling.say("done");
        Ok(())
    }
}

/// Downloads and unpacks a layer, at the same time.
async fn bring(
    store: &ImageStore,
    source: &Source,
    layer: &Layer,
    telling: &Telling<'_>,
    skip: usize,
    turn: tokio::sync::OwnedMutexGuard<()>,
) -> Result<(), RegistryError> {
    let Layer { blob, diff_id, .. } = layer.clone();
    let (opened, limits) = (store.clone(), limits(blob.size));
    let announced = blob.clone();
    let download = blocking(move || Ok(opened.begin_download(&announced.digest, announced.size)?)).await?;
    let mut at = download.offset();
    let (to, pieces) = mpsc::channel(PIECES_AHEAD);
    let storing = blocking(move || {
        // Held to the end of the work, which nobody may wait for any more.
        let _turn = turn;
        download.receive_layer(Arriving::new(pieces), &diff_id, limits)?;
        Ok(())
    });
    let feeding = async {
        let to = to;
        source.feed(&blob, &mut at, &to, &|bytes| telling.arrived(bytes), skip).await
    };
    let (fed, stored) = futures::join!(feeding, storing);
    match stored {
        // That the blob did not come whole follows from what happened to the connection.
        Err(RegistryError::Store(StoreError::Download { .. })) if fed.is_err() => fed,
        stored => stored,
    }
}

fn limits(size: u64) -> Limits {
    let usual = Limits::default();
    let bytes = size.saturating_mul(RATIO).clamp(SMALL_LAYER.min(usual.bytes), usual.bytes);
    Limits { bytes, ..usual }
}

/// The layers that are not here, each once.
fn missing(store: &ImageStore, found: &Found) -> Vec<Layer> {
    let mut seen = HashSet::new();
    let is_missing = |layer: &&Layer| {
        seen.insert(layer.blob.digest.clone()) && !store.has_layer(&layer.diff_id, &layer.blob.digest)
    };
    found.layers.iter().filter(is_missing).cloned().collect()
}

fn commit(store: &ImageStore, found: &Found, reference: &str) -> Result<Digest, RegistryError> {
    let stored = |layer: &Layer| homeostat_image::Layer {
        diff_id: layer.diff_id.clone(),
        digest: layer.blob.digest.clone(),
        size: layer.blob.size,
    };
    let layers: Vec<_> = found.layers.iter().map(stored).collect();
    let image = PulledImage {
        manifest: &found.manifest,
        config: &found.config,
        layers: &layers,
        reference,
        registry_digest: &found.registry_digest,
    };
    Ok(store.commit_pulled(image)?)
}

/// Runs what may block apart from the tasks of the runtime.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, RegistryError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| RegistryError::Panicked)?
}
