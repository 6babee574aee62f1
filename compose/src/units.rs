//! Durations and sizes as Compose writes them, in the words of a spec.

use std::time::Duration;

use homeostat_spec::{format_duration, format_size};

/// A duration as `1m30s`, `1.5h` or `500ms` (the format of the Go language), as a spec writes it.
pub(crate) fn duration(text: &str) -> Option<String> {
    if text == "0" {
        return Some("0s".to_owned());
    }
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        seconds += number
            * match &rest[..end] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                "d" => 86_400.0,
                _ => return None,
            };
        rest = &rest[end..];
    }
    let duration = Duration::try_from_secs_f64(seconds).ok()?;
    (!text.is_empty()).then(|| format_duration(Duration::from_millis(rounded_millis(duration))))
}

/// Milliseconds, rounded: 1.1 s is not quite 1100 ms in floating point.
fn rounded_millis(duration: Duration) -> u64 {
    u64::try_from((duration.as_micros() + 500) / 1000).unwrap_or(u64::MAX)
}

/// A size as `512m`, `1gb`, `1.5g` or a number of bytes, by powers of 1024, as a spec writes it.
pub(crate) fn memory(text: &str) -> Option<String> {
    size(text, 1024.0)
}

/// The same by powers of 1000, as Docker reads `max-size` of a log.
pub(crate) fn log_size(text: &str) -> Option<String> {
    size(text, 1000.0)
}

/// Above, a number of bytes is not exact any more, and no machine has it.
const MOST: f64 = 9e15;

fn size(text: &str, kilo: f64) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let power = match text[end..].trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return None,
    };
    let bytes = number * kilo.powi(power);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and MOST")]
    (0.0..=MOST).contains(&bytes).then(|| format_size(bytes as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_go_are_read() {
        for (text, expected) in [
            ("30s", "30s"),
            ("1m30s", "1m30s"),
            ("1.5h", "1h30m"),
            ("1.1s", "1s100ms"),
            ("0", "0s"),
            ("0s", "0s"),
            ("2500us", "3ms"),
        ] {
            assert_eq!(duration(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "10", "s", "ten", "1..5s", "-1s", "1 s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_of_docker_are_read() {
        for (text, expected) in [
            ("512m", "512MiB"),
            ("1.5G", "1536MiB"),
            ("2gb", "2GiB"),
            ("1073741824", "1GiB"),
            ("64 MiB", "64MiB"),
            ("100b", "100B"),
        ] {
            assert_eq!(memory(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(log_size("10m").as_deref(), Some("10MB"));
        for text in ["", "m", "-1", "1x", "99999999999999t"] {
            assert_eq!(memory(text), None, "{text}");
        }
    }
}
