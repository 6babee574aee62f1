//! What happens in a run, chosen at random: every run has a mix of its own.

use std::time::Duration;

use homeostat_reconciler::fake::Random;
use jiff::SignedDuration;

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happening {
    /// The specs, or the files beside them, are edited; with `false` nobody is told.
    Edit(bool),
    /// What was edited last is undone.
    Revert,
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

/// A kind of [`Happening`], and how often it comes up in an even mix.
const KINDS: [(Kind, u64); 16] = [
    (Kind::Edit, 7),
    (Kind::Revert, 1),
    (Kind::Break, 1),
    (Kind::Empty, 1),
    (Kind::SourceFails, 1),
    (Kind::Exit, 4),
    (Kind::Sick, 2),
    (Kind::PowerCut, 1),
    (Kind::KillAgent, 3),
    (Kind::LoseStore, 1),
    (Kind::FullDisk, 1),
    (Kind::Chaos, 3),
    (Kind::Blind, 1),
    (Kind::Away, 1),
    (Kind::BuildsHang, 2),
    (Kind::SetClock, 2),
];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Edit,
    Revert,
    Break,
    Empty,
    SourceFails,
    Exit,
    Sick,
    PowerCut,
    KillAgent,
    LoseStore,
    FullDisk,
    Chaos,
    Blind,
    Away,
    BuildsHang,
    SetClock,
}

/// How often what happens in a run, and how fast. Some mixes are even, in some a few kinds prevail and others never
/// come up.
#[derive(Debug)]
pub(crate) struct Mix {
    /// By the index of the kind.
    weights: [u64; KINDS.len()],
    /// How often no, a short and a long time passes between two happenings.
    pauses: [u64; 3],
    /// So many calls of a thousand fail in chaos, before or after they did what was asked, and so many events are lost.
    pub(crate) chaos: [u32; 3],
    /// How much happens.
    pub(crate) length: u64,
}

impl Mix {
    /// The mix of a run.
    pub(crate) fn any(random: &mut Random) -> Self {
        let mut mix = Self {
            weights: KINDS.map(|(_, weight)| weight),
            pauses: [1; 3],
            chaos: [100, 100, 300],
            length: 12,
        };
        if random.per_mille(300) {
            return mix;
        }
        for weight in &mut mix.weights {
            *weight *= [0, 1, 1, 6][choice(random, 4)];
        }
        // Something has to happen.
        mix.weights[0] = mix.weights[0].max(1);
        mix.pauses = mix.pauses.map(|_| 1 + random.below(6));
        mix.chaos = mix.chaos.map(|_| [20, 100, 300, 600][choice(random, 4)]);
        mix.length = 6 + random.below(24);
        mix
    }

    /// What happens next, and how long nothing happens after it.
    pub(crate) fn next(&self, random: &mut Random) -> (Happening, Duration) {
        let kind = KINDS[weighted(&self.weights, random)].0;
        // Often so soon that the loop is in the middle of something.
        let pause = match weighted(&self.pauses, random) {
            0 => Duration::from_micros(random.below(50)),
            1 => Duration::from_millis(random.below(2000)),
            _ => Duration::from_secs(random.below(60)),
        };
        (happening(kind, random), pause)
    }
}

fn happening(kind: Kind, random: &mut Random) -> Happening {
    match kind {
        Kind::Edit => Happening::Edit(random.per_mille(900)),
        Kind::Revert => Happening::Revert,
        Kind::Break => Happening::Break,
        Kind::Empty => Happening::Empty,
        Kind::SourceFails => Happening::SourceFails(random.per_mille(500)),
        Kind::Exit => Happening::Exit([0, 137, 143][choice(random, 3)]),
        Kind::Sick => Happening::Sick(random.per_mille(700)),
        Kind::PowerCut => Happening::PowerCut,
        Kind::KillAgent => Happening::KillAgent,
        Kind::LoseStore => Happening::LoseStore,
        Kind::FullDisk => Happening::FullDisk(random.per_mille(500)),
        Kind::Chaos => Happening::Chaos(random.per_mille(600)),
        Kind::Blind => Happening::Blind(random.per_mille(500)),
        Kind::Away => Happening::Away(random.per_mille(500)),
        Kind::BuildsHang => Happening::BuildsHang(random.per_mille(500)),
        Kind::SetClock => Happening::SetClock(set_by(random)),
    }
}

/// By seconds, minutes or hours, forward or back.
fn set_by(random: &mut Random) -> SignedDuration {
    let unit = [1, 60, 3600][choice(random, 3)];
    let count = i64::try_from(random.below(24)).unwrap_or(0) - 12;
    SignedDuration::from_secs(unit * count)
}

/// An index below `bound`, each as likely as the others.
fn choice(random: &mut Random, bound: u64) -> usize {
    usize::try_from(random.below(bound)).unwrap_or(0)
}

/// An index into weights, each as likely as its weight says.
fn weighted(weights: &[u64], random: &mut Random) -> usize {
    let mut rest = random.below(weights.iter().sum());
    for (index, weight) in weights.iter().enumerate() {
        if rest < *weight {
            return index;
        }
        rest -= weight;
    }
    0
}
