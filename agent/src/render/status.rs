//! `status` for people.

use std::io::{self, Write as _};

use anstyle::Style;
use homeostat_reconciler::{AppStatus, ContainerStatus, HealthStatus, ShownState};
use jiff::Timestamp;

use super::table::{self, Cell};
use super::{DIM, GREEN, RED, YELLOW, ago, short};
use crate::service::Status;

/// Prints apps and containers, then what is in error.
pub(crate) fn print(status: &Status) -> io::Result<()> {
    let out = &mut anstream::stdout().lock();
    let source = status.source.as_deref().map(|source| format!(" of {source}")).unwrap_or_default();
    let version = status.report.engine_version.as_deref().map(|version| format!(" {version}"));
    let engine = format!("{}{}", status.report.engine, version.unwrap_or_default());
    writeln!(out, "engine {engine}, revision {}{source}", short(&status.report.revision))?;
    if let Some(reason) = status.report.engine_storage.as_ref().and_then(|storage| storage.reason.as_ref()) {
        writeln!(out, "{YELLOW}{reason}{YELLOW:#}")?;
    }
    let rows: Vec<_> = status.report.apps.iter().flat_map(rows).collect();
    if !rows.is_empty() {
        table::print(
            ["CONTAINER", "DESIRED", "ACTUAL", "HEALTH", "RESTARTS", "STARTED", "IMAGE", "DIGEST", "MESSAGE"],
            rows,
        )?;
    }
    for app in status.report.apps.iter().filter(|app| !app.synced) {
        if let Some(message) = &app.message {
            writeln!(out, "{YELLOW}{}: {message}{YELLOW:#}", app.name)?;
        }
    }
    for error in &status.errors {
        writeln!(out, "{RED}{error}{RED:#}")?;
    }
    super::diagnostics(&status.diagnostics)?;
    if !status.agent {
        writeln!(out, "{DIM}no agent is running: nothing is healed until one is{DIM:#}")?;
    }
    Ok(())
}

fn rows(app: &AppStatus) -> Vec<[Cell; 9]> {
    app.containers.iter().map(|container| row(app, container)).collect()
}

fn row(app: &AppStatus, container: &ContainerStatus) -> [Cell; 9] {
    let now = Timestamp::now();
    let started = container.started_at.map(|time| format!("{} ago", ago(time, now)));
    [
        format!("{}/{}", app.name, container.name).into(),
        container.desired.to_string().into(),
        Cell::styled(container.actual.to_string(), state_style(container)),
        Cell::styled(health(container.health), health_style(container.health)),
        container.restarts.to_string().into(),
        started.unwrap_or_default().into(),
        container.image.clone().into(),
        digest(container).into(),
        container.message.clone().unwrap_or_default().into(),
    ]
}

/// What the registry calls its image; the image's id where no registry has it.
fn digest(container: &ContainerStatus) -> String {
    let digest = container.image_digest.as_deref().or(container.image_id.as_deref()).unwrap_or_default();
    short(digest).to_owned()
}

pub(super) fn state_style(container: &ContainerStatus) -> Style {
    if container.actual == container.desired {
        GREEN
    } else if matches!(container.actual, ShownState::Restarting | ShownState::Unknown) {
        YELLOW
    } else {
        RED
    }
}

pub(super) fn health(health: HealthStatus) -> String {
    if health == HealthStatus::None { "-".to_owned() } else { health.to_string() }
}

pub(super) fn health_style(health: HealthStatus) -> Style {
    match health {
        HealthStatus::None => Style::new(),
        HealthStatus::Starting => YELLOW,
        HealthStatus::Healthy => GREEN,
        HealthStatus::Unhealthy => RED,
    }
}
