//! Images: pulled and removed.

use std::collections::HashMap;

use bollard::models::CreateImageInfo;
use bollard::query_parameters::{CreateImageOptionsBuilder, RemoveImageOptionsBuilder};
use futures::StreamExt as _;
use homeostat_reconciler::ports::Progress;
use homeostat_reconciler::{PortError, registry, spelled_out};
use jiff::Timestamp;

use crate::Flavour;
use crate::cache::List;
use crate::credentials;
use crate::engine::Inner;
use crate::failure::Failure;

impl Inner {
    pub(crate) async fn pull_image(
        &self,
        reference: &str,
        progress: &dyn Progress,
    ) -> Result<String, PortError> {
        let about = |failure: Failure| failure.about(format!("image {reference} cannot be pulled"));
        let api = self.api().await.map_err(about)?;
        let asked = registry(reference);
        let found = tokio::task::spawn_blocking(move || credentials::for_registry(&asked)).await;
        let options = CreateImageOptionsBuilder::default().from_image(&spelled_out(reference)).build();
        let mut told = api.create_image(Some(options), None, found.unwrap_or_default());
        let mut layers = Layers::default();
        while let Some(told) = told.next().await {
            let told = told.map_err(|error| about(Failure::new(error, &self.endpoint)))?;
            if let Some(message) = told.error_detail.as_ref().and_then(|detail| detail.message.clone()) {
                return Err(about(Failure::Refused { code: 500, message }));
            }
            layers.told(&told, progress);
        }
        self.changed(List::Images);
        let image = self.answer(api.inspect_image(&spelled_out(reference))).await.map_err(about)?;
        let id = crate::read::image_id(image.id.as_deref().unwrap_or_default());
        self.ledger.brought(&id, spelled_out(reference), Timestamp::now())?;
        Ok(id)
    }

    pub(crate) async fn remove_image(&self, reference: &str) -> Result<(), PortError> {
        let about = |failure: Failure| failure.about(format!("image {reference} cannot be removed"));
        let api = self.api().await.map_err(about)?;
        // With force Docker takes the name away also while a container uses the image. Podman would remove the container.
        let force = self.flavour == Flavour::Docker;
        let options = RemoveImageOptionsBuilder::default().force(force).build();
        let done = self.answer(api.remove_image(&spelled_out(reference), Some(options), None)).await;
        self.changed(List::Images);
        match done {
            Err(failure) if failure.is_not_found() => Ok(()),
            done => done.map(drop).map_err(about),
        }
    }
}

/// Follows a pull: a step is a layer.
#[derive(Debug, Default)]
struct Layers {
    /// How many layers were seen, and of each how many tenths were told.
    tenths: HashMap<String, i64>,
}

impl Layers {
    fn told(&mut self, told: &CreateImageInfo, progress: &dyn Progress) {
        let (Some(status), Some(layer)) = (&told.status, &told.id) else {
            if let Some(status) = &told.status {
                progress.output(None, status);
            }
            return;
        };
        let detail = told.progress_detail.as_ref();
        let sizes =
            detail.and_then(|detail| Some((detail.current?, detail.total.filter(|total| *total > 0)?)));
        let Some((current, total)) = sizes else {
            progress.output(None, &format!("{layer}: {status}"));
            return;
        };
        // A line for each tenth: a log is no place for a bar.
        let tenth = current * 10 / total;
        if self.tenths.insert(format!("{layer} {status}"), tenth) != Some(tenth) {
            progress.output(None, &format!("{layer}: {status} {}%", tenth * 10));
        }
    }
}
