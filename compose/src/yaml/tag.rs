//! Tags: what a file says of the merging of its own values.

use saphyr_parser::Tag as Written;

/// What becomes of a value when files are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tag {
    /// It is merged with the one below.
    #[default]
    Merge,
    /// `!reset`: nothing stands here, whatever the file below says.
    Reset,
    /// `!override`: it takes the place of the one below.
    Override,
}

impl Tag {
    /// The meaning of a tag.
    ///
    /// # Errors
    /// The tag, when Compose has none of that name. Those of YAML itself say what type a value has, which is known here from
    /// its key.
    pub(crate) fn of(written: Option<&Written>) -> Result<Self, String> {
        let Some(written) = written else { return Ok(Self::Merge) };
        match (written.handle.as_str(), written.suffix.as_str()) {
            ("!", "reset") => Ok(Self::Reset),
            ("!", "override") => Ok(Self::Override),
            // `!` alone says that a scalar is text.
            ("!", "") | ("", "!") => Ok(Self::Merge),
            _ if written.is_yaml_core_schema() => Ok(Self::Merge),
            _ => Err(written.to_string()),
        }
    }
}
