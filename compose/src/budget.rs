//! What an import may take of memory, whatever the files say.

use crate::error::Problem;
use crate::yaml::Place;

/// The most bytes that aliases, variables, `extends` and `include` may add up to. Without a bound, ten lines of YAML can
/// name a value that fills the memory of any host.
const MOST: usize = 16 * 1024 * 1024;

/// How much is left.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: MOST }
    }
}

impl Budget {
    /// Takes `bytes` off.
    ///
    /// # Errors
    /// When so many are not left.
    pub(crate) fn spend(&mut self, bytes: usize, place: Place) -> Result<(), Problem> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Problem::new(
                place,
                format!("aliases, variables and files add up to more than {} MiB", MOST >> 20),
            )),
        }
    }
}
