//! Amounts of memory and disk, and shares of a CPU.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _};

use super::Scalar;
use crate::problem::Problem;

const UNITS: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("kB", 1_000),
    ("B", 1),
];

/// A number of bytes as it is written in a spec: `256MiB`, `1GB`, `1000B`.
pub fn format_size(bytes: u64) -> String {
    let exact = UNITS.iter().find(|(_, size)| bytes != 0 && bytes.is_multiple_of(*size));
    let (unit, size) = exact.unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / size)
}

/// Thousandths of a CPU as CPUs are written in a spec: 500 is `0.5`, 2000 is `2`.
pub fn format_cpus(millis: u32) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(super) fn parse_size(text: &str) -> Result<u64, Problem> {
    let hint = "write a whole number and a unit, as `256MiB`, `1GiB` or `500MB`";
    let bad = || Problem::new(format!("{text:?} is no size")).hint(hint);
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = text[digits..].trim_start();
    let Some((_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let meant = UNITS.iter().find(|(name, _)| {
            let name = name.to_lowercase();
            !unit.is_empty()
                && (name == unit.to_lowercase() || name.trim_end_matches('b') == unit.to_lowercase())
        });
        return Err(match meant {
            Some((name, _)) if digits > 0 => bad().hint(format!("did you mean `{}{name}`?", &text[..digits])),
            _ => bad(),
        });
    };
    let number: u64 = text[..digits].parse().map_err(|_| bad())?;
    number.checked_mul(*size).ok_or_else(|| Problem::new(format!("{text:?} is more than any machine has")))
}

/// What an amount of bytes may be.
pub(crate) trait Bound {
    /// What is measured, for messages.
    const WHAT: &'static str;
    /// The least, in bytes.
    const MINIMUM: u64;
    /// The most, in bytes.
    const MAXIMUM: u64;
}

fn bounded<T: Bound>(bytes: u64) -> Result<u64, Problem> {
    if (T::MINIMUM..=T::MAXIMUM).contains(&bytes) {
        return Ok(bytes);
    }
    Err(Problem::new(format!("{} of {} is out of bounds", T::WHAT, format_size(bytes))).hint(format!(
        "it can be {} to {}",
        format_size(T::MINIMUM),
        format_size(T::MAXIMUM)
    )))
}

/// A limit of memory.
pub(crate) struct MemoryLimit(u64);

impl Bound for MemoryLimit {
    const WHAT: &'static str = "a memory limit";
    /// Below this not even the start of a container succeeds.
    const MINIMUM: u64 = 4 << 20;
    const MAXIMUM: u64 = 64 << 40;
}

impl Scalar for MemoryLimit {
    const FORMAT: &'static str = "memory-limit";
    const EXAMPLES: &'static [&'static str] = &["256MiB", "1GiB"];

    fn parse(text: &str) -> Result<Self, Problem> {
        bounded::<Self>(parse_size(text)?).map(Self)
    }
}

/// The size at which a log is rotated.
pub(crate) struct LogSize(u64);

impl Bound for LogSize {
    const WHAT: &'static str = "a log size";
    const MINIMUM: u64 = 4 << 10;
    const MAXIMUM: u64 = 1 << 40;
}

impl Scalar for LogSize {
    const FORMAT: &'static str = "log-size";
    const EXAMPLES: &'static [&'static str] = &["10MiB"];

    fn parse(text: &str) -> Result<Self, Problem> {
        bounded::<Self>(parse_size(text)?).map(Self)
    }
}

/// The size of `/dev/shm`.
pub(crate) struct ShmSize(u64);

impl Bound for ShmSize {
    const WHAT: &'static str = "a size of /dev/shm";
    /// A page.
    const MINIMUM: u64 = 4 << 10;
    const MAXIMUM: u64 = 64 << 40;
}

impl Scalar for ShmSize {
    const FORMAT: &'static str = "shm-size";
    const EXAMPLES: &'static [&'static str] = &["128MiB"];

    fn parse(text: &str) -> Result<Self, Problem> {
        bounded::<Self>(parse_size(text)?).map(Self)
    }
}

impl From<ShmSize> for u64 {
    fn from(size: ShmSize) -> Self {
        size.0
    }
}

impl From<MemoryLimit> for u64 {
    fn from(limit: MemoryLimit) -> Self {
        limit.0
    }
}

impl From<LogSize> for u64 {
    fn from(size: LogSize) -> Self {
        size.0
    }
}

/// An amount written as a string with a unit or as a plain number of bytes.
pub(crate) struct Bytes<T> {
    /// The number of bytes.
    pub(crate) bytes: u64,
    kind: PhantomData<T>,
}

impl<'de, T: Scalar + Bound + Into<u64>> Deserialize<'de> for Bytes<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let bytes = match (value.as_u64(), value.as_str()) {
            (Some(number), _) => bounded::<T>(number),
            (None, Some(text)) => T::parse(text).map(Into::into),
            (None, None) => Err(Problem::new("neither a number nor a string")),
        };
        let bytes = bytes.map_err(|problem| D::Error::custom(problem.message))?;
        Ok(Self { bytes, kind: PhantomData })
    }
}

impl<T: Scalar + Bound> JsonSchema for Bytes<T> {
    fn schema_name() -> Cow<'static, str> {
        T::FORMAT.into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "format": T::FORMAT, "examples": T::EXAMPLES },
            { "type": "integer", "minimum": T::MINIMUM, "maximum": T::MAXIMUM },
        ]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_printed_as_it_is_written() {
        for text in ["256MiB", "1GiB", "500MB", "3TiB", "4097B"] {
            assert_eq!(format_size(parse_size(text).unwrap()), text);
        }
        assert_eq!(format_size(0), "0B");
        assert_eq!(parse_size("1 GiB").unwrap(), 1 << 30);
    }

    #[test]
    fn a_unit_in_the_wrong_case_or_cut_short_is_suggested() {
        assert_eq!(parse_size("256mib").unwrap_err().hint.unwrap(), "did you mean `256MiB`?");
        assert_eq!(parse_size("256Mi").unwrap_err().hint.unwrap(), "did you mean `256MiB`?");
        assert_eq!(parse_size("1g").unwrap_err().hint.unwrap(), "did you mean `1GB`?");
        assert!(parse_size("MiB").is_err());
        assert!(parse_size("99999999999999999999TiB").is_err());
    }

    #[test]
    fn cpus_have_no_needless_digits() {
        let texts = [500, 1000, 250, 1001, 10_000].map(format_cpus);
        assert_eq!(texts, ["0.5", "1", "0.25", "1.001", "10"]);
    }
}
