//! What is asked for of a value: paths in JSON (RFC 9535), alone or within text.

use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;
use serde_json_path::JsonPath;

/// `$.observed.pid` or `.observed.pid`, or text with that in braces: two as for Docker, `{{.observed.pid}}`, or one as for
/// kubectl, `{.observed.pid}{"\n"}`.
#[derive(Debug, Clone)]
pub(crate) struct Format {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Path {
        path: JsonPath,
        /// As JSON, also what is a text: Docker's `{{json .labels}}`.
        json: bool,
    },
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains('{') {
            return Ok(Self { pieces: vec![Piece::path(text)?] });
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            pieces.push(Piece::Text(before.to_owned()));
            let (inner, end) = after.strip_prefix('{').map_or((after, "}"), |inner| (inner, "}}"));
            let (inner, after) = inner.split_once(end).ok_or_else(|| format!("a {end:?} is missing"))?;
            pieces.push(Piece::braced(inner.trim())?);
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self { pieces })
    }
}

impl Piece {
    fn braced(text: &str) -> Result<Self, String> {
        if text.starts_with('"') {
            return serde_json::from_str(text).map(Self::Text).map_err(|error| format!("{text}: {error}"));
        }
        match text.strip_prefix("json ") {
            Some(path) => Ok(Self::Path { path: parse(path.trim())?, json: true }),
            None => Self::path(text),
        }
    }

    fn path(text: &str) -> Result<Self, String> {
        Ok(Self::Path { path: parse(text)?, json: false })
    }
}

/// A path, the `$` at its beginning left out or not.
fn parse(text: &str) -> Result<JsonPath, String> {
    let path = match text {
        "." => "$".to_owned(),
        text if text.starts_with(['.', '[']) => format!("${text}"),
        text => text.to_owned(),
    };
    JsonPath::parse(&path).map_err(|error| format!("{text:?} is no JSON path, as .observed.pid: {error}"))
}

impl Format {
    /// What is asked for of a value, as text or all of it as JSON. Several values have spaces between them; of `null`
    /// nothing is printed. `None` when a path leads nowhere.
    pub(crate) fn print(&self, value: &impl Serialize, json: bool) -> Option<String> {
        let value = serde_json::to_value(value).ok()?;
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Path { path, json: as_json } => {
                    let found = path.query(&value).all();
                    if found.is_empty() {
                        return None;
                    }
                    let found: Vec<String> =
                        found.into_iter().map(|found| show(found, json || *as_json)).collect();
                    text.push_str(&found.join(" "));
                }
            }
        }
        Some(text)
    }
}

fn show(value: &Value, json: bool) -> String {
    match value {
        Value::String(text) if !json => text.clone(),
        Value::Null if !json => String::new(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(format: &str) -> Option<String> {
        let value = serde_json::json!({
            "observed": { "pid": 42, "image": "nginx", "exit": null, "ports": [{ "p": 80 }, { "p": 443 }] },
            "labels": { "io.example/tier": "front" },
        });
        format.parse::<Format>().unwrap().print(&value, false)
    }

    #[test]
    fn paths_are_taken_as_json_path_docker_and_kubectl_write_them() {
        for (format, expected) in [
            ("$.observed.pid", "42"),
            (".observed.pid", "42"),
            ("{{.observed.pid}}", "42"),
            ("{{ .observed.pid }}", "42"),
            ("{.observed.pid}", "42"),
            ("{.observed.image}{\"\\n\"}", "nginx\n"),
            ("{{.observed.image}} is {{.observed.pid}}!", "nginx is 42!"),
            ("{{json .observed.image}}", "\"nginx\""),
            (".observed.ports[*].p", "80 443"),
            (".observed.ports[?@.p > 100].p", "443"),
            (".observed.ports", "[{\"p\":80},{\"p\":443}]"),
            (".labels[\"io.example/tier\"]", "front"),
            (".observed.exit", ""),
        ] {
            assert_eq!(print(format).as_deref(), Some(expected), "{format}");
        }
        assert_eq!(print("{{.}}").unwrap().chars().next(), Some('{'));
        assert_eq!(print(".observed.pdi"), None);
        assert_eq!(print("a {{.State.Pid}}"), None);
    }

    #[test]
    fn as_json_everything_is_json() {
        let format: Format = "$.a".parse().unwrap();
        assert_eq!(format.print(&serde_json::json!({ "a": "text" }), true).as_deref(), Some("\"text\""));
        assert_eq!(format.print(&serde_json::json!({ "a": null }), true).as_deref(), Some("null"));
    }

    #[test]
    fn what_is_no_format_is_refused() {
        for format in ["", "{{.a", "{.a", "{{range .a}}", "$.a[", "{\"}", "pid"] {
            assert!(format.parse::<Format>().is_err(), "{format:?}");
        }
    }
}
