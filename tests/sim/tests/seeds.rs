//! Ten thousand histories. `HOMEOSTAT_SIM_SEED=N cargo nextest run -p homeostat-sim one_seed` runs a single one again;
//! `HOMEOSTAT_SIM_FIRST=N` starts the parts at another seed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use homeostat_sim::run;

const SEEDS_OF_A_PART: u64 = 1250;

fn number(variable: &str) -> u64 {
    std::env::var(variable).map_or(0, |text| text.parse().expect("a seed is a number"))
}

fn part(index: u64) {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let first = number("HOMEOSTAT_SIM_FIRST") + index * SEEDS_OF_A_PART;
    for seed in first..first + SEEDS_OF_A_PART {
        let result = catch_unwind(AssertUnwindSafe(|| run(seed, directory.path())));
        assert!(
            result.is_ok(),
            "seed {seed} fails: HOMEOSTAT_SIM_SEED={seed} cargo nextest run -p homeostat-sim one_seed"
        );
    }
}

#[test]
fn one_seed() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    run(number("HOMEOSTAT_SIM_SEED"), directory.path());
}

#[test]
fn histories_of_the_first_part_end_well() {
    part(0);
}

#[test]
fn histories_of_the_second_part_end_well() {
    part(1);
}

#[test]
fn histories_of_the_third_part_end_well() {
    part(2);
}

#[test]
fn histories_of_the_fourth_part_end_well() {
    part(3);
}

#[test]
fn histories_of_the_fifth_part_end_well() {
    part(4);
}

#[test]
fn histories_of_the_sixth_part_end_well() {
    part(5);
}

#[test]
fn histories_of_the_seventh_part_end_well() {
    part(6);
}

#[test]
fn histories_of_the_eighth_part_end_well() {
    part(7);
}
