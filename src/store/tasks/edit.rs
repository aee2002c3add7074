//! Edits of single tasks.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    domain::{
        ids::{GoalId, LimitId, TaskId},
        states::TaskState,
    },
    store::{Tx, columns::uuids, traced},
};

/// The facts that an acknowledgement needs.
#[derive(Debug)]
pub struct EndedFacts {
    /// The task's goal.
    pub goal_id: GoalId,
    /// Its state.
    pub state: TaskState,
    /// Time at which its failure was acknowledged.
    pub acknowledged_at: Option<DateTime<Utc>>,
}

/// Locks a task and reads the facts of an acknowledgement.
pub async fn lock(tx: &mut Tx, task: TaskId) -> sqlx::Result<Option<EndedFacts>> {
    sqlx::query_as!(
        EndedFacts,
        r#"select goal_id as "goal_id: GoalId", state as "state: TaskState", acknowledged_at
           from tasks where workspace_id = $1 and task_id = $2 for no key update"#,
        tx.workspace.0,
        task.0,
    )
    .fetch_optional(traced!(tx, "tasks.edit.lock"))
    .await
}

/// The columns of a task that an edit can change, and the facts that it depends on.
#[derive(Debug, Clone)]
pub struct Editable {
    /// Its version.
    pub version: i32,
    /// Earliest time of a claim: start time or end of a backoff.
    pub ready_from: DateTime<Utc>,
    /// Since when it ages in the order of claims.
    pub ranked_from: DateTime<Utc>,
    /// Whether no attempt was started, or none since it last came back.
    pub unclaimed: bool,
    /// Number of unsatisfied dependencies, plus one if its container is not open.
    pub needs_unmet: i32,
    /// The limit it is parked for.
    pub short_limit: Option<LimitId>,
    /// Its lease in milliseconds.
    pub lease_ms: Option<i64>,
    /// Hard limit of one attempt in milliseconds.
    pub attempt_timeout_ms: Option<i64>,
    /// Longest time from ready to the first claim, in milliseconds.
    pub start_within_ms: Option<i64>,
    /// Longest time of all attempts together, in milliseconds.
    pub finish_within_ms: Option<i64>,
    /// Deadline that follows from `start_within_ms`.
    pub start_by: Option<DateTime<Utc>>,
    /// Deadline that follows from `finish_within_ms`.
    pub finish_by: Option<DateTime<Utc>>,
    /// Since when it waits for people, a budget or subtasks.
    pub rests_since: Option<DateTime<Utc>>,
}

/// Reads what an edit can change of a locked task.
pub async fn editable(tx: &mut Tx, task: TaskId) -> sqlx::Result<Editable> {
    sqlx::query_as!(
        Editable,
        r#"select version, ready_from, ranked_from, needs_unmet,
                  attempts_started = attempts_before as "unclaimed!",
                  short_limit_id as "short_limit: LimitId", lease_ms, attempt_timeout_ms,
                  start_within_ms, finish_within_ms, start_by, finish_by, rests_since
           from tasks where workspace_id = $1 and task_id = $2"#,
        tx.workspace.0,
        task.0,
    )
    .fetch_one(traced!(tx, "tasks.edit.editable"))
    .await
}

/// The values of a task after an edit.
#[derive(Debug, Clone)]
pub struct Edited {
    /// 0 (lowest) to 9; its place in the claim order follows.
    pub priority: i16,
    /// Key of its set of required capabilities.
    pub capability_key: String,
    /// Earliest time of a claim.
    pub ready_from: DateTime<Utc>,
    /// Number of unsatisfied dependencies, plus one if its container is not open.
    pub needs_unmet: i32,
    /// Most attempts.
    pub max_attempts: i32,
    /// Number of rejected results after which a person must choose.
    pub max_rework: i32,
    /// Its lease in milliseconds.
    pub lease_ms: Option<i64>,
    /// Hard limit of one attempt in milliseconds.
    pub attempt_timeout_ms: Option<i64>,
    /// Longest time from ready to the first claim, in milliseconds.
    pub start_within_ms: Option<i64>,
    /// Longest time of all attempts together, in milliseconds.
    pub finish_within_ms: Option<i64>,
    /// Deadline that follows from `start_within_ms`.
    pub start_by: Option<DateTime<Utc>>,
    /// Deadline that follows from `finish_within_ms`.
    pub finish_by: Option<DateTime<Utc>>,
}

