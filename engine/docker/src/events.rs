//! Following the engine's events, however often they break off.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptions;
use futures::StreamExt as _;
use homeostat_reconciler::ports::EngineEvent;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::cache::List;
use crate::engine::Inner;

/// Waits between two attempts to follow the events: at first, and at most.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// So long after it was asked for, a stream of events that did not fail is taken for one that tells all: neither the
/// API nor bollard say when it begins.
const SETTLED: Duration = Duration::from_millis(300);
/// However well events are followed, everything is looked at anew so often.
const RESCAN: Duration = Duration::from_mins(5);

/// Follows the events for good. Whenever events may have been missed, everybody is told to look again.
pub(crate) async fn follow(inner: Arc<Inner>) {
    let mut wait = FIRST_WAIT;
    loop {
        let followed = follow_once(&inner).await;
        inner.cache().begin(false);
        inner.forget_connection();
        if followed {
            wait = FIRST_WAIT;
            // The stream broke: whoever looks now learns whether the engine is there.
            tell(&inner, EngineEvent::Changed);
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Follows the events until they break off. False if that was before they were taken for reliable.
async fn follow_once(inner: &Arc<Inner>) -> bool {
    let Ok(api) = inner.api().await else { return false };
    let mut events = api.events(None::<EventsOptions>).boxed();
    let settled = tokio::time::sleep(SETTLED);
    tokio::pin!(settled);
    loop {
        tokio::select! {
            event = events.next() => if !heard(inner, event) { return false },
            () = &mut settled => break,
        }
    }
    // The answer also tells that it is the same engine that the events come from.
    if inner.answer(api.ping()).await.is_err() {
        return false;
    }
    inner.cache().begin(true);
    tell(inner, EngineEvent::Changed);
    let mut rescan = Instant::now() + RESCAN;
    loop {
        tokio::select! {
            event = events.next() => if !heard(inner, event) { return true },
            () = tokio::time::sleep_until(rescan) => {
                inner.cache().begin(true);
                tell(inner, EngineEvent::Changed);
                rescan = Instant::now() + RESCAN;
            }
        }
    }
}

/// Takes an event in. False when the stream has broken off.
fn heard(inner: &Inner, event: Option<Result<EventMessage, Error>>) -> bool {
    match event {
        Some(Ok(event)) => {
            if let Some(told) = take(inner, &event) {
                tell(inner, told);
            }
            true
        }
        // An event of a kind that is not known here may tell of anything.
        Some(Err(Error::JsonDataError { .. } | Error::JsonSerdeError { .. })) => {
            inner.cache().begin(true);
            tell(inner, EngineEvent::Changed);
            true
        }
        Some(Err(_)) | None => false,
    }
}

fn tell(inner: &Inner, event: EngineEvent) {
    // Nobody may be listening.
    let _ = inner.events.send(event);
}

/// Forgets what the event makes untrue, and says what it means.
fn take(inner: &Inner, event: &EventMessage) -> Option<EngineEvent> {
    use bollard::models::EventMessageTypeEnum as Type;
    let action = event.action.as_deref().unwrap_or_default();
    let actor = event.actor.clone().unwrap_or_default();
    let attributes = actor.attributes.unwrap_or_default();
    let id = actor.id.unwrap_or_default();
    match event.typ? {
        Type::CONTAINER => {
            if action == "oom" {
                let time = event.time_nano.and_then(|time| Timestamp::from_nanosecond(time.into()).ok());
                inner.oom_killed(&id, time.unwrap_or_else(Timestamp::now));
            }
            container(inner, action, &id, &attributes)
        }
        Type::IMAGE if action != "push" && action != "save" => Some(changed(inner, List::Images)),
        Type::VOLUME if matches!(action, "create" | "destroy" | "remove" | "prune") => {
            Some(changed(inner, List::Volumes))
        }
        Type::NETWORK => {
            if let Some(container) = attributes.get("container") {
                inner.cache().forget_container(container);
            }
            Some(changed(inner, List::Networks))
        }
        _ => None,
    }
}

fn changed(inner: &Inner, list: List) -> EngineEvent {
    inner.changed(list);
    EngineEvent::Changed
}

/// Docker says `die`, Podman `died`. What is only done with a container (commands in it, copies, signals) changes
/// nothing about it.
fn container(
    inner: &Inner,
    action: &str,
    id: &str,
    attributes: &HashMap<String, String>,
) -> Option<EngineEvent> {
    let changes = [
        "create", "start", "restart", "die", "died", "stop", "destroy", "remove", "pause", "unpause",
        "update", "oom", "rename", "cleanup", "prune", "init",
    ];
    if !changes.contains(&action) {
        return None;
    }
    let known = inner.cache().container(id).and_then(|seen| seen.key.clone());
    inner.cache().forget_container(id);
    let key = known.or_else(|| inner.ledger.container(id)).or_else(|| inner.instance.owner(attributes));
    match (action, key) {
        ("die" | "died", Some(key)) => Some(EngineEvent::ContainerExited(key)),
        // Somebody else's container may have had a port or a name that one of homeostat's waits for.
        ("destroy" | "remove" | "rename" | "die" | "died", None) | (_, Some(_)) => Some(EngineEvent::Changed),
        (_, None) => None,
    }
}
