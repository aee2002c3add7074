//! Listing tasks.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    app::{
        App, Result,
        caller::{Caller as _, ReaderCaller},
        error::corrupt,
    },
    domain::{
        budget::{BudgetNode, Period},
        ids::{AgentId, AttemptId, GoalId, KeyId, LimitId, TaskId},
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

/// One unit of work of a goal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Task {
    /// Its id; stable over all attempts, so use it to make your own effects idempotent.
    pub id: TaskId,
    /// The goal that it belongs to.
    pub goal_id: GoalId,
    /// The container that it is in, or the task whose attempt added it.
    pub parent_id: Option<TaskId>,
    /// Its name in the plan, unique in the goal.
    #[schema(example = "api")]
    pub r#ref: String,
    /// Its place in the plan, from 0; subtasks that were added later follow.
    pub position: i32,
    /// One line.
    #[schema(example = "Write the REST endpoints")]
    pub title: String,
    /// `waiting` (for other tasks or a time), `ready` (may be claimed), `running`, `parked` (for a
    /// person, its subtasks or a budget), `reviewing`, `done`, `failed` or `cancelled`; the last three are
    /// final.
    pub state: TaskState,
    /// True: it is never offered to an agent, and ends with its children.
    pub container: bool,
    /// 0 (lowest) to 9.
    pub priority: i16,
    /// What an agent must be able to do to claim it; empty: any agent can.
    #[schema(example = json!(["rust"]))]
    pub capabilities: Vec<String>,
    /// Free words of the plan.
    #[schema(example = json!(["US1"]))]
    pub labels: Vec<String>,
    /// The heading that it stood under in the brief.
    pub section: Option<String>,
    /// Attempts that count against `max_attempts`: failed and expired ones.
    pub attempts_used: i32,
    /// When so many were used, a failure is final.
    pub max_attempts: i32,
    /// Results that were rejected; one less than `max_rework` again when a person grants another round.
    pub reworks: i32,
    /// When so many results were rejected, a person chooses what becomes of the task.
    pub max_rework: i32,
    /// Tasks that it still needs, plus one while its container is not open.
    pub needs_unmet: i32,
    /// Its children that have not ended.
    pub children_open: i32,
    /// It is not offered before: a start time or the backoff after a failure.
    pub ready_from: DateTime<Utc>,
    /// Its latest attempt: the one that holds it, or held it last.
    pub attempt_id: Option<AttemptId>,
    /// The agent that works on it or handed in the result under review.
    pub agent_id: Option<AgentId>,
    /// The key of the operator who took it over and works on it, or handed in the result under review.
    pub held_by_key: Option<KeyId>,
    /// The only agent that its next attempt is given to.
    pub assigned_agent_id: Option<AgentId>,
    /// The agent that it was taken from, and that its next attempt is not given to.
    pub barred_agent_id: Option<AgentId>,
    /// Why it failed; `null` unless it is `failed`.
    pub failure_class: Option<FailureClass>,
    /// Whether it failed because its agents fell silent three times in a row: something about it
    /// may be harmful, so a person should look before it is tried again.
    pub quarantined: bool,
    /// Since then its agent is told to stop.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// Why it failed or was cancelled.
    pub end_reason: Option<String>,
    /// What its attempts used, by unit.
    #[schema(example = json!({"usd_micros": 1250, "output_tokens": 320}))]
    pub spend: Amounts,
    /// The limit that it waits for, while it is `parked` because no budget could pay for it.
    pub waits_for_budget: Option<BudgetWait>,
    /// Rises with every edit and change of state; the `ETag`.
    pub version: i32,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When its state last changed.
    pub updated_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

/// A limit that has not enough room for a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BudgetWait {
    /// The limit.
    pub limit_id: LimitId,
    /// What is limited.
    pub node: BudgetNode,
    /// Which one.
    pub node_id: uuid::Uuid,
    /// In which unit.
    #[schema(example = "usd_micros")]
    pub unit: String,
    /// For how long it counts.
    pub period: Period,
    /// The limit.
    pub limit: i64,
    /// What is used of it.
    pub settled: i64,
    /// What running attempts have set aside.
    pub reserved: i64,
    /// What the task needs at least.
    pub requested: i64,
}

/// Which tasks are listed.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Only of this goal, in the order of its plan.
    pub goal: Option<GoalId>,
    /// Only children of this task, in the order of the plan.
    pub parent: Option<TaskId>,
    /// Only these states; empty: all.
    pub states: Vec<TaskState>,
    /// Only what requires this.
    pub capability: Option<String>,
}

/// A place in a list of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPlace {
    /// The task.
    pub id: TaskId,
    /// Its position in the plan.
    pub position: i32,
}

/// Finds one task.
///
/// # Errors
/// `not_found`.
pub(in crate::app) async fn find(tx: &mut Tx, id: TaskId) -> Result<Task> {
    let conditions = TaskConditions { states: &[], capability: None, rows: 1 };
    let scope = TaskScope::These(&[id]);
    let rows = store::tasks::list::list(tx, scope, &conditions).await?;
    view(rows.into_iter().next().ok_or_else(|| Refusal::not_found("task"))?)
}

fn view(row: TaskRow) -> Result<Task> {
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
    Ok(Task {
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
        spend: serde_json::from_value(spend).map_err(corrupt)?,
        waits_for_budget: waits_for_budget
            .map(serde_json::from_value)
            .transpose()
            .map_err(corrupt)?,
        version,
        created_at,
        updated_at,
        ended_at,
    })
}

impl App {
    /// Tasks: of a goal or a parent in the order of the plan, otherwise newest first.
    ///
    /// # Errors
    /// `invalid` when a capability is looked for among all the tasks there ever were.
    pub async fn list_tasks(
        &self,
        caller: &ReaderCaller,
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
        let conditions = TaskConditions { states, capability: capability.as_deref(), rows };
        let rows = store::tasks::list::list(&mut tx, scope, &conditions).await?;
        rows.into_iter().map(view).collect()
    }
}

/// Among all tasks that ever ended there is no fast way to those that required something, and a
/// list that takes longer the older the service is helps nobody.
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
