//! What an engine does not do: named, with the reason, and tried all the same.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;

/// The engines that are held to the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnderTest {
    /// Docker Engine 20.10, of Debian 12.
    Docker20,
    /// Docker Engine 26.1, of Debian 13.
    Docker26,
    /// Podman 4.3, of Debian 12, through its Docker API.
    Podman4,
    /// Podman 5.4, of Debian 13, through its Docker API.
    Podman5,
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
    /// What its failure says, as far as nothing else that could go wrong says so.
    pub symptom: &'static str,
}

/// What becomes of Podman 4.3's name server, aardvark-dns 1.4, on a busy host.
const fn after_one_has_left(case: &'static str) -> Gap {
    Gap {
        case,
        reason: "its name server opens its sockets anew when a container leaves, and at times then answers nobody until the next comes (aardvark-dns issue 389)",
        symptom: "no servers could be reached",
    }
}

const PODMAN_4_AT_TIMES: [Gap; 2] = [
    after_one_has_left("a_name_follows_its_container_when_it_is_made_anew"),
    after_one_has_left("a_container_has_the_address_asked_for"),
];

/// A case that fails on an engine at times, by no fault of what is tried: it may pass, and fails in no other way.
const fn at_times(engine: UnderTest) -> &'static [Gap] {
    match engine {
        UnderTest::Podman4 => &PODMAN_4_AT_TIMES,
        UnderTest::Docker20 => &[
            Gap {
                case: "a_command_has_a_terminal_with_the_size_of_the_window",
                reason: "Docker before 23 gives a terminal its size once the command runs",
                symptom: "left: \"stty: standard input\\r\\nready",
            },
            TERMINAL_OF_A_CONTAINER,
        ],
        UnderTest::Docker26 => &[TERMINAL_OF_A_CONTAINER],
        _ => &[],
    }
}

const TERMINAL_OF_A_CONTAINER: Gap = Gap {
    case: "a_container_has_a_terminal",
    reason: "Docker gives the terminal of a container the size of a window once its program runs",
    symptom: "\"31 97\\r\\n\": stty: standard input",
};

/// The gaps of an engine. `docs/engines.md` has them too.
pub fn gaps(engine: UnderTest) -> impl Iterator<Item = &'static Gap> {
    let own: &[Gap] = match engine {
        UnderTest::Docker20 => DOCKER_20,
        UnderTest::Docker26 => DOCKER_26,
        UnderTest::Podman4 => PODMAN_4,
        UnderTest::Podman5 => PODMAN_5,
        UnderTest::Embedded => EMBEDDED,
    };
    own.iter()
}

const LOG_OPTIONS: Gap = Gap {
    case: "log_rotation_changes_in_place",
    reason: "a container's log options are fixed when it is created; the planner makes a new one",
    symptom: "left: LogRotation { max_size: 10485760, max_files: 3 }\n right:",
};

/// What Docker's classic builder does not do, as the engine refuses it.
const fn takes_buildkit(case: &'static str) -> Gap {
    Gap { case, reason: "Docker builds with BuildKit from release 23 on", symptom: "which takes BuildKit" }
}

const DOCKER_20: &[Gap] = &[
    LOG_OPTIONS,
    Gap {
        case: "the_host_can_have_a_name",
        reason: "Docker 20.10 writes no address for host-gateway unless its configuration has host-gateway-ip",
        symptom: "<nil>\\toutside",
    },
    takes_buildkit("a_cache_is_mounted_from_step_to_step"),
    takes_buildkit("the_context_is_mounted_for_a_step"),
    takes_buildkit("memory_is_mounted_for_a_step"),
    takes_buildkit("a_here_document_is_run_and_copied"),
    takes_buildkit("a_file_is_copied_with_link"),
    takes_buildkit("a_file_is_copied_with_a_mode"),
    takes_buildkit("a_secret_is_seen_by_its_step_alone"),
    takes_buildkit("a_secret_that_is_required_is_missed_by_its_name"),
    takes_buildkit("a_step_talks_with_an_agent_for_keys"),
];

const DOCKER_26: &[Gap] = &[
    LOG_OPTIONS,
    Gap {
        case: "a_dockerfile_is_no_file_of_the_context",
        reason: "BuildKit does not read .dockerignore in a context that is sent as an archive",
        symptom: "left: [\".dockerfile.",
    },
];

const OUT_OF_MEMORY: Gap = Gap {
    case: "a_container_out_of_memory_is_told_so",
    reason: "with cgroup v1 Podman's conmon takes an event for it that it may miss when the container ends by it, and does not look again",
    symptom: "code: Some(137), oom_killed: false",
};

const BOUNDED_LOG: Gap = Gap {
    case: "a_log_is_bounded_and_keeps_the_newest",
    reason: "Podman's conmon has one file and begins it anew at the limit, also between two parts of a line",
    symptom: "these lines are not whole",
};

