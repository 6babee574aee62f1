//! `homeostat logs`.

use clap::Args;
use futures::stream::{BoxStream, StreamExt as _};
use homeostat_reconciler::ports::LogLine;
use homeostat_spec::{Name, parse_duration};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::DONE;
use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use crate::api::{ApiError, ClientError};
use crate::render::Output;
use crate::render::logs::Printer;
use crate::service::AppLogLine;

#[derive(Args)]
pub(super) struct Logs {
    /// APP/NAME, or APP for all of its containers, by time
    #[arg(value_name = "CONTAINER|APP")]
    address: String,
    /// Go on with what is written from now on
    #[arg(short, long)]
    follow: bool,
    /// Only so many lines from the end, of each container
    #[arg(short = 'n', long, value_name = "LINES")]
    tail: Option<usize>,
    /// Only lines from this time on: 2026-01-31T12:00:00Z, or 10m for ten minutes ago
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<Timestamp>,
    /// Only lines up to this time, as for --since
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<Timestamp>,
    /// Print the time before every line
    #[arg(short, long)]
    timestamps: bool,
}

impl Logs {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        let keys = access.select(&self.address).await?;
        let json = global.output == Output::Json;
        if let ([key], true) = (&keys[..], self.address.contains('/')) {
            let lines = self.lines::<LogLine>(&mut access, &format!("containers/{key}")).await?;
            let mut printer = Printer::new(self.timestamps, []);
            print(lines, json, |line| printer.line(None, line)).await?;
        } else {
            let lines = self.lines::<AppLogLine>(&mut access, &format!("apps/{}", self.address)).await?;
            let names: Vec<Name> = keys.into_iter().map(|key| key.name).collect();
            let mut printer = Printer::new(self.timestamps, names);
            print(lines, json, |line| printer.line(Some(&line.container), &line.line)).await?;
        }
        Ok(DONE)
    }

    async fn lines<T: DeserializeOwned + 'static>(
        &self,
        access: &mut Access,
        what: &str,
    ) -> Result<BoxStream<'static, Result<T, ClientError>>, ClientError> {
        let tail = self.tail.map(|lines| format!("&tail={lines}")).unwrap_or_default();
        let since = self.since.map(|time| format!("&since={time}")).unwrap_or_default();
        let until = self.until.map(|time| format!("&until={time}")).unwrap_or_default();
        let path = format!("/v1/{what}/logs?follow={}{tail}{since}{until}", self.follow);
        let lines = access.client.get_lines::<Result<T, ApiError>>(&path).await?;
        Ok(lines.map(|line| line?.map_err(ClientError::Api)).boxed())
    }
}

async fn print<T: Serialize>(
    mut lines: BoxStream<'static, Result<T, ClientError>>,
    json: bool,
    mut text: impl FnMut(&T) -> std::io::Result<()>,
) -> Result<(), CliError> {
    while let Some(line) = lines.next().await {
        let line = line?;
        if json { crate::render::json_line(&line)? } else { text(&line)? }
    }
    Ok(())
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let ago =
        parse_duration(text).map_err(|_| "neither a time as 2026-01-31T12:00:00Z nor a duration as 10m")?;
    Timestamp::now().checked_sub(ago).map_err(|error| error.to_string())
}
