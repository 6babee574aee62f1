//! The flags of instructions.

use std::time::Duration;

use super::shortened;
use crate::Problem;
use crate::words::{self, Flag};

/// The flags of one instruction that are not taken yet.
pub(super) struct Flags {
    instruction: &'static str,
    flags: Vec<Flag>,
}

impl Flags {
    /// The flags that `rest` begins with, and what follows them.
    pub(super) fn read<'a>(instruction: &'static str, rest: &'a str, escape: char) -> (Self, &'a str) {
        let (flags, rest) = words::flags(rest, escape);
        (Self { instruction, flags }, rest)
    }

    /// Takes a flag that has a value.
    pub(super) fn take(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        let Some(at) = self.flags.iter().position(|flag| flag.name == name) else {
            return Ok(None);
        };
        match self.flags.remove(at).value {
            Some(value) if !value.is_empty() => Ok(Some(value)),
            _ => Err(self.value_error(name, "", "--flag=value")),
        }
    }

    /// Takes all flags of a name, each with a value.
    pub(super) fn take_all(&mut self, name: &'static str) -> Result<Vec<String>, Problem> {
        let mut values = Vec::new();
        while let Some(value) = self.take(name)? {
            values.push(value);
        }
        Ok(values)
    }

    /// Takes a flag that is on, also without a value, or off.
    pub(super) fn take_switch(&mut self, name: &'static str) -> Result<Option<bool>, Problem> {
        let Some(at) = self.flags.iter().position(|flag| flag.name == name) else {
            return Ok(None);
        };
        match self.flags.remove(at).value.as_deref() {
            None | Some("true" | "1" | "t" | "T" | "TRUE" | "True") => Ok(Some(true)),
            Some("false" | "0" | "f" | "F" | "FALSE" | "False") => Ok(Some(false)),
            Some(value) => Err(self.value_error(name, value, "true or false")),
        }
    }

    /// Takes a time span as Go writes it: `1m30s`, `500ms`.
    pub(super) fn take_duration(&mut self, name: &'static str) -> Result<Option<Duration>, Problem> {
        let Some(value) = self.take(name)? else { return Ok(None) };
        match duration(&value) {
            Some(duration) => Ok(Some(duration)),
            None => Err(self.value_error(name, &value, "a time such as 30s, 1m30s or 500ms")),
        }
    }

    /// Takes a whole number of at least 1.
    pub(super) fn take_number(&mut self, name: &'static str) -> Result<Option<u32>, Problem> {
        let Some(value) = self.take(name)? else { return Ok(None) };
        match value.parse() {
            Ok(number @ 1..) => Ok(Some(number)),
            _ => Err(self.value_error(name, &value, "a number of at least 1")),
        }
    }

    /// Refuses a flag that Docker has and homeostat has not.
    pub(super) fn refuse(&mut self, name: &str, instead: &'static str) -> Result<(), Problem> {
        if self.flags.iter().any(|flag| flag.name == name) {
            return Err(Problem::Unsupported { what: format!("{} --{name}", self.instruction), instead });
        }
        Ok(())
    }

    /// Refuses what was not taken.
    pub(super) fn finish(mut self) -> Result<(), Problem> {
        match self.flags.pop() {
            None => Ok(()),
            Some(flag) => {
                Err(Problem::UnknownFlag { instruction: self.instruction, flag: shortened(&flag.name) })
            }
        }
    }

    fn value_error(&self, flag: &'static str, value: &str, usage: &'static str) -> Problem {
        Problem::FlagValue { instruction: self.instruction, flag, value: shortened(value), usage }
    }
}

/// Numbers, each with its unit; whole numbers are what people write.
fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|char: char| !char.is_ascii_digit())?;
        let number: u64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|char: char| char.is_ascii_digit()).unwrap_or(rest.len());
        let milliseconds = match &rest[..end] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            _ => return None,
        };
        rest = &rest[end..];
        total = total.checked_add(Duration::from_millis(number.checked_mul(milliseconds)?))?;
    }
    (!text.is_empty()).then_some(total)
}
