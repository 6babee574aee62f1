//! Names of Compose as names of specs.

use std::collections::{BTreeMap, BTreeSet};

use homeostat_spec::Name;

/// The name that comes nearest to a text: lower case, with `-` for what a name cannot have.
pub(crate) fn nearest(text: &str) -> Option<Name> {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().map(allowed).collect();
    let name: String = name.trim_matches('-').chars().take(Name::MAX_LENGTH).collect();
    name.trim_end_matches('-').parse().ok()
}

/// Names of one kind of resource, each with the name it has in the spec.
#[derive(Debug, Default)]
pub(crate) struct Names {
    by_original: BTreeMap<String, String>,
    taken: BTreeSet<String>,
}

impl Names {
    /// Names for the given ones. Those that are names already keep theirs; what collides gets a number.
    pub(crate) fn of<'a>(originals: impl Iterator<Item = &'a str> + Clone, reserved: &[&str]) -> Self {
        let mut names =
            Self { taken: reserved.iter().map(|name| (*name).to_owned()).collect(), ..Self::default() };
        let good = |name: &&str| name.parse::<Name>().is_ok() && !reserved.contains(name);
        for original in originals.clone().filter(good) {
            names.add(original);
        }
        for original in originals.filter(|name| !good(name)) {
            names.add(original);
        }
        names
    }

    /// The name of a further one.
    pub(crate) fn add(&mut self, original: &str) -> String {
        if let Some(name) = self.by_original.get(original) {
            return name.clone();
        }
        let base = nearest(original).map_or_else(|| "unnamed".to_owned(), String::from);
        let short: String = base.chars().take(Name::MAX_LENGTH - 6).collect();
        let numbered = (2..).map(|number| format!("{}-{number}", short.trim_end_matches('-')));
        let mut candidates = std::iter::once(base).chain(numbered);
        let name = candidates.find(|name| !self.taken.contains(name)).unwrap_or_default();
        self.taken.insert(name.clone());
        self.by_original.insert(original.to_owned(), name.clone());
        name
    }

    /// The name in the spec of what Compose calls `original`.
    pub(crate) fn get(&self, original: &str) -> Option<&str> {
        self.by_original.get(original).map(String::as_str)
    }

    /// Every name, as it is in the spec.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.by_original.values().map(String::as_str)
    }

    /// The names that are not as Compose has them.
    pub(crate) fn renamed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.by_original
            .iter()
            .map(|(original, name)| (original.as_str(), name.as_str()))
            .filter(|(a, b)| a != b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_becomes_one_and_stays_distinct() {
        let names = Names::of(["My_DB", "my-db", "my.db", "_"].into_iter(), &[]);
        assert_eq!(names.get("my-db"), Some("my-db"));
        assert_eq!(names.get("My_DB"), Some("my-db-2"));
        assert_eq!(names.get("my.db"), Some("my-db-3"));
        assert_eq!(names.get("_"), Some("unnamed"));
        assert_eq!(names.renamed().count(), 3);
        assert_eq!(Names::of(["host"].into_iter(), &["host"]).get("host"), Some("host-2"));
        assert_eq!(nearest(&"x".repeat(200)).unwrap().as_str().len(), 63);
    }
}
