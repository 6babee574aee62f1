//! The power cut at random moments. `HOMEOSTAT_CUTS` is how many cuts each test makes, without it those of some seconds;
//! `HOMEOSTAT_CUT_SEED` makes the cuts of an earlier run again, which has printed it.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use homeostat_crash::{Cut, Interruption, Point, Rig, Work};

/// How long a test makes cuts that is not told how many.
const TIME: Duration = Duration::from_secs(4);

/// Random numbers, the same for the same seed: splitmix64.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let seed = std::env::var("HOMEOSTAT_CUT_SEED").map_or_else(
            |_| std::time::UNIX_EPOCH.elapsed().unwrap().as_secs(),
            |text| text.parse().unwrap(),
        );
        println!("HOMEOSTAT_CUT_SEED={seed}");
        Self(seed)
    }

    /// Less than `bound`.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }
}

/// What was being done when the power went.
fn phase(work: Work, point: &Point) -> &'static str {
    let path = point.path.to_str().unwrap_or_default();
    match work {
        Work::Pull if path.contains("/image/downloads/") => "pull",
        Work::Pull if path.contains("/image/staging/") => "unpack",
        Work::Build if path.contains("/image/staging/") || path.contains("/image/ingest/") => "build",
        Work::Pull | Work::Build => "record of an image",
        Work::Create => "record of a container",
        Work::Prune => "prune",
    }
}

fn cut_at_random_points(work: Work) {
    let cuts = std::env::var("HOMEOSTAT_CUTS").ok().map(|text| text.parse::<usize>().unwrap());
    let mut random = Random::new();
    let mut rig = Rig::new(work);
    let start = Instant::now();
    let mut phases = BTreeMap::new();
    let mut made = 0;
    while cuts.map_or_else(|| made < 3 || start.elapsed() < TIME, |cuts| made < cuts) {
        let at = 1 + random.below(rig.points());
        let cut = [Cut::Nothing, Cut::Journal][random.below(2)];
        // Half of them with nothing written down before.
        let written_back = random.below(2) * random.below(at);
        if let Some(point) = rig.interrupt(at, Interruption::PowerCut { cut, written_back }) {
            *phases.entry(phase(work, &point)).or_insert(0) += 1;
            made += 1;
        }
    }
    println!("{work:?}: {made} cuts in {:.0?}: {phases:?}", start.elapsed());
}

#[test]
fn a_pull_that_lost_power_is_done_again_and_nothing_recorded_is_damaged() {
    cut_at_random_points(Work::Pull);
}

#[test]
fn a_build_that_lost_power_is_done_again_and_nothing_recorded_is_damaged() {
    cut_at_random_points(Work::Build);
}

#[test]
fn a_creation_that_lost_power_is_done_again_and_nothing_recorded_is_damaged() {
    cut_at_random_points(Work::Create);
}

#[test]
fn a_prune_that_lost_power_is_done_again_and_nothing_that_is_needed_is_damaged() {
    cut_at_random_points(Work::Prune);
}
