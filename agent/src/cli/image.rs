//! `homeostat image ...`, and `homeostat images`.

mod archive;

use clap::Subcommand;
use homeostat_reconciler::ports::ImageRemoval;

use super::access::Access;
use super::errors::{self, CliError};
use super::options::Resolved;
use super::{DONE, FAILED};
use crate::api::{Reference, Tag};
use crate::render::{self, Output};
use crate::service::{ImageInspection, ImageListing};
use crate::terminal::WorkDisplay;

/// An image is called by a reference, by what a registry knows it by (`NAME@sha256:...`), by its id, or by the
/// beginning of that.
#[derive(Subcommand)]
pub(super) enum Image {
    /// List images
    #[command(visible_alias = "list")]
    Ls,
    /// Print everything that is known of images, as JSON
    Inspect {
        /// What the images are called
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
    },
    /// Show how an image was made, the last step first
    History {
        /// What the image is called
        image: String,
    },
    /// Give an image one more name
    Tag {
        /// What the image is called
        image: String,
        /// The name that it gets, as acme/web:1.4
        reference: String,
    },
    /// Take names away, and with the last one the image
    Rm {
        /// What the images are called
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
    },
    /// Bring an image here from its registry, as it is there now
    Pull {
        /// Reference of the image, as ghcr.io/acme/web:1.4
        reference: String,
    },
    /// Send an image to the registry that its name says
    Push {
        /// Reference of the image, as ghcr.io/acme/web:1.4
        reference: String,
    },
    /// Write images as an archive for `docker load`, `podman load` and others
    Save(archive::Save),
    /// Take in the images of an archive of `docker save`, `podman save`, `image save` or an OCI image layout
    Load(archive::Load),
}

impl Image {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        match self {
            Self::Ls => list(global).await,
            Self::Inspect { images } => inspect(global, images).await,
            Self::History { image } => history(global, image).await,
            Self::Tag { image, reference } => {
                let tag = Tag { name: image, reference };
                Access::open(global).await?.client.post::<()>("/v1/images/tag", &tag).await?;
                Ok(DONE)
            }
            Self::Rm { images } => remove(global, images).await,
            Self::Pull { reference } => work(global, "/v1/images/pull", reference, "id").await,
            Self::Push { reference } => work(global, "/v1/images/push", reference, "digest").await,
            Self::Save(command) => command.run(global).await,
            Self::Load(command) => command.run(global).await,
        }
    }
}

/// Pulls or pushes. `what` came of it is called so.
async fn work(global: &Resolved, path: &str, name: String, what: &str) -> Result<u8, CliError> {
    let mut access = Access::open(global).await?;
    let display = WorkDisplay::new(global.output);
    let request = Reference { name };
    let result = access.follow(path, &request, &display).await?;
    display.done(&request.name, what, &result)?;
    Ok(DONE)
}

pub(super) async fn list(global: &Resolved) -> Result<u8, CliError> {
    let images: Vec<ImageListing> = Access::open(global).await?.client.get("/v1/images").await?;
    match global.output {
        Output::Json => render::json(&images)?,
        Output::Text => render::images::print(&images)?,
    }
    Ok(DONE)
}

async fn inspect(global: &Resolved, images: Vec<String>) -> Result<u8, CliError> {
    let mut access = Access::open(global).await?;
    let mut found: Vec<ImageInspection> = Vec::new();
    for name in images {
        found.push(access.client.post("/v1/images/inspect", &Reference { name }).await?);
    }
    render::json(&found)?;
    Ok(DONE)
}

async fn history(global: &Resolved, name: String) -> Result<u8, CliError> {
    let mut access = Access::open(global).await?;
    let image: ImageInspection = access.client.post("/v1/images/inspect", &Reference { name }).await?;
    match global.output {
        Output::Json => render::json(&image.details.history)?,
        Output::Text => render::images::print_history(&image.details.history)?,
    }
    Ok(DONE)
}

/// Removes what can be removed: one that cannot keeps no other.
async fn remove(global: &Resolved, images: Vec<String>) -> Result<u8, CliError> {
    let mut access = Access::open(global).await?;
    let mut code = DONE;
    let mut removed: Vec<ImageRemoval> = Vec::new();
    for name in images {
        match access.client.post("/v1/images/remove", &Reference { name }).await {
            Ok(removal) => removed.push(removal),
            Err(error) => {
                errors::print(&error.into());
                code = FAILED;
            }
        }
    }
    match global.output {
        Output::Json => render::json(&removed)?,
        Output::Text => render::images::print_removed(&removed)?,
    }
    Ok(code)
}
