//! Docker Engine and Podman are held to the suite, two releases of each: this host's, which is to be Debian 12, and those
//! of Debian 13.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod host;

use homeostat_conformance::{UnderTest, every_case};

/// A test of each case, on the engine of the module.
macro_rules! tests {
    ($($module:ident::$case:ident),* $(,)?) => {
        $(
            #[test]
            fn $case() {
                host::run(ENGINE, stringify!($case), |engine, world| {
                    Box::pin(homeostat_conformance::$module::$case(engine, world))
                });
            }
        )*
    };
}

macro_rules! engine {
    ($name:ident, $engine:ident) => {
        mod $name {
            use super::{UnderTest, every_case, host};

            const ENGINE: UnderTest = UnderTest::$engine;
            every_case!(tests);
        }
    };
}

engine!(docker_20, Docker20);
engine!(docker_26, Docker26);
engine!(podman_4, Podman4);
engine!(podman_5, Podman5);
