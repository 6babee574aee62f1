//! Talks to systemd: ready, status, watchdog. Does nothing where the agent was not started by it.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;

use crate::view::View;

/// How long systemd may take to say how it is.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The time that is asked for at once, in microseconds.
const EXTENSION_MICROS: u32 = 30_000_000;

/// Says `READY=1` at the first look and `STATUS=` at every change; answers the watchdog while the loop works.
pub(crate) fn announce(view: watch::Receiver<Option<View>>) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    tokio::spawn(follow(view));
}

async fn follow(mut view: watch::Receiver<Option<View>>) {
    let watchdog = sd_notify::watchdog_enabled().map(|timeout| timeout / 2);
    let mut ready = false;
    loop {
        let status = view.borrow_and_update().as_ref().map(status_line);
        if let Some(status) = status {
            if !ready {
                notify(&[NotifyState::Ready]);
                ready = true;
            }
            notify(&[NotifyState::Status(&status), NotifyState::Watchdog]);
        }
        let tick = tokio::time::sleep(watchdog.unwrap_or(Duration::MAX));
        tokio::select! {
            changed = view.changed() => if changed.is_err() { return },
            () = tick => notify(&[NotifyState::Watchdog]),
        }
    }
}

/// Whether systemd is about to halt, power off or reboot the host. It says so from the moment at which that was asked for.
pub(crate) async fn host_goes_down() -> bool {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return false;
    }
    let asked =
        tokio::process::Command::new("systemctl").arg("is-system-running").kill_on_drop(true).output();
    let answer = tokio::time::timeout(ANSWER_LIMIT, asked).await;
    answer.is_ok_and(|output| output.is_ok_and(|output| output.stdout.trim_ascii() == b"stopping"))
}

/// Asks systemd for time, again and again, beyond what the unit has to end.
pub(crate) async fn take_time() {
    loop {
        notify(&[NotifyState::ExtendTimeoutUsec(EXTENSION_MICROS)]);
        tokio::time::sleep(Duration::from_micros(EXTENSION_MICROS.into()) / 3).await;
    }
}

/// Says that the agent is ending.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(states: &[NotifyState<'_>]) {
    // Without systemd there is no one to tell, and nothing that could be done.
    let _ = sd_notify::notify(states);
}

fn status_line(view: &View) -> String {
    let revision = crate::render::short(&view.desired.revision);
    if view.is_converged() {
        format!("converged at {revision}")
    } else if let Some(error) =
        view.source.error.clone().or(view.engine_error.as_ref().map(ToString::to_string))
    {
        error
    } else {
        let (steps, waiting) = (view.plan.steps.len(), view.plan.waiting.len());
        format!("at {revision}: {steps} steps, {waiting} waiting, {} specs broken", view.desired.broken.len())
    }
}