const LAST_NAME: Gap = Gap {
    case: "a_removed_reference_is_gone_and_can_be_removed_twice",
    reason: "Podman takes the last name from no image that a container uses, unless it removes the container too",
    symptom: "image is in use by a container",
};

const TIMES_OF_LINES: Gap = Gap {
    case: "both_streams_are_in_the_log_with_times",
    reason: "Podman's API tells times of lines in whole seconds, up to 5.7",
    symptom: "lines have times in whole seconds",
};

const LINES_BEFORE: Gap = Gap {
    case: "lines_before_a_time_are_left_out",
    reason: "Podman's API tells times of lines in whole seconds, up to 5.7",
    symptom: "lines have times in whole seconds",
};

const LINES_AFTER: Gap = Gap { case: "lines_after_a_time_are_left_out", ..LINES_BEFORE };

const DIRECTORIES_ABOVE: Gap = Gap {
    case: "what_a_container_changes_is_told",
    reason: "Podman tells of a directory only if it has changed itself, not for what has changed in it",
    symptom: "left: [(Changed, \"/bin\"), (Deleted, \"/bin/yes\"), (Changed, \"/home/worker\"), (Changed, \"/tmp\")",
};

const MADE_ANEW: Gap = Gap {
    case: "a_directory_that_is_made_anew_hides_what_was_in_it",
    reason: "Podman tells of a directory that was removed and made again as one that is gone",
    symptom: "left: [(Deleted, \"/www\"), (Added, \"/www/other\")]",
};

const SEVERAL_ATTACHED: Gap = Gap {
    case: "several_are_attached_to_a_container",
    reason: "Podman's conmon ends the standard input of a container with anybody who leaves it",
    symptom: "right: (\"got second\\n\", Some(137))",
};

const BUILD_CACHE: Gap = Gap {
    case: "build_cache_is_foreseen_with_its_sizes",
    reason: "Podman has no build cache: its builds leave images without a name, which go by the rule of images",
    symptom: "builds have left nothing",
};

/// What Podman's API does not take in memory, as the engine refuses it.
const fn in_the_context(case: &'static str) -> Gap {
    Gap {
        case,
        reason: "Podman's API takes secrets only as files of the context, which would be on its disk, and no agents",
        symptom: "only as files of the context",
    }
}

const PAUSED_PROCESSES: Gap = Gap {
    case: "a_paused_container_has_its_processes",
    reason: "Podman's API tells the processes of containers that run only",
    symptom: "Podman tells none of a paused container",
};

const PORT_RANGES: Gap = Gap {
    case: "a_free_port_of_a_range_is_chosen",
    reason: "Podman's Docker API takes no range of ports of the host",
    symptom: "strconv.Atoi: parsing",
};

/// Podman has its init from another package.
const fn takes_catatonit(case: &'static str) -> Gap {
    Gap {
        case,
        reason: "Podman's init is catatonit, which the root file system of Debian 13 for tests is without",
        symptom: "lookup init binary",
    }
}

const PODMAN_4: &[Gap] = &[
    DIRECTORIES_ABOVE,
    MADE_ANEW,
    Gap {
        case: "the_host_can_have_a_name",
        reason: "Podman 4.3 has its own name for the host, host.containers.internal, and takes host-gateway for an address",
        symptom: "host-gateway\\toutside",
    },
    Gap {
        case: "a_container_is_on_several_networks",
        // Which of the two is asked first is chance.
        reason: "its name server knows only the names of the network on which it is asked",
        symptom: ".dns.podman: NXDOMAIN",
    },
    LOG_OPTIONS,
    PORT_RANGES,
    in_the_context("a_secret_is_seen_by_its_step_alone"),
    in_the_context("a_secret_that_is_required_is_missed_by_its_name"),
    in_the_context("a_step_talks_with_an_agent_for_keys"),
    Gap {
        case: "limits_change_in_place",
        reason: "Podman's Docker API has no update of containers before 5.1; the planner makes a new container",
        symptom: "limits of container case/elastic cannot be changed: the engine says: Not Found",
    },
    Gap {
        case: "observed_config_is_what_was_asked_for",
        reason: "Podman's Docker API has no update of containers before 5.1; the planner makes a new container",
        symptom: "limits of container case/kept cannot be changed: the engine says: Not Found",
    },
    Gap {
        case: "a_here_document_is_run_and_copied",
        reason: "its Buildah takes the lines of a here-document for instructions",
        symptom: "Unknown instruction: \"SET\"",
    },
    Gap {
        case: "a_file_is_copied_with_link",
        reason: "its Buildah does not know COPY --link",
        symptom: "COPY only supports the --chmod",
    },
    OUT_OF_MEMORY,
    BOUNDED_LOG,
    LAST_NAME,
    TIMES_OF_LINES,
    LINES_BEFORE,
    LINES_AFTER,
    PAUSED_PROCESSES,
    SEVERAL_ATTACHED,
    BUILD_CACHE,
];

