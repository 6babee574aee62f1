//! Random specs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use homeostat_reconciler::fake::Random;

const APPS: [&str; 3] = ["one", "two", "three"];

/// A random set of valid specs that can come true by themselves; never empty, so that nothing is held back.
pub(crate) fn any(random: &mut Random) -> BTreeMap<String, String> {
    // Ports are dealt, so that no two containers want the same one and any two can swap theirs.
    let mut ports: Vec<u64> = (8000..8006).collect();
    let mut files = BTreeMap::new();
    for app in APPS {
        if random.per_mille(700) {
            files.insert(format!("{app}.toml"), app_text(random, &mut ports));
        }
    }
    if files.is_empty() {
        files.insert("one.toml".to_owned(), app_text(random, &mut ports));
    }
    // By a number of its own, so that the apps of a seed stay the same.
    let mut apart = random.clone();
    if apart.per_mille(400) {
        files.insert("homeostat.toml".to_owned(), policy_text(&mut apart));
    }
    files
}

/// A policy that removes what is so old, every other minute.
fn policy_text(random: &mut Random) -> String {
    let age = random.below(60);
    format!(
        "[prune]\ninterval = \"2m\"\n[prune.containers]\nolder_than = \"{age}s\"\n\
         [prune.images]\nolder_than = \"{age}s\"\n[prune.volumes]\nolder_than = \"{age}s\"\n"
    )
}

/// The same specs with one file broken.
pub(crate) fn broken(random: &mut Random, files: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut files = files.clone();
    let chosen = random.below(files.len() as u64);
    if let Some(text) = usize::try_from(chosen).ok().and_then(|index| files.values_mut().nth(index)) {
        text.push_str("\n[container.broken]\nimgae = 1\n");
    }
    files
}

/// What a container is to others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Nothing depends on it.
    Leaf,
    /// Others wait until it is so.
    Needed(Condition),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Started,
    Healthy,
    Completed,
}

fn app_text(random: &mut Random, ports: &mut Vec<u64>) -> String {
    let mut text = String::new();
    let builds = random.per_mille(400);
    if builds {
        let _ = writeln!(text, "[image.app]\nbuild = {{ context = \"./app{}\" }}", random.below(2));
    }
    let _ = writeln!(text, "[volume.data]\nretain = {}", random.per_mille(700));
    let network = random.per_mille(300);
    if network {
        let _ = writeln!(text, "[network.front]\ninternal = {}", random.per_mille(500));
    }
    container(&mut text, random, "web", builds, ports, Role::Leaf);
    if network {
        text.push_str("network = \"front\"\n");
    }
    if random.per_mille(500) {
        let condition = [Condition::Started, Condition::Healthy, Condition::Completed]
            [usize::try_from(random.below(3)).unwrap_or(0)];
        if random.per_mille(600) {
            let word = match condition {
                Condition::Started => "started",
                Condition::Healthy => "healthy",
                Condition::Completed => "completed",
            };
            let _ = writeln!(text, "depends_on = {{ db = \"{word}\" }}");
        }
        container(&mut text, random, "db", false, ports, Role::Needed(condition));
    }
    text
}

fn container(
    text: &mut String,
    random: &mut Random,
    name: &str,
    builds: bool,
    ports: &mut Vec<u64>,
    role: Role,
) {
    let (state, restart) = state_and_restart(random, role);
    let image = if builds { "app".to_owned() } else { format!("registry.example/app:{}", random.below(3)) };
    let _ = writeln!(
        text,
        "[container.{name}]\nimage = \"{image}\"\nstate = \"{state}\"\nrestart = \"{restart}\""
    );
    let _ = writeln!(text, "env = {{ VALUE = \"{}\" }}", random.below(3));
    let _ = writeln!(text, "resources = {{ pids = {} }}", 10 + random.below(3));
    let _ = writeln!(text, "stop = {{ grace = \"1s\" }}");
    // Otherwise what ran as a service may now be declared a one-shot, and back.
    if role == Role::Needed(Condition::Completed) && random.per_mille(500) {
        let _ = writeln!(text, "command = [\"migrate\"]");
    }
    if random.per_mille(500) && !ports.is_empty() {
        let index = random.below(ports.len() as u64);
        let port = ports.swap_remove(usize::try_from(index).unwrap_or(0));
        let _ = writeln!(text, "ports = [\"{port}:80\"]");
    }
    match random.below(4) {
        0 => {
            let _ = writeln!(text, "volumes = [\"data:/data\"]");
        }
        1 => {
            let _ = writeln!(text, "volumes = [\"data:/data\", \"./conf{}:/conf:ro\"]", random.below(2));
        }
        _ => {}
    }
    if role == Role::Needed(Condition::Healthy) || random.per_mille(250) {
        let period = ["0s", "20s"][usize::from(random.per_mille(300))];
        let _ = writeln!(
            text,
            "health = {{ command = [\"true\"], interval = \"5s\", start_period = \"{period}\" }}"
        );
    }
}

/// What others wait for has to come true by itself, whatever happened to it before.
fn state_and_restart(random: &mut Random, role: Role) -> (&'static str, &'static str) {
    let state = match random.below(10) {
        0 => "created",
        1 => "paused",
        2 | 3 => "exited",
        _ => "running",
    };
    let restart = match random.below(10) {
        0 => "no",
        1..4 => "on-failure",
        _ => "always",
    };
    match role {
        Role::Leaf => (state, restart),
        Role::Needed(Condition::Started) => ("running", restart),
        Role::Needed(Condition::Healthy) => ("running", "always"),
        Role::Needed(Condition::Completed) => ("exited", if restart == "no" { "always" } else { restart }),
    }
}
