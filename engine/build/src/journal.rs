//! Why the cache does not know a step: what the steps of a stage depended on the last time, and what they do now.

use std::collections::BTreeMap;

use homeostat_image::ImageStore;
use homeostat_reconciler::repository;
use serde::{Deserialize, Serialize};

use crate::key::{LAYERS, Part};

/// More parts of a step are not kept: thousands of files are as good as all.
const PARTS_LIMIT: usize = 10_000;

/// What the steps of a stage depended on.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// Stands for the layers that the stage began with.
    base: String,
    steps: Vec<Step>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Step {
    /// The instruction as it is written.
    text: String,
    parts: Vec<Part>,
}

/// What is known of a stage from the last time, and what is to be known the next time.
pub(crate) struct Journal {
    key: String,
    last: Option<Note>,
    now: Note,
}

impl Journal {
    /// That of a stage in builds of one image, whatever its tag.
    pub(crate) fn open(store: &ImageStore, reference: &str, stage: &str, base: String) -> Self {
        let key = format!("stage {stage} of {}", repository(reference));
        let last = store.cached_note(&key).and_then(|text| serde_json::from_str(&text).ok());
        Self { key, last, now: Note { base, steps: Vec::new() } }
    }

    /// Why the cache does not know the step that is next.
    pub(crate) fn cause(&self, text: &str, parts: &[Part]) -> String {
        let Some(last) = &self.last else { return "not in the cache".to_owned() };
        let earlier = self.now.steps.iter().filter(|step| step.text == text).count();
        let Some(step) = last.steps.iter().filter(|step| step.text == text).nth(earlier) else {
            let kind = |text: &str| text.split_whitespace().next().map(str::to_ascii_uppercase);
            let is_same = |step: &Step| kind(&step.text) == kind(text);
            let changed = last.steps.get(self.now.steps.len()).is_some_and(is_same);
            return if changed { "instruction changed" } else { "new instruction" }.to_owned();
        };
        match differences(&step.parts, parts).as_slice() {
            [] => "no longer in the cache".to_owned(),
            [first, ..] if first.name == LAYERS && last.base != self.now.base => "base changed".to_owned(),
            [first, ..] if first.name == LAYERS => "an earlier step changed".to_owned(),
            [only] => only.to_string(),
            [first, more @ ..] => format!("{first}, and {} more", more.len()),
        }
    }

    /// The next step was made, or is known.
    pub(crate) fn note(&mut self, text: &str, mut parts: Vec<Part>) {
        parts.truncate(PARTS_LIMIT);
        self.now.steps.push(Step { text: text.to_owned(), parts });
    }

    /// Keeps it. What a stage that failed has not come to is kept as it was.
    pub(crate) fn close(mut self, store: &ImageStore, is_whole: bool) {
        if let Some(last) = self.last.as_mut().filter(|_| !is_whole) {
            self.now.steps.extend(last.steps.drain(self.now.steps.len().min(last.steps.len())..));
        } else if self.last.as_ref() == Some(&self.now) {
            return;
        }
        // Without it the next misses say less; that is worth no build.
        let _ = serde_json::to_string(&self.now).map(|text| store.cache_note(&self.key, &text));
    }
}

/// How a part is not what it was.
struct Difference<'a> {
    name: &'a str,
    how: &'static str,
}

impl std::fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.how)
    }
}

fn differences<'a>(last: &'a [Part], now: &'a [Part]) -> Vec<Difference<'a>> {
    let (was, is) = (by_name(last), by_name(now));
    let mut found = Vec::new();
    for part in now.iter().take(PARTS_LIMIT) {
        match was.get(&*part.name) {
            None => found.push(Difference { name: &part.name, how: "is new" }),
            Some(digests) if digests != &is[&*part.name] => {
                found.push(Difference { name: &part.name, how: "changed" });
            }
            Some(_) => {}
        }
    }
    let gone = last.iter().filter(|part| !is.contains_key(&*part.name));
    found.extend(gone.map(|part| Difference { name: &part.name, how: "is gone" }));
    found.dedup_by_key(|difference| difference.name);
    found
}

fn by_name(parts: &[Part]) -> BTreeMap<&str, Vec<&str>> {
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for part in parts {
        names.entry(&part.name).or_default().push(&part.digest);
    }
    names
}
