//! Steps while the plan is made, in any order.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use crate::{Action, Cause, ResourceId, Step};

/// A step of the plan in the making.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Node(usize);

/// Steps and what has to come before them.
#[derive(Debug, Default)]
pub(super) struct Graph {
    steps: Vec<Step>,
    after: Vec<BTreeSet<usize>>,
}

impl Graph {
    /// Adds a step that comes after these.
    pub(super) fn add(
        &mut self,
        resource: ResourceId,
        action: Action,
        cause: Cause,
        after: impl IntoIterator<Item = Node>,
    ) -> Node {
        self.steps.push(Step { resource, action, cause, after: Vec::new() });
        self.after.push(after.into_iter().map(|node| node.0).collect());
        Node(self.steps.len() - 1)
    }

    /// Lets `then` come after `first`.
    pub(super) fn order(&mut self, first: Node, then: Node) {
        self.after[then.0].insert(first.0);
    }

    /// The steps in an order in which each comes after all that it has to come after; where that leaves
    /// a choice, in the order in which they were added (Kahn's algorithm).
    ///
    /// The planner never orders steps in a circle. Were it to, none of that circle would be in the plan.
    pub(super) fn into_steps(self) -> Vec<Step> {
        let mut followers = vec![Vec::new(); self.steps.len()];
        let mut missing: Vec<usize> = self.after.iter().map(BTreeSet::len).collect();
        for (then, after) in self.after.iter().enumerate() {
            for first in after {
                followers[*first].push(then);
            }
        }
        let mut ready: BinaryHeap<Reverse<usize>> =
            (0..self.steps.len()).filter(|index| missing[*index] == 0).map(Reverse).collect();
        let mut position = vec![0; self.steps.len()];
        let mut ordered: Vec<Step> = Vec::with_capacity(self.steps.len());
        let mut steps: Vec<Option<Step>> = self.steps.into_iter().map(Some).collect();
        while let Some(Reverse(index)) = ready.pop() {
            let Some(mut step) = steps[index].take() else { continue };
            step.after = self.after[index].iter().map(|first| position[*first]).collect();
            step.after.sort_unstable();
            position[index] = ordered.len();
            ordered.push(step);
            for then in &followers[index] {
                missing[*then] -= 1;
                if missing[*then] == 0 {
                    ready.push(Reverse(*then));
                }
            }
        }
        ordered
    }
}
