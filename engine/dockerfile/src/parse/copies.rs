//! `COPY` and `ADD`.

use super::Parser;
use super::arguments::json_strings;
use super::flags::Flags;
use crate::file::{Copy, Source};
use crate::lines::Line;
use crate::{Heredoc, Pattern, Problem, Remote};

impl Parser {
    pub(super) fn copy(&self, instruction: &'static str, rest: &str, line: &Line) -> Result<Copy, Problem> {
        let (mut flags, rest) = Flags::read(instruction, rest, self.escape);
        let from = if instruction == "COPY" { flags.take("from")? } else { None };
        let chown = flags.take("chown")?;
        let chmod = flags.take("chmod")?;
        let own_layer = flags.take_switch("link")?.unwrap_or(false);
        let exclude = flags.take_all("exclude")?;
        let parents = instruction == "COPY" && flags.take_switch("parents")?.unwrap_or(false);
        let unpack = if instruction == "ADD" { flags.take_switch("unpack")? } else { None };
        let checksum = if instruction == "ADD" { flags.take("checksum")? } else { None };
        if instruction == "ADD" && flags.take_switch("keep-git-dir")? == Some(true) {
            return Err(Problem::Unsupported {
                what: "ADD --keep-git-dir".to_owned(),
                instead: "clone the repository with RUN, or leave its history out",
            });
        }
        flags.finish()?;
        let mut paths = match json_strings(instruction, rest)? {
            Some(paths) => paths,
            None => rest.split_whitespace().map(str::to_owned).collect(),
        };
        let destination = paths.pop().filter(|_| !paths.is_empty()).ok_or(Problem::Arguments {
            instruction,
            needs: "needs at least one source and a destination",
            usage: "COPY source destination",
        })?;
        let mut heredocs = line.heredocs.iter();
        let sources = paths.into_iter().map(|path| source(path, &mut heredocs)).collect::<Result<_, _>>()?;
        Ok(Copy {
            sources,
            destination,
            from,
            chown,
            chmod,
            link: own_layer,
            parents,
            exclude,
            unpack,
            checksum,
        })
    }

    pub(super) fn add(&self, rest: &str, line: &Line) -> Result<Copy, Problem> {
        let copy = self.copy("ADD", rest, line)?;
        // What a variable hides is judged when its value is known.
        let may_be_remote = |source: &Source| matches!(source, Source::Path(path) if path.contains('$') || Remote::parse(path).is_some());
        if copy.checksum.is_some() && !matches!(copy.sources.as_slice(), [only] if may_be_remote(only)) {
            return Err(Problem::Arguments {
                instruction: "ADD",
                needs: "with --checksum needs one source, which is fetched",
                usage: "ADD --checksum=sha256:DIGEST https://example.org/file destination",
            });
        }
        Ok(copy)
    }
}

fn source<'a>(path: String, heredocs: &mut impl Iterator<Item = &'a Heredoc>) -> Result<Source, Problem> {
    if Heredoc::begin(&path).is_some()
        && let Some(heredoc) = heredocs.next()
    {
        return Ok(Source::Inline(heredoc.clone()));
    }
    // Without variables a wildcard can be judged now.
    if !path.contains('$') && Remote::parse(&path).is_none() && Pattern::is_wild(&path) {
        Pattern::for_copy(&path).map_err(Problem::Pattern)?;
    }
    Ok(Source::Path(path))
}
