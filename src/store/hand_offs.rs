//! Hand-offs of running tasks, and the offers that they leave.

use chrono::{DateTime, Utc};

use super::{Tx, columns::uuids, traced};
use crate::domain::{
    addressee::Addressee,
    ids::{AgentId, AttemptId, GoalId, TaskId},
    task::{claim::Keeping, holder::Holder},
};

/// Number of hand-offs of a task. The caller has locked the task.
pub async fn count(tx: &mut Tx, task: TaskId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from hand_offs where workspace_id = $1 and task_id = $2"#,
        tx.workspace.0,
        task.0,
    )
    .fetch_one(traced!(tx, "hand_offs.count"))
    .await
}

/// Whether an agent that is neither archived nor retired has `capability` and everything that a task requires, and may
/// do it if it is a check. `except`: an agent that does not count.
pub async fn is_anybody_able(
    tx: &mut Tx,
    task: TaskId,
    capability: &str,
    except: Option<AgentId>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (
               select from agents g
               join tasks t on t.workspace_id = $1 and t.task_id = $2
               join capability_sets s on s.workspace_id = $1 and s.capability_key = t.capability_key
               where g.workspace_id = $1 and not g.archived and g.state <> 'retired'
                 and g.agent_id is distinct from $4
                 and s.capabilities <@ g.capabilities and $3 = any(g.capabilities)
                 and (t.checks_attempt_id is null
                      or g.agent_id not in (select barred_from_check($1, t.task_id)))
           ) as "able!""#,
        tx.workspace.0,
        task.0,
        capability,
        except.map(|id| id.0),
    )
    .fetch_one(traced!(tx, "hand_offs.is_anybody_able"))
    .await
}

/// A hand-off to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewHandOff<'a> {
    /// The task.
    pub task_id: TaskId,
    /// The attempt that ended.
    pub attempt_id: AttemptId,
    /// Its ordinal within the task.
    pub number: i32,
    /// Who held it.
    pub from: Holder,
    /// Who is to continue.
    pub to: &'a Addressee,
    /// Until when only these may claim the task.
    pub offer_until: DateTime<Utc>,
    /// What the next holder should know.
    pub note: &'a str,
}

/// Stores a hand-off, and offers the task as `keeping` says and to agents with the capability of its addressee. The
/// caller has locked the task and ended the attempt.
pub async fn insert(tx: &mut Tx, new: &NewHandOff<'_>, keeping: Keeping) -> sqlx::Result<()> {
    sqlx::query!(
        "with offered as (
             update tasks
             set assigned_agent_id = $11, barred_agent_id = $12, offered_capability = $8,
                 offer_until = $9, version = version + 1, updated_at = $10
             where workspace_id = $1 and task_id = $2
         )
         insert into hand_offs (workspace_id, task_id, number, attempt_id, from_agent, from_key,
                                to_agent, capability, offer_until, handed_at, note)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $13)",
        tx.workspace.0,
        new.task_id.0,
        new.number,
        new.attempt_id.0,
        new.from.agent().map(|id| id.0),
        new.from.key().map(|id| id.0),
        new.to.agent_id.map(|id| id.0),
        new.to.capability,
        new.offer_until,
        tx.now,
        keeping.assigned().map(|id| id.0),
        keeping.barred().map(|id| id.0),
        new.note,
    )
    .execute(traced!(tx, "hand_offs.insert"))
    .await?;
    Ok(())
}

/// Up to 500 open tasks whose offer is over.
pub async fn due(tx: &mut Tx) -> sqlx::Result<Vec<(TaskId, GoalId)>> {
    let rows = sqlx::query!(
        r#"select task_id as "task_id: TaskId", goal_id as "goal_id: GoalId" from tasks
           where workspace_id = $1 and offer_until <= $2 and ended_at is null
           order by offer_until limit 500"#,
        tx.workspace.0,
        tx.now,
    )
    .fetch_all(traced!(tx, "hand_offs.due"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.task_id, row.goal_id)).collect())
}

/// Ends the offers of tasks that are over, and returns these tasks: every able agent may claim them. The caller has
/// locked the tasks.
pub async fn end_offers(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<TaskId>> {
    sqlx::query_scalar!(
        r#"update tasks
           set assigned_agent_id = null, barred_agent_id = null, offered_capability = null,
               offer_until = null, version = version + 1, updated_at = $3
           where workspace_id = $1 and task_id = any($2) and offer_until <= $3 and ended_at is null
           returning task_id as "task_id: TaskId""#,
        tx.workspace.0,
        &uuids(tasks),
        tx.now,
    )
    .fetch_all(traced!(tx, "hand_offs.end_offers"))
    .await
}
