//! Which stages a target needs.

use std::collections::{BTreeMap, BTreeSet};

use homeostat_dockerfile::{Command, Dockerfile, Globals, parse_trigger};

use crate::schedule::Needed;
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

/// All stages that the target needs, itself last. Those on an image or stage begin with its triggers from now on.
pub(crate) fn needed(
    file: &mut Dockerfile,
    globals: &Globals,
    target: usize,
    triggers: &dyn Fn(&str) -> Result<Vec<String>, StepError>,
) -> Result<Vec<Needed>, BuildError> {
    let mut needed: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut ahead = BTreeSet::from([target]);
    while let Some(place) = ahead.pop_last() {
        add_triggers(file, globals, place, triggers)?;
        let stages = origins(file, globals, place)?.into_iter().filter_map(|origin| match origin {
            Origin::Stage(other) => Some(other),
            Origin::Scratch | Origin::Image(_) => None,
        });
        let on: BTreeSet<usize> = stages.collect();
        ahead.extend(&on);
        needed.insert(place, on);
    }
    let mut first = 1;
    let numbered = needed.into_iter().map(|(place, on)| {
        let stage = Needed { place, on, first };
        first += file.stages[place].instructions.len() + 1;
        stage
    });
    Ok(numbered.collect())
}

fn add_triggers(
    file: &mut Dockerfile,
    globals: &Globals,
    place: usize,
    triggers: &dyn Fn(&str) -> Result<Vec<String>, StepError>,
) -> Result<(), BuildError> {
    let (line, text) = (file.stages[place].line, file.stages[place].text.clone());
    let failed = |error| crate::build::step_error(line, &text, error);
    let texts = match base(file, globals, place).map_err(failed)? {
        Origin::Image(reference) => triggers(&reference).map_err(failed)?,
        Origin::Scratch => Vec::new(),
        Origin::Stage(other) => {
            let own =
                file.stages[other].instructions.iter().filter_map(|instruction| match &instruction.command {
                    Command::OnBuild(text) => Some(text.clone()),
                    _ => None,
                });
            own.collect()
        }
    };
    let read =
        |trigger: &String| parse_trigger(trigger, line).map_err(|error| failed(StepError::Trigger(error)));
    let instructions = texts.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    file.stages[place].instructions.splice(0..0, instructions);
    Ok(())
}

fn origins(file: &Dockerfile, globals: &Globals, place: usize) -> Result<Vec<Origin>, BuildError> {
    let stage = &file.stages[place];
    let base = base(file, globals, place)
        .map_err(|source| crate::build::step_error(stage.line, &stage.text, source))?;
    let mut origins = vec![base];
    for instruction in &stage.instructions {
        match &instruction.command {
            Command::Copy(copy) => origins.extend(copy.from.as_deref().map(|from| copied(file, place, from))),
            Command::Run(run) => {
                let sources = run.mounts.iter().filter_map(|mount| mount.from.as_deref());
                origins.extend(sources.map(|from| copied(file, place, from)));
            }
            _ => {}
        }
    }
    Ok(origins)
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
        let mut file = parse(text).unwrap();
        let globals = Globals::new(&file, &BTreeMap::default(), &Platform::host()).unwrap();
        let none = |_: &str| Ok(Vec::new());
        let stage = |place, on: &[usize], first| Needed { place, on: on.iter().copied().collect(), first };
        let all = [stage(0, &[], 1), stage(2, &[0], 2), stage(3, &[2], 3)];
        assert_eq!(needed(&mut file, &globals, 3, &none).unwrap(), all);
        let unused = target(&file, Some("UNUSED")).unwrap();
        assert_eq!(needed(&mut file, &globals, unused, &none).unwrap(), [stage(1, &[], 1)]);
        assert_eq!(copied(&file, 3, "img"), Origin::Image("img".into()));
        assert_eq!(copied(&file, 3, "0"), Origin::Stage(0));
        assert!(matches!(target(&file, Some("c")), Err(BuildError::NoTarget { .. })));
    }
}
