//! The spec that is written, as TOML text.

use std::fmt::Write as _;

/// The longest line that a list is written on.
const WIDTH: usize = 100;

/// A TOML value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Toml {
    Text(String),
    /// A number or truth value, as it is written.
    Bare(String),
    List(Vec<Toml>),
    Table(Vec<(String, Toml)>),
}

impl Toml {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn texts(texts: impl IntoIterator<Item = String>) -> Self {
        Self::List(texts.into_iter().map(Self::Text).collect())
    }

    pub(crate) fn truth(value: bool) -> Self {
        Self::Bare(value.to_string())
    }

    /// The value on one line.
    pub(crate) fn render(&self) -> String {
        match self {
            Self::Text(text) => quote(&literal(text)),
            Self::Bare(text) => text.clone(),
            Self::List(items) => {
                format!("[{}]", items.iter().map(Self::render).collect::<Vec<_>>().join(", "))
            }
            Self::Table(entries) if entries.is_empty() => "{}".to_owned(),
            Self::Table(entries) => {
                let entry = |(name, value): &(String, Self)| format!("{} = {}", key(name), value.render());
                format!("{{ {} }}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// The value, on several lines where it is a long list.
    fn render_wide(&self) -> String {
        let line = self.render();
        match self {
            Self::List(items) if line.len() > WIDTH => {
                let mut text = "[\n".to_owned();
                for item in items {
                    let _ = writeln!(text, "    {},", item.render());
                }
                text + "]"
            }
            _ => line,
        }
    }
}

/// One table of the spec.
#[derive(Debug, Default)]
pub(crate) struct Section {
    /// The header, as `["container", "web"]`.
    pub(crate) header: Vec<String>,
    /// Lines of comment above it.
    pub(crate) comments: Vec<String>,
    entries: Vec<(String, Toml, Option<String>)>,
    /// Written as a comment: the text is there to be taken in, and says nothing as it stands.
    pub(crate) disabled: bool,
}

impl Section {
    pub(crate) fn new(kind: &str, name: &str) -> Self {
        Self::with_header(vec![kind.to_owned(), name.to_owned()])
    }

    pub(crate) fn with_header(header: Vec<String>) -> Self {
        Self { header, ..Self::default() }
    }

    pub(crate) fn disabled_if(self, disabled: bool) -> Self {
        Self { disabled, ..self }
    }

    pub(crate) fn set(&mut self, key: &str, value: Toml) {
        self.entries.push((key.to_owned(), value, None));
    }

    pub(crate) fn set_with(&mut self, key: &str, value: Toml, comment: &str) {
        self.entries.push((key.to_owned(), value, Some(comment.to_owned())));
    }

    /// The value that was set.
    pub(crate) fn get(&self, key: &str) -> Option<&Toml> {
        self.entries.iter().find(|(name, ..)| name == key).map(|(_, value, _)| value)
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.entries.retain(|(name, ..)| name != key);
    }

    /// Takes an entry out of a table that is a value.
    pub(crate) fn remove_within(&mut self, key: &str, name: &str) {
        for (_, value, _) in self.entries.iter_mut().filter(|(other, ..)| other == key) {
            if let Toml::Table(entries) = value {
                entries.retain(|(other, _)| other != name);
            }
        }
        self.entries.retain(|(other, value, _)| other != key || *value != Toml::Table(Vec::new()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn render(&self) -> String {
        let mut text = String::new();
        for comment in &self.comments {
            let _ = writeln!(text, "# {}", single_line(comment));
        }
        let header: Vec<_> = self.header.iter().map(|part| key(part)).collect();
        let _ = writeln!(text, "[{}]", header.join("."));
        for (name, value, comment) in &self.entries {
            let comment =
                comment.as_ref().map(|comment| format!(" # {}", single_line(comment))).unwrap_or_default();
            let _ = writeln!(text, "{} = {}{comment}", key(name), value.render_wide());
        }
        if !self.disabled {
            return text;
        }
        let comment = |line: &str| if line.starts_with("# ") { line.to_owned() } else { format!("#{line}") };
        text.lines().map(comment).fold(String::new(), |text, line| text + &line + "\n")
    }
}

/// The text of a spec.
pub(crate) fn render(head: &[String], sections: &[Section]) -> String {
    let mut text = String::new();
    for line in head {
        let _ = writeln!(text, "# {}", single_line(line));
    }
    for section in sections {
        text.push('\n');
        text.push_str(&section.render());
    }
    text
}

/// A text such that homeostat sees no variable in it.
fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

fn single_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quote(name) }
}

/// A TOML basic string.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
