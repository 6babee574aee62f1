//! `why` for people.

use std::io::{self, Write as _};

use homeostat_reconciler::ResourceKey;

use super::{BOLD, RED, YELLOW, plan, short};
use crate::service::Explanation;

/// Prints who asks for a container, how it is, what it waits for and what happened.
pub(crate) fn print(key: &ResourceKey, why: &Explanation) -> io::Result<()> {
    let out = &mut anstream::stdout().lock();
    writeln!(out, "{BOLD}{key}{BOLD:#}")?;
    match (&why.inspection.desired, &why.file) {
        (Some(container), Some(file)) => {
            writeln!(out, "desired   {} by {file} at {}", container.state, short(&why.revision))?;
        }
        _ => writeln!(out, "desired   not declared at {}", short(&why.revision))?,
    }
    match &why.inspection.observed {
        Some(container) => {
            writeln!(
                out,
                "observed  {}, image {} ({})",
                container.state,
                container.image,
                short(&container.image_id)
            )?;
            if let Some(exit) = &container.exit {
                writeln!(out, "last run  {exit} at {:.0}", exit.finished_at)?;
            }
        }
        None if why.engine_error.is_some() => writeln!(out, "observed  unknown")?,
        None => writeln!(out, "observed  absent")?,
    }
    if let Some(trouble) = &why.engine_error {
        writeln!(out, "{RED}engine    {trouble}{RED:#}")?;
    }
    if let Some(record) = &why.inspection.record {
        writeln!(out, "restarts  {}", record.restarts)?;
        if let Some(message) = &record.health.message {
            writeln!(out, "health    {}: {message}", record.health.status)?;
        }
    }
    if let Some(failure) = &why.failure {
        writeln!(out, "{RED}failed    {} times: {}{RED:#}", failure.attempts, failure.message)?;
        if let Some(hint) = &failure.hint {
            writeln!(out, "hint      {hint}")?;
        }
        writeln!(out, "retry at  {:.0}", failure.retry_at)?;
    }
    for step in &why.steps {
        writeln!(out, "next      {} ({})", step.action.verb(), step.cause)?;
    }
    for waiting in &why.waiting {
        writeln!(out, "{YELLOW}waiting   {}{YELLOW:#}", plan::reason(waiting))?;
    }
    if !why.events.is_empty() {
        writeln!(out, "events")?;
        super::events::print(&why.events)?;
    }
    Ok(())
}
