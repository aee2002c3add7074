//! Adding tasks to a running goal.
//!
//! Added tasks are checked and created as a plan's are, under the lock of the goal: no task that they need
//! and no container that takes them ends meanwhile. A plan has at most [`settings::PLAN_TASKS`] tasks per
//! request; a goal grows beyond that by adding, up to [`settings::GOAL_TASKS`].
//!
//! What a person had to approve is not got around. The defaults of the goal hold for added tasks, and with
//! them the approvals that every task needs. If the plan needed an approval, only an operator adds tasks who
//! could have decided it alone ([`planned`]).

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{GoalFacts, again, finish_if_over, refuse_ended};
use crate::{
    app::{
        App, Result, Unit,
        approvals::planned,
        budgets::{allocations, create},
        caller::{Caller as _, ProjectSubmitterCaller},
        caps,
        knowledge::answers::SolvedTasks,
        tasks::{
            create::{InsertPoint, Made, create_tasks},
            dedup::{self, Held},
            posted,
        },
        unit::{
            idempotency::{Outcome, Request},
            locks::lock_goal,
        },
    },
    domain::{
        cap::workspace::Holding,
        check::Checks,
        ids::{GoalId, TaskId},
        plan::{
            PlanContext, TaskSpec,
            around::{Around, check_growth},
            check_plan,
            discovered::{Known, rename},
            finding::FindingCode,
            new_goal::with_defaults,
        },
        refusal::{Code, Refusal},
        risk::Risk,
        settings,
        states::{GoalState, TaskState},
    },
    store::{self, Hold},
};

/// Tasks to add to a goal.
#[derive(Debug, Clone, PartialEq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTasks {
    /// The tasks, at least one and at most 5,000. Their refs are new in the goal. `needs` names tasks of the
    /// request by ref and tasks of the goal by ref or id; done ones count as met. `parent` names a task of
    /// the request or an open container of the goal. The defaults of the goal hold for tasks that set none.
    #[schema(example = json!([{"ref": "docs", "title": "Write the manual", "needs": ["api"]}]))]
    pub tasks: Vec<TaskSpec>,
}

/// The tasks that were added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AddedTasks {
    /// Id of the goal.
    pub goal_id: GoalId,
    /// The tasks, in the order of the request.
    pub tasks: Vec<AddedTask>,
    /// Those that finished tasks may have answered already: by their titles. Empty in replays.
    #[serde(default)]
    pub solved: SolvedTasks,
}

/// A task that was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AddedTask {
    /// Its name in the plan, as in the request.
    #[schema(example = "docs")]
    pub r#ref: String,
    /// Id of the task; stable for its life.
    pub task_id: TaskId,
    /// Its first state; of a task that was there already, its state.
    pub state: TaskState,
    /// Whether it was there already: it holds the dedup key of the request, and nothing was added. Its `ref` is
    /// that of the request.
    #[serde(default)]
    pub deduplicated: bool,
}

impl App {
    /// Adds tasks to an active goal, all or none. A verifying goal is active again.
    ///
    /// # Errors
    /// `not_found`, `goal_ended`; `wrong_state` while its plan is not applied; `plan_invalid`, with every
    /// place; `forbidden` for a submitter who did not post the goal; `separation_of_duties` and
    /// `not_an_approver` if the plan needed an approval that the caller could not decide alone;
    /// `workspace_full`.
    pub async fn add_tasks(
        &self,
        caller: &ProjectSubmitterCaller,
        goal: GoalId,
        new: &NewTasks,
        request: Option<&Request>,
    ) -> Result<Outcome<AddedTasks>> {
        let principal = caller.principal();
        self.see_goal(principal, goal).await?;
        let added = self
            .create(principal, request, Hold::Share, async |unit| {
                let facts = lock_goal(unit, goal).await?;
                posted::check(unit, principal, goal, "adds tasks only to").await?;
                may_grow(&facts)?;
                planned::check(unit, principal, &facts).await?;
                let addition =
                    Addition { tasks: &new.tasks, at: "/tasks", risk: None, discovered_from: None };
                add(unit, &facts, addition).await
            })
            .await?;
        if added.replayed {
            return Ok(added);
        }
        // After the commit: nobody waits for a search.
        let solved = self.solved_tasks(principal, &new.tasks).await;
        Ok(added.map(|added| AddedTasks { solved, ..added }))
    }
}

