//! Prunes: when the loop begins with one, and what it makes of its end.

use homeostat_reconciler::ports::{EventKind, Pruned};
use homeostat_reconciler::{PortError, chain, prune_policy, prune_request, room_request};
use tokio::time::Instant;

use super::{Controller, Until};
use crate::pruner::Occasion;
use crate::render;

impl Controller {
    /// Begins with a prune if one is due and nothing else is to do.
    pub(super) fn follow_prunes(&mut self) {
        let policy = prune_policy(&self.desired, &self.options.prune);
        let stays = self.options.until == Until::Stopped && !self.going_down;
        let now = self.now();
        let wanted = stays && !policy.is_empty();
        self.pruner.follow(wanted.then(|| policy.interval()), self.record.pruned_at, now);
        let is_due = self.pruner.due().is_some_and(|due| due <= Instant::now());
        if is_due && self.may_prune() {
            let others = self.options.prune.others;
            let request = prune_request(&policy, others, &self.desired, &self.record, now);
            self.pruner.start(Occasion::Interval, request);
        } else if stays && self.pruner.may_look() && self.may_prune() {
            self.pruner.start(Occasion::Disk, room_request(&policy, &self.desired, &self.record, now));
        }
    }

    /// What is wanted is known, and nothing is being done for it. What waits, for its health or to be tried again, needs
    /// nothing that is pruned.
    fn may_prune(&self) -> bool {
        let nothing_to_do = self.executor.is_idle() && self.plan.steps.is_empty();
        let source_known = self.source.reads > 0 && !self.reader.is_busy();
        nothing_to_do && source_known && self.engine.trouble().is_none() && !self.desired.is_held()
    }

    /// When the loop has to wake for a prune. One that waits for what else is to do is begun after that.
    pub(super) fn prune_due(&self) -> Option<Instant> {
        self.pruner.due().filter(|due| *due > Instant::now() || self.may_prune())
    }

    pub(super) fn pruned_by_itself(&mut self, occasion: Occasion, pruned: Result<Pruned, PortError>) {
        // A disk with room is no news.
        self.dirty |= occasion == Occasion::Interval || pruned.as_ref().is_ok_and(|it| !it.items.is_empty());
        match pruned {
            Ok(pruned) => {
                self.prune_errors.remove(&occasion);
                if occasion == Occasion::Interval {
                    self.record.pruned_at = Some(self.now());
                }
                self.note_pruned(&pruned);
                self.note_full_disk(&pruned, occasion);
            }
            Err(error) => {
                let message = chain(&error);
                if self.prune_errors.get(&occasion) != Some(&message) {
                    self.event(EventKind::Agent, format!("the prune failed: {message}"));
                }
                self.prune_errors.insert(occasion, message);
            }
        }
    }

    /// Tells once that no more room can be made, until there is some again.
    fn note_full_disk(&mut self, pruned: &Pruned, occasion: Occasion) {
        if occasion != Occasion::Disk {
            return;
        }
        if let Some(fill) = pruned.still_full
            && !self.disk_is_full
        {
            let message =
                format!("the disk of the images is {fill} % full, and all of these that is left is needed");
            self.event(EventKind::Agent, message);
        }
        self.disk_is_full = pruned.still_full.is_some();
    }

    /// Tells of a prune that removed something.
    pub(super) fn note_pruned(&mut self, pruned: &Pruned) {
        self.ports.watcher.pruned(pruned);
        if let Some(message) = render::prune::summary(pruned) {
            self.event(EventKind::Pruned, message);
        }
    }
}
