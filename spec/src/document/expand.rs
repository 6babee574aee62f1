//! `${NAME}` in the values of an app file.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Document, Node, Value};
use crate::problem::Problem;
use crate::suggest::did_you_mean;

/// The most bytes that replacing variables may add to one file. Without a bound, a megabyte of references to
/// one long variable would fill the memory of the host.
const MOST_GROWTH: usize = 4 * 1024 * 1024;

/// The variables that app files may refer to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables {
    /// Values by name.
    pub(crate) values: BTreeMap<String, String>,
    /// Not all variables are known, since the file that defines them has errors: a reference to
    /// an unknown one is no error of the file that refers to it.
    pub(crate) incomplete: bool,
}

/// Replaces `${NAME}` by the variable of that name and `$${` by `${` in every string value
/// of the document. A value with a bad reference becomes [`Value::Unknown`] after the error is reported.
pub(crate) fn expand(document: &mut Document, variables: &Variables) {
    let mut root = std::mem::replace(&mut document.root, Node { span: 0..0, value: Value::Unknown });
    let mut expansion = Expansion { document, variables, growth: 0 };
    expansion.node(&mut root);
    document.root = root;
}

struct Expansion<'a> {
    document: &'a mut Document,
    variables: &'a Variables,
    growth: usize,
}

impl Expansion<'_> {
    fn node(&mut self, node: &mut Node) {
        match &mut node.value {
            Value::String(text) if text.contains("${") => {
                node.value = self.text(text, &node.span).map_or(Value::Unknown, Value::String);
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.node(item)),
            Value::Table(entries) => entries.iter_mut().for_each(|entry| self.node(&mut entry.node)),
            _ => {}
        }
    }

    /// The text with its references replaced; `None` when one of them is bad.
    fn text(&mut self, text: &str, span: &Range<usize>) -> Option<String> {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        let mut good = true;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                expanded.push_str(&rest[..at - 1]);
                expanded.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            expanded.push_str(&rest[..at]);
            let end = rest[at..].find('}').map_or(rest.len(), |end| at + end + 1);
            match self.value(&rest[at..end]) {
                Ok(Some(value)) => expanded.push_str(&value),
                Ok(None) => good = false,
                Err(problem) => {
                    let place = self.place(&rest[at..end], span);
                    self.document.error(Some(place), problem);
                    good = false;
                }
            }
            rest = &rest[end..];
        }
        expanded.push_str(rest);
        good.then_some(expanded)
    }

    /// The value of a reference as `${NAME}`; `None` when it cannot be known.
    fn value(&mut self, reference: &str) -> Result<Option<String>, Problem> {
        let literal = "write `$${` where a literal `${` is meant";
        let Some(name) = reference.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
            return Err(Problem::new("`${` has no `}`").hint(literal));
        };
        if !is_variable_name(name) {
            return Err(Problem::new(format!("{name:?} is no name of a variable")).hint(literal));
        }
        let Some(value) = self.variables.values.get(name) else {
            return self.undefined(name);
        };
        if self.growth > MOST_GROWTH {
            return Ok(None);
        }
        self.growth = self.growth.saturating_add(value.len());
        if self.growth > MOST_GROWTH {
            return Err(Problem::new("the variables of this file add up to more than 4 MiB"));
        }
        Ok(Some(value.clone()))
    }

    fn undefined(&self, name: &str) -> Result<Option<String>, Problem> {
        if self.variables.incomplete {
            return Ok(None);
        }
        let known = self.variables.values.keys().map(String::as_str);
        let near = if self.document.is_full() { None } else { did_you_mean(name, known) };
        Err(Problem::new(format!("the variable `{name}` is not defined")).hint(near.unwrap_or_else(|| {
            format!(
                "define it in [variables] of homeostat.toml or on the node, or write `$${{{name}}}` for the text itself"
            )
        })))
    }

    /// Where the reference stands within its value; the whole value when escapes hide it.
    fn place(&self, reference: &str, span: &Range<usize>) -> Range<usize> {
        let text = self.document.lines.text();
        let found = text.get(span.clone()).and_then(|value| value.find(reference));
        found.map_or(span.clone(), |at| span.start + at..span.start + at + reference.len())
    }
}

/// A letter or `_`, then letters, digits and `_`, as in POSIX (XBD 3.231).
pub(crate) fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
