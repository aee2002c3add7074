//! How far the pruning of goals got, in the memory of the process.
//!
//! A run of the duty goes on where the last one ended, and starts again at the oldest goal after the end. Goals
//! are noted before they are tried, so a run that is cut off notes them too. The goals of a transaction that failed
//! are tried again each by itself, and a goal that failed by itself not before [`AGAIN_AFTER`]: one goal that
//! cannot be pruned holds up no other. A new process starts at the oldest goal, which costs another try.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    clock::Stopwatch,
    domain::ids::{GoalId, WorkspaceId},
    store::retention::DueGoal,
};

/// Time before a goal that failed by itself is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(600);
/// Most failed goals of a workspace that are remembered.
const REMEMBERED: usize = 10_000;

/// End and id of a goal: the order in which goals are pruned.
pub type Place = (DateTime<Utc>, GoalId);

/// Before the first goal.
pub const START: Place = (DateTime::UNIX_EPOCH, GoalId(Uuid::nil()));

#[derive(Debug)]
struct Walk {
    after: Place,
    /// Goals that were tried and not pruned. With the time since they failed by themselves; `None`: they only
    /// failed together with others.
    failed: HashMap<GoalId, Option<Stopwatch>>,
}

impl Default for Walk {
    fn default() -> Self {
        Self { after: START, failed: HashMap::new() }
    }
}

/// How far the pruning of each workspace got.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<HashMap<WorkspaceId, Walk>>>);

/// What is known of a due goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has not failed.
    Fresh,
    /// It failed with others, or by itself long ago: it is tried by itself.
    Alone,
    /// It failed by itself a short time ago: it is passed over.
    Passed,
}

/// The goals of the next transaction.
#[derive(Debug, Default)]
pub struct Batch {
    /// The goals; may be empty if all were tried shortly before.
    pub goals: Vec<GoalId>,
    /// Goals that were passed over, because they were tried shortly before.
    pub passed: u64,
    /// The place to go on after.
    pub last: Option<Place>,
}

/// The first of these goals: up to `most_tasks` tasks together, or one goal.
pub fn first_batch(
    due: &[DueGoal],
    most_tasks: i64,
    standing: impl Fn(GoalId) -> Standing,
) -> Batch {
    let (mut batch, mut tasks) = (Batch::default(), 0);
    for goal in due {
        tasks += i64::from(goal.tasks);
        let joins = match standing(goal.goal_id) {
            Standing::Passed => {
                batch.passed += 1;
                batch.last = Some((goal.ended_at, goal.goal_id));
                continue;
            }
            Standing::Alone => false,
            Standing::Fresh => tasks <= most_tasks,
        };
        if !batch.goals.is_empty() && !joins {
            break;
        }
        batch.goals.push(goal.goal_id);
        batch.last = Some((goal.ended_at, goal.goal_id));
        if !joins {
            break;
        }
    }
    batch
}

impl Progress {
    fn walks(&self) -> MutexGuard<'_, HashMap<WorkspaceId, Walk>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place to go on after.
    pub fn after(&self, workspace: WorkspaceId) -> Place {
        self.walks().entry(workspace).or_default().after
    }

    /// What is known of a goal.
    pub fn standing(&self, workspace: WorkspaceId, goal: GoalId) -> Standing {
        let walks = self.walks();
        match walks.get(&workspace).and_then(|walk| walk.failed.get(&goal)) {
            None => Standing::Fresh,
            Some(Some(since)) if since.elapsed() < AGAIN_AFTER => Standing::Passed,
            Some(_) => Standing::Alone,
        }
    }

    /// Notes that a batch is tried.
    pub fn begin(&self, workspace: WorkspaceId, batch: &Batch) {
        let mut walks = self.walks();
        let walk = walks.entry(workspace).or_default();
        walk.after = batch.last.unwrap_or(START);
        if walk.failed.len() >= REMEMBERED {
            walk.failed.clear();
        }
        let alone = (batch.goals.len() == 1).then(Stopwatch::start);
        walk.failed.extend(batch.goals.iter().map(|goal| (*goal, alone)));
    }

    /// Notes that a batch did not fail.
    pub fn succeed(&self, workspace: WorkspaceId, batch: &Batch) {
        let mut walks = self.walks();
        let failed = &mut walks.entry(workspace).or_default().failed;
        for goal in &batch.goals {
            failed.remove(goal);
        }
    }

    /// Notes that there are no more goals: the next run starts at the oldest.
    pub fn end(&self, workspace: WorkspaceId) {
        self.walks().entry(workspace).or_default().after = START;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(id: u128, tasks: i32) -> DueGoal {
        let ended_at = DateTime::from_timestamp(i64::try_from(id).unwrap(), 0).unwrap();
        DueGoal { goal_id: GoalId(Uuid::from_u128(id)), ended_at, tasks }
    }

    fn ids(batch: &Batch) -> Vec<u128> {
        batch.goals.iter().map(|goal| goal.0.as_u128()).collect()
    }

    #[test]
    fn a_batch_has_few_tasks_or_one_goal() {
        let goals = [due(1, 20), due(2, 30), due(3, 1), due(4, 900)];
        let fresh = |_| Standing::Fresh;
        assert_eq!(ids(&first_batch(&goals, 50, fresh)), [1, 2]);
        assert_eq!(ids(&first_batch(&goals[2..], 50, fresh)), [3]);
        assert_eq!(ids(&first_batch(&goals[3..], 50, fresh)), [4]);
        assert_eq!(first_batch(&[], 50, fresh).last, None);
    }

    #[test]
    fn what_failed_is_passed_over_or_tried_by_itself() {
        let goals = [due(1, 1), due(2, 1), due(3, 1)];
        let second = |standing: Standing| {
            move |goal: GoalId| match goal.0.as_u128() {
                2 => standing,
                _ => Standing::Fresh,
            }
        };
        let batch = first_batch(&goals, 50, second(Standing::Passed));
        assert_eq!((ids(&batch), batch.passed), (vec![1, 3], 1));
        assert_eq!(ids(&first_batch(&goals, 50, second(Standing::Alone))), [1]);
        assert_eq!(ids(&first_batch(&goals[1..], 50, second(Standing::Alone))), [2]);
        let passed = first_batch(&goals[1..2], 50, second(Standing::Passed));
        assert_eq!((ids(&passed), passed.last.unwrap().1), (vec![], goals[1].goal_id));
    }

    #[test]
    fn a_run_goes_on_after_what_was_tried() {
        let (progress, workspace) = (Progress::default(), WorkspaceId(Uuid::from_u128(9)));
        assert_eq!(progress.after(workspace), START);
        let both = first_batch(&[due(1, 1), due(2, 1)], 50, |_| Standing::Fresh);
        progress.begin(workspace, &both);
        assert_eq!(progress.after(workspace).1, GoalId(Uuid::from_u128(2)));
        assert_eq!(progress.standing(workspace, both.goals[0]), Standing::Alone);
        let one = first_batch(&[due(1, 1)], 50, |_| Standing::Alone);
        progress.begin(workspace, &one);
        assert_eq!(progress.standing(workspace, one.goals[0]), Standing::Passed);
        progress.succeed(workspace, &both);
        assert_eq!(progress.standing(workspace, one.goals[0]), Standing::Fresh);
        progress.end(workspace);
        assert_eq!(progress.after(workspace), START);
    }
}
