//! `SOURCE:TARGET[:ro]`, as in Compose.

use super::Scalar;
use super::path::{parse_absolute, parse_relative};
use crate::Name;
use crate::problem::Problem;

/// One entry of `volumes`.
pub(crate) struct VolumeMount {
    pub(crate) source: VolumeSource,
    /// Absolute path inside the container.
    pub(crate) target: String,
    pub(crate) read_only: bool,
}

/// What a [`VolumeMount`] shows.
pub(crate) enum VolumeSource {
    /// A `[volume.NAME]`.
    Volume(Name),
    /// An absolute path of the host.
    Host(String),
    /// A path relative to the root of the source.
    Source(String),
}

impl Scalar for VolumeMount {
    const FORMAT: &'static str = "volume-mount";
    const EXAMPLES: &'static [&'static str] =
        &["data:/app/data", "./conf:/etc/app:ro", "/srv/media:/media:ro"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let hint = "write `SOURCE:TARGET` or `SOURCE:TARGET:ro`, as `data:/app/data`";
        let parts: Vec<_> = text.split(':').collect();
        let (source, target, read_only) = match parts[..] {
            [source, target] | [source, target, "rw"] => (source, target, false),
            [source, target, "ro"] => (source, target, true),
            [_, _, option] => {
                return Err(Problem::new(format!("{option:?} is no option of a mount"))
                    .hint("write `:ro`, or nothing"));
            }
            _ => return Err(Problem::new(format!("{text:?} is no mount")).hint(hint)),
        };
        let target = parse_absolute(target, "the target of a mount")?;
        let source = parse_source(source)?;
        if matches!(source, VolumeSource::Source(_)) && !read_only {
            return Err(Problem::new(format!("{text:?} would let the container change the source"))
                .hint("files of the source are mounted read-only: add `:ro`"));
        }
        Ok(Self { source, target, read_only })
    }
}

fn parse_source(text: &str) -> Result<VolumeSource, Problem> {
    if text.starts_with('/') {
        parse_absolute(text, "a path of the host").map(VolumeSource::Host)
    } else if text.starts_with('.') || text.contains('/') {
        parse_relative(text, "the source").map(VolumeSource::Source)
    } else {
        let problem = |problem: Problem| {
            let message = problem.message;
            Problem::new(message).hint("name a [volume.*], or begin a path with `./` (source) or `/` (host)")
        };
        Name::parse(text).map(VolumeSource::Volume).map_err(problem)
    }
}