/// Writes the values of a locked task, and raises its version.
pub async fn write(tx: &mut Tx, task: TaskId, edited: &Edited) -> sqlx::Result<()> {
    sqlx::query!(
        "update tasks set priority = $3,
                claim_rank = claim_rank_of(ranked_from, $3, upward_ms,
                    (select least(g.deadline, $14) from goals g
                     where g.workspace_id = $1 and g.goal_id = tasks.goal_id),
                    (select w.routing = 'fifo' from workspaces w where w.workspace_id = $1)),
                capability_key = $4, ready_from = $5, needs_unmet = $6, max_attempts = $7,
                max_rework = $8, lease_ms = $9, attempt_timeout_ms = $10, start_within_ms = $11,
                finish_within_ms = $12, start_by = $13, finish_by = $14, version = version + 1,
                updated_at = $15
         where workspace_id = $1 and task_id = $2",
        tx.workspace.0,
        task.0,
        edited.priority,
        edited.capability_key,
        edited.ready_from,
        edited.needs_unmet,
        edited.max_attempts,
        edited.max_rework,
        edited.lease_ms,
        edited.attempt_timeout_ms,
        edited.start_within_ms,
        edited.finish_within_ms,
        edited.start_by,
        edited.finish_by,
        tx.now,
    )
    .execute(traced!(tx, "tasks.edit.write"))
    .await?;
    Ok(())
}

/// The texts of a task after an edit.
#[derive(Debug)]
pub struct EditedTexts<'a> {
    /// Title, one line.
    pub title: &'a str,
    /// Description in Markdown.
    pub description: &'a str,
    /// Labels.
    pub labels: &'a [String],
    /// Input for the agent, JSON.
    pub input: Option<&'a Value>,
    /// Expected spend, JSON.
    pub estimate: Option<&'a Value>,
}

/// Writes the texts of a task.
pub async fn write_texts(tx: &mut Tx, task: TaskId, texts: &EditedTexts<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "update task_texts set title = $3, description = $4, labels = $5, input = $6, estimate = $7
         where workspace_id = $1 and task_id = $2",
        tx.workspace.0,
        task.0,
        texts.title,
        texts.description,
        texts.labels,
        texts.input,
        texts.estimate,
    )
    .execute(traced!(tx, "tasks.edit.write_texts"))
    .await?;
    Ok(())
}

/// Removes the criteria of a task; evidence of its earlier attempts keeps their numbers.
pub async fn drop_criteria(tx: &mut Tx, task: TaskId) -> sqlx::Result<()> {
    sqlx::query!(
        "with dropped as (delete from criteria where workspace_id = $1 and task_id = $2)
         update tasks set criteria_version = criteria_version + 1
         where workspace_id = $1 and task_id = $2",
        tx.workspace.0,
        task.0,
    )
    .execute(traced!(tx, "tasks.edit.drop_criteria"))
    .await?;
    Ok(())
}

/// Number of unsatisfied dependencies of a task. A task that had begun keeps a dependency satisfied on one
/// that was reopened, so the states of the needed tasks do not say it.
pub async fn unsatisfied(tx: &mut Tx, task: TaskId) -> sqlx::Result<i32> {
    sqlx::query_scalar!(
        r#"select count(*)::int as "count!" from dependencies
           where workspace_id = $1 and task_id = $2 and satisfied_at is null"#,
        tx.workspace.0,
        task.0,
    )
    .fetch_one(traced!(tx, "tasks.edit.unsatisfied"))
    .await
}

/// Whether a person approved the start of a task.
pub async fn start_was_approved(tx: &mut Tx, task: TaskId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from approvals
                          where workspace_id = $1 and task_id = $2 and kind = 'start'
                            and state = 'approved') as "approved!""#,
        tx.workspace.0,
        task.0,
    )
    .fetch_one(traced!(tx, "tasks.edit.start_was_approved"))
    .await
}

/// Lets the start of tasks need an approval again.
pub async fn approve_start_again(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<()> {
    if tasks.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update tasks set approve_start = true where workspace_id = $1 and task_id = any($2)",
        tx.workspace.0,
        &uuids(tasks),
    )
    .execute(traced!(tx, "tasks.edit.approve_start_again"))
    .await?;
    Ok(())
}

/// Removes the dependencies of a task on all tasks but `kept`.
pub async fn keep_dependencies(tx: &mut Tx, task: TaskId, kept: &[TaskId]) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from dependencies
         where workspace_id = $1 and task_id = $2 and needs_task_id <> all($3)",
        tx.workspace.0,
        task.0,
        &uuids(kept),
    )
    .execute(traced!(tx, "tasks.edit.keep_dependencies"))
    .await?;
    Ok(())
}

/// Records that a person acknowledged a task's failure.
pub async fn acknowledge(tx: &mut Tx, task: TaskId) -> sqlx::Result<()> {
    sqlx::query!(
        "update tasks set acknowledged_at = $3, version = version + 1
         where workspace_id = $1 and task_id = $2",
        tx.workspace.0,
        task.0,
        tx.now,
    )
    .execute(traced!(tx, "tasks.edit.acknowledge"))
    .await?;
    Ok(())
}
