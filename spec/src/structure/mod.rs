//! Checks a document against its JSON Schema, all of it at once.
//!
//! Understands the part of JSON Schema (draft 2020-12) that the schemas of this crate use. What is wrong is
//! reported and left out; what remains is valid, so that later checks find what is wrong with that, too.

mod keyword;
mod message;

use std::ops::Range;

use serde_json::{Map, Number, Value as Json};

use self::keyword::{accepts, check_string, enumerated, required_keys, type_of};
use self::message::{list, name_elsewhere, quoted, wrong_type};
use crate::document::{Document, Entry, MOST_DIAGNOSTICS, Node, Value};
use crate::problem::Problem;
use crate::scalar::check_of;
use crate::suggest::did_you_mean;

/// The valid part of a document's values; `None` if the document as a whole is not valid.
pub(crate) fn check(document: &mut Document, schema: &Json) -> Option<Json> {
    let mut checker = Checker { root: schema, findings: Vec::new(), place: Vec::new() };
    let valid = checker.node(schema, document.root());
    for (span, problem) in checker.findings {
        document.error(Some(span), problem);
    }
    valid
}

struct Checker<'a> {
    root: &'a Json,
    findings: Vec<(Range<usize>, Problem)>,
    /// Keys that lead to the table being checked.
    place: Vec<String>,
}

impl<'a> Checker<'a> {
    fn report(&mut self, span: &Range<usize>, problem: Problem) {
        self.findings.push((span.clone(), problem));
    }

    /// The valid part of a value; `None` if nothing of it is.
    fn node(&mut self, schema: &'a Json, node: &Node) -> Option<Json> {
        let schema = self.resolve(schema);
        if matches!(node.value, Value::Unknown) {
            return None;
        }
        let alternatives = schema["anyOf"].as_array().map_or(std::slice::from_ref(schema), Vec::as_slice);
        let fitting = alternatives.iter().map(|one| self.resolve(one)).find(|one| accepts(one, &node.value));
        let Some(schema) = fitting else {
            let expected: Vec<_> = alternatives.iter().map(|one| type_of(self.resolve(one))).collect();
            let better = self.example(schema, &node.value);
            self.report(&node.span, wrong_type(&expected, &node.value).maybe_hint(better));
            return None;
        };
        match &node.value {
            Value::String(text) => self.string(schema, text, &node.span),
            Value::Integer(number) => self.integer(schema, *number, &node.span),
            Value::Float(number) => self.float(schema, *number, &node.span),
            Value::Boolean(boolean) => Some(Json::Bool(*boolean)),
            Value::Array(items) => {
                let item = &schema["items"];
                // Null stands for an item that is not valid, so that the others keep their index.
                Some(Json::Array(
                    items.iter().map(|node| self.node(item, node).unwrap_or_default()).collect(),
                ))
            }
            Value::Table(entries) => self.table(schema, entries, &node.span),
            Value::Datetime | Value::Unknown => None,
        }
    }

    /// What to write in place of a value of the wrong type, where the schema says more than a type.
    fn example(&self, schema: &'a Json, value: &Value) -> Option<String> {
        let words = enumerated(schema);
        if !words.is_empty() {
            return Some(format!("write one of {} in quotes", list(&words)));
        }
        let Value::Array(items) = value else { return None };
        if type_of(schema) == "object" && items.iter().any(|item| matches!(item.value, Value::Table(_))) {
            return Some(
                "write the name of a table in one pair of brackets, as `[container.web]`".to_owned(),
            );
        }
        // Compose has lists where a spec has a table.
        let value = schema.get("additionalProperties").map(|value| self.resolve(value))?;
        let word = enumerated(value).first().copied().unwrap_or("VALUE");
        (type_of(value) == "string").then(|| format!("write a table: {{ NAME = \"{word}\" }}"))
    }

