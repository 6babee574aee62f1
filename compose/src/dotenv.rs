//! Files of environment variables (`.env`, `env_file`), by the syntax that Compose documents.

use std::collections::BTreeMap;

use crate::budget::Budget;
use crate::error::Problem;
use crate::variables::{Interpolation, Lookup};
use crate::yaml::Place;

/// The most variables of a file.
pub(crate) const MOST: usize = 10_000;

/// Variables in the order of the file.
pub(crate) type Variables = Vec<Variable>;

/// A name and its value.
type Variable = (String, String);

/// Reads a file of variables. A name without `=` has the value that `outer` has, if any.
///
/// # Errors
/// A line that is none, and those of [`Interpolation::text`].
pub(crate) fn parse(
    text: &str,
    file: usize,
    outer: &dyn Lookup,
    budget: &mut Budget,
) -> Result<Variables, Problem> {
    let mut reader = Reader { outer, known: BTreeMap::new(), budget };
    let mut variables = Variables::new();
    let mut rest = text.trim_start_matches('\u{feff}');
    let mut line = 1;
    while !rest.is_empty() {
        let place = Place { file, line };
        let trimmed = rest.trim_start_matches([' ', '\t', '\r']);
        let after = if trimmed.is_empty() || trimmed.starts_with(['\n', '#']) {
            after_line(trimmed)
        } else {
            let entry = trimmed.strip_prefix("export ").unwrap_or(trimmed).trim_start_matches(' ');
            let (variable, after) = reader.entry(entry, place)?;
            if let Some((name, value)) = variable {
                reader.known.insert(name.clone(), value.clone());
                variables.push((name, value));
            }
            after
        };
        line += rest[..rest.len() - after.len()].matches('\n').count();
        rest = after;
    }
    Ok(variables)
}

/// Reads a file of variables whose values are taken as they are written (`format: raw`).
pub(crate) fn parse_raw(text: &str) -> Variables {
    let lines = text.lines().map(str::trim_start).filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, rest)| rest)
}

struct Reader<'a> {
    outer: &'a dyn Lookup,
    known: BTreeMap<String, String>,
    budget: &'a mut Budget,
}

/// Variables of the world win over those that the file has set before.
impl Lookup for (&dyn Lookup, &BTreeMap<String, String>) {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).or_else(|| self.1.get(name).cloned())
    }
}

impl Reader<'_> {
    /// One `NAME=VALUE`, and what follows it.
    fn entry<'t>(&mut self, text: &'t str, place: Place) -> Result<(Option<Variable>, &'t str), Problem> {
        let end = text.find(['=', ':', '\n']).unwrap_or(text.len());
        let name = text[..end].trim();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(Problem::new(place, "this line is no `NAME=VALUE`"));
        }
        if text[end..].starts_with('\n') || text[end..].is_empty() {
            let value = self.outer.get(name);
            return Ok((value.map(|value| (name.to_owned(), value)), after_line(&text[end..])));
        }
        let value = text[end + 1..].trim_start_matches([' ', '\t']);
        let (value, after) = if let Some(quote @ ('\'' | '"')) = value.chars().next() {
            self.quoted(&value[1..], quote, place)?
        } else {
            let (line, after) = value.split_once('\n').unwrap_or((value, ""));
            (self.interpolate(plain(line), place)?, after)
        };
        Ok((Some((name.to_owned(), value)), after))
    }

    fn quoted<'t>(&mut self, text: &'t str, quote: char, place: Place) -> Result<(String, &'t str), Problem> {
        let end = closing(text, quote).ok_or_else(|| Problem::new(place, "a quote is not closed"))?;
        let inner = &text[..end];
        let value = if quote == '\'' {
            inner.replace("\\'", "'")
        } else {
            self.interpolate(&unescape(inner), place)?
        };
        Ok((value, after_line(&text[end + 1..])))
    }

    fn interpolate(&mut self, text: &str, place: Place) -> Result<String, Problem> {
        let variables = (self.outer, &self.known);
        let mut unset = BTreeMap::new();
        let mut interpolation =
            Interpolation { variables: &variables, budget: self.budget, unset: &mut unset };
        interpolation.text(text, place)
    }
}

/// An unquoted value: without a comment and the blanks around it.
fn plain(line: &str) -> &str {
    let comment = line.find(" #").or_else(|| line.find("\t#")).unwrap_or(line.len());
    let value = if line.starts_with('#') { "" } else { &line[..comment] };
    value.trim()
}

fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let found = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        found.then_some(at)
    })
}

fn unescape(text: &str) -> String {
    let mut result = String::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, c == '\\') {
            (_, true) => match characters.next() {
                Some('n') => result.push('\n'),
                Some('r') => result.push('\r'),
                Some('t') => result.push('\t'),
                Some(c @ ('"' | '\\')) => result.push(c),
                // A `$` that is escaped stands for itself.
                Some('$') => result.push_str("$$"),
                Some(c) => result.extend(['\\', c]),
                None => result.push('\\'),
            },
            (c, false) => result.push(c),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Variables {
        let outer: BTreeMap<String, String> = [("HOME".to_owned(), "/root".to_owned())].into();
        parse(text, 0, &outer, &mut Budget::default()).unwrap()
    }

    #[test]
    fn the_documented_examples_are_read() {
        let text = r#"
# comment
VAR=VAL
A="VAL"
B='VAL'
C=VAL # comment
D=VAL# not a comment
E="VAL # not a comment" # comment
F='$OTHER'
G='Let\'s go!'
H="{\"hello\": \"json\"}"
I="some\tvalue"
J=${VAR}-$HOME
export K=1
HOME
UNKNOWN
L=
M: yaml
N="two
lines"
O="\$VAR"
"#;
        let read = read(text);
        let pairs: Vec<(&str, &str)> =
            read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("VAR", "VAL"),
                ("A", "VAL"),
                ("B", "VAL"),
                ("C", "VAL"),
                ("D", "VAL# not a comment"),
                ("E", "VAL # not a comment"),
                ("F", "$OTHER"),
                ("G", "Let's go!"),
                ("H", r#"{"hello": "json"}"#),
                ("I", "some\tvalue"),
                ("J", "VAL-/root"),
                ("K", "1"),
                ("HOME", "/root"),
                ("L", ""),
                ("M", "yaml"),
                ("N", "two\nlines"),
                ("O", "$VAR"),
            ]
        );
    }

    #[test]
    fn what_doubles_with_every_line_is_bounded() {
        let mut lines = vec!["A0=xxxxxxxxxxxxxxxx".to_owned()];
        for n in 1..64 {
            lines.push(format!("A{n}=$A{}$A{}", n - 1, n - 1));
        }
        let outer: BTreeMap<String, String> = BTreeMap::new();
        assert!(parse(&lines.join("\n"), 0, &outer, &mut Budget::default()).is_err());
    }

    #[test]
    fn raw_values_are_as_written() {
        assert_eq!(parse_raw("A='x' $B\n#C=1\n"), [("A".to_owned(), "'x' $B".to_owned())]);
    }
}
