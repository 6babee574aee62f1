//! YAML as a tree of values that know where they stand.
//!
//! Anchors, aliases and merge keys (`<<`) are resolved while the tree is made. Every scalar stays text: which type
//! it has depends on the key it is the value of, not on how it looks.

mod compose;
mod tag;

pub(crate) use compose::compose;
pub(crate) use tag::Tag;

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// Which of the files that were read; see [`Files`](crate::files::Files).
    pub(crate) file: usize,
    /// Line, from 1.
    pub(crate) line: usize,
}

/// A value and where it stands. The place of a value in a map is that of its key.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
    /// What becomes of it when files are merged.
    pub(crate) tag: Tag,
}

/// What a [`Node`] is.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Nothing is written, or `null`.
    Null,
    /// Text, a number or a truth value, as it is written.
    Scalar(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// A value without a tag.
    pub(crate) fn new(place: Place, value: Value) -> Self {
        Self { place, value, tag: Tag::default() }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a sequence; nothing of anything else.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The entries of a mapping; nothing of anything else.
    pub(crate) fn entries(&self) -> &[(String, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The value of a key that is there and not null.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let entry = self.entries().iter().find(|(name, _)| name == key);
        entry.map(|(_, node)| node).filter(|node| !node.is_null())
    }

    /// Whether it says "no": null, `false`, zero, empty text, nothing in a list or map.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Scalar(text) => matches!(text.as_str(), "" | "false" | "0"),
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
        }
    }

    /// The truth value of a scalar.
    pub(crate) fn is_true(&self) -> bool {
        self.text().is_some_and(|text| matches!(text, "true" | "True" | "TRUE" | "yes" | "on"))
    }

    /// Whether both say the same, wherever they stand.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Scalar(one), Value::Scalar(other)) => one == other,
            (Value::List(one), Value::List(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.is_same(other))
            }
            (Value::Map(one), Value::Map(entries)) => {
                let same = |(key, node): &(String, Self)| {
                    entries.iter().any(|(name, value)| name == key && node.is_same(value))
                };
                one.len() == entries.len() && one.iter().all(same)
            }
            _ => false,
        }
    }

    /// Roughly how many bytes the tree takes.
    pub(crate) fn size(&self) -> usize {
        const NODE: usize = size_of::<Node>();
        NODE + match &self.value {
            Value::Null => 0,
            Value::Scalar(text) => text.len(),
            Value::List(items) => items.iter().map(Self::size).sum(),
            Value::Map(entries) => entries.iter().map(|(key, node)| key.len() + NODE + node.size()).sum(),
        }
    }
}
