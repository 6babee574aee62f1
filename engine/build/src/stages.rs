//! Which stages a target needs.

use homeostat_dockerfile::{Command, Dockerfile, Globals};

use crate::{BuildError, StepError};

/// Where a stage's files begin, or where `COPY --from` takes files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nothing.
    Scratch,
    /// An earlier stage, by its place.
    Stage(usize),
    /// An image, by its reference.
    Image(String),
}

/// The place of the target's stage.
pub(crate) fn target(file: &Dockerfile, target: Option<&str>) -> Result<usize, BuildError> {
    match target {
        None => Ok(file.stages.len() - 1),
        Some(name) => file.stage(name).ok_or_else(|| BuildError::NoTarget {
            target: name.to_owned(),
            stages: file.stages.iter().filter_map(|stage| stage.name.clone()).collect(),
        }),
    }
}

/// The places of all stages that the target needs, itself last.
pub(crate) fn needed(file: &Dockerfile, globals: &Globals, target: usize) -> Result<Vec<usize>, BuildError> {
    let mut needed = vec![false; target + 1];
    needed[target] = true;
    for place in (0..=target).rev() {
        if needed[place] {
            for origin in origins(file, globals, place)? {
                if let Origin::Stage(other) = origin {
                    needed[other] = true;
                }
            }
        }
    }
    Ok((0..=target).filter(|place| needed[*place]).collect())
}

fn origins(file: &Dockerfile, globals: &Globals, place: usize) -> Result<Vec<Origin>, BuildError> {
    let stage = &file.stages[place];
    let base = base(file, globals, place)
        .map_err(|source| crate::build::step_error(stage.line, &stage.text, source))?;
    let copies = stage.instructions.iter().filter_map(|instruction| match &instruction.command {
        Command::Copy(copy) => copy.from.as_deref().map(|from| copied(file, place, from)),
        _ => None,
    });
    Ok(std::iter::once(base).chain(copies).collect())
}

/// What `FROM` of the stage means. Stages are known by name there, images by everything else.
pub(crate) fn base(file: &Dockerfile, globals: &Globals, place: usize) -> Result<Origin, StepError> {
    let base = globals.expand(&file.stages[place].base)?;
    if base.is_empty() {
        return Err(StepError::Value { value: base, what: "image" });
    }
    let earlier = file.stages[..place]
        .iter()
        .position(|stage| stage.name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(&base)));
    Ok(match earlier {
        Some(stage) => Origin::Stage(stage),
        None if base == "scratch" => Origin::Scratch,
        None => Origin::Image(base),
    })
}

/// What `COPY --from` means in the stage at `place`: an earlier stage by name or number, else an image.
pub(crate) fn copied(file: &Dockerfile, place: usize, from: &str) -> Origin {
    match file.stage(from) {
        Some(stage) if stage < place => Origin::Stage(stage),
        _ => Origin::Image(from.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use homeostat_dockerfile::{Platform, parse};

    use super::*;

    #[test]
    fn only_what_the_target_needs_is_built() {
        let text = "ARG B=a\nFROM scratch AS a\nFROM x AS unused\nFROM $B AS b\nFROM scratch\nCOPY --from=b / /\nCOPY --from=img / /\n";
        let file = parse(text).unwrap();
        let globals = Globals::new(&file, &BTreeMap::default(), &Platform::host()).unwrap();
        assert_eq!(needed(&file, &globals, 3).unwrap(), [0, 2, 3]);
        assert_eq!(needed(&file, &globals, target(&file, Some("UNUSED")).unwrap()).unwrap(), [1]);
        assert_eq!(copied(&file, 3, "img"), Origin::Image("img".into()));
        assert_eq!(copied(&file, 3, "0"), Origin::Stage(0));
        assert!(matches!(target(&file, Some("c")), Err(BuildError::NoTarget { .. })));
    }
}
