//! `homeostat volume ...`.

use std::io::Write as _;

use clap::Subcommand;
use homeostat_reconciler::{ErrorKind, PortError, ResourceKey};

use super::access::Access;
use super::errors::{self, CliError};
use super::options::Resolved;
use super::{DONE, FAILED};
use crate::render::{self, Output};
use crate::service::{OWN_APP, VolumeListing};

/// A volume is called APP/NAME; NAME alone is that of a container that is run by hand.
#[derive(Subcommand)]
pub(super) enum Volume {
    /// List volumes, with what they take on disk
    #[command(visible_alias = "list")]
    Ls {
        /// Print their names only
        #[arg(short, long)]
        quiet: bool,
    },
    /// Print everything that is known of volumes, as JSON
    Inspect {
        /// What the volumes are called
        #[arg(required = true, value_name = "VOLUME")]
        volumes: Vec<String>,
    },
    /// Remove volumes that nothing asks for, with their content
    Rm {
        /// What the volumes are called
        #[arg(required = true, value_name = "VOLUME")]
        volumes: Vec<String>,
    },
}

impl Volume {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        match self {
            Self::Ls { quiet } => list(&mut access, global.output, quiet).await,
            Self::Inspect { volumes } => inspect(&mut access, &volumes).await,
            Self::Rm { volumes } => remove(&mut access, &volumes).await,
        }
    }
}

async fn list(access: &mut Access, output: Output, quiet: bool) -> Result<u8, CliError> {
    let listed: Vec<VolumeListing> = access.client.get("/v1/volumes").await?;
    match output {
        Output::Json => render::json(&listed)?,
        Output::Text if quiet => render::volumes::print_names(&listed)?,
        Output::Text => render::volumes::print(&listed)?,
    }
    Ok(DONE)
}

async fn inspect(access: &mut Access, volumes: &[String]) -> Result<u8, CliError> {
    let keys = volumes.iter().map(|name| key(name)).collect::<Result<Vec<_>, _>>()?;
    let listed: Vec<VolumeListing> = access.client.get("/v1/volumes").await?;
    let mut found = Vec::new();
    for key in keys {
        let volume = listed.iter().find(|volume| volume.stored.key == key);
        let missing = || PortError::new(ErrorKind::User, format!("there is no volume {key}"));
        found.push(volume.ok_or_else(missing)?);
    }
    render::json(&found)?;
    Ok(DONE)
}

/// Removes what can be removed: one that cannot keeps no other.
async fn remove(access: &mut Access, volumes: &[String]) -> Result<u8, CliError> {
    let keys = volumes.iter().map(|name| key(name)).collect::<Result<Vec<_>, _>>()?;
    let mut code = DONE;
    for key in keys {
        match access.client.post::<()>(&format!("/v1/volumes/{key}/remove"), &()).await {
            Ok(()) => writeln!(anstream::stdout(), "{key}")?,
            Err(error) => {
                errors::print(&error.into());
                code = FAILED;
            }
        }
    }
    Ok(code)
}

fn key(text: &str) -> Result<ResourceKey, PortError> {
    let whole = if text.contains('/') { text.to_owned() } else { format!("{OWN_APP}/{text}") };
    whole.parse().map_err(|_| {
        PortError::new(ErrorKind::User, format!("{text:?} is no name of a volume"))
            .with_hint("write APP/NAME, as `homeostat volume ls` shows it")
    })
}