fn may_grow(goal: &GoalFacts) -> Result<()> {
    refuse_ended(goal)?;
    match goal.state {
        GoalState::Active
        | GoalState::Verifying
        | GoalState::Completed
        | GoalState::Failed
        | GoalState::Cancelled => Ok(()),
        state @ (GoalState::Planning | GoalState::Proposed) => {
            let detail = format!(
                "the goal is {state}: its plan is not applied yet. Edit a proposed plan with its approval; \
                 `POST /v1/goals/{{goal_id}}/plan` gives a planning goal its tasks"
            );
            Err(Refusal::new(Code::WrongState, detail).into())
        }
    }
}

/// Tasks that are added to a goal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addition<'a> {
    /// The tasks.
    pub tasks: &'a [TaskSpec],
    /// JSON Pointer of the list in the request.
    pub at: &'a str,
    /// Least risk of approvals about them.
    pub risk: Option<Risk>,
    /// The task whose attempt discovered them.
    pub discovered_from: Option<TaskId>,
}

/// Tasks that can be added to a locked goal as it is.
#[derive(Debug)]
pub(super) struct Checked {
    /// With the defaults of the goal; existing tasks are named by their refs.
    pub tasks: Vec<TaskSpec>,
    around: Around,
    next_position: i32,
}

/// Checks tasks that are to be added to a locked goal.
///
/// # Errors
/// `plan_invalid`, with every place.
pub(super) async fn check(
    unit: &mut Unit,
    goal: &GoalFacts,
    new: &[TaskSpec],
    at: &str,
) -> Result<Checked> {
    let mut checks = Checks::new();
    checks.count(at, new.len(), settings::PLAN_TASKS);
    checks.finish_plan(FindingCode::TooMany.as_str())?;
    let mut tasks = new.to_vec();
    let defaults = store::goals::task_defaults(unit.tx(), goal.goal_id).await?;
    with_defaults(&mut tasks, &defaults);
    let around = around(unit, goal.goal_id, &mut tasks).await?;
    let refs: Vec<String> = tasks.iter().map(|task| task.r#ref.clone()).collect();
    let room = store::tasks::room(unit.tx(), goal.goal_id, &refs).await?;
    let taken = room.taken.into_iter().collect();
    check_plan(&tasks, PlanContext { at, taken: &taken, around: Some(&around) })?;
    check_growth(at, goal.counts.total.unsigned_abs() as usize, tasks.len())?;
    Ok(Checked { tasks, around, next_position: room.next_position })
}

/// Checks and creates tasks of a locked goal. One that is verifying or has completed is active again.
///
/// # Errors
/// As [`check`]; `workspace_full`; for a completed goal the refusals of work that comes back.
pub(super) async fn add(
    unit: &mut Unit,
    goal: &GoalFacts,
    addition: Addition<'_>,
) -> Result<AddedTasks> {
    let Addition { tasks: asked, at, risk, discovered_from } = addition;
    let held = dedup::held(unit, goal.goal_id, asked, at).await?;
    let tasks = without(asked, &held)?;
    if tasks.is_empty() && !held.is_empty() {
        return Ok(answered(goal.goal_id, asked, &held, Vec::new()));
    }
    let Checked { tasks, around, next_position } = check(unit, goal, &tasks, at).await?;
    caps::admit(unit, Holding::StoredBytes, 0).await?;
    let at = InsertPoint {
        goal: goal.goal_id,
        priority: goal.priority,
        position: next_position,
        parent: None,
        risk,
    };
    let ended = goal.state == GoalState::Completed;
    let back = ended || goal.state == GoalState::Verifying;
    if ended {
        again::refuse_archived(unit, goal).await?;
    }
    if back {
        again::reactivate(unit, goal).await?;
    }
    let made = create_tasks(unit, at, &tasks, Some(&around)).await?;
    let ids: Vec<TaskId> = made.iter().map(|made| made.task_id).collect();
    if let Some(from) = discovered_from {
        store::goals::discovered::set_source(unit.tx(), &ids, from).await?;
    }
    create::of_tasks(unit, &ids, &tasks).await?;
    if back {
        again::check_anew(unit, goal.goal_id).await?;
        finish_if_over(unit, goal.goal_id).await?;
    }
    if ended {
        allocations::reopen(unit, goal.goal_id).await?;
    }
    Ok(answered(goal.goal_id, asked, &held, made))
}

/// New tasks without those that exist. What names these names the tasks that exist.
fn without(tasks: &[TaskSpec], held: &[Held]) -> Result<Vec<TaskSpec>> {
    if held.is_empty() {
        return Ok(tasks.to_vec());
    }
    let named: Vec<(String, Known)> = held
        .iter()
        .filter_map(|held| Some((tasks.get(held.index)?.r#ref.clone(), known(held))))
        .collect();
    let mut fresh: Vec<(usize, TaskSpec)> = tasks.iter().cloned().enumerate().collect();
    fresh.retain(|(at, _)| held.iter().all(|held| held.index != *at));
    rename(&mut fresh, &named)?;
    Ok(fresh.into_iter().map(|(_, task)| task).collect())
}

/// A task that exists, as the rules of discovered work name it.
pub(super) fn known(held: &Held) -> Known {
    Known {
        index: i32::try_from(held.index).unwrap_or(i32::MAX),
        task_id: Some(held.task_id),
        reference: held.reference.clone(),
        plan_id: None,
        approval_id: None,
    }
}

/// The answer for all tasks of a request, in its order.
fn answered(goal_id: GoalId, asked: &[TaskSpec], held: &[Held], made: Vec<Made>) -> AddedTasks {
    let mut made = made.into_iter();
    let tasks = asked.iter().enumerate().filter_map(|(index, task)| {
        let (task_id, state, deduplicated) = match held.iter().find(|held| held.index == index) {
            Some(held) => (held.task_id, held.state, true),
            None => made.next().map(|made| (made.task_id, made.state, false))?,
        };
        Some(AddedTask { r#ref: task.r#ref.clone(), task_id, state, deduplicated })
    });
    AddedTasks { goal_id, tasks: tasks.collect(), solved: SolvedTasks::default() }
}

/// The existing tasks that new ones name. Names by id are replaced by refs.
async fn around(unit: &mut Unit, goal: GoalId, tasks: &mut [TaskSpec]) -> Result<Around> {
    let own: HashSet<String> = tasks.iter().map(|task| task.r#ref.clone()).collect();
    let named = tasks.iter().flat_map(|task| task.needs.iter().chain(&task.parent));
    let names: HashSet<&String> = named.filter(|name| !own.contains(*name)).collect();
    if names.is_empty() {
        return Ok(Around::default());
    }
    let names: Vec<String> = names.into_iter().cloned().collect();
    let ids: Vec<Uuid> = names.iter().filter_map(|name| name.parse().ok()).collect();
    let known = store::tasks::around::known(unit.tx(), goal, &names, &ids).await?;
    let mut around = Around::of(known);
    let mut inside = false;
    for task in tasks {
        for name in task.needs.iter_mut().chain(&mut task.parent) {
            if !own.contains(name) {
                *name = around.reference(name);
            }
        }
        inside |= task.parent.as_ref().is_some_and(|parent| !own.contains(parent));
    }
    if inside {
        // Nothing that exists needs a new task, so only a container that exists closes a circle.
        around.ordered = store::tasks::around::ordered(unit.tx(), goal).await?;
    }
    Ok(around)
}
