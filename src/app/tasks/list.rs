//! Listing tasks.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    app::{
        App, Result,
        access::scope::sees_goal,
        caller::{Caller as _, ProjectReaderCaller},
    },
    domain::{
        budget::shown::BudgetWait,
        ids::{AgentId, AttemptId, GoalId, KeyId, TaskId},
        refusal::Refusal,
        spend::Amounts,
        states::{FailureClass, TaskState},
        task::{self, claim},
    },
    store::{
        self, Tx,
        tasks::list::{TaskConditions, TaskRow, TaskScope},
    },
};

/// A task of a goal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Task {
    /// Id of the task, the same over all attempts: use it to make your own effects idempotent.
    pub id: TaskId,
    /// Id of the goal that it belongs to.
    pub goal_id: GoalId,
    /// The container that it is in, or the task whose attempt added it; `null` at the top level.
    pub parent_id: Option<TaskId>,
    /// Its name in the plan, unique in the goal.
    #[schema(example = "api")]
    pub r#ref: String,
    /// Position in the plan, from 0; subtasks added later follow.
    pub position: i32,
    /// What to do, in one line.
    #[schema(example = "Write the REST endpoints")]
    pub title: String,
    /// `waiting` (for other tasks or a time), `ready` (may be claimed), `running`, `parked` (for an
    /// approval, its subtasks or a budget), `reviewing`, `done`, `failed` or `cancelled`; the last
    /// three are final.
    pub state: TaskState,
    /// Whether it only contains other tasks: it is never offered, and ends with its children.
    pub container: bool,
    /// Priority, 0 (lowest) to 9; operators can change it.
    pub priority: i16,
    /// Capabilities that an agent needs to claim it; empty: none.
    #[schema(example = json!(["rust"]))]
    pub capabilities: Vec<String>,
    /// Labels from the plan; muster does not interpret them.
    #[schema(example = json!(["US1"]))]
    pub labels: Vec<String>,
    /// Heading above it in the brief; `null` without one.
    pub section: Option<String>,
    /// Attempts that count against `max_attempts`: failed and expired ones.
    pub attempts_used: i32,
    /// Number of used attempts after which a failure is final.
    pub max_attempts: i32,
    /// Number of rejected results. Set to one below `max_rework` when a person grants another
    /// round.
    pub reworks: i32,
    /// Number of rejected results after which a person decides how the task continues.
    pub max_rework: i32,
    /// Needed tasks that are not done, plus one while its container is not open.
    pub needs_unmet: i32,
    /// Number of its children that have not ended.
    pub children_open: i32,
    /// Earliest time at which it is offered: its start time, or the end of the backoff after a
    /// failure.
    pub ready_from: DateTime<Utc>,
    /// The current or latest attempt; `null` before the first.
    pub attempt_id: Option<AttemptId>,
    /// The agent that works on it or delivered the result under review; `null` without one.
    pub agent_id: Option<AgentId>,
    /// The operator's key that works on it after a takeover, or delivered the result under review;
    /// `null` without one.
    pub held_by_key: Option<KeyId>,
    /// The only agent that may take its next attempt, after a reassignment; `null` without one.
    pub assigned_agent_id: Option<AgentId>,
    /// The agent that may not take its next attempt, because the task was taken from it; `null`
    /// without one.
    pub barred_agent_id: Option<AgentId>,
    /// Class of its final failure; `null` unless it is `failed`.
    pub failure_class: Option<FailureClass>,
    /// Whether it failed because three attempts in a row lost their lease. The task may harm its
    /// agents: a person should look before it is tried again.
    pub quarantined: bool,
    /// When its cancellation was requested while it ran; `null` otherwise. Its holder gets the
    /// directive `stop` from then on.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// Why it failed or was cancelled; `null` otherwise.
    pub end_reason: Option<String>,
    /// Total spend of its attempts, by unit.
    #[schema(example = json!({"usd_micros": 1250, "output_tokens": 320}))]
    pub spend: Amounts,
    /// The limit that it waits for; `null` unless it is `parked` for a budget.
    pub waits_for_budget: Option<BudgetWait>,
    /// Version, raised by every edit and change of state; the `ETag`.
    pub version: i32,
    /// When the task was created.
    pub created_at: DateTime<Utc>,
    /// When its state last changed.
    pub updated_at: DateTime<Utc>,
    /// When it reached a final state; `null` until then.
    pub ended_at: Option<DateTime<Utc>>,
}

