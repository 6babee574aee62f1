//! Random specs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use homeostat_reconciler::fake::Random;

const APPS: [&str; 3] = ["one", "two", "three"];

/// A random set of valid specs; never empty, so that nothing is held back.
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
    files
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

fn app_text(random: &mut Random, ports: &mut Vec<u64>) -> String {
    let mut text = String::new();
    let builds = random.per_mille(400);
    if builds {
        let _ = writeln!(text, "[image.app]\nbuild = {{ context = \"./app{}\" }}", random.below(2));
    }
    let _ = writeln!(text, "[volume.data]\nretain = {}", random.per_mille(700));
    if random.per_mille(300) {
        let _ = writeln!(text, "[network.front]\ninternal = {}", random.per_mille(500));
        container(&mut text, random, "web", builds, ports, Some("front"));
    } else {
        container(&mut text, random, "web", builds, ports, None);
    }
    if random.per_mille(500) {
        container(&mut text, random, "db", false, ports, None);
        if random.per_mille(500) && text.contains("[container.db]") {
            let condition =
                if text.contains("health = ") && text.rfind("health = ") > text.find("[container.db]") {
                    "healthy"
                } else {
                    "started"
                };
            let depends = format!("[container.web]\ndepends_on = {{ db = \"{condition}\" }}");
            text = text.replace("[container.web]", &depends);
        }
    }
    text
}

fn container(
    text: &mut String,
    random: &mut Random,
    name: &str,
    builds: bool,
    ports: &mut Vec<u64>,
    network: Option<&str>,
) {
    let state = match random.below(10) {
        0 => "created",
        1 => "paused",
        2 => "exited",
        _ => "running",
    };
    // A paused or stopped container would keep a dependent waiting for ever.
    let state = if name == "db" { "running" } else { state };
    let restart = ["always", "on-failure"][usize::from(random.per_mille(300))];
    let image = if builds { "app".to_owned() } else { format!("registry.example/app:{}", random.below(3)) };
    let _ = writeln!(
        text,
        "[container.{name}]\nimage = \"{image}\"\nstate = \"{state}\"\nrestart = \"{restart}\""
    );
    let _ = writeln!(text, "env = {{ VALUE = \"{}\" }}", random.below(3));
    let _ = writeln!(text, "resources = {{ pids = {} }}", 10 + random.below(3));
    let _ = writeln!(text, "stop = {{ grace = \"1s\" }}");
    if let Some(network) = network {
        let _ = writeln!(text, "network = \"{network}\"");
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
    if random.per_mille(400) {
        let _ = writeln!(text, "health = {{ command = [\"true\"], interval = \"5s\" }}");
    }
}
