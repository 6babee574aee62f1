//! `why` for people.

use std::io;

use anstream::println;
use homeostat_reconciler::ResourceKey;

use super::{BOLD, RED, YELLOW, plan, short};
use crate::service::Explanation;

/// Prints who asks for a container, how it is, what it waits for and what happened.
pub(crate) fn print(key: &ResourceKey, why: &Explanation) -> io::Result<()> {
    println!("{BOLD}{key}{BOLD:#}");
    match (&why.inspection.desired, &why.file) {
        (Some(container), Some(file)) => {
            println!("desired   {:?} by {file} at {}", container.state, short(&why.revision));
        }
        _ => println!("desired   not declared at {}", short(&why.revision)),
    }
    match &why.inspection.observed {
        Some(container) => {
            println!("observed  {:?}, image {} ({})", container.state, container.image, short(&container.image_id));
            if let Some(exit) = &container.exit {
                println!("last run  {exit} at {:.0}", exit.finished_at);
            }
        }
        None => println!("observed  absent"),
    }
    if let Some(record) = &why.inspection.record {
        println!("restarts  {}", record.restarts);
        if let Some(message) = &record.health.message {
            println!("health    {:?}: {message}", record.health.status);
        }
    }
    if let Some(failure) = &why.failure {
        println!("{RED}failed    {} times: {}{RED:#}", failure.attempts, failure.message);
        if let Some(hint) = &failure.hint {
            println!("hint      {hint}");
        }
        println!("retry at  {:.0}", failure.retry_at);
    }
    for step in &why.steps {
        println!("next      {} ({})", step.action.verb(), plan::cause(&step.cause));
    }
    for waiting in &why.waiting {
        println!("{YELLOW}waiting   {}{YELLOW:#}", plan::reason(waiting));
    }
    if !why.events.is_empty() {
        println!("events");
        super::events::print(&why.events)?;
    }
    Ok(())
}
