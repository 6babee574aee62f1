//! What an engine does not do: named, with the reason, and tried all the same.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;

/// The engines that are held to the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnderTest {
    /// Docker Engine.
    Docker,
    /// Podman, through its Docker API.
    Podman,
    /// The embedded engine.
    Embedded,
}

/// A case that fails on an engine, and why.
#[derive(Debug, Clone, Copy)]
pub struct Gap {
    /// The case's name, without its module.
    pub case: &'static str,
    /// Why it cannot pass.
    pub reason: &'static str,
}

/// The gaps of an engine. `docs/engines.md` has them too.
pub fn gaps(engine: UnderTest) -> &'static [Gap] {
    match engine {
        UnderTest::Docker => DOCKER,
        UnderTest::Podman => PODMAN,
        UnderTest::Embedded => EMBEDDED,
    }
}

const LOG_OPTIONS: Gap = Gap {
    case: "log_rotation_changes_in_place",
    reason: "a container's log options are fixed when it is created; the planner makes a new one",
};

const DOCKER: &[Gap] = &[LOG_OPTIONS];

const PODMAN: &[Gap] = &[
    LOG_OPTIONS,
    Gap {
        case: "limits_change_in_place",
        reason: "Podman's Docker API does not change limits; the planner makes a new container",
    },
    Gap {
        case: "observed_config_is_what_was_asked_for",
        reason: "Podman's Docker API does not change limits; the planner makes a new container",
    },
    Gap {
        case: "a_container_out_of_memory_is_told_so",
        reason: "Podman 4.3 with runc on cgroup v1 tells the kill and not its cause",
    },
    Gap {
        case: "a_log_is_bounded_and_keeps_the_newest",
        reason: "Podman cuts its log off in the middle of a line",
    },
    Gap {
        case: "a_removed_reference_is_gone_and_can_be_removed_twice",
        reason: "Podman takes no name from an image that a container uses, unless it removes the container too",
    },
    Gap {
        case: "both_streams_are_in_the_log_with_times",
        reason: "Podman tells times in whole seconds, and not the order of lines of the two streams",
    },
    Gap { case: "lines_before_a_time_are_left_out", reason: "Podman tells times in whole seconds" },
];

const EMBEDDED: &[Gap] = &[Gap {
    case: "containers_of_one_network_know_each_other_by_name",
    reason: "names are not resolved between containers yet",
}];

/// Runs a case. One that is a gap must fail: as soon as it passes, the gap is closed, and that is a failure too.
pub async fn hold_to(engine: UnderTest, case: &str, run: impl Future<Output = ()>) {
    let Some(gap) = gaps(engine).iter().find(|gap| gap.case == case) else {
        return run.await;
    };
    let failed = AssertUnwindSafe(run).catch_unwind().await.is_err();
    assert!(failed, "{engine:?} passes {case}: that gap is closed, so take it off the list");
    // The matrix shows it.
    println!("gap: {}", gap.reason);
}
