//! Plans for people.

use std::io::{self, Write as _};

use anstyle::Style;
use homeostat_reconciler::{Action, Cause, FieldChange, HoldReason, Plan, Step, WaitReason, Waiting};

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
            step.resource,
            cause(&step.cause)
        )?;
        for change in fields(step) {
            writeln!(out, "    {}", field(change))?;
        }
    }
    for waiting in &plan.waiting {
        writeln!(out, "{YELLOW}wait{YELLOW:#} {}: {}", waiting.resource, reason(waiting))?;
    }
    for held in &plan.held {
        let HoldReason::EmptySource = held.reason;
        writeln!(
            out,
            "{YELLOW}keep{YELLOW:#} {}: the source has no specs (--allow-empty removes it)",
            held.resource
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
    let verbs = ["build", "pull", "write", "create", "start", "update", "pause", "resume", "stop", "remove"];
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

/// Why a step is there, in a few words.
pub(crate) fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Missing => "missing".to_owned(),
        Cause::NotDeclared => "not declared any more".to_owned(),
        Cause::Unused => "not used any more".to_owned(),
        Cause::Changed(changes) => {
            let names: Vec<&str> = changes.iter().map(|change| change.field.as_str()).collect();
            format!("changed: {}", names.join(", "))
        }
        Cause::State { actual, desired } => format!("is {actual:?}, wanted {desired:?}").to_lowercase(),
        Cause::Restart(exit) => match (exit.oom_killed, exit.code) {
            (true, _) => "ran out of memory".to_owned(),
            (false, Some(code)) => format!("exited with code {code}"),
            (false, None) => "its run was cut off".to_owned(),
        },
        Cause::Unhealthy => "unhealthy".to_owned(),
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

/// What something waits for.
pub(crate) fn reason(waiting: &Waiting) -> String {
    let text = match &waiting.reason {
        WaitReason::Dependency { on, condition } => {
            format!("{on} has to be {condition:?} first").to_lowercase()
        }
        WaitReason::BackOff { attempts, message } => format!("failed {attempts} times: {message}"),
        WaitReason::Blocked { by } => format!("needs {by}"),
        WaitReason::Health => "its first health check is awaited".to_owned(),
        WaitReason::Completion => "runs until it ends by itself".to_owned(),
        WaitReason::Stalled { fields } => {
            format!("still differs after several changes: {}", fields.join(", "))
        }
    };
    match waiting.until {
        Some(until) => format!("{text} (tried again at {until:.0})"),
        None => text,
    }
}
