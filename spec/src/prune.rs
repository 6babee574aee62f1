//! What is removed by itself once nobody needs it: the policy of a source, and what a host says of it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::file::HostPruneTable;

const DAY: Duration = Duration::from_hours(24);

/// What can be pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PruneKind {
    /// Exited containers.
    Container,
    /// Images that no container uses.
    Image,
    /// Volumes that no container uses and that may go.
    Volume,
    /// What earlier builds have left.
    BuildCache,
    /// Logs of containers that are no more.
    Log,
}

impl PruneKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Container, Self::Image, Self::Volume, Self::BuildCache, Self::Log];

    /// Its name, as it is written in JSON and in labels of metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Volume => "volume",
            Self::BuildCache => "build_cache",
            Self::Log => "log",
        }
    }
}

impl fmt::Display for PruneKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name().replace('_', " "))
    }
}

/// `[prune]`: what is removed by itself, and how often. What has no rule is left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrunePolicy {
    /// Time between two prunes, as it is written.
    pub interval: Option<Duration>,
    /// The rule of each kind that has one.
    pub rules: BTreeMap<PruneKind, PruneRule>,
    /// How full the disk may get.
    #[serde(default)]
    pub disk: DiskRule,
}

/// How full the disk that has an engine's images may get until images and build cache that nobody needs are removed,
/// whatever their age. Counts as kubelet's image garbage collection does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskRule {
    /// In hundredths, as it is written.
    pub start: Option<u8>,
    /// In hundredths, as it is written.
    pub stop: Option<u8>,
}

impl DiskRule {
    /// So full, in hundredths, that room is made. Default: 85. A disk is never fuller than 100: then no room is made.
    pub fn start(&self) -> u8 {
        self.start.unwrap_or(85)
    }

    /// Room is made until the disk is no fuller than this, in hundredths. Default: 80. It is never above the start.
    pub fn stop(&self) -> u8 {
        self.stop.unwrap_or(80).min(self.start())
    }
}

impl PrunePolicy {
    /// Time between two prunes. Default: a day.
    pub fn interval(&self) -> Duration {
        self.interval.unwrap_or(DAY)
    }

    /// Whether there is nothing that it removes.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// This policy with what another says in its place, key by key.
    #[must_use]
    pub fn overlaid(&self, other: &Self) -> Self {
        let mut policy = self.clone();
        policy.interval = other.interval.or(policy.interval);
        policy.disk.start = other.disk.start.or(policy.disk.start);
        policy.disk.stop = other.disk.stop.or(policy.disk.stop);
        for (kind, rule) in &other.rules {
            let known = policy.rules.entry(*kind).or_default();
            known.older_than = rule.older_than.or(known.older_than);
            if rule.filter.is_some() {
                known.filter.clone_from(&rule.filter);
            }
        }
        policy
    }
}

/// What of a kind is removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneRule {
    /// Only what nobody has needed for so long, as it is written.
    pub older_than: Option<Duration>,
    /// Only what each of these lets go, as they are written.
    pub filter: Option<Vec<PruneFilter>>,
}

impl PruneRule {
    /// A rule for what nobody has needed for so long.
    pub fn older_than(age: Duration) -> Self {
        Self { older_than: Some(age), filter: None }
    }

    /// Only what nobody has needed for so long is removed. Default: a day.
    pub fn age(&self) -> Duration {
        self.older_than.unwrap_or(DAY)
    }

    /// Whether something is removed that nobody has needed for so long. What is dangling has no name.
    pub fn takes(&self, age: Duration, name: Option<&str>, labels: &BTreeMap<String, String>) -> bool {
        let mut filters = self.filter.iter().flatten();
        age >= self.age() && filters.all(|filter| filter.lets_go(name, labels))
    }
}

/// Lets only some things go, after the filters of Docker's `prune`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PruneFilter {
    /// What has a label.
    Label(LabelMatch),
    /// What has not.
    NoLabel(LabelMatch),
    /// What has a name of this pattern.
    Name(String),
    /// What has not.
    NoName(String),
    /// Images without a tag, as Docker has it: one that is known only by its digest has none.
    Dangling,
}

/// A label, with this value or any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelMatch {
    /// Its key.
    pub key: String,
    /// Its value; any when absent.
    pub value: Option<String>,
}

impl PruneFilter {
    /// Whether something may go. What is dangling has no name.
    pub fn lets_go(&self, name: Option<&str>, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Label(label) => label.is_among(labels),
            Self::NoLabel(label) => !label.is_among(labels),
            Self::Name(pattern) => name.is_some_and(|name| fits(pattern, name)),
            Self::NoName(pattern) => !name.is_some_and(|name| fits(pattern, name)),
            Self::Dangling => name.is_none_or(|name| name.contains('@')),
        }
    }
}

