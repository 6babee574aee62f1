//! `homeostat logs`.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use clap::Args;
use futures::stream::StreamExt;
use homeostat_reconciler::ports::{LogLine, LogStream};
use homeostat_spec::parse_duration;
use jiff::Timestamp;

use super::DONE;
use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use crate::render::Output;

#[derive(Args)]
pub(super) struct Logs {
    /// APP/NAME, or APP where it has one container
    container: String,
    /// Go on with what is written from now on
    #[arg(short, long)]
    follow: bool,
    /// Only so many lines from the end
    #[arg(short = 'n', long, value_name = "LINES")]
    tail: Option<usize>,
    /// Only lines from this time on: 2026-01-31T12:00:00Z, or 10m for ten minutes ago
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<Timestamp>,
    /// Print the time before every line
    #[arg(short, long)]
    timestamps: bool,
}

impl Logs {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        let key = access.resolve(&self.container).await?;
        let tail = self.tail.map(|lines| format!("&tail={lines}")).unwrap_or_default();
        let since = self.since.map(|time| format!("&since={time}")).unwrap_or_default();
        let path = format!("/v1/containers/{key}/logs?follow={}{tail}{since}", self.follow);
        let mut lines =
            Box::pin(access.client.get_lines::<Result<LogLine, crate::api::ApiError>>(&path).await?);
        let mut out = anstream::stdout().lock();
        while let Some(line) = lines.next().await {
            let line = line?.map_err(crate::api::ClientError::Api)?;
            match global.output {
                Output::Json => writeln!(out, "{}", serde_json::json!(line))?,
                Output::Text => self.print(&mut out, &line)?,
            }
        }
        Ok(DONE)
    }

    fn print(&self, out: &mut impl Write, line: &LogLine) -> std::io::Result<()> {
        if self.timestamps {
            write!(out, "{} ", line.time)?;
        }
        match line.stream {
            LogStream::Stdout => writeln!(out, "{}", line.text),
            LogStream::Stderr => {
                let red = Style::new().fg_color(Some(AnsiColor::Red.into()));
                writeln!(out, "{red}{}{red:#}", line.text)
            }
        }
    }
}

fn parse_since(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let ago =
        parse_duration(text).map_err(|_| "neither a time as 2026-01-31T12:00:00Z nor a duration as 10m")?;
    Timestamp::now().checked_sub(ago).map_err(|error| error.to_string())
}
