//! `homeostat stats`.

use std::time::Duration;

use clap::Args;
use homeostat_reconciler::ResourceKey;

use super::DONE;
use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use crate::render::{self, Output};
use crate::service::UsageReport;
use crate::stats;

/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(super) struct Stats {
    /// Only these: APP/NAME, or APP for all of its containers
    #[arg(value_name = "CONTAINER|APP")]
    addresses: Vec<String>,
    /// Measure once, for a second, and end
    #[arg(long)]
    no_stream: bool,
}

impl Stats {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        for address in &self.addresses {
            access.select(address).await?;
        }
        let mut before: UsageReport = access.client.get("/v1/usage").await?;
        loop {
            tokio::time::sleep(PAUSE).await;
            let now: UsageReport = access.client.get("/v1/usage").await?;
            let mut lines = stats::between(&before, &now);
            lines.retain(|line| self.is_meant(&line.container));
            match global.output {
                Output::Json => render::json_line(&lines)?,
                Output::Text => render::stats::print(&lines, !self.no_stream)?,
            }
            if self.no_stream {
                return Ok(DONE);
            }
            before = now;
        }
    }

    /// Whether a container is asked for; an app with what it has at this moment.
    fn is_meant(&self, container: &ResourceKey) -> bool {
        let is_it =
            |address: &String| *address == container.app.as_str() || *address == container.to_string();
        self.addresses.is_empty() || self.addresses.iter().any(is_it)
    }
}
