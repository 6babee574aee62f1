//! `ps` for people.

use std::io;

use anstyle::Style;
use homeostat_reconciler::ShownState;
use homeostat_spec::PublishedPort;
use jiff::Timestamp;

use super::status::{health, health_style, state_style};
use super::table::{self, Cell};
use super::{ago, short};
use crate::service::ContainerListing;

const HEADINGS: [&str; 7] = ["CONTAINER", "ID", "IMAGE", "STATE", "HEALTH", "STARTED", "PORTS"];

/// Prints containers.
pub(crate) fn print(listed: &[ContainerListing]) -> io::Result<()> {
    let now = Timestamp::now();
    table::print(HEADINGS, listed.iter().map(|container| row(container, now)).collect())
}

fn row(container: &ContainerListing, now: Timestamp) -> [Cell; 7] {
    let status = &container.status;
    let started = status.started_at.map(|time| format!("{} ago", ago(time, now)));
    [
        container.key().to_string().into(),
        container.id.as_deref().map(short).unwrap_or_default().into(),
        status.image.clone().into(),
        Cell::styled(state(container), state_style(status)),
        Cell::styled(health(status.health), health_style(status.health)),
        started.unwrap_or_default().into(),
        Cell::styled(ports(&status.ports), Style::new()),
    ]
}

/// With its exit code, if it has ended.
fn state(container: &ContainerListing) -> String {
    let status = &container.status;
    match (status.actual, status.exit_code) {
        (ShownState::Exited | ShownState::Restarting, Some(code)) => format!("{} ({code})", status.actual),
        _ => status.actual.to_string(),
    }
}

/// As specs write them.
fn ports(ports: &[PublishedPort]) -> String {
    ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_is_shown_with_its_code() {
        let listed: Vec<ContainerListing> = serde_json::from_value(serde_json::json!([
            {
                "app": "shop", "name": "db", "image": "postgres", "desired": "running", "actual": "restarting",
                "health": "none", "pid": null, "restarts": 3, "started_at": "2026-01-02T03:00:00Z",
                "message": null, "exit_code": 1, "id": "0123456789abcdef", "labels": {},
            },
            {
                "app": "shop", "name": "web", "image": "nginx", "desired": "running", "actual": "running",
                "health": "healthy", "pid": 7, "restarts": 0, "started_at": "2026-01-02T02:00:00Z",
                "message": null, "exit_code": 1, "id": "123456789abcdef0", "labels": {},
                "ports": [
                    { "host_ip": null, "host_port": 8080, "container_port": 80, "protocol": "tcp" },
                    { "host_ip": "127.0.0.1", "host_port": 53, "container_port": 53, "protocol": "udp" },
                ],
            },
        ]))
        .unwrap();
        let now = "2026-01-02T04:00:00Z".parse().unwrap();
        let text = table::text(HEADINGS, listed.iter().map(|container| row(container, now)).collect());
        insta::assert_snapshot!(text, @r"
        CONTAINER  ID            IMAGE     STATE           HEALTH   STARTED  PORTS
        shop/db    0123456789ab  postgres  restarting (1)  -        1h ago
        shop/web   123456789abc  nginx     running         healthy  2h ago   8080:80, 127.0.0.1:53:53/udp
        ");
    }
}
