//! Turns of goals in a batch of claims: where its search begins, and the passes after it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use uuid::Uuid;

use crate::{
    app::{Result, Unit},
    domain::ids::{GoalId, TaskId, WorkspaceId},
    store::{
        self,
        attempts::{
            claim::{Joining, LockedTasks, ReadyTask},
            turns::Advance,
        },
    },
};

/// Where the next search of each workspace begins, if the last did not see all goals. A hint of this process: it
/// only decides among more goals than one search looks at.
#[derive(Debug, Default)]
pub(in crate::app) struct SearchStarts(Mutex<HashMap<WorkspaceId, GoalId>>);

impl SearchStarts {
    pub(super) fn get(&self, workspace: WorkspaceId) -> GoalId {
        let starts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        starts.get(&workspace).copied().unwrap_or(GoalId(Uuid::nil()))
    }

    pub(super) fn set(&self, workspace: WorkspaceId, next: Option<GoalId>) {
        let mut starts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match next {
            Some(goal) => starts.insert(workspace, goal),
            None => starts.remove(&workspace),
        };
    }
}

/// The goal behind one, as a bound.
pub(super) fn behind(goal: GoalId) -> GoalId {
    GoalId(Uuid::from_u128(goal.0.as_u128().wrapping_add(1)))
}

/// What the searches of a batch saw of the turns.
#[derive(Debug, Default)]
pub(super) struct Seen {
    joining: Vec<Joining>,
    /// Whether goals compete.
    several: bool,
    /// Whether more tasks are ready than the search looked at.
    more: bool,
}

impl Seen {
    pub fn note(&mut self, found: &LockedTasks) {
        self.joining.extend(&found.joining);
        self.several |= found.goals > 1;
        self.more |= found.more;
    }

    /// Whether there are more ready tasks than the search looked at, so that nobody runs out of them soon.
    pub fn more(&self) -> bool {
        self.more
    }

    /// The passes to write: of goals whose tasks were given, and of those that join. A goal that is alone keeps its
    /// pass: goals that join later join at it.
    fn advances(&self, ready: &[ReadyTask], given: &[Vec<ReadyTask>]) -> Vec<Advance> {
        let mut advances: BTreeMap<GoalId, Advance> = BTreeMap::new();
        for Joining { goal_id, start } in self.joining.iter().copied() {
            let joins = Advance { goal_id, start, by: 0, drained: false };
            advances.entry(goal_id).or_insert(joins);
        }
        let started: BTreeMap<TaskId, &ReadyTask> =
            given.iter().flatten().map(|task| (task.task_id, task)).collect();
        for task in started.values() {
            let start = task.turn.start;
            let Advance { by, .. } = advances.entry(task.goal_id).or_insert(Advance {
                goal_id: task.goal_id,
                start,
                by: 0,
                drained: false,
            });
            *by = by.saturating_add(task.turn.stride);
        }
        // Drained if the search saw its last ready task, and all that were locked have started.
        for (goal, advance) in &mut advances {
            let mut locked = ready.iter().filter(|task| task.goal_id == *goal).peekable();
            advance.drained = locked.peek().is_some()
                && locked.all(|task| task.turn.last && started.contains_key(&task.task_id));
        }
        let joins = |goal: &GoalId| self.joining.iter().any(|joining| joining.goal_id == *goal);
        advances.retain(|goal, advance| self.several || advance.drained || joins(goal));
        advances.into_values().collect()
    }
}

/// Moves the passes of the goals whose tasks a batch was given. Last of all that it writes: batches of a workspace
/// wait for each other from here to the numbering of the journal, right before the commit.
pub(super) async fn advance(
    unit: &mut Unit,
    seen: &Seen,
    ready: &[ReadyTask],
    given: &[Vec<ReadyTask>],
) -> Result<()> {
    // Without turns the stride is 0.
    if ready.iter().all(|task| task.turn.stride == 0) {
        return Ok(());
    }
    let advances = seen.advances(ready, given);
    Ok(store::attempts::turns::advance(unit.tx(), &advances).await?)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::{domain::task::claim::Keeping, store::attempts::claim::Turn};

    fn task(goal: u128, number: u128, last: bool) -> ReadyTask {
        ReadyTask {
            task_id: TaskId(Uuid::from_u128(number)),
            goal_id: GoalId(Uuid::from_u128(goal)),
            turn: Turn { at: 5, start: 5, stride: 10, last },
            claim_rank: DateTime::UNIX_EPOCH,
            ranked_from: DateTime::UNIX_EPOCH,
            ready_from: DateTime::UNIX_EPOCH,
            required: Vec::new(),
            attempts_started: 0,
            lease_ms: None,
            attempt_timeout_ms: None,
            finish_by: None,
            gated: false,
            keeping: Keeping::Anybody,
        }
    }

    fn advance(goal: u128, by: i64, drained: bool) -> Advance {
        Advance { goal_id: GoalId(Uuid::from_u128(goal)), start: 5, by, drained }
    }

    #[test]
    fn each_started_task_moves_the_pass_of_its_goal() {
        let ready = [task(1, 1, false), task(1, 2, false), task(2, 3, true), task(2, 4, true)];
        let given = [vec![ready[0].clone(), ready[2].clone()], vec![ready[1].clone()]];
        let seen = Seen { joining: Vec::new(), several: true, more: false };
        // One task of the second goal is still ready.
        assert_eq!(seen.advances(&ready, &given), [advance(1, 20, false), advance(2, 10, false)]);
    }

    #[test]
    fn a_goal_that_is_alone_is_written_only_when_it_joins_and_leaves() {
        let alone = Seen::default();
        let ready = [task(1, 1, false)];
        assert_eq!(alone.advances(&ready, &[vec![ready[0].clone()]]), []);
        let ready = [task(1, 1, true)];
        assert_eq!(alone.advances(&ready, &[vec![ready[0].clone()]]), [advance(1, 10, true)]);
        let joining = vec![Joining { goal_id: GoalId(Uuid::from_u128(1)), start: 5 }];
        let seen = Seen { joining, several: false, more: false };
        assert_eq!(seen.advances(&ready, &[vec![]]), [advance(1, 0, false)]);
    }
}
