//! The embedded engine is held to the suite, and to what only it promises.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod crowd;
mod differential;
mod fields;
mod host;
mod kills;
mod leaks;
mod own;
mod prune;
mod resolution;
mod room;

use homeostat_conformance::every_case;

macro_rules! tests {
    ($($module:ident::$case:ident),* $(,)?) => {
        $(
            #[test]
            fn $case() {
                host::run(stringify!($case), |engine, world| Box::pin(homeostat_conformance::$module::$case(engine, world)));
            }
        )*
    };
}

every_case!(tests);
