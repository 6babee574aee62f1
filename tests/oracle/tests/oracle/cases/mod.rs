//! The cases of the Dockerfile.

mod add;
mod configuration;
mod copy;
mod expand;
mod fetched;
mod heredocs;
mod onbuild;
mod parser;
mod run;
mod stages;

pub(crate) use fetched::serve;

use crate::case::Case;

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    let all = [
        add::cases(),
        configuration::cases(),
        copy::cases(),
        expand::cases(),
        fetched::cases(),
        heredocs::cases(),
        onbuild::cases(),
        parser::cases(),
        run::cases(),
        stages::cases(),
    ];
    all.into_iter().flatten().collect()
}

/// Cases that are no more than a name and a Dockerfile.
fn plain(cases: &[(&str, &str)]) -> Vec<Case> {
    cases.iter().map(|(name, dockerfile)| Case::new(name, dockerfile)).collect()
}

/// The same, which both refuse.
fn refused(cases: &[(&str, &str)]) -> Vec<Case> {
    plain(cases).into_iter().map(Case::refused).collect()
}
