//! What an engine has on its disk.

use serde::{Deserialize, Serialize};

/// What an engine has on its disk, whoever made it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskUsage {
    /// Images; active are those of containers. What several have is counted once.
    pub images: Taken,
    /// What containers have written; active are those that run or are paused.
    pub containers: Taken,
    /// Volumes; active are those that containers use.
    pub volumes: Taken,
    /// What builds have left, without what images have as well; active is what builds are using.
    pub build_cache: Taken,
    /// The disk with the images, where the engine knows that.
    pub disk: Option<DiskSpace>,
}

/// What things of one kind take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// How many there are.
    pub count: u64,
    /// How many of them are needed now.
    pub active: u64,
    /// What they take on disk, in bytes.
    pub bytes: u64,
    /// What would be free without those that are not active, in bytes.
    pub reclaimable: u64,
}

impl Taken {
    /// One more that takes so many bytes of its own.
    pub fn add(&mut self, active: bool, bytes: u64) {
        self.count += 1;
        self.active += u64::from(active);
        self.bytes += bytes;
        self.reclaimable += if active { 0 } else { bytes };
    }
}

/// How full a disk is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSpace {
    /// What is in use, in bytes.
    pub used: u64,
    /// What can still be used, in bytes, without what the file system keeps for itself.
    pub available: u64,
}

impl DiskSpace {
    /// How full it is in hundredths, rounded up, as `df` tells it.
    pub fn fill(&self) -> u8 {
        let all = u128::from(self.used) + u128::from(self.available);
        let fill = (u128::from(self.used) * 100).div_ceil(all.max(1));
        u8::try_from(fill).unwrap_or(100)
    }

    /// So many bytes have to go until it is no fuller than so many hundredths.
    pub fn excess(&self, fill: u8) -> u64 {
        let all = u128::from(self.used) + u128::from(self.available);
        let allowed = all * u128::from(fill) / 100;
        u64::try_from(u128::from(self.used).saturating_sub(allowed)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fill_is_rounded_up_and_an_excess_is_what_has_to_go() {
        let space = |used, available| DiskSpace { used, available };
        assert_eq!((space(0, 0).fill(), space(1, 999).fill(), space(85, 15).fill()), (0, 1, 85));
        assert_eq!(space(u64::MAX, u64::MAX).fill(), 50);
        assert_eq!((space(850, 150).excess(80), space(700, 300).excess(80)), (50, 0));
    }
}
