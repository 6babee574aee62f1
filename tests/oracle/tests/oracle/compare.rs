//! What is different between two images.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::case::{Case, Outcome};
use crate::image::Image;
use crate::tree::Tree;

/// Where Docker leaves empty directories that it mounts over, when a command runs. homeostat takes them away.
const STUBS: [&str; 3] = ["dev", "proc", "sys"];

/// Whatever was changed later than this was changed by a build, at a time that nobody can foresee.
const LATER: u64 = 1_600_000_000;

/// What is wrong with a case; nothing when both came to the same.
pub(crate) fn verdict(
    case: &Case,
    docker: &Outcome,
    homeostat: &Outcome,
    images: impl FnOnce() -> (Image, Image),
) -> Option<String> {
    match (docker, homeostat) {
        (Ok(()), Ok(())) if case.refused => Some("  both build it".to_owned()),
        (Ok(()), Ok(())) => {
            let (docker, homeostat) = images();
            unmeant(case, &differences(&docker, &homeostat))
        }
        (Err(_), Err(_)) if case.refused => None,
        (Err(docker), Err(homeostat)) => {
            Some(format!("  both refuse it\n  Docker: {docker}\n  homeostat: {homeostat}"))
        }
        (Err(error), Ok(())) => unmeant(case, &[format!("only Docker refuses it: {error}")]),
        (Ok(()), Err(error)) => unmeant(case, &[format!("only homeostat refuses it: {error}")]),
    }
}

/// Differences that are not meant, and those that were meant and are not there.
fn unmeant(case: &Case, differences: &[String]) -> Option<String> {
    let mut lines = Vec::new();
    for (beginning, reason) in &case.meant {
        if !differences.iter().any(|difference| difference.starts_with(beginning)) {
            lines.push(format!("  is not so any more: {beginning} ({reason})"));
        }
    }
    let is_meant =
        |difference: &String| case.meant.iter().any(|(beginning, _)| difference.starts_with(beginning));
    lines.extend(
        differences.iter().filter(|difference| !is_meant(difference)).map(|line| format!("  {line}")),
    );
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn differences(docker: &Image, homeostat: &Image) -> Vec<String> {
    let mut differences = Vec::new();
    trees(&Tree::of(&docker.layers), &Tree::of(&homeostat.layers), &mut differences);
    configurations(&docker.config, &homeostat.config, &mut differences);
    differences
}

fn trees(docker: &Tree, homeostat: &Tree, differences: &mut Vec<String>) {
    let paths: BTreeSet<&String> = docker.nodes().keys().chain(homeostat.nodes().keys()).collect();
    for path in paths {
        let (Some(expected), Some(actual)) = (docker.nodes().get(path), homeostat.nodes().get(path)) else {
            if docker.nodes().contains_key(path) && STUBS.contains(&path.as_str()) {
                continue;
            }
            let side = if docker.nodes().contains_key(path) { "Docker" } else { "homeostat" };
            differences.push(format!("/{path}: only {side} has it"));
            continue;
        };
        let mut note = |what: &str, expected: String, actual: String| {
            if expected != actual {
                differences.push(format!("/{path}: {what} is {actual}, not {expected}"));
            }
        };
        note("kind", expected.kind.to_owned(), actual.kind.to_owned());
        note("mode", format!("{:o}", expected.mode), format!("{:o}", actual.mode));
        note("owner", format!("{:?}", expected.owner), format!("{:?}", actual.owner));
        note("content", expected.content.clone(), actual.content.clone());
        let (expected_time, actual_time) = (time(expected.modified), time(actual.modified));
        // A directory's time is that of the last change in it, which may be one that came to nothing.
        if expected.kind != "directory" || (expected.modified < LATER && actual.modified < LATER) {
            note("time", expected_time, actual_time);
        }
        note("attributes", format!("{:?}", expected.xattrs), format!("{:?}", actual.xattrs));
        note("other names", format!("{:?}", docker.names(path)), format!("{:?}", homeostat.names(path)));
    }
}

fn time(seconds: u64) -> String {
    if seconds > LATER { "that of the build".to_owned() } else { seconds.to_string() }
}

fn configurations(docker: &Value, homeostat: &Value, differences: &mut Vec<String>) {
    for key in ["architecture", "os", "variant", "author"] {
        if docker[key] != homeostat[key] {
            differences.push(format!("{key} is {}, not {}", homeostat[key], docker[key]));
        }
    }
    let fields = |config: &Value| -> BTreeMap<String, Value> {
        let fields = config["config"].as_object().cloned().unwrap_or_default();
        fields.into_iter().filter(|(_, value)| !value.is_null()).collect()
    };
    let (expected, actual) = (fields(docker), fields(homeostat));
    for name in expected.keys().chain(actual.keys()).collect::<BTreeSet<_>>() {
        let shown =
            |fields: &BTreeMap<String, Value>| fields.get(name).map_or("absent".to_owned(), Value::to_string);
        if expected.get(name) != actual.get(name) {
            differences.push(format!("config {name} is {}, not {}", shown(&actual), shown(&expected)));
        }
    }
    let (expected, actual) = (history(docker), history(homeostat));
    for at in 0..expected.len().max(actual.len()) {
        let (expected, actual) = (expected.get(at), actual.get(at));
        if !is_same_step(expected, actual) {
            let shown = |text: Option<&String>| text.map_or("absent".to_owned(), |text| format!("`{text}`"));
            differences.push(format!("history {at} is {}, not {}", shown(actual), shown(expected)));
        }
    }
}

/// Whether two texts of the history mean the same. Docker's `RUN` lists build arguments with their values, which is what
/// homeostat keeps out; and its `HEALTHCHECK` is a dump of its memory.
fn is_same_step(docker: Option<&String>, homeostat: Option<&String>) -> bool {
    let (Some(docker), Some(homeostat)) = (docker, homeostat) else { return docker == homeostat };
    let docker = docker.strip_suffix(" # buildkit").unwrap_or(docker);
    match (docker.strip_prefix("RUN |"), homeostat.strip_prefix("RUN ")) {
        (Some(docker), Some(homeostat)) => docker.ends_with(homeostat),
        _ if docker.starts_with("HEALTHCHECK ") => homeostat.starts_with("HEALTHCHECK "),
        _ => docker == homeostat,
    }
}

fn history(config: &Value) -> Vec<String> {
    let entries = config["history"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| entry["created_by"].as_str().unwrap_or_default().to_owned()).collect()
}
