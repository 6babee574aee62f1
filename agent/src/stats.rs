//! What containers use over a time, out of two looks.

use std::time::Duration;

use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::Usage;
use serde::Serialize;

use crate::service::UsageReport;

/// A line of `stats`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Stats {
    /// The container.
    pub(crate) container: ResourceKey,
    /// CPU time used meanwhile, in percent of one CPU; `None` when it did not run before.
    pub(crate) cpu_percent: Option<f64>,
    /// As of the second look.
    #[serde(flatten)]
    pub(crate) usage: Usage,
}

/// What was used between two looks.
pub(crate) fn between(before: &UsageReport, now: &UsageReport) -> Vec<Stats> {
    let passed = Duration::try_from(now.time.duration_since(before.time)).unwrap_or_default();
    let line = |(container, usage): (&ResourceKey, &Usage)| Stats {
        container: container.clone(),
        cpu_percent: before.containers.get(container).and_then(|before| percent(before, usage, passed)),
        usage: usage.clone(),
    };
    now.containers.iter().map(line).collect()
}

/// Rounded to hundredths. A container that was started again meanwhile has used less than before: that is unknown.
fn percent(before: &Usage, now: &Usage, passed: Duration) -> Option<f64> {
    let used = now.cpu.checked_sub(before.cpu)?;
    let share = (!passed.is_zero()).then(|| used.as_secs_f64() / passed.as_secs_f64())?;
    Some((share * 10_000.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(second: i64, cpu_millis: &[(&str, u64)]) -> UsageReport {
        let usage = |millis| Usage { cpu: Duration::from_millis(millis), ..Usage::default() };
        let containers = cpu_millis.iter().map(|(key, millis)| (key.parse().unwrap(), usage(*millis)));
        UsageReport { time: jiff::Timestamp::from_second(second).unwrap(), containers: containers.collect() }
    }

    #[test]
    fn processor_time_is_told_in_percent_of_one_processor() {
        let before = report(10, &[("a/busy", 1000), ("a/gone", 5), ("a/idle", 70), ("a/restarted", 900)]);
        let now = report(12, &[("a/busy", 4000), ("a/idle", 70), ("a/new", 10), ("a/restarted", 10)]);
        let told: Vec<_> = between(&before, &now)
            .into_iter()
            .map(|line| (line.container.name.to_string(), line.cpu_percent))
            .collect();
        let expected = [("busy", Some(150.0)), ("idle", Some(0.0)), ("new", None), ("restarted", None)];
        assert_eq!(told, expected.map(|(name, percent)| (name.to_owned(), percent)));
        assert_eq!(between(&now, &now)[0].cpu_percent, None, "no time has passed");
    }
}
