//! Faults to inject into a [`FakeEngine`](super::FakeEngine).

use crate::ErrorKind;

/// The operations of an engine that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // Each is named after the method of `Engine`.
pub enum Operation {
    Observe,
    FindForeign,
    AdoptContainer,
    BuildImage,
    PullImage,
    RemoveImage,
    Prune,
    DiskUsage,
    CreateVolume,
    RemoveVolume,
    CreateNetwork,
    RemoveNetwork,
    CreateContainer,
    StartContainer,
    StopContainer,
    PauseContainer,
    ResumeContainer,
    UpdateContainer,
    RemoveContainer,
    Exec,
    Usage,
}

/// When a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultTime {
    /// Before it changes anything.
    Before,
    /// After it did what was asked: the answer is lost.
    After,
}

/// Makes calls fail.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Which operation.
    pub operation: Operation,
    /// On which resource or reference; any when `None`.
    pub on: Option<String>,
    /// So many calls fail; then it is gone.
    pub times: u32,
    /// When each fails.
    pub time: FaultTime,
    /// The kind of the error.
    pub kind: ErrorKind,
}

/// Makes calls fail at random.
#[derive(Debug, Clone)]
pub struct Chaos {
    /// Where the randomness comes from.
    pub random: Random,
    /// So many calls of a thousand fail before they change anything.
    pub before_per_mille: u32,
    /// So many calls of a thousand fail after they did what was asked.
    pub after_per_mille: u32,
    /// So many events of a thousand are lost, until the chaos ends; then one event makes up for them.
    pub lost_per_mille: u32,
}

/// Numbers that look random and follow from a seed (the `SplitMix64` generator).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_number() % bound
    }

    /// True so many times of a thousand.
    pub fn per_mille(&mut self, share: u32) -> bool {
        self.below(1000) < u64::from(share)
    }
}