/// Filter of a list of tasks.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Only tasks of this goal, in plan order.
    pub goal: Option<GoalId>,
    /// Only children of this task, in plan order.
    pub parent: Option<TaskId>,
    /// Only these states; empty: all.
    pub states: Vec<TaskState>,
    /// Only tasks that require this capability.
    pub capability: Option<String>,
}

/// Position in a list of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPlace {
    /// Id of the task.
    pub id: TaskId,
    /// Its position in the plan.
    pub position: i32,
}

pub(in crate::app) async fn find(tx: &mut Tx, id: TaskId) -> Result<Task> {
    let conditions = TaskConditions { states: &[], within: None, capability: None, rows: 1 };
    let scope = TaskScope::These(&[id]);
    let rows = store::tasks::list::list(tx, scope, &conditions).await?;
    Ok(view(rows.into_iter().next().ok_or_else(|| Refusal::not_found("task"))?))
}

fn view(row: TaskRow) -> Task {
    let TaskRow {
        task_id,
        goal_id,
        parent_id,
        reference,
        position,
        title,
        state,
        container,
        priority,
        capability_key,
        labels,
        section,
        attempts_used,
        max_attempts,
        reworks,
        max_rework,
        lost_in_row,
        needs_unmet,
        children_open,
        ready_from,
        attempt_id,
        agent_id,
        held_by_key,
        assigned_agent_id,
        barred_agent_id,
        failure_class,
        cancel_requested_at,
        end_reason,
        spend,
        waits_for_budget,
        version,
        created_at,
        updated_at,
        ended_at,
    } = row;
    Task {
        id: task_id,
        goal_id,
        parent_id,
        r#ref: reference,
        position,
        title,
        state,
        container,
        priority,
        capabilities: claim::capabilities(&capability_key),
        labels,
        section,
        attempts_used,
        max_attempts,
        reworks,
        max_rework,
        needs_unmet,
        children_open,
        ready_from,
        attempt_id,
        agent_id,
        held_by_key,
        assigned_agent_id,
        barred_agent_id,
        failure_class,
        quarantined: task::quarantined(failure_class, lost_in_row),
        cancel_requested_at,
        end_reason,
        spend: spend.0,
        waits_for_budget: waits_for_budget.map(|wait| wait.0),
        version,
        created_at,
        updated_at,
        ended_at,
    }
}

impl App {
    /// Tasks of a goal or a parent in plan order, otherwise newest first.
    ///
    /// # Errors
    /// `invalid` for a capability without a goal and without open states.
    pub async fn list_tasks(
        &self,
        caller: &ProjectReaderCaller,
        filter: &TaskFilter,
        after: Option<TaskPlace>,
        rows: u32,
    ) -> Result<Vec<Task>> {
        let workspace = caller.principal().workspace;
        let mut tx = self.reader(workspace).await?;
        let goal = match (filter.goal, filter.parent) {
            (None, Some(parent)) => {
                let goal = store::tasks::goal_of(&mut tx, parent).await?;
                let Some(goal) = goal else { return Ok(Vec::new()) };
                Some(goal)
            }
            (goal, _) => goal,
        };
        if let Some(goal) = goal
            && !sees_goal(&mut tx, caller.principal(), goal).await?
        {
            return Ok(Vec::new());
        }
        let scope = match goal {
            Some(goal) => TaskScope::OfGoal {
                goal,
                parent: filter.parent,
                after: after.map(|place| (place.position, place.id)),
            },
            None => {
                check_capability(filter)?;
                TaskScope::Newest { after: after.map(|place| place.id) }
            }
        };
        let TaskFilter { goal: _, parent: _, states, capability } = filter;
        let within = caller.principal().scope.projects.as_deref();
        let conditions = TaskConditions { states, within, capability: capability.as_deref(), rows };
        let rows = store::tasks::list::list(&mut tx, scope, &conditions).await?;
        Ok(rows.into_iter().map(view).collect())
    }
}

/// Refuses to search all ended tasks for a capability: no index supports it, and the query would
/// slow down with the age of the service.
fn check_capability(filter: &TaskFilter) -> Result<()> {
    let done = filter.states.contains(&TaskState::Done);
    if filter.capability.is_none() || !(filter.states.is_empty() || done) {
        return Ok(());
    }
    Err(Refusal::invalid_at(
        "?capability",
        "give `goal_id` too, or `state` (once or more, any but `done`), for example \
         `capability=rust&state=ready`",
    )
    .into())
}
