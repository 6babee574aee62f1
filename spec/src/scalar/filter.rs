//! Filters of prunes, in the words of Docker's `--filter`.

use super::Scalar;
use crate::problem::Problem;
use crate::{LabelMatch, PruneFilter};

/// A filter of images.
pub(crate) struct ImageFilter(pub(crate) PruneFilter);

/// A filter of containers or volumes.
pub(crate) struct ResourceFilter(pub(crate) PruneFilter);

impl Scalar for ImageFilter {
    const FORMAT: &'static str = "image-filter";
    const EXAMPLES: &'static [&'static str] =
        &["label!=org.example.keep", "reference!=ghcr.io/acme/*", "dangling=true"];

    fn parse(text: &str) -> Result<Self, Problem> {
        if text == "dangling=true" {
            return Ok(Self(PruneFilter::Dangling));
        }
        read(text, "reference").map(Self).ok_or_else(|| {
            Problem::new(format!("{text:?} is no filter of images")).hint(
                "write `label=KEY`, `label=KEY=VALUE` or `reference=PATTERN`, each also with `!=`, or `dangling=true`",
            )
        })
    }
}

impl Scalar for ResourceFilter {
    const FORMAT: &'static str = "resource-filter";
    const EXAMPLES: &'static [&'static str] = &["label!=org.example.keep", "name=web/*"];

    fn parse(text: &str) -> Result<Self, Problem> {
        read(text, "name").map(Self).ok_or_else(|| {
            Problem::new(format!("{text:?} is no filter of containers or volumes"))
                .hint("write `label=KEY`, `label=KEY=VALUE` or `name=PATTERN`, each also with `!=`")
        })
    }
}

/// A filter by label, or by name under the word that the kind has for it.
fn read(text: &str, name: &str) -> Option<PruneFilter> {
    let (word, value) = text.split_once('=')?;
    if value.is_empty() || value.starts_with('=') {
        return None;
    }
    let (word, negated) = word.strip_suffix('!').map_or((word, false), |word| (word, true));
    match (word, negated) {
        ("label", false) => Some(PruneFilter::Label(label(value))),
        ("label", true) => Some(PruneFilter::NoLabel(label(value))),
        (word, false) if word == name => Some(PruneFilter::Name(value.to_owned())),
        (word, true) if word == name => Some(PruneFilter::NoName(value.to_owned())),
        _ => None,
    }
}

fn label(text: &str) -> LabelMatch {
    match text.split_once('=') {
        Some((key, value)) => LabelMatch { key: key.to_owned(), value: Some(value.to_owned()) },
        None => LabelMatch { key: text.to_owned(), value: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_docker_are_understood() {
        let label = |key: &str, value: Option<&str>| LabelMatch {
            key: key.to_owned(),
            value: value.map(str::to_owned),
        };
        for (text, expected) in [
            ("label=keep", PruneFilter::Label(label("keep", None))),
            ("label!=env=a=b", PruneFilter::NoLabel(label("env", Some("a=b")))),
            ("label=keep=", PruneFilter::Label(label("keep", Some("")))),
            ("reference=web:*", PruneFilter::Name("web:*".to_owned())),
            ("reference!=web:*", PruneFilter::NoName("web:*".to_owned())),
            ("dangling=true", PruneFilter::Dangling),
        ] {
            assert_eq!(ImageFilter::parse(text).map_err(|problem| problem.message).unwrap().0, expected);
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in
            ["", "label", "label=", "label==x", "name=x", "dangling=false", "until=24h", "label!", "!=x"]
        {
            assert!(ImageFilter::parse(text).is_err(), "{text}");
        }
        for text in ["reference=x", "dangling=true"] {
            assert!(ResourceFilter::parse(text).is_err(), "{text}");
        }
    }
}
