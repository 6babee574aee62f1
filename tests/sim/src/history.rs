//! What happens in a run, chosen at random.

use std::time::Duration;

use homeostat_reconciler::fake::Random;
use jiff::SignedDuration;

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happening {
    /// The specs, or the files beside them, are edited; with `false` nobody is told.
    Edit(bool),
    /// A file is broken by an edit.
    Break,
    /// All specs are gone, as when a disk is not mounted.
    Empty,
    /// The source stops answering, or answers again.
    SourceFails(bool),
    /// A container's process dies.
    Exit(i32),
    /// A container's health check fails from now on, or passes.
    Sick(bool),
    /// Everything that runs is gone at once, and so is the agent.
    PowerCut,
    /// The agent is killed in the middle of what it does, and started again.
    KillAgent,
    /// What the agent remembers is lost, with a kill.
    LoseStore,
    /// The store cannot be written, as when the disk is full, or can be again.
    FullDisk(bool),
    /// Answers and events of the engine get lost, or no longer.
    Chaos(bool),
    /// The engine does not say what there is, or does again.
    Blind(bool),
    /// The engine answers nothing, as a daemon that does not run, or does again.
    Away(bool),
    /// Builds do not come to an end, or do again.
    BuildsHang(bool),
    /// Somebody sets the host's clock.
    SetClock(SignedDuration),
}

/// What happens next, and how long nothing happens after it.
pub(crate) fn next(random: &mut Random) -> (Happening, Duration) {
    let happening = match random.below(32) {
        0..8 => Happening::Edit(random.per_mille(900)),
        8 => Happening::Break,
        9 => Happening::Empty,
        10 => Happening::SourceFails(random.per_mille(500)),
        11..15 => Happening::Exit(if random.per_mille(300) { 0 } else { 137 }),
        15 | 16 => Happening::Sick(random.per_mille(700)),
        17 => Happening::PowerCut,
        18..21 => Happening::KillAgent,
        21 => Happening::LoseStore,
        22 => Happening::FullDisk(random.per_mille(500)),
        23..26 => Happening::Chaos(random.per_mille(600)),
        26 => Happening::Blind(random.per_mille(500)),
        27 => Happening::Away(random.per_mille(500)),
        28 | 29 => Happening::BuildsHang(random.per_mille(500)),
        _ => Happening::SetClock(set_by(random)),
    };
    // Often so soon that the loop is in the middle of something.
    let pause = match random.below(3) {
        0 => Duration::from_micros(random.below(50)),
        1 => Duration::from_millis(random.below(2000)),
        _ => Duration::from_secs(random.below(60)),
    };
    (happening, pause)
}

/// By seconds, minutes or hours, forward or back.
fn set_by(random: &mut Random) -> SignedDuration {
    let unit = [1, 60, 3600][usize::try_from(random.below(3)).unwrap_or(0)];
    let count = i64::try_from(random.below(24)).unwrap_or(0) - 12;
    SignedDuration::from_secs(unit * count)
}
