//! What is asked for by hand where no agent runs: the steps of the plan that concern one container, one after the other.

use std::collections::BTreeSet;

use homeostat_reconciler::ports::{Progress, ProgressStep};
use homeostat_reconciler::{Desired, ErrorKind, Plan, PortError, ResourceId, ResourceKey, Step};

use super::Service;
use super::by_hand::obstacle;
use crate::hands::Hands;
use crate::view::View;

/// Plans until it is so. Each brings it nearer; a container that is replaced and ends at once takes four.
const ROUNDS: usize = 16;

impl Service {
    /// Does what leads to `reached` for one container.
    ///
    /// # Errors
    /// Those of the engine, and what the container has to wait for.
    pub(super) async fn converge(
        &self,
        key: &ResourceKey,
        reached: impl Fn(&View) -> bool + Send + Sync,
    ) -> Result<(), PortError> {
        for _ in 0..ROUNDS {
            let view = self.look().await?;
            if reached(&view) {
                return Ok(());
            }
            self.by_hand.settle(&view.desired, &view.observed)?;
            if self.by_hand.version() != view.by_hand {
                continue;
            }
            let steps = concerning(&view.plan, key);
            if steps.is_empty() {
                obstacle(&view, key)?;
                break;
            }
            for step in steps {
                self.carry_out(&view.desired, &step).await?;
            }
        }
        Err(PortError::new(ErrorKind::Internal, format!("container {key} does not get as it is wanted")))
    }

    async fn carry_out(&self, desired: &Desired, step: &Step) -> Result<(), PortError> {
        let hands = Hands { engine: self.engine.clone(), files: self.files.clone() };
        let done = hands.execute(step, None, &Silent).await;
        let mut record = self.store.load()?.record;
        let now = self.clock.now();
        let events = match &done {
            Ok(()) => record.step_succeeded(desired, step, now),
            Err(error) => record.step_failed(desired, step, error, now),
        };
        self.store.save_record(&record)?;
        self.store.append_events(&events)?;
        done
    }
}

/// The steps at a container and those that have to come before.
fn concerning(plan: &Plan, key: &ResourceKey) -> Vec<Step> {
    let resource = ResourceId::container(key);
    let mut needed = BTreeSet::new();
    for (index, step) in plan.steps.iter().enumerate().rev() {
        if step.resource == resource || needed.contains(&index) {
            needed.insert(index);
            needed.extend(&step.after);
        }
    }
    needed.into_iter().map(|index| plan.steps[index].clone()).collect()
}

/// Images are brought, with their progress, before a container is asked for.
struct Silent;

impl Progress for Silent {
    fn step(&self, _: &ProgressStep) {}
    fn cached(&self, _: usize) {}
    fn missed(&self, _: usize, _: &str) {}
    fn output(&self, _: Option<usize>, _: &str) {}
}
