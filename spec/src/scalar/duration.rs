//! Spans of time.

use std::fmt::Write as _;
use std::time::Duration;

use super::Scalar;
use crate::problem::Problem;

/// Units in milliseconds, largest first.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// A span of time as it is written in a spec: `10s`, `1m30s`, `500ms`. What is below a
/// millisecond is left out.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, millis) in UNITS {
        if rest >= millis {
            // Writing to a string cannot fail.
            let _ = write!(text, "{}{unit}", rest / millis);
            rest %= millis;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Reads a span of time as it is written in a spec.
///
/// # Errors
/// A message when it is none.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    read(text).map_err(|problem| problem.message)
}

fn read(text: &str) -> Result<Duration, Problem> {
    let bad = || {
        Problem::new(format!("{text:?} is no duration"))
            .hint("write whole numbers with units, as `10s`, `1m30s`, `500ms` or `2h`")
    };
    let mut millis: u64 = 0;
    let mut rest = text;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == &rest[..end]).ok_or_else(bad)?;
        let part = number.checked_mul(*unit).ok_or_else(bad)?;
        millis = millis.checked_add(part).ok_or_else(bad)?;
        rest = &rest[end..];
    }
    Ok(Duration::from_millis(millis))
}

/// A duration of one kind, with what it may be.
macro_rules! bounded_duration {
    ($(#[$doc:meta])* $type:ident, $format:literal, $examples:expr, $minimum:expr, $maximum:expr) => {
        $(#[$doc])*
        pub(crate) struct $type(pub(crate) Duration);

        impl Scalar for $type {
            const FORMAT: &'static str = $format;
            const EXAMPLES: &'static [&'static str] = &$examples;

            fn parse(text: &str) -> Result<Self, Problem> {
                let duration = read(text)?;
                if ($minimum..=$maximum).contains(&duration) {
                    return Ok(Self(duration));
                }
                let (minimum, maximum) = (format_duration($minimum), format_duration($maximum));
                Err(Problem::new(format!("{text:?} is out of bounds"))
                    .hint(format!("it can be {minimum} to {maximum}")))
            }
        }
    };
}

/// Examples of what takes seconds.
const SHORT: [&str; 3] = ["10s", "1m30s", "500ms"];
/// Examples of what takes days.
const LONG: [&str; 2] = ["12h", "168h"];
const DAY: Duration = Duration::from_hours(24);

bounded_duration!(
    /// Time before a stopping container is killed.
    Grace, "grace", SHORT, Duration::ZERO, DAY
);
bounded_duration!(
    /// Time between two health probes; below the minimum, probing is all that a small host does.
    Interval, "interval", SHORT, Duration::from_millis(100), DAY
);
bounded_duration!(
    /// Time that a health probe may take.
    Timeout, "timeout", SHORT, Duration::from_millis(1), Duration::from_hours(1)
);
bounded_duration!(
    /// Time in which failed health probes do not count.
    StartPeriod, "start-period", SHORT, Duration::ZERO, DAY
);
bounded_duration!(
    /// How long something has to be unneeded before it is removed: up to ten years.
    Age, "age", LONG, Duration::ZERO, Duration::from_hours(24 * 3650)
);
bounded_duration!(
    /// Time between two prunes.
    PruneInterval, "prune-interval", LONG, Duration::from_mins(1), Duration::from_hours(24 * 365)
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_printed_as_it_is_written() {
        for text in ["10s", "1m30s", "500ms", "24h", "0s", "1h1m1s1ms"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in
            ["", "10", "s", "10 s", "-1s", "1.5s", "10sec", "99999999999999999999s", "9999999999999999h"]
        {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }
}
