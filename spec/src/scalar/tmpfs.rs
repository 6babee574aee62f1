//! Empty file systems in memory.

use super::Scalar;
use super::path::ContainerPath;
use super::size::parse_size;
use crate::problem::Problem;
use crate::{MountSource, TmpfsOptions};

/// The least that one holds, in bytes: a page.
const LEAST: u64 = 4 << 10;

/// `PATH[:size=SIZE,mode=MODE]`.
pub(crate) struct TmpfsMount {
    /// Where it is mounted.
    pub(crate) target: String,
    options: TmpfsOptions,
}

impl TmpfsMount {
    /// As the model has it.
    pub(crate) fn source(&self) -> MountSource {
        if self.options == TmpfsOptions::default() {
            MountSource::Tmpfs
        } else {
            MountSource::TmpfsWith(self.options)
        }
    }
}

impl Scalar for TmpfsMount {
    const FORMAT: &'static str = "tmpfs";
    const EXAMPLES: &'static [&'static str] = &["/tmp", "/run:size=64MiB,mode=755"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let (path, words) = text.split_once(':').unwrap_or((text, ""));
        let mut options = TmpfsOptions::default();
        for word in words.split(',').filter(|_| text.contains(':')) {
            match word.split_once('=') {
                Some(("size", size)) => options.size = Some(parse_size(size)?),
                Some(("mode", mode)) => options.mode = Some(parse_mode(mode)?),
                _ => {
                    return Err(Problem::new(format!("{word:?} is no option of a tmpfs"))
                        .hint("there are `size` and `mode`, as `/run:size=64MiB,mode=755`"));
                }
            }
        }
        if let Some(size) = options.size.filter(|size| *size < LEAST) {
            return Err(
                Problem::new(format!("a tmpfs of {size} bytes holds nothing")).hint("give it 4KiB or more")
            );
        }
        Ok(Self { target: ContainerPath::parse(path)?.0, options })
    }
}

/// Permissions as chmod(1) takes them.
fn parse_mode(text: &str) -> Result<u32, Problem> {
    let digits = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| digits && *mode <= 0o7777);
    mode.ok_or_else(|| {
        Problem::new(format!("{text:?} are no permissions")).hint("write them in octal, as `1777` or `755`")
    })
}
