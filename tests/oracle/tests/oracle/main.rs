//! Docker as the oracle of builds: each case is built by homeostat and by the BuildKit of Docker 26.1, and what comes
//! of it must be the same: every path with its type, mode, owner, time, links, attributes and content, and the image's
//! configuration with its history.
//!
//! Where the two are meant to differ, the case says so with the reason. `HOMEOSTAT_ORACLE_CASE=TEXT` runs only the
//! cases with TEXT in their names.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

mod archives;
mod caches;
mod case;
mod cases;
mod compare;
mod context;
mod docker;
mod homeostat;
mod ignores;
mod image;
mod tree;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use caches::CacheCase;
use case::{Case, Outcome};
use docker::Docker;
use homeostat::Homeostat;
use nix::sched::CloneFlags;

/// How many builds Docker does at a time: it waits more than it works.
const AT_ONCE: usize = 4;

/// As many cases as there must be at least, of the Dockerfile and of .dockerignore.
const CASES: (usize, usize) = (150, 200);

/// Builds a case from a context, under a tag.
type Build<'a> = dyn Fn(&Path, &str, &Case) -> Outcome + 'a;

#[test]
fn homeostat_builds_what_docker_builds() {
    // Before there are other threads, which then inherit it.
    nix::sched::unshare(CloneFlags::CLONE_NEWNET).unwrap();
    homeostat_network::loopback_up().unwrap();
    let (dockerfiles, ignores) = (cases::all(), ignores::all());
    assert!(
        dockerfiles.len() >= CASES.0 && ignores.len() >= CASES.1,
        "{} {}",
        dockerfiles.len(),
        ignores.len()
    );
    let wanted = std::env::var("HOMEOSTAT_ORACLE_CASE").unwrap_or_default();
    let cases: Vec<Case> =
        dockerfiles.into_iter().chain(ignores).filter(|case| case.name.contains(&wanted)).collect();
    assert_names_are_unique(&cases);

    let place = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    for (number, case) in cases.iter().enumerate() {
        context::write(&place.path().join(number.to_string()), &case::tag(number), case);
    }
    let _web = cases::serve();
    let docker = Docker::start(&place.path().join("world"), place.path());
    let homeostat = Homeostat::start(&place.path().join("homeostat"));
    let (expected, actual) = std::thread::scope(|scope| {
        let expected = scope.spawn(|| by_docker(&docker, &cases, place.path()));
        let build = |(number, case): (usize, &Case)| {
            homeostat.build(&place.path().join(number.to_string()), &case::tag(number), case)
        };
        let actual: Vec<Outcome> = cases.iter().enumerate().map(build).collect();
        (expected.join().unwrap(), actual)
    });
    let caches: Vec<CacheCase> =
        caches::all().into_iter().filter(|case| case.first.name.contains(&wanted)).collect();
    let mut tags = built(&expected);
    for (number, case) in caches.iter().enumerate() {
        let by_docker = |context: &Path, tag: &str, case: &Case| docker.build(context, tag, case);
        let here = |context: &Path, tag: &str, case: &Case| homeostat.build(context, tag, case);
        for (side, build) in [("docker", &by_docker as &Build), ("homeostat", &here)] {
            let directory = place.path().join("caches").join(side);
            fs_err::create_dir_all(&directory).unwrap();
            case.build(number, &directory, build).unwrap();
        }
        tags.extend(CacheCase::tags(number));
    }
    let saved = docker.save(&tags);
    let mut failures = Vec::new();
    for (number, case) in caches.iter().enumerate() {
        let by_docker = |tag: &str| image::saved(&saved, tag);
        let here = |tag: &str| homeostat.image(tag);
        failures.extend(case.verdict(number, [&by_docker, &here]));
    }
    for (number, case) in cases.iter().enumerate() {
        let tag = case::tag(number);
        let images = || (image::saved(&saved, &tag), homeostat.image(&tag));
        if let Some(difference) = compare::verdict(case, &expected[number], &actual[number], images) {
            failures.push(format!("{}:\n{}\n{difference}", case.name, case.shown()));
        }
    }
    println!(
        "{} cases in {:.1} s, {} of them differ",
        cases.len() + caches.len(),
        begin.elapsed().as_secs_f64(),
        failures.len()
    );
    assert!(
        failures.is_empty(),
        "{}\n{} of {} cases differ",
        failures.join("\n\n"),
        failures.len(),
        cases.len()
    );
}

fn by_docker(docker: &Docker, cases: &[Case], place: &Path) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let mut outcomes: Vec<(usize, Outcome)> = std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(case) = cases.get(number) else { return done };
                let outcome = docker.build(&place.join(number.to_string()), &case::tag(number), case);
                done.push((number, outcome));
            }
        };
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    outcomes.sort_by_key(|(number, _)| *number);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn built(outcomes: &[Outcome]) -> Vec<String> {
    outcomes
        .iter()
        .enumerate()
        .filter(|(_, outcome)| outcome.is_ok())
        .map(|(number, _)| case::tag(number))
        .collect()
}

fn assert_names_are_unique(cases: &[Case]) {
    let mut names: Vec<&str> = cases.iter().map(|case| &*case.name).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        assert_ne!(pair[0], pair[1], "two cases have one name");
    }
}
