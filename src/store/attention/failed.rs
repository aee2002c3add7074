//! Work that failed for good and can be tried again.
//!
//! A goal that failed is one item. Failed tasks of a goal that goes on are items of their own. Tasks in
//! quarantine are listed as such, and stand for their failed goal until somebody has seen them. Containers are
//! listed with the tasks inside them, and a subtask only while its parent waits for it. What is archived is
//! left out, and so are the goals of an archived project, which are not retried.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Scope;
use crate::{
    domain::{
        attention::FAILED_SHOWN_FOR,
        ids::{AgentId, GoalId, TaskId},
        states::FailureClass,
    },
    store::{Tx, traced},
};

/// A failed goal that no person has acknowledged.
#[derive(Debug)]
pub struct FailedGoal {
    /// The goal.
    pub goal_id: GoalId,
    /// Title, one line.
    pub title: String,
    /// Number of its failed tasks.
    pub failed: i64,
    /// The first of them.
    pub task_id: TaskId,
    /// Title of that task, one line.
    pub task_title: String,
    /// Why that task failed.
    pub reason: Option<String>,
    /// Time of the failure of the goal.
    pub ended_at: DateTime<Utc>,
}

/// Up to `rows` failed goals after a time and id, oldest first, without those that failed longer than
/// [`FAILED_SHOWN_FOR`] ago.
pub async fn failed_goals(
    tx: &mut Tx,
    scope: Scope<'_>,
    (since, id): (DateTime<Utc>, Uuid),
    rows: i64,
) -> sqlx::Result<Vec<FailedGoal>> {
    sqlx::query_as!(
        FailedGoal,
        r#"
        select g.goal_id as "goal_id: GoalId", g.title, f.failed as "failed!",
               f.task_id as "task_id!: TaskId", x.title as "task_title", x.end_reason as "reason?",
               g.ended_at as "ended_at!"
        from (
            select g.goal_id, g.title, g.ended_at from goals g
            where g.workspace_id = $1 and g.state = 'failed' and g.acknowledged_at is null
              and g.ended_at > $7 and (g.ended_at, g.goal_id) > ($2, $3)
              and ($4::uuid is null or g.goal_id = $4)
              and ($5::uuid is null or g.project_id = $5)
              and not g.archived and not exists (
                  select from projects p
                  where p.workspace_id = $1 and p.project_id = g.project_id and p.archived)
              and exists (
                  select from tasks t
                  where t.workspace_id = $1 and t.goal_id = g.goal_id and t.state = 'failed'
                    and not t.container and t.purpose is distinct from 'plan'
                    and not (t.failure_class = 'lost' and t.lost_in_row >= 3
                             and t.acknowledged_at is null))
            order by g.ended_at, g.goal_id limit $6
        ) g
        cross join lateral (
            select count(*) as failed, (array_agg(t.task_id order by t.ended_at, t.task_id))[1] as task_id
            from tasks t
            where t.workspace_id = $1 and t.goal_id = g.goal_id and t.state = 'failed'
              and not t.container and t.purpose is distinct from 'plan'
        ) f
        join task_texts x on x.workspace_id = $1 and x.task_id = f.task_id
        order by g.ended_at, g.goal_id
        "#,
        tx.workspace.0,
        since,
        id,
        scope.goal.map(|id| id.0),
        scope.project.map(|id| id.0),
        rows,
        tx.now - FAILED_SHOWN_FOR,
    )
    .fetch_all(traced!(tx, "attention.failed_goals"))
    .await
}

/// A failed task of an active goal that no person has acknowledged.
#[derive(Debug)]
pub struct FailedTask {
    /// The task.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
    /// Title, one line.
    pub title: String,
    /// Class of its failure.
    pub failure_class: FailureClass,
    /// Why it failed.
    pub reason: Option<String>,
    /// The agent of its last attempt.
    pub agent_id: Option<AgentId>,
    /// Time of its failure.
    pub ended_at: DateTime<Utc>,
}

/// Up to `rows` failed tasks of active goals after a time and id, oldest first.
pub async fn failed_tasks(
    tx: &mut Tx,
    scope: Scope<'_>,
    (since, id): (DateTime<Utc>, Uuid),
    rows: i64,
) -> sqlx::Result<Vec<FailedTask>> {
    sqlx::query_as!(
        FailedTask,
        r#"
        select t.task_id as "task_id: TaskId", t.goal_id as "goal_id: GoalId", x.title,
               t.failure_class as "failure_class!: FailureClass", x.end_reason as "reason?",
               (select a.agent_id from attempts a where a.workspace_id = $1
                and a.attempt_id = t.current_attempt_id) as "agent_id: AgentId",
               t.ended_at as "ended_at!"
        from (
            select t.* from goals g
            join tasks t on t.workspace_id = $1 and t.goal_id = g.goal_id and t.state = 'failed'
                 and t.acknowledged_at is null and not t.container and t.purpose is null
                 and not (t.failure_class = 'lost' and t.lost_in_row >= 3)
            left join tasks p on p.workspace_id = $1 and p.task_id = t.parent_id
            where g.workspace_id = $1 and g.state = 'active' and g.tasks_failed > 0
              and ($4::uuid is null or g.goal_id = $4)
              and ($5::uuid is null or g.project_id = $5)
              and (t.ended_at, t.task_id) > ($2, $3)
              and (p.task_id is null or (p.container and p.state <> 'cancelled')
                   or (p.state = 'parked' and p.children_open > 0))
            order by t.ended_at, t.task_id limit $6
        ) t
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        order by t.ended_at, t.task_id
        "#,
        tx.workspace.0,
        since,
        id,
        scope.goal.map(|id| id.0),
        scope.project.map(|id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "attention.failed_tasks"))
    .await
}
