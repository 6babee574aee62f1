//! `homeostat ps`.

use std::io::Write as _;
use std::str::FromStr;

use clap::Args;
use homeostat_reconciler::{HealthStatus, ShownState};

use super::DONE;
use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use crate::format::Format;
use crate::render::{self, Output};
use crate::service::ContainerListing;

#[derive(Args)]
pub(super) struct Ps {
    /// Only containers for which this holds: name=TEXT, app=NAME, state=STATE, health=HEALTH,
    /// exited=CODE, label=KEY or label=KEY=VALUE. Of several with one key one is enough, but for label
    #[arg(short, long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<Filter>,
    /// Print APP/NAME only
    #[arg(short, long, conflicts_with = "format")]
    quiet: bool,
    /// Print this of each container: a JSON path, or text with it in braces, as '{{.name}}: {{.actual}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
}

impl Ps {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        let mut listed: Vec<ContainerListing> = access.client.get("/v1/containers").await?;
        listed.retain(|container| all_hold(&self.filters, container));
        let json = global.output == Output::Json;
        if let Some(format) = &self.format {
            for container in &listed {
                let text = format.print(container, json).unwrap_or_default();
                writeln!(anstream::stdout(), "{text}")?;
            }
        } else if self.quiet {
            for container in &listed {
                writeln!(anstream::stdout(), "{}", container.key())?;
            }
        } else if json {
            render::json(&listed)?;
        } else {
            render::ps::print(&listed)?;
        }
        Ok(DONE)
    }
}

/// What a container has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Filter {
    Name(String),
    App(String),
    State(ShownState),
    Health(HealthStatus),
    Exited(i32),
    Label(String, Option<String>),
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("a filter is KEY=VALUE, as state=running")?;
        match key {
            "name" => Ok(Self::Name(value.to_owned())),
            "app" => Ok(Self::App(value.to_owned())),
            "state" | "status" => one_of(value, ShownState::ALL).map(Self::State),
            "health" => one_of(value, HealthStatus::ALL).map(Self::Health),
            "exited" => value.parse().map(Self::Exited).map_err(|_| format!("{value:?} is no exit code")),
            "label" => {
                let (key, value) =
                    value.split_once('=').map_or((value, None), |(key, value)| (key, Some(value)));
                Ok(Self::Label(key.to_owned(), value.map(str::to_owned)))
            }
            _ => Err(format!("{key:?} is none of name, app, state, health, exited, label")),
        }
    }
}

fn one_of<T: ToString, const N: usize>(text: &str, all: [T; N]) -> Result<T, String> {
    let names = all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    all.into_iter()
        .find(|value| value.to_string() == text)
        .ok_or_else(|| format!("{text:?} is none of {names}"))
}

/// Whether one filter of each kind holds, and every one of a label, as Docker's `ps` has it.
fn all_hold(filters: &[Filter], container: &ContainerListing) -> bool {
    filters.iter().all(|filter| {
        let same_kind = |other: &&Filter| std::mem::discriminant(*other) == std::mem::discriminant(filter);
        match filter {
            Filter::Label(..) => filter.holds(container),
            _ => filters.iter().filter(same_kind).any(|filter| filter.holds(container)),
        }
    })
}

impl Filter {
    fn holds(&self, container: &ContainerListing) -> bool {
        let status = &container.status;
        match self {
            Self::Name(text) => container.key().to_string().contains(text),
            Self::App(name) => container.app.as_str() == name,
            Self::State(state) => status.actual == *state,
            Self::Health(health) => status.health == *health,
            Self::Exited(code) => {
                let ended = matches!(status.actual, ShownState::Exited | ShownState::Restarting);
                ended && status.exit_code == Some(*code)
            }
            Self::Label(key, None) => container.labels.contains_key(key),
            Self::Label(key, value) => container.labels.get(key) == value.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `shop/web` with a state, an exit code and the label `tier=front`.
    fn container(state: &str, exit_code: Option<i32>) -> ContainerListing {
        serde_json::from_value(serde_json::json!({
            "app": "shop", "name": "web", "image": "nginx", "desired": "running", "actual": state,
            "health": "healthy", "pid": null, "restarts": 0, "started_at": null, "message": null,
            "exit_code": exit_code, "id": null, "labels": { "tier": "front" },
        }))
        .unwrap()
    }

    fn holds(filters: &[&str], container: &ContainerListing) -> bool {
        let filters: Vec<Filter> = filters.iter().map(|text| text.parse().unwrap()).collect();
        all_hold(&filters, container)
    }

    #[test]
    fn one_of_each_kind_has_to_hold_and_every_label() {
        let running = container("running", Some(1));
        for (filters, expected) in [
            (&[][..], true),
            (&["name=p/we"], true),
            (&["name=db"], false),
            (&["app=shop", "state=running"], true),
            (&["app=shop", "status=paused"], false),
            (&["state=paused", "state=running"], true),
            (&["health=healthy"], true),
            (&["health=none"], false),
            (&["exited=1"], false),
            (&["label=tier", "label=tier=front"], true),
            (&["label=tier=front", "label=zone"], false),
        ] {
            assert_eq!(holds(filters, &running), expected, "{filters:?}");
        }
        assert!(holds(&["exited=1"], &container("restarting", Some(1))));
        assert!(!holds(&["exited=0"], &container("exited", Some(1))));
    }

    #[test]
    fn a_filter_that_is_none_says_what_there_is() {
        let error = |text: &str| text.parse::<Filter>().unwrap_err();
        assert!(error("running").contains("KEY=VALUE"));
        assert!(error("state=runing").contains("none of unknown, absent, created, restarting, running"));
        assert!(error("ancestor=nginx").contains("none of name, app"));
        assert!(error("exited=x").contains("no exit code"));
    }
}
