//! Whom the kernel ends first when memory runs out, see `proc_pid_oom_score_adj(5)`.

use fs_err as fs;

const FILE: &str = "/proc/self/oom_score_adj";

/// A score that this process had.
pub(crate) struct OomScore(i32);

impl OomScore {
    /// Gives up the protection that the agent has and this process has inherited: what is started now, a container's
    /// program, is as likely to be ended as any other. Returns the score to go back to, if there was a protection.
    pub(crate) fn give_up_protection() -> Option<Self> {
        let score = fs::read_to_string(FILE).ok()?.trim().parse().ok().filter(|score| *score < 0)?;
        fs::write(FILE, "0").ok()?;
        Some(Self(score))
    }

    /// Takes the protection back for this process alone. Needs `CAP_SYS_RESOURCE`; without, it goes on unprotected.
    pub(crate) fn restore(self) {
        let _ = fs::write(FILE, self.0.to_string());
    }
}
