//! The arguments of instructions.

use serde_json::Value;

use super::shortened;
use crate::file::CommandLine;
use crate::{Problem, words};

/// The whole rest of the line.
pub(super) fn text(instruction: &'static str, rest: &str, usage: &'static str) -> Result<String, Problem> {
    if rest.is_empty() {
        return Err(Problem::Arguments { instruction, needs: "needs an argument", usage });
    }
    Ok(rest.to_owned())
}

/// A JSON array of strings; `None` when it is no JSON array, which is then words or a line for the shell.
pub(super) fn json_strings(instruction: &'static str, rest: &str) -> Result<Option<Vec<String>>, Problem> {
    let Ok(Value::Array(values)) = serde_json::from_str(rest) else {
        return Ok(None);
    };
    let strings = values.into_iter().map(|value| match value {
        Value::String(text) => Ok(text),
        _ => Err(Problem::NotStrings { instruction }),
    });
    strings.collect::<Result<_, _>>().map(Some)
}

/// The JSON form or the shell form.
pub(super) fn command_line(instruction: &'static str, rest: &str) -> Result<CommandLine, Problem> {
    Ok(match json_strings(instruction, rest)? {
        Some(words) => CommandLine::Exec(words),
        None => CommandLine::Shell(rest.to_owned()),
    })
}

/// `name=value` pairs, or the old form `name value with spaces`.
pub(super) fn pairs(
    instruction: &'static str,
    rest: &str,
    escape: char,
) -> Result<Vec<(String, String)>, Problem> {
    let words = words::split(rest, escape);
    let Some(first) = words.first() else {
        return Err(Problem::Arguments {
            instruction,
            needs: "needs a name and a value",
            usage: "NAME=value",
        });
    };
    if !first.contains('=') {
        return match words::first(rest) {
            (word, "") => Err(Problem::NoPair { instruction, word: shortened(word) }),
            (name, value) => Ok(vec![(name.to_owned(), value.to_owned())]),
        };
    }
    let pairs = words.iter().map(|word| match word.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Problem::NoPair { instruction, word: shortened(word) }),
    });
    pairs.collect()
}
