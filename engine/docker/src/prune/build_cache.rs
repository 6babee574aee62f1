//! What the engine keeps of builds. It is nobody's: the engine does not tell who has built what.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bollard::query_parameters::PruneBuildOptionsBuilder;
use homeostat_reconciler::ports::{PruneRequest, PrunedItem};
use homeostat_spec::{PruneKind, PruneRule};
use jiff::Timestamp;

use super::SIZED;
use crate::engine::Inner;
use crate::failure::Failure;
use crate::told::{self, BuildCache};

/// What a record frees, and for how many seconds nobody has used it.
type Foreseen = BTreeMap<String, PrunedItem>;

impl Inner {
    pub(super) async fn prune_build_cache(&self, request: &PruneRequest) -> Result<Vec<PrunedItem>, Failure> {
        let api = self.api().await?;
        let told = self.hear_within(SIZED, told::disk_usage(&api, &self.endpoint, true)).await?;
        let mut foreseen = foresee(&told.build_cache.unwrap_or_default(), request);
        if request.dry_run || foreseen.is_empty() {
            return Ok(foreseen.into_values().collect());
        }
        // The engine counts ages up to its own time.
        let ahead = Duration::try_from(request.now.duration_since(Timestamp::now())).unwrap_or_default();
        let age = request.rules.get(&PruneKind::BuildCache).map_or(Duration::MAX, PruneRule::age);
        let until = format!("{}s", age.saturating_sub(ahead).as_secs());
        let filters = HashMap::from([("until", vec![until])]);
        let options = PruneBuildOptionsBuilder::default().all(true).filters(&filters).build();
        let pruned = self.answer_within(SIZED, api.prune_build(Some(options))).await?;
        let gone = pruned.caches_deleted.unwrap_or_default().into_iter();
        Ok(gone
            .map(|id| {
                let unforeseen = || PrunedItem::new(PruneKind::BuildCache, &*id, 0, age);
                foreseen.remove(&id).unwrap_or_else(unforeseen)
            })
            .collect())
    }
}

/// What of the records goes: what nobody uses and has used for long, and not while a record that stays stands on it.
fn foresee(records: &[BuildCache], request: &PruneRequest) -> Foreseen {
    let mut going = Foreseen::new();
    for record in records.iter().filter(|record| !record.in_use) {
        let (id, used) = (record.id.clone(), record.used());
        if let Some(age) = request.takes(PruneKind::BuildCache, Some(&id), &BTreeMap::new(), used) {
            going.insert(id.clone(), PrunedItem::new(PruneKind::BuildCache, id, record.bytes(), age));
        }
    }
    loop {
        let stays = |record: &&BuildCache| !going.contains_key(&record.id);
        let needed: BTreeSet<&String> =
            records.iter().filter(stays).flat_map(BuildCache::stands_on).collect();
        let before = going.len();
        going.retain(|id, _| !needed.contains(id));
        if going.len() == before {
            return going;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, parent: &str, used: i64) -> BuildCache {
        BuildCache {
            id: id.to_owned(),
            parents: Some(vec![parent.to_owned()]),
            size: 7,
            last_used_at: Some(Timestamp::from_second(used).unwrap()),
            ..BuildCache::default()
        }
    }

    #[test]
    fn what_is_in_use_or_young_stays_with_all_that_it_stands_on() {
        let hour = Duration::from_hours(1);
        let request = PruneRequest {
            rules: [(PruneKind::BuildCache, PruneRule::older_than(hour))].into(),
            now: Timestamp::from_second(10_000).unwrap(),
            ..PruneRequest::default()
        };
        let used = BuildCache { in_use: true, ..record("used", "below", 0) };
        let shared = BuildCache { shared: true, ..record("shared", "", 0) };
        let records = [
            record("old", "", 100),
            record("bottom", "", 100),
            record("middle", "bottom", 100),
            record("young", "middle", 9_000),
            record("below", "", 100),
            used,
            shared,
        ];
        let told = foresee(&records, &request);
        let told: Vec<_> = told.into_values().map(|item| (item.name, item.bytes, item.age_seconds)).collect();
        assert_eq!(told, [("old".to_owned(), 7, 9_900), ("shared".to_owned(), 0, 10_000)]);
    }
}
