//! What happens in a run, chosen at random.

use std::time::Duration;

use homeostat_reconciler::fake::Random;

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happening {
    /// The specs are edited; with `false` nobody is told.
    Edit(bool),
    /// A file is broken by an edit.
    Break,
    /// The source stops answering, or answers again.
    SourceFails(bool),
    /// A container's process dies.
    Exit(i32),
    /// Everything that runs is gone at once, and so is the agent.
    PowerCut,
    /// The agent is killed in the middle of what it does, and started again.
    KillAgent,
    /// What the agent remembers is lost, with a kill.
    LoseStore,
    /// Answers and events of the engine get lost, or no longer.
    Chaos(bool),
}

/// What happens next, and how long nothing happens after it.
pub(crate) fn next(random: &mut Random) -> (Happening, Duration) {
    let happening = match random.below(20) {
        0..6 => Happening::Edit(random.per_mille(900)),
        6 => Happening::Break,
        7 => Happening::SourceFails(random.per_mille(500)),
        8..12 => Happening::Exit(if random.per_mille(300) { 0 } else { 137 }),
        12 => Happening::PowerCut,
        13..16 => Happening::KillAgent,
        16 => Happening::LoseStore,
        _ => Happening::Chaos(random.per_mille(600)),
    };
    // Often so soon that the loop is in the middle of something.
    let pause = match random.below(3) {
        0 => Duration::from_micros(random.below(50)),
        1 => Duration::from_millis(random.below(2000)),
        _ => Duration::from_secs(random.below(60)),
    };
    (happening, pause)
}
