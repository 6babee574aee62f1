//! Docker Engine is held to the suite.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "../daemon/host.rs"]
mod host;

use std::path::Path;

use homeostat_conformance::{UnderTest, every_case};
use homeostat_daemons::Docker;

const UNDER_TEST: UnderTest = UnderTest::Docker;

fn start(directory: &Path) -> Docker {
    Docker::start(directory)
}

macro_rules! tests {
    ($($module:ident::$case:ident),* $(,)?) => {
        $(
            #[test]
            fn $case() {
                host::run(stringify!($case), |engine, world| {
                    Box::pin(homeostat_conformance::$module::$case(engine, world))
                });
            }
        )*
    };
}

every_case!(tests);