    /// Follows `$ref` into the definitions of the root.
    fn resolve(&self, schema: &'a Json) -> &'a Json {
        match schema["$ref"].as_str().and_then(|pointer| pointer.strip_prefix('#')) {
            Some(pointer) => self.root.pointer(pointer).unwrap_or(schema),
            None => schema,
        }
    }

    fn string(&mut self, schema: &Json, text: &str, span: &Range<usize>) -> Option<Json> {
        match check_string(schema, text) {
            Ok(()) => Some(Json::String(text.to_owned())),
            Err(problem) => {
                self.report(span, problem);
                None
            }
        }
    }

    fn integer(&mut self, schema: &Json, number: Option<i64>, span: &Range<usize>) -> Option<Json> {
        // A number beyond 64 bits is beyond every maximum, too.
        #[allow(clippy::cast_precision_loss)]
        let approximate = number.map_or(f64::INFINITY, |number| number as f64);
        self.within_range(schema, approximate, span)?;
        number.map(Json::from)
    }

    fn float(&mut self, schema: &Json, number: f64, span: &Range<usize>) -> Option<Json> {
        self.within_range(schema, number, span)?;
        Number::from_f64(number).map(Json::Number)
    }

    fn within_range(&mut self, schema: &Json, number: f64, span: &Range<usize>) -> Option<()> {
        let (minimum, maximum) = (&schema["minimum"], &schema["maximum"]);
        let low = minimum.as_f64().is_some_and(|minimum| number < minimum);
        let high = maximum.as_f64().is_some_and(|maximum| number > maximum);
        if !low && !high && number.is_finite() {
            return Some(());
        }
        self.report(
            span,
            Problem::new("the number is out of bounds").hint(format!("it can be {minimum} to {maximum}")),
        );
        None
    }

    fn table(&mut self, schema: &'a Json, entries: &[Entry], span: &Range<usize>) -> Option<Json> {
        let mut valid = Map::new();
        for entry in entries {
            if let Some(value) = self.entry(schema, entry) {
                valid.insert(entry.key.clone(), value);
            }
        }
        let complete = self.required(schema, entries, span) & self.exactly_one(schema, entries, span);
        let lost = required_keys(schema).any(|key| !valid.contains_key(key));
        (complete && !lost).then_some(Json::Object(valid))
    }

    fn entry(&mut self, schema: &'a Json, entry: &Entry) -> Option<Json> {
        let value_schema = if let Some(known) = schema["properties"].get(&entry.key) {
            known
        } else if schema["additionalProperties"].is_object() {
            let format = schema["propertyNames"]["format"].as_str();
            if let Some(Err(problem)) = format.and_then(check_of).map(|check| check(&entry.key)) {
                self.report(&entry.key_span, problem);
                return None;
            }
            &schema["additionalProperties"]
        } else {
            self.unknown_key(schema, entry);
            return None;
        };
        self.place.push(entry.key.clone());
        // A table is marked by its key: it may be spread over the file.
        let before = self.findings.len();
        let valid = self.node(value_schema, &entry.node);
        if matches!(entry.node.value, Value::Table(_)) {
            for (span, _) in self.findings[before..].iter_mut().filter(|(span, _)| *span == entry.node.span) {
                *span = entry.key_span.clone();
            }
        }
        self.place.pop();
        valid
    }

    fn unknown_key(&mut self, schema: &Json, entry: &Entry) {
        let message = format!("unknown key {} in {}", quoted(&entry.key), self.table_name());
        if self.findings.len() > MOST_DIAGNOSTICS {
            return self.report(&entry.key_span, Problem::new(message));
        }
        let known: Vec<&str> =
            schema["properties"].as_object().into_iter().flatten().map(|(key, _)| &**key).collect();
        let hint = name_elsewhere(&entry.key)
            .filter(|name| known.contains(&name.split(['.', ' ']).next().unwrap_or_default()))
            .map(|name| format!("it is called `{name}` here"))
            .or_else(|| did_you_mean(&entry.key, known.iter().copied()))
            .unwrap_or_else(|| format!("the keys of {} are {}", self.table_name(), list(&known)));
        self.report(&entry.key_span, Problem::new(message).hint(hint));
    }

    fn required(&mut self, schema: &Json, entries: &[Entry], span: &Range<usize>) -> bool {
        let missing: Vec<_> =
            required_keys(schema).filter(|key| !entries.iter().any(|entry| entry.key == *key)).collect();
        for key in &missing {
            let message = format!("{} has no `{key}`", self.table_name());
            let hint = format!("add `{key} = ...`");
            self.report(span, Problem::new(message).hint(hint));
        }
        missing.is_empty()
    }

    /// Where `oneOf` lists keys, exactly one of them has to be there.
    fn exactly_one(&mut self, schema: &Json, entries: &[Entry], span: &Range<usize>) -> bool {
        let keys: Vec<&str> =
            schema["oneOf"].as_array().into_iter().flatten().flat_map(required_keys).collect();
        let given: Vec<_> = entries.iter().filter(|entry| keys.contains(&&*entry.key)).collect();
        match &given[..] {
            _ if keys.is_empty() => true,
            [_] => true,
            [] => {
                let message = format!("{} has none of {}", self.table_name(), list(&keys));
                self.report(span, Problem::new(message).hint("add exactly one of them"));
                false
            }
            [first, others @ ..] => {
                for other in others {
                    let message = format!("`{}` cannot stand beside `{}`", other.key, first.key);
                    let hint = format!("keep one of {}", list(&keys));
                    self.report(&other.key_span, Problem::new(message).hint(hint));
                }
                false
            }
        }
    }

    /// The table being checked, as people call it.
    fn table_name(&self) -> String {
        if self.place.is_empty() { "the file".to_owned() } else { format!("[{}]", self.place.join(".")) }
    }
}
