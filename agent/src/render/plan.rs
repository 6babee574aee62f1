//! Plans for people.

use std::io::{self, Write as _};

use anstyle::Style;
use homeostat_reconciler::{Action, Cause, FieldChange, Plan, Step, Waiting};

use super::{DIM, GREEN, RED, YELLOW};

/// Prints the steps with their causes, what waits, what is held back, and a line that counts.
pub(crate) fn print(plan: &Plan) -> io::Result<()> {
    let out = &mut anstream::stdout().lock();
    for step in &plan.steps {
        let style = style(&step.action);
        writeln!(
            out,
            "{style}{}{style:#} {} {DIM}({}){DIM:#}",
            step.action.verb(),
            super::resource(step),
            step.cause
        )?;
        for change in fields(step) {
            writeln!(out, "    {}", field(change))?;
        }
    }
    for waiting in &plan.waiting {
        writeln!(out, "{YELLOW}wait{YELLOW:#} {}: {}", waiting.resource, reason(waiting))?;
    }
    for held in &plan.held {
        writeln!(
            out,
            "{YELLOW}keep{YELLOW:#} {}: {} (--allow-empty removes it)",
            held.resource, held.reason
        )?;
    }
    writeln!(out, "{}", summary(plan))?;
    Ok(())
}

fn summary(plan: &Plan) -> String {
    if plan.steps.is_empty() {
        return match plan.waiting.len() {
            0 => "nothing to do".to_owned(),
            count => format!("nothing to do now, {count} waiting"),
        };
    }
    let verbs =
        ["build", "pull", "write", "create", "adopt", "start", "update", "pause", "resume", "stop", "remove"];
    let counted = verbs.iter().filter_map(|verb| {
        let count = plan.steps.iter().filter(|step| step.action.verb() == *verb).count();
        (count > 0).then(|| format!("{count} to {verb}"))
    });
    format!("{} steps: {}", plan.steps.len(), counted.collect::<Vec<_>>().join(", "))
}

fn style(action: &Action) -> Style {
    match action.verb() {
        "remove" | "stop" => RED,
        "update" | "pause" => YELLOW,
        _ => GREEN,
    }
}

/// The changes are told once, at the first step that they cause.
fn fields(step: &Step) -> &[FieldChange] {
    let tells = !matches!(
        step.action,
        Action::RemoveContainer | Action::CreateContainer { .. } | Action::StartContainer
    );
    match &step.cause {
        Cause::Changed(changes) if tells => changes,
        _ => &[],
    }
}

fn field(change: &FieldChange) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
    format!("{}: {RED}{}{RED:#} -> {GREEN}{}{GREEN:#}", change.field, value(&change.old), value(&change.new))
}

/// What something waits for, and until when.
pub(crate) fn reason(waiting: &Waiting) -> String {
    match waiting.until {
        Some(until) => format!("{} (tried again at {until:.0})", waiting.reason),
        None => waiting.reason.to_string(),
    }
}
