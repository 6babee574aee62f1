//! The glue between a [`Scalar`], serde and the JSON Schema.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _};

use crate::problem::Problem;

/// A type whose values are written as one string.
pub(crate) trait Scalar: Sized {
    /// Name of the format in the JSON Schema.
    const FORMAT: &'static str;
    /// Values to show as examples in the JSON Schema.
    const EXAMPLES: &'static [&'static str];

    /// Reads a value.
    fn parse(text: &str) -> Result<Self, Problem>;
}

/// A [`Scalar`] as a field of a spec.
pub(crate) struct Text<T>(pub(crate) T);

impl<T> Deref for Text<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Scalar> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        T::parse(&text).map(Self).map_err(|problem| D::Error::custom(problem.message))
    }
}

impl<T: Scalar> JsonSchema for Text<T> {
    fn schema_name() -> Cow<'static, str> {
        T::FORMAT.into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": T::FORMAT, "examples": T::EXAMPLES })
    }
}

/// A table whose keys are [`Scalar`]s.
pub(crate) struct Keyed<K, V> {
    entries: BTreeMap<String, V>,
    keys: PhantomData<K>,
}

impl<K, V> Default for Keyed<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), keys: PhantomData }
    }
}

impl<K: Scalar, V> Keyed<K, V> {
    /// The entries with their keys read.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.entries.iter().filter_map(|(key, value)| K::parse(key).ok().map(|key| (key, value)))
    }

    /// The value at a key as it is written.
    pub(crate) fn get(&self, key: &str) -> Option<&V> {
        self.entries.get(key)
    }

    /// The entries with their keys as they are written.
    pub(crate) fn as_written(&self) -> &BTreeMap<String, V> {
        &self.entries
    }
}

impl<'de, K: Scalar, V: Deserialize<'de>> Deserialize<'de> for Keyed<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = BTreeMap::<String, V>::deserialize(deserializer)?;
        for key in entries.keys() {
            K::parse(key).map_err(|problem| D::Error::custom(problem.message))?;
        }
        Ok(Self { entries, keys: PhantomData })
    }
}

impl<K: Scalar, V: JsonSchema> JsonSchema for Keyed<K, V> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}-to-{}", K::FORMAT, V::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": { "format": K::FORMAT },
            "additionalProperties": generator.subschema_for::<V>(),
        })
    }
}

/// A list, some of whose items may have been left out because they are not valid. The others know at
/// which index they are written.
pub(crate) struct List<T>(Vec<Option<T>>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> List<T> {
    /// The valid items with their indices.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.0.iter().enumerate().filter_map(|(index, item)| item.as_ref().map(|item| (index, item)))
    }

    /// Whether nothing is written, valid or not.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for List<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("list-of-{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": generator.subschema_for::<T>() })
    }
}
