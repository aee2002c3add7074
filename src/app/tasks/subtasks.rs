//! Adding subtasks to a task that parks for them, requested by its attempt or by a person who
//! splits it.

use std::collections::HashMap;

use super::create::{InsertPoint, create_tasks};
use crate::{
    app::{Result, Unit, caps},
    domain::{
        cap::workspace::Holding,
        check::{Checks, pointer},
        ids::TaskId,
        plan::{PlanContext, TaskSpec, around::check_growth, check_plan},
        refusal::{Code, FieldError, Refusal},
        settings,
        task::TaskFacts,
    },
    store::{self, goals::GoalFacts},
};

/// Adds subtasks to a task; returns their ids in the order of the request. `at`: their place in the
/// request. The caller holds the locks of the task and its goal.
///
/// # Errors
/// `plan_invalid` and `invalid`, with every place.
pub(in crate::app) async fn add(
    unit: &mut Unit,
    goal: &GoalFacts,
    task: &TaskFacts,
    tasks: &[TaskSpec],
    at: &str,
) -> Result<Vec<TaskId>> {
    let outermost = tasks.iter().filter(|task| task.parent.is_none()).count() as i32;
    store::tasks::add_children(unit.tx(), task.task_id, outermost).await?;
    add_within(unit, goal, task, tasks, at).await
}

/// Adds tasks inside another, which counts them already; returns their ids in the order of the request.
/// The caller holds the locks of the task and its goal.
///
/// # Errors
/// `plan_invalid` and `invalid`, with every place.
pub(in crate::app) async fn add_within(
    unit: &mut Unit,
    goal: &GoalFacts,
    task: &TaskFacts,
    tasks: &[TaskSpec],
    at: &str,
) -> Result<Vec<TaskId>> {
    let position = check(unit, goal, task.task_id, tasks, at).await?;
    caps::admit(unit, Holding::StoredBytes, 0).await?;
    let at = InsertPoint {
        goal: goal.goal_id,
        priority: task.priority,
        position,
        parent: Some(task.task_id),
        risk: store::tasks::least_risk(unit.tx(), task.task_id).await?,
    };
    let made = create_tasks(unit, at, tasks, None).await?;
    Ok(made.into_iter().map(|made| made.task_id).collect())
}

/// Checks subtasks against each other and the goal; returns the position of the first.
async fn check(
    unit: &mut Unit,
    goal: &GoalFacts,
    task: TaskId,
    tasks: &[TaskSpec],
    at: &str,
) -> Result<i32> {
    let refs: Vec<String> = tasks.iter().map(|task| task.r#ref.clone()).collect();
    let room = store::tasks::room(unit.tx(), goal.goal_id, &refs).await?;
    let taken = room.taken.into_iter().collect();
    check_plan(tasks, PlanContext { at, taken: &taken, around: None })?;
    let mut checks = Checks::new();
    for (index, task) in tasks.iter().enumerate() {
        let at = pointer(&pointer(at, index), "done");
        checks.ensure(!task.done, &at, "a subtask cannot be done before it is asked for");
    }
    checks.finish()?;
    let depth = store::tasks::depth(unit.tx(), task).await?;
    if depth as usize + 1 + deepest(tasks) > settings::NESTING {
        let detail = format!("tasks may be nested {} levels deep", settings::NESTING);
        let errors = vec![FieldError::new(at, &detail)];
        return Err(Refusal::at(Code::PlanInvalid, detail, errors).into());
    }
    check_growth(at, goal.counts.total.unsigned_abs() as usize, tasks.len())?;
    Ok(room.next_position)
}

/// Nesting depth of the subtasks; 0 if none contains another.
fn deepest(tasks: &[TaskSpec]) -> usize {
    let parents: HashMap<&str, &str> = tasks
        .iter()
        .filter_map(|task| Some((task.r#ref.as_str(), task.parent.as_deref()?)))
        .collect();
    let depth = |task: &TaskSpec| {
        std::iter::successors(parents.get(task.r#ref.as_str()), |parent| parents.get(*parent))
            .count()
    };
    tasks.iter().map(depth).max().unwrap_or_default()
}
