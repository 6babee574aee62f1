//! How what is wrong with the structure is said.

use crate::document::Value;
use crate::problem::Problem;

/// A value is of another type than is asked for.
pub(super) fn wrong_type(expected: &[&str], value: &Value) -> Problem {
    let found = match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "a boolean",
        Value::Datetime => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) | Value::Unknown => "a table",
    };
    let names: Vec<_> = expected.iter().map(|name| type_name(name)).collect();
    Problem::new(format!("expected {}, found {found}", names.join(" or ")))
        .maybe_hint(type_hint(expected, value))
}

fn type_name(name: &str) -> &'static str {
    match name {
        "string" => "a string",
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "a boolean",
        "array" => "a list",
        _ => "a table",
    }
}

fn type_hint(expected: &[&str], value: &Value) -> Option<String> {
    let hint = match value {
        Value::Integer(Some(number)) if expected.contains(&"string") => {
            format!("put it in quotes: \"{number}\"")
        }
        Value::Float(number) if expected.contains(&"string") => format!("put it in quotes: \"{number}\""),
        Value::Boolean(boolean) if expected.contains(&"string") => format!("put it in quotes: \"{boolean}\""),
        Value::String(text) if expected == ["boolean"] && matches!(&**text, "true" | "false") => {
            format!("write it without quotes: {text}")
        }
        Value::String(text) if text.parse::<f64>().is_ok() && expected.contains(&"number") => {
            format!("write it without quotes: {text}")
        }
        Value::String(text) if text.parse::<i64>().is_ok() && expected.contains(&"integer") => {
            format!("write it without quotes: {text}")
        }
        Value::String(text) if expected == ["array"] && text.len() < 80 => {
            format!("write a list: [{text:?}]")
        }
        _ => return None,
    };
    Some(hint)
}

/// What a key of Compose or Docker is called in a spec.
pub(super) fn name_elsewhere(key: &str) -> Option<&'static str> {
    Some(match key {
        "services" | "service" => "container",
        "environment" => "env",
        "cmd" | "args" | "test" => "command",
        "healthcheck" => "health",
        "network_mode" | "networks" => "network",
        "workdir" | "workingdir" | "cwd" => "working_dir",
        "mem_limit" => "resources.memory",
        "pids_limit" => "resources.pids",
        "stop_signal" => "stop.signal",
        "stop_grace_period" => "stop.grace",
        "restart_policy" => "restart",
        "mounts" => "volumes",
        "logging" => "log",
        _ => return None,
    })
}

/// What a word of Compose, Docker or Kubernetes is in a spec.
pub(super) fn word_elsewhere(word: &str) -> Option<&'static str> {
    Some(match word {
        "unless-stopped" | "Always" => "always",
        "never" | "Never" | "none" => "no",
        "OnFailure" | "on_failure" => "on-failure",
        "started" | "up" | "start" => "running",
        "stopped" | "down" | "stop" => "exited",
        "service_started" | "running" => "started",
        "service_healthy" => "healthy",
        "service_completed_successfully" | "exited" | "done" => "completed",
        _ => return None,
    })
}

/// Words in backticks.
pub(super) fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// A key in backticks, or escaped if it is not plain.
pub(super) fn quoted(key: &str) -> String {
    let plain = key.len() <= 64 && key.chars().all(|c| c.is_ascii_graphic() && c != '`');
    if plain { format!("`{key}`") } else { format!("{:?}", key.chars().take(64).collect::<String>()) }
}
