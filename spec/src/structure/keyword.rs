//! What the keywords of a schema ask of a single value.

use serde_json::Value as Json;

use super::message::{list, word_elsewhere};
use crate::document::Value;
use crate::problem::Problem;
use crate::scalar::check_of;
use crate::suggest::did_you_mean;

/// The keys that a table has to have.
pub(super) fn required_keys(schema: &Json) -> impl Iterator<Item = &str> {
    schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str)
}

/// Whether a string is what a schema asks for.
pub(super) fn check_string(schema: &Json, text: &str) -> Result<(), Problem> {
    if text.contains('\0') {
        return Err(Problem::new("the text has a NUL character").hint("no string of the kernel can have one"));
    }
    let words = enumerated(schema);
    if !words.is_empty() && !words.contains(&text) {
        let same = word_elsewhere(text).filter(|word| words.contains(word));
        let near = match same {
            Some(word) => Some(format!("write `{word}`")),
            None => did_you_mean(text, words.iter().copied()),
        };
        return Err(Problem::new(format!("{text:?} is none of {}", list(&words))).maybe_hint(near));
    }
    let length = text.chars().count() as u64;
    if schema["minLength"].as_u64().is_some_and(|minimum| length < minimum) {
        return Err(Problem::new("the text is empty").hint("write something, or leave the key out"));
    }
    if let Some(maximum) = schema["maxLength"].as_u64().filter(|maximum| length > *maximum) {
        return Err(Problem::new("the text is too long").hint(format!("it has at most {maximum} characters")));
    }
    schema["format"].as_str().and_then(check_of).map_or(Ok(()), |check| check(text))
}

/// The words that a string can be; empty when it is free.
pub(super) fn enumerated(schema: &Json) -> Vec<&str> {
    let words = schema["enum"].as_array().into_iter().flatten();
    let described = schema["oneOf"].as_array().into_iter().flatten().map(|one| &one["const"]);
    words.chain(described).filter_map(Json::as_str).collect()
}

/// The type of a value that a schema without `anyOf` asks for.
pub(super) fn type_of(schema: &Json) -> &str {
    match schema["type"].as_str() {
        Some(name) => name,
        None if enumerated(schema).is_empty() => "object",
        None => "string",
    }
}

/// Whether a value has the type that a schema without `anyOf` asks for.
pub(super) fn accepts(schema: &Json, value: &Value) -> bool {
    matches!(
        (type_of(schema), value),
        ("string", Value::String(_))
            | ("integer", Value::Integer(_))
            | ("number", Value::Integer(_) | Value::Float(_))
            | ("boolean", Value::Boolean(_))
            | ("array", Value::Array(_))
            | ("object", Value::Table(_))
    )
}
