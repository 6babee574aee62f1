//! What a registry says about how to log in.

use std::collections::BTreeMap;

/// A challenge of `WWW-Authenticate` (RFC 9110, section 11.6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// Lower-case: `basic`, `bearer`.
    pub(crate) scheme: String,
    /// By lower-case name.
    pub(crate) parameters: BTreeMap<String, String>,
}

impl Challenge {
    /// Reads one challenge; `None` when it makes no sense.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (scheme, mut rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut parameters = BTreeMap::new();
        loop {
            rest = rest.trim_start_matches([' ', ',']);
            if rest.is_empty() {
                let scheme = scheme.to_ascii_lowercase();
                return (!scheme.is_empty()).then_some(Self { scheme, parameters });
            }
            let (name, value) = rest.split_once('=')?;
            let (value, after) = if let Some(quoted) = value.strip_prefix('"') {
                unquoted(quoted)?
            } else {
                let end = value.find(',').unwrap_or(value.len());
                (value[..end].trim().to_owned(), &value[end..])
            };
            parameters.insert(name.trim().to_ascii_lowercase(), value);
            rest = after;
        }
    }
}

/// A quoted string up to its closing quote, and what follows.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_of_registries_are_understood() {
        let text = r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push""#;
        let challenge = Challenge::parse(text).unwrap();
        assert_eq!(challenge.scheme, "bearer");
        assert_eq!(challenge.parameters["realm"], "https://auth.example/token");
        assert_eq!(challenge.parameters["scope"], "repository:a/b:pull,push");
        let challenge = Challenge::parse(r#"Basic realm="a \"b\"", charset=UTF-8"#).unwrap();
        assert_eq!(challenge.parameters["realm"], "a \"b\"");
        assert_eq!(challenge.parameters["charset"], "UTF-8");
        assert_eq!(Challenge::parse("Basic").unwrap().scheme, "basic");
        for wrong in ["", r#"Bearer realm="open"#, "Bearer realm"] {
            assert_eq!(Challenge::parse(wrong), None, "{wrong}");
        }
    }
}
