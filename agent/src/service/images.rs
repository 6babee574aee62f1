//! Images by hand: `images` and `image ...`.

use homeostat_reconciler::ports::{
    ArchiveToLoad, ImageDetails, ImageRemoval, LoadedImage, Progress, SaveRequest, SavedArchive, StoredImage,
};
use homeostat_reconciler::{Observed, PortError, ResourceKey, repository};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Service;
use crate::controller::Command;

/// An image under one of its names, for `image ls`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImageListing {
    /// The name; `None` for an image that has none.
    pub reference: Option<String>,
    /// Digest of its configuration.
    pub id: String,
    /// What the registry of this name knows it by, as `sha256:...`, if it has been there.
    pub digest: Option<String>,
    /// When it was made, if it says so.
    pub created: Option<Timestamp>,
    /// What it takes on the disk in bytes, as the engine counts it.
    pub size: u64,
    /// Containers that were created from it.
    pub used_by: Vec<ResourceKey>,
}

/// `image inspect`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImageInspection {
    /// Everything about it.
    #[serde(flatten)]
    pub details: ImageDetails,
    /// Containers that were created from it.
    pub used_by: Vec<ResourceKey>,
}

impl Service {
    /// `image ls`: a line for every name, and one for every image without.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn images(&self) -> Result<Vec<ImageListing>, PortError> {
        let observed = self.engine.observe().await?;
        let mut listings: Vec<ImageListing> =
            self.engine.images().await?.iter().flat_map(|image| listings(image, &observed)).collect();
        // Those without a name come last.
        listings.sort_by(|a, b| {
            (a.reference.is_none(), &a.reference).cmp(&(b.reference.is_none(), &b.reference))
        });
        Ok(listings)
    }

    /// `image inspect`.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn inspect_image(&self, name: &str) -> Result<ImageInspection, PortError> {
        let details = self.engine.inspect_image(name).await?;
        let used_by = users(&details.image.id, &self.engine.observe().await?);
        Ok(ImageInspection { details, used_by })
    }

    /// `image tag`.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn tag_image(&self, name: &str, reference: &str) -> Result<(), PortError> {
        self.engine.tag_image(name, reference).await?;
        self.look_again().await
    }

    /// `image rm`.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn delete_image(&self, name: &str) -> Result<ImageRemoval, PortError> {
        let removal = self.engine.delete_image(name).await?;
        self.look_again().await?;
        Ok(removal)
    }

    /// `image pull`. Returns the image's id.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn pull_image(&self, reference: &str, progress: &dyn Progress) -> Result<String, PortError> {
        let id = self.engine.pull_image(reference, progress).await?;
        self.look_again().await?;
        Ok(id)
    }

    /// `image push`. Returns the digest in the registry.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn push_image(&self, reference: &str, progress: &dyn Progress) -> Result<String, PortError> {
        self.engine.push_image(reference, progress).await
    }

    /// `image save`.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn save_images(&self, request: &SaveRequest) -> Result<SavedArchive, PortError> {
        self.engine.save_images(request).await
    }

    /// `image load`.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn load_images(&self, archive: ArchiveToLoad) -> Result<Vec<LoadedImage>, PortError> {
        let loaded = self.engine.load_images(archive).await?;
        self.look_again().await?;
        Ok(loaded)
    }

    /// The loop, where one runs, sees what has changed.
    pub(super) async fn look_again(&self) -> Result<(), PortError> {
        match &self.agent {
            Some(agent) => agent.tell(Command::Look).await,
            None => Ok(()),
        }
    }
}

fn listings(image: &StoredImage, observed: &Observed) -> Vec<ImageListing> {
    let listing = |reference: Option<&String>| ImageListing {
        reference: reference.cloned(),
        id: image.id.clone(),
        digest: reference.and_then(|reference| digest(reference, image)),
        created: image.created,
        size: image.size,
        used_by: users(&image.id, observed),
    };
    if image.references.is_empty() {
        return vec![listing(None)];
    }
    image.references.iter().map(|reference| listing(Some(reference))).collect()
}

/// What the repository of this reference knows the image by.
fn digest(reference: &str, image: &StoredImage) -> Option<String> {
    let repository = repository(reference);
    let of_it = |digest: &&String| homeostat_reconciler::repository(digest) == repository;
    let found = image.digests.iter().find(of_it)?;
    found.split_once('@').map(|(_, digest)| digest.to_owned())
}

fn users(id: &str, observed: &Observed) -> Vec<ResourceKey> {
    let users = observed.containers.iter().filter(|(_, container)| container.image_id == id);
    users.map(|(key, _)| key.clone()).collect()
}
