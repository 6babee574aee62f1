//! `$NAME` and `${NAME...}` in values, by the interpolation rules of the Compose specification.

use std::collections::BTreeMap;

use crate::budget::Budget;
use crate::error::Problem;
use crate::yaml::Place;

/// The deepest nesting of `${A:-${B:-...}}`.
const DEEPEST: usize = 16;

/// Where the values of variables come from.
pub(crate) trait Lookup {
    /// The value of a variable, when it is set.
    fn get(&self, name: &str) -> Option<String>;
}

impl Lookup for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        self.get(name).cloned()
    }
}

/// Replaces variables in texts.
pub(crate) struct Interpolation<'a> {
    pub(crate) variables: &'a dyn Lookup,
    pub(crate) budget: &'a mut Budget,
    /// Variables that were asked for, have no default and are not set, with the first place that asks.
    pub(crate) unset: &'a mut BTreeMap<String, Place>,
}

impl Interpolation<'_> {
    /// The text with its variables replaced.
    ///
    /// # Errors
    /// When a reference is malformed, or a variable that has to be set is not.
    pub(crate) fn text(&mut self, text: &str, place: Place) -> Result<String, Problem> {
        self.nested(text, place, 0)
    }

    fn nested(&mut self, text: &str, place: Place, depth: usize) -> Result<String, Problem> {
        if depth > DEEPEST {
            return Err(Problem::new(place, "variables are nested too deep here"));
        }
        let mut result = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            result.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                result.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let end = closing_brace(after).ok_or_else(|| {
                    Problem::new(place, "`${` has no `}`").hint("write `$$` for a literal `$`")
                })?;
                let value = self.braced(&after[..end], place, depth)?;
                result.push_str(&value);
                rest = &after[end + 1..];
            } else {
                let name = name_at_start(rest);
                if name.is_empty() {
                    result.push('$');
                } else {
                    result.push_str(&self.value(name, place)?);
                    rest = &rest[name.len()..];
                }
            }
        }
        result.push_str(rest);
        Ok(result)
    }

    /// The value of what stands between `${` and `}`.
    fn braced(&mut self, inner: &str, place: Place, depth: usize) -> Result<String, Problem> {
        let name = name_at_start(inner);
        let operator = &inner[name.len()..];
        if name.is_empty() {
            return Err(Problem::new(place, format!("`${{{inner}}}` names no variable"))
                .hint("write `$$` for a literal `$`"));
        }
        if operator.is_empty() {
            return self.value(name, place);
        }
        let (strict, operator) = match operator.strip_prefix(':') {
            Some(operator) => (true, operator),
            None => (false, operator),
        };
        let value = self.variables.get(name).filter(|value| !(strict && value.is_empty()));
        let mut parts = operator.chars();
        match (parts.next(), value) {
            (Some('-' | '?'), Some(value)) => self.spend(value, place),
            (Some('-'), None) | (Some('+'), Some(_)) => self.nested(parts.as_str(), place, depth + 1),
            (Some('+'), None) => Ok(String::new()),
            (Some('?'), None) => {
                let message = self.nested(parts.as_str(), place, depth + 1)?;
                let message = if message.is_empty() { "it is required".to_owned() } else { message };
                Err(Problem::new(place, format!("the variable `{name}` is not set: {message}"))
                    .hint("set it in `.env` beside the file, or in the environment"))
            }
            _ => Err(Problem::new(place, format!("`${{{inner}}}` is no way to name a variable"))
                .hint("write `${NAME}`, `${NAME:-default}`, `${NAME:?message}` or `${NAME:+text}`")),
        }
    }

    fn value(&mut self, name: &str, place: Place) -> Result<String, Problem> {
        if let Some(value) = self.variables.get(name) {
            return self.spend(value, place);
        }
        self.unset.entry(name.to_owned()).or_insert(place);
        Ok(String::new())
    }

    fn spend(&mut self, value: String, place: Place) -> Result<String, Problem> {
        self.budget.spend(value.len(), place).map(|()| value)
    }
}

/// The name of a variable that a text begins with; empty when there is none.
fn name_at_start(text: &str) -> &str {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return "";
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Where the brace that is open at the start of the text is closed.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '{' if before == '$' => open += 1,
            '}' if open == 0 => return Some(at),
            '}' => open -= 1,
            _ => {}
        }
        before = c;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpolate(text: &str) -> Result<String, String> {
        let variables: BTreeMap<_, _> =
            [("SET", "value"), ("EMPTY", "")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let (mut budget, mut unset) = (Budget::default(), BTreeMap::new());
        let mut interpolation =
            Interpolation { variables: &variables, budget: &mut budget, unset: &mut unset };
        interpolation.text(text, Place::default()).map_err(|problem| problem.message)
    }

    #[test]
    fn every_form_of_the_specification_is_known() {
        for (text, expected) in [
            ("$SET-${SET}", "value-value"),
            ("$$SET $${SET} 5$ $1 $", "$SET ${SET} 5$ $1 $"),
            ("${EMPTY:-a}${EMPTY-b}${NOT:-c}${NOT-d}", "acd"),
            ("${SET:+yes}${EMPTY:+no}${EMPTY+set}${NOT+no}", "yesset"),
            ("${NOT:-${SET}} ${NOT:-${NO:-x}y}", "value xy"),
            ("${SET:?message}${EMPTY?message}", "value"),
            ("${NOT:-a}b}", "ab}"),
        ] {
            assert_eq!(interpolate(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_required_or_malformed_is_an_error() {
        assert_eq!(
            interpolate("${EMPTY:?give one}").unwrap_err(),
            "the variable `EMPTY` is not set: give one"
        );
        assert_eq!(interpolate("${NOT?}").unwrap_err(), "the variable `NOT` is not set: it is required");
        for text in ["${", "${}", "${SET", "${SET/a/b}", "${1}", "${SET:}"] {
            assert!(interpolate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let text = format!("{}{}", "${A:-".repeat(40), "}".repeat(40));
        assert_eq!(interpolate(&text).unwrap_err(), "variables are nested too deep here");
    }
}
