//! `homeostat create`.

use std::io::Write as _;

use clap::Args;
use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::AttachEnd;
use homeostat_spec::{ContainerImage, DesiredState, PullPolicy};

use super::DONE;
use super::access::Access;
use super::container::{ContainerOptions, Prepared};
use super::errors::CliError;
use super::options::Resolved;
use crate::api::Reference;
use crate::service::{ImageInspection, Inspection};
use crate::terminal::WorkDisplay;

#[derive(Args)]
#[command(disable_help_flag = true)]
pub(super) struct Create {
    /// Print help
    #[arg(long, action = clap::ArgAction::HelpLong)]
    help: Option<bool>,
    #[command(flatten)]
    options: ContainerOptions,
}

impl Create {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        let mut prepared = prepare(&mut access, &self.options).await?;
        prepared.new.container.container.state = DesiredState::Created;
        create(&mut access, global, &prepared).await?;
        writeln!(anstream::stdout(), "{}", prepared.key)?;
        Ok(DONE)
    }
}

/// What the options ask for. A word that is the address of a declared container means that, else it is an image.
pub(super) async fn prepare(access: &mut Access, options: &ContainerOptions) -> Result<Prepared, CliError> {
    let like = match options.image.parse::<ResourceKey>() {
        Ok(key) => {
            let known: Option<Inspection> = access.client.get(&format!("/v1/containers/{key}")).await.ok();
            known.and_then(|known| known.desired).map(|container| (key, container))
        }
        Err(_) => None,
    };
    Ok(options.prepare(like.as_ref().map(|(key, container)| (key, container)))?)
}

/// Brings the image, showing how that goes, and creates the container. Returns how it ended if it could not be started.
pub(super) async fn create(
    access: &mut Access,
    global: &Resolved,
    prepared: &Prepared,
) -> Result<Option<AttachEnd>, CliError> {
    let container = &prepared.new.container.container;
    if let ContainerImage::Reference(reference) = &container.image {
        let request = Reference { name: reference.clone() };
        let found: Result<ImageInspection, _> = access.client.post("/v1/images/inspect", &request).await;
        let pulls = match container.pull {
            PullPolicy::Always => true,
            PullPolicy::Missing => found.is_err(),
            PullPolicy::Never => false,
        };
        if pulls {
            let display = WorkDisplay::new(global.output);
            access.follow("/v1/images/pull", &request, &display).await?;
        }
    }
    let path = format!("/v1/containers/{}/create", prepared.key);
    Ok(access.client.post(&path, &prepared.new).await?)
}
