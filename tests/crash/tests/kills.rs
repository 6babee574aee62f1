//! Killed at each system call that changes a file; without `HOMEOSTAT_EVERY_POINT`, at some of them only.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use homeostat_crash::{Interruption, Rig, Work};

/// How many points are tried of each work when not all are.
const SAMPLE: usize = 5;

/// One point after the other, until the work is done before it.
fn killed_at_each_point(work: Work) {
    let mut rig = Rig::new(work);
    let all = std::env::var_os("HOMEOSTAT_EVERY_POINT").is_some();
    let step = if all { 1 } else { rig.points().div_ceil(SAMPLE) };
    let mut kills = 0;
    // Not always the same ones.
    let mut at = 1 + std::process::id() as usize % step;
    while rig.interrupt(at, Interruption::Kill).is_some() {
        kills += 1;
        at += step;
    }
    println!("{work:?}: {kills} kills at {} points", rig.points());
    assert!(kills > 0);
}

#[test]
fn a_pull_that_is_killed_is_done_again_and_leaves_nothing() {
    killed_at_each_point(Work::Pull);
}

#[test]
fn a_build_that_is_killed_is_done_again_and_leaves_nothing() {
    killed_at_each_point(Work::Build);
}

#[test]
fn a_creation_that_is_killed_is_done_again_and_leaves_nothing() {
    killed_at_each_point(Work::Create);
}

#[test]
fn a_prune_that_is_killed_is_done_again_and_leaves_nothing() {
    killed_at_each_point(Work::Prune);
}
