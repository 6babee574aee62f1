//! Images by hand: listed, looked at, named and removed.

use bollard::models::{ImageHistoryResponseItem, ImageInspect, ImageSummary};
use bollard::query_parameters::{
    ListImagesOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use homeostat_reconciler::ports::{HistoryStep, ImageDetails, ImageRemoval, StoredImage};
use homeostat_reconciler::{PortError, repository, spelled_out};
use jiff::Timestamp;

use crate::cache::List;
use crate::engine::Inner;
use crate::failure::Failure;
use crate::read::{image_id, time};

impl Inner {
    /// Every image, also those that are not homeostat's.
    pub(crate) async fn stored_images(&self) -> Result<Vec<StoredImage>, Failure> {
        let api = self.api().await?;
        let options = ListImagesOptionsBuilder::default().all(false).build();
        let listed = self.answer(api.list_images(Some(options))).await?;
        Ok(listed.into_iter().map(of_summary).collect())
    }

    pub(crate) async fn inspect_image(&self, name: &str) -> Result<ImageDetails, PortError> {
        let about = |failure: Failure| failure.about(format!("image {name} cannot be looked at"));
        let api = self.api().await.map_err(about)?;
        let told = self.answer(api.inspect_image(name)).await.map_err(about)?;
        let history = self.answer(api.image_history(name)).await.map_err(about)?;
        Ok(details(told, history))
    }

    pub(crate) async fn tag_image(&self, name: &str, reference: &str) -> Result<(), PortError> {
        let about = |failure: Failure| failure.about(format!("image {name} cannot be named {reference}"));
        let api = self.api().await.map_err(about)?;
        let full = spelled_out(reference);
        let repository = repository(reference);
        let tag = full[repository.len()..].trim_start_matches(':');
        let options = TagImageOptionsBuilder::default().repo(&repository).tag(tag).build();
        let done = self.answer(api.tag_image(name, Some(options))).await;
        self.changed(List::Images);
        done.map_err(about)
    }

    pub(crate) async fn delete_image(&self, name: &str) -> Result<ImageRemoval, PortError> {
        let about = |failure: Failure| failure.about(format!("image {name} cannot be removed"));
        let api = self.api().await.map_err(about)?;
        let id = self.answer(api.inspect_image(name)).await.map_err(about)?.id.unwrap_or_default();
        let options = RemoveImageOptionsBuilder::default().force(false).build();
        let done = self.answer(api.remove_image(name, Some(options), None)).await;
        self.changed(List::Images);
        let mut removal = ImageRemoval::default();
        for item in done.map_err(about)? {
            removal.untagged.extend(item.untagged);
            // Layers are told of too.
            if item.deleted.is_some_and(|deleted| image_id(&deleted) == image_id(&id)) {
                removal.deleted = Some(image_id(&id));
            }
        }
        // A digest goes with the last name of its repository, and is none.
        removal.untagged.retain(|name| !name.contains('@'));
        Ok(removal)
    }
}

/// Without what stands for no name.
fn named(names: Vec<String>) -> Vec<String> {
    names.into_iter().filter(|name| !name.contains("<none>")).collect()
}

fn of_summary(image: ImageSummary) -> StoredImage {
    StoredImage {
        id: image_id(&image.id),
        references: named(image.repo_tags),
        digests: named(image.repo_digests),
        created: second(image.created),
        size: image.size.try_into().unwrap_or_default(),
    }
}

fn details(told: ImageInspect, history: Vec<ImageHistoryResponseItem>) -> ImageDetails {
    let layers = told.root_fs.and_then(|root| root.layers);
    ImageDetails {
        image: StoredImage {
            id: image_id(told.id.as_deref().unwrap_or_default()),
            references: named(told.repo_tags.unwrap_or_default()),
            digests: named(told.repo_digests.unwrap_or_default()),
            created: time(told.created.as_deref()),
            size: told.size.and_then(|size| size.try_into().ok()).unwrap_or_default(),
        },
        os: told.os.unwrap_or_default(),
        architecture: told.architecture.unwrap_or_default(),
        variant: told.variant.filter(|variant| !variant.is_empty()),
        author: told.author.filter(|author| !author.is_empty()),
        config: serde_json::to_value(told.config).unwrap_or_default(),
        layers: layers.unwrap_or_default(),
        history: history.into_iter().map(step).collect(),
    }
}

fn step(told: ImageHistoryResponseItem) -> HistoryStep {
    HistoryStep {
        created: second(told.created),
        created_by: told.created_by,
        size: told.size.try_into().unwrap_or_default(),
        comment: told.comment,
    }
}

/// Seconds since 1970; what is not known is told as the first second of the year 1, or as 0.
fn second(told: i64) -> Option<Timestamp> {
    Timestamp::from_second(told).ok().filter(|_| told > 0)
}