impl LabelMatch {
    fn is_among(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get(&self.key).is_some_and(|there| self.value.as_ref().is_none_or(|value| value == there))
    }
}

/// Whether a text is that of a pattern, in which each `*` stands for any characters.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        // The earliest place leaves the most for what follows.
        let Some(place) = rest.find(part) else { return false };
        rest = &rest[place + part.len()..];
    }
    rest.ends_with(last)
}

/// What the configuration of a host says about pruning.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "HostPruneTable")]
pub struct HostPrune {
    /// What homeostat does not own may go too, where the engine has any.
    pub others: bool,
    /// What is said here wins over the source.
    pub policy: PrunePolicy,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, expected) in [
            ("web", "web", true),
            ("web", "webs", false),
            ("*", "", true),
            ("ghcr.io/acme/*", "ghcr.io/acme/a/b:1", true),
            ("*:1.*", "ghcr.io/acme/web:1.4", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_filter_by_label_looks_at_the_value_if_it_names_one() {
        let label =
            |value: Option<&str>| LabelMatch { key: "env".to_owned(), value: value.map(str::to_owned) };
        let here = labels([("env", "test")]);
        for (filter, expected) in [
            (PruneFilter::Label(label(None)), true),
            (PruneFilter::Label(label(Some("test"))), true),
            (PruneFilter::Label(label(Some("prod"))), false),
            (PruneFilter::NoLabel(label(None)), false),
            (PruneFilter::NoLabel(label(Some("prod"))), true),
        ] {
            assert_eq!(filter.lets_go(Some("x"), &here), expected, "{filter:?}");
        }
        assert!(!PruneFilter::Label(label(None)).lets_go(None, &labels([])));
    }

    #[test]
    fn what_is_dangling_has_no_name_to_fit() {
        assert!(PruneFilter::Dangling.lets_go(None, &labels([])));
        assert!(!PruneFilter::Dangling.lets_go(Some("web:1"), &labels([])));
        assert!(!PruneFilter::Name("*".to_owned()).lets_go(None, &labels([])));
        assert!(PruneFilter::NoName("*".to_owned()).lets_go(None, &labels([])));
        let by_digest = Some("ghcr.io/acme/web@sha256:00");
        assert!(PruneFilter::Dangling.lets_go(by_digest, &labels([])));
        assert!(!PruneFilter::NoName("ghcr.io/acme/*".to_owned()).lets_go(by_digest, &labels([])));
    }

    #[test]
    fn a_rule_takes_what_is_old_enough_and_what_every_filter_lets_go() {
        let hour = Duration::from_hours(1);
        let filter = Some(vec![PruneFilter::Name("a*".to_owned()), PruneFilter::NoName("*b".to_owned())]);
        let rule = PruneRule { older_than: Some(hour), filter };
        assert!(rule.takes(hour, Some("ac"), &labels([])));
        assert!(!rule.takes(hour / 2, Some("ac"), &labels([])));
        assert!(!rule.takes(hour, Some("ab"), &labels([])));
        assert!(!PruneRule::default().takes(hour, Some("ac"), &labels([])), "the default is a day");
    }

    #[test]
    fn a_host_wins_over_its_source_key_by_key() {
        let (hour, day) = (Duration::from_hours(1), Duration::from_hours(24));
        let dangling = Some(vec![PruneFilter::Dangling]);
        let source = PrunePolicy {
            interval: Some(day),
            rules: [(PruneKind::Image, PruneRule { older_than: Some(day), filter: dangling.clone() })].into(),
            disk: DiskRule { start: Some(70), stop: Some(60) },
        };
        let host = PrunePolicy {
            interval: None,
            rules: [
                (PruneKind::Image, PruneRule::older_than(hour)),
                (PruneKind::Volume, PruneRule::default()),
            ]
            .into(),
            disk: DiskRule { start: Some(50), stop: None },
        };
        let both = source.overlaid(&host);
        assert_eq!(both.interval(), day);
        assert_eq!(both.rules[&PruneKind::Image], PruneRule { older_than: Some(hour), filter: dangling });
        assert!(both.rules.contains_key(&PruneKind::Volume));
        assert_eq!((both.disk.start(), both.disk.stop()), (50, 50), "room is made until there is some");
        assert_eq!((DiskRule::default().start(), DiskRule::default().stop()), (85, 80));
        assert_eq!(host.overlaid(&PrunePolicy::default()), host);
    }
}
