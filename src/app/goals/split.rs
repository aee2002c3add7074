//! Dividing a task: it becomes a container of its parts, and the rest of the goal stays.
//!
//! An agent divides its own task ([`crate::app::attempts::split`]), a person any task that nobody works on, and
//! a planner what is marked as too large. All of them end in [`divide`]. The dependents of the task go on waiting
//! for it. Its criteria and the approval of its result go to a last part that needs the others, so nothing is
//! accepted that would not have been before; the parts have the defaults of the goal.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    app::{
        App, Result, Unit,
        approvals::planned,
        budgets::create,
        caller::{Caller as _, ProjectOperatorCaller},
        tasks::{
            detail::{self, TaskDetail},
            subtasks,
        },
        unit::locks::lock_goal_of,
    },
    domain::{
        check::Checks,
        ids::TaskId,
        journal::{Kind, NewRow},
        plan::{TaskSpec, new_goal::with_defaults, split},
        refusal::{Code, Refusal},
        settings,
        states::TaskState,
        task::TaskFacts,
    },
    store::{self, goals::GoalFacts},
};

/// The division of a task by a person.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitTaskRequest {
    /// The parts, at least one. They may need or contain each other, but no other tasks. Their refs must be
    /// new in the goal.
    #[schema(example = json!([{"ref": "api-read", "title": "Write the reading endpoints"},
                              {"ref": "api-write", "title": "Write the writing endpoints"}]))]
    pub tasks: Vec<TaskSpec>,
    /// Reason of the division, for the journal. At most 1,000 characters.
    #[serde(default)]
    #[schema(example = "it touches three services", max_length = 1000)]
    pub reason: String,
}

/// A part of a divided task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Part {
    /// Its name in the plan.
    #[schema(example = "api-read")]
    pub r#ref: String,
    /// Id of the new task; stable for its life.
    pub task_id: TaskId,
}

impl App {
    /// Divides a task that nobody works on.
    ///
    /// # Errors
    /// `not_found`, `invalid`, `plan_invalid`; `task_ended`, `goal_ended`; `wrong_state` for a container, for a
    /// task that is worked on or waits for something else, and for one that cannot be divided;
    /// `separation_of_duties` and `not_an_approver` if the plan needed an approval that the caller could not
    /// decide alone.
    pub async fn split_task(
        &self,
        caller: &ProjectOperatorCaller,
        task: TaskId,
        request: &SplitTaskRequest,
    ) -> Result<TaskDetail> {
        let mut checks = Checks::new();
        checks.chars("/reason", &request.reason, settings::TITLE_CHARS * 2);
        checks.finish()?;
        let principal = caller.principal();
        self.see_task(principal, task).await?;
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let goal = lock_goal_of(&mut unit, task).await?;
        if !principal.scope.sees(goal.project_id) {
            return Err(Refusal::not_found("task").into());
        }
        let facts = store::tasks::lock(unit.tx(), &[task]).await?.pop();
        let facts = facts.ok_or_else(|| Refusal::not_found("task"))?;
        let oversized = store::tasks::split::is_oversized(unit.tx(), task).await?;
        split::by_person(&facts, oversized)?;
        if !goal.state.is_worked_on() {
            let detail = format!("the goal is {}", goal.state);
            return Err(Refusal::new(Code::GoalEnded, detail).into());
        }
        planned::check(&mut unit, principal, &goal).await?;
        let parts = Parts { tasks: &request.tasks, at: "/tasks", reason: &request.reason };
        divide(&mut unit, &goal, &facts, parts).await?;
        let task = detail::read(unit.tx(), task).await?;
        self.commit(unit).await?;
        Ok(task)
    }
}

/// The parts of a task, and why it is divided.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct Parts<'a> {
    pub tasks: &'a [TaskSpec],
    /// JSON Pointer of the list in the request.
    pub at: &'a str,
    /// For people.
    pub reason: &'a str,
}

/// Divides a task that is ready or parked, and has no running attempt. The caller holds the locks of the task
/// and its goal, which is worked on. Returns the parts, the check last.
///
/// # Errors
/// `wrong_state` if the task cannot be divided; `invalid` and `plan_invalid`, with every place.
pub(in crate::app) async fn divide(
    unit: &mut Unit,
    goal: &GoalFacts,
    task: &TaskFacts,
    parts: Parts<'_>,
) -> Result<Vec<Part>> {
    let Parts { tasks, at, reason } = parts;
    let id = task.task_id;
    split::check_parts(at, tasks)?;
    let division = store::tasks::split::divisions(unit.tx(), &[id]).await?.remove(&id);
    if let Some(detail) = division.and_then(|division| division.cannot()) {
        return Err(Refusal::new(Code::WrongState, detail).into());
    }
    let whole = store::tasks::split::whole(unit.tx(), id).await?;
    let mut tasks = tasks.to_vec();
    let defaults = store::goals::task_defaults(unit.tx(), goal.goal_id).await?;
    with_defaults(&mut tasks, &defaults);
    if let Some(mut check) = split::checking_part(&whole, &tasks) {
        let taken = store::tasks::room(unit.tx(), goal.goal_id, std::slice::from_ref(&check.r#ref));
        let taken = !taken.await?.taken.is_empty();
        if taken || tasks.iter().any(|task| task.r#ref == check.r#ref) {
            check.r#ref = format!("check-{}", unit.id::<TaskId>());
        }
        tasks.push(check);
    }
    let outermost = tasks.iter().filter(|task| task.parent.is_none()).count() as i32;
    unit.record(NewRow::new(Kind::TaskSplit).goal(goal.goal_id).task(id).data(
        json!({"tasks": tasks.len(), "reason": reason.chars().take(300).collect::<String>()}),
    ));
    unit.record(NewRow::new(Kind::of_task(TaskState::Running)).goal(goal.goal_id).task(id));
    store::attempts::withdraw(unit.tx(), &[id]).await?;
    store::tasks::split::to_container(unit.tx(), id, outermost).await?;
    let ids = subtasks::add_within(unit, goal, task, &tasks, at).await?;
    create::of_tasks(unit, &ids, &tasks).await?;
    store::goals::progress::recount(unit.tx(), goal.goal_id).await?;
    let parts = tasks.into_iter().zip(ids);
    Ok(parts.map(|(task, task_id)| Part { r#ref: task.r#ref, task_id }).collect())
}
