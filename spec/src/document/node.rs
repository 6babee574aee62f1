//! A value of a spec file with its place in the text.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// A value and the bytes of the text that it stands in.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) value: Value,
}

/// A TOML value.
#[derive(Debug)]
pub(crate) enum Value {
    String(String),
    /// `None` when it does not fit 64 bits.
    Integer(Option<i64>),
    Float(f64),
    Boolean(bool),
    Datetime,
    Array(Vec<Node>),
    /// Sorted by key.
    Table(Vec<Entry>),
    /// Something was wrong with it and has been reported; no further check looks at it.
    Unknown,
}

/// A key of a table with its value.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) node: Node,
}

impl Node {
    /// The node for a value as the `toml` crate parsed it.
    pub(crate) fn from_toml(value: &DeValue<'_>, span: Range<usize>) -> Self {
        let value = match value {
            DeValue::String(text) => Value::String(text.clone().into_owned()),
            DeValue::Integer(number) => {
                Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
            }
            // A float of any length is read; beyond the range of 64 bits it becomes infinite.
            DeValue::Float(number) => number.as_str().parse().map_or(Value::Unknown, Value::Float),
            DeValue::Boolean(boolean) => Value::Boolean(*boolean),
            DeValue::Datetime(_) => Value::Datetime,
            DeValue::Array(items) => {
                Value::Array(items.iter().map(|item| Self::from_toml(item.get_ref(), item.span())).collect())
            }
            DeValue::Table(table) => return Self::from_table(table, span),
        };
        Self { span, value }
    }

    /// The node for a table as the `toml` crate parsed it.
    pub(crate) fn from_table(table: &DeTable<'_>, span: Range<usize>) -> Self {
        let entries = table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().clone().into_owned(),
                key_span: key.span(),
                node: Self::from_toml(value.get_ref(), value.span()),
            })
            .collect();
        Self { span, value: Value::Table(entries) }
    }

    /// The entries of a table; none for anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Table(entries) => entries,
            _ => &[],
        }
    }

    /// The entry of a table with this key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        let entries = self.entries();
        entries.binary_search_by(|entry| entry.key.as_str().cmp(key)).ok().map(|index| &entries[index])
    }

    /// The value at a key of a table or at an index of an array.
    pub(crate) fn child(&self, segment: &str) -> Option<&Self> {
        match &self.value {
            Value::Array(items) => items.get(segment.parse::<usize>().ok()?),
            _ => self.entry(segment).map(|entry| &entry.node),
        }
    }
}
