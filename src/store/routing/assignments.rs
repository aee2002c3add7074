//! Assignments: why a task was given to an agent.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    domain::{
        ids::{AgentId, AttemptId, GoalId, TaskId},
        routing::{assign::Reason, policy::Policy},
    },
    store::{Tx, traced},
};

/// An assignment to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAssignment {
    /// The attempt that began.
    pub attempt_id: AttemptId,
    /// Its task.
    pub task_id: TaskId,
    /// The agent that got it.
    pub agent_id: AgentId,
    /// How long the task had been ready, in milliseconds.
    pub waited_ms: i64,
    /// Whether the task belongs to the share that is assigned at random.
    pub control: bool,
    /// Why the agent got it.
    pub reason: Reason,
    /// The compared agents; `None`: nobody was compared.
    pub candidates: Option<Value>,
}

/// Stores the assignments of a batch.
pub async fn insert(
    tx: &mut Tx,
    policy: Policy,
    assignments: &[NewAssignment],
) -> sqlx::Result<()> {
    macro_rules! column {
        ($of:expr) => {
            &assignments.iter().map($of).collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        r#"
        insert into assignments (workspace_id, at, policy, attempt_id, task_id, agent_id, waited_ms,
                                 control, reason, candidates)
        select $1, $2, $3, n.*
        from unnest($4::uuid[], $5::uuid[], $6::uuid[], $7::bigint[], $8::bool[], $9::text[],
                    $10::jsonb[]) as n
        "#,
        tx.workspace.0,
        tx.now,
        policy.as_str(),
        column!(|n| n.attempt_id.0),
        column!(|n| n.task_id.0),
        column!(|n| n.agent_id.0),
        column!(|n| n.waited_ms),
        column!(|n| n.control),
        column!(|n| n.reason.as_str().to_owned()),
        column!(|n| n.candidates.clone()) as &[Option<Value>],
    )
    .execute(traced!(tx, "routing.assignments.insert"))
    .await?;
    Ok(())
}

/// A stored assignment.
#[derive(Debug, Clone, PartialEq)]
pub struct AssignmentRow {
    /// The attempt that began.
    pub attempt_id: AttemptId,
    /// Its task.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
    /// The agent that got it.
    pub agent_id: AgentId,
    /// Time of the assignment.
    pub at: DateTime<Utc>,
    /// How long the task had been ready, in milliseconds.
    pub waited_ms: i64,
    /// Whether the task belongs to the share that is assigned at random.
    pub control: bool,
    /// The policy of the workspace.
    pub policy: Policy,
    /// Why the agent got it.
    pub reason: Reason,
    /// The compared agents; `None`: nobody was compared.
    pub candidates: Option<Value>,
}

/// Filter for [`list`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AssignmentFilter {
    /// Only those of this task.
    pub task: Option<TaskId>,
    /// Only those to this agent.
    pub agent: Option<AgentId>,
    /// Only those of tasks of this goal.
    pub goal: Option<GoalId>,
}

/// Assignments after `after`, newest first (by attempt, descending).
pub async fn list(
    tx: &mut Tx,
    filter: AssignmentFilter,
    after: Option<AttemptId>,
    rows: i64,
) -> sqlx::Result<Vec<AssignmentRow>> {
    sqlx::query_as!(
        AssignmentRow,
        r#"
        select s.attempt_id as "attempt_id: AttemptId", s.task_id as "task_id: TaskId",
               a.goal_id as "goal_id: GoalId", s.agent_id as "agent_id: AgentId", s.at, s.waited_ms,
               s.control, s.policy as "policy: Policy", s.reason as "reason: Reason", s.candidates
        from attempts a
        join assignments s on s.workspace_id = $1 and s.attempt_id = a.attempt_id
        where a.workspace_id = $1
          and ($2::uuid is null or a.task_id = $2)
          and ($3::uuid is null or a.agent_id = $3)
          and ($4::uuid is null or a.task_id = any(array(
              select t.task_id from tasks t where t.workspace_id = $1 and t.goal_id = $4)))
          and ($5::uuid is null or a.attempt_id < $5)
        order by a.attempt_id desc
        limit $6
        "#,
        tx.workspace.0,
        filter.task.map(|id| id.0),
        filter.agent.map(|id| id.0),
        filter.goal.map(|id| id.0),
        after.map(|id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "routing.assignments.list"))
    .await
}

/// Most rows deleted by one statement.
pub const PRUNED_AT_ONCE: i64 = 5_000;

/// Deletes assignments of attempts before `before`, the oldest first and up to [`PRUNED_AT_ONCE`]. Returns their number.
pub async fn prune(tx: &mut Tx, before: AttemptId) -> sqlx::Result<u64> {
    let pruned = sqlx::query!(
        "delete from assignments where workspace_id = $1 and attempt_id in (
             select attempt_id from assignments where workspace_id = $1 and attempt_id < $2
             order by attempt_id limit $3)",
        tx.workspace.0,
        before.0,
        PRUNED_AT_ONCE,
    )
    .execute(traced!(tx, "routing.assignments.prune"))
    .await?;
    Ok(pruned.rows_affected())
}