const FEWER_CAPABILITIES: &str = "Podman 5.4 gives containers fewer capabilities than Docker by default: NET_RAW, which ping needs, is not among them";

const PODMAN_5: &[Gap] = &[
    DIRECTORIES_ABOVE,
    MADE_ANEW,
    takes_catatonit("an_init_starts_the_program_and_passes_signals_on"),
    takes_catatonit("an_init_takes_in_processes_that_nobody_waits_for"),
    LOG_OPTIONS,
    PORT_RANGES,
    in_the_context("a_secret_is_seen_by_its_step_alone"),
    in_the_context("a_secret_that_is_required_is_missed_by_its_name"),
    in_the_context("a_step_talks_with_an_agent_for_keys"),
    Gap {
        case: "a_file_is_copied_with_link",
        reason: "its Buildah does not know COPY --link",
        symptom: "COPY --link is not supported",
    },
    BOUNDED_LOG,
    LAST_NAME,
    TIMES_OF_LINES,
    LINES_BEFORE,
    LINES_AFTER,
    PAUSED_PROCESSES,
    SEVERAL_ATTACHED,
    BUILD_CACHE,
    Gap {
        case: "a_container_without_network_has_only_loopback",
        reason: FEWER_CAPABILITIES,
        symptom: "permission denied (are you root?)",
    },
    Gap {
        case: "an_internal_network_has_no_way_out",
        reason: FEWER_CAPABILITIES,
        symptom: "failed: front\n  left: [\"not reached\"]",
    },
    Gap { case: "dropped_capabilities_are_gone", reason: FEWER_CAPABILITIES, symptom: "00000000800405fb" },
];

const EMBEDDED: &[Gap] = &[];

/// Runs a case. One that is a gap must fail with its symptom: as soon as it passes, the gap is closed, and that is a
/// failure too, as is to fail in another way. Only one that fails at times may pass.
pub async fn hold_to(engine: UnderTest, case: &str, run: impl Future<Output = ()>) {
    let mut known =
        gaps(engine).map(|gap| (gap, false)).chain(at_times(engine).iter().map(|gap| (gap, true)));
    let Some((gap, may_pass)) = known.find(|(gap, _)| gap.case == case) else {
        return run.await;
    };
    let Err(failure) = AssertUnwindSafe(run).catch_unwind().await else {
        assert!(may_pass, "{engine:?} passes {case}: that gap is closed, so take it off the list");
        return;
    };
    let said = text(&*failure);
    assert!(
        said.contains(gap.symptom),
        "{engine:?} fails {case} in another way than its gap: {:?} is not in {said:?}",
        gap.symptom
    );
    // The matrix shows it.
    println!("gap: {}", gap.reason);
}

/// What a panic said.
fn text(failure: &(dyn Any + Send)) -> &str {
    let formatted = failure.downcast_ref::<String>().map(String::as_str);
    formatted.or_else(|| failure.downcast_ref::<&str>().copied()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn hold(run: impl Future<Output = ()>) -> Result<(), String> {
        let held = hold_to(UnderTest::Docker20, LOG_OPTIONS.case, run);
        let failed = AssertUnwindSafe(held).catch_unwind().await;
        failed.map_err(|failure| text(&*failure).to_owned())
    }

    #[tokio::test]
    async fn a_gap_fails_with_its_symptom_and_in_no_other_way() {
        assert_eq!(hold(async { panic!("so: {}!", LOG_OPTIONS.symptom) }).await, Ok(()));
        let other = hold(async { panic!("the daemon is gone") }).await.unwrap_err();
        assert!(other.contains("in another way") && other.contains("the daemon is gone"), "{other}");
        let passed = hold(async {}).await.unwrap_err();
        assert!(passed.contains("that gap is closed"), "{passed}");
    }

    #[tokio::test]
    async fn what_fails_at_times_may_pass_and_fails_in_no_other_way() {
        let [gap, ..] = at_times(UnderTest::Podman4) else { panic!("there are some") };
        let hold = |run: futures::future::BoxFuture<'static, ()>| async {
            AssertUnwindSafe(hold_to(UnderTest::Podman4, gap.case, run)).catch_unwind().await
        };
        assert!(hold(async {}.boxed()).await.is_ok());
        assert!(hold(async { panic!("so: {}", gap.symptom) }.boxed()).await.is_ok());
        assert!(hold(async { panic!("the daemon is gone") }.boxed()).await.is_err());
    }

    #[test]
    fn no_gap_has_an_empty_symptom() {
        use UnderTest::{Docker20, Docker26, Embedded, Podman4, Podman5};
        for engine in [Docker20, Docker26, Podman4, Podman5, Embedded] {
            let mut all = gaps(engine).chain(at_times(engine));
            assert!(all.all(|gap| !gap.symptom.is_empty() && !gap.reason.is_empty()));
        }
    }
}
