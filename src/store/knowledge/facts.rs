//! What is known of ended tasks, for their digests.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    domain::{
        criterion::EvidenceTier,
        ids::{AgentId, AttemptId, GoalId, ProjectId, TaskId},
        states::{AttemptState, FailureClass, TaskState},
        task::claim::capabilities,
    },
    store::{Tx, columns::uuids, traced},
};

/// The end of a task in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Number of the row.
    pub number: i64,
    /// The task.
    pub task_id: TaskId,
}

/// The first `rows` ends of tasks in the journal after a number, oldest first.
pub async fn ended(tx: &mut Tx, after: i64, rows: i64) -> sqlx::Result<Vec<Ended>> {
    sqlx::query_as!(
        Ended,
        r#"select number, task_id as "task_id!: TaskId" from journal
           where workspace_id = $1 and number > $2 and task_id is not null
             and kind in ('task.done', 'task.failed', 'task.cancelled')
           order by number
           limit $3"#,
        tx.workspace.0,
        after,
        rows,
    )
    .fetch_all(traced!(tx, "knowledge.facts.ended"))
    .await
}

/// The newest `rows` ends of tasks in the journal after a number, as far as their tasks have no digest of it. Newest
/// first.
pub async fn newest_ended(tx: &mut Tx, after: i64, rows: i64) -> sqlx::Result<Vec<TaskId>> {
    sqlx::query_scalar!(
        r#"
        with ends as materialized (
            select number, task_id from journal
            where workspace_id = $1 and number > $2 and task_id is not null
              and kind in ('task.done', 'task.failed', 'task.cancelled')
            order by number desc
            limit $3
        )
        select e.task_id as "task_id!: TaskId"
        from ends e
        join tasks t on t.workspace_id = $1 and t.task_id = e.task_id
        where t.ended_at is not null and not t.container
          and (t.state <> 'cancelled' or t.attempts_started > 0)
          and not exists (select from lessons l
                          where l.workspace_id = $1 and l.source_task = e.task_id
                            and l.kind = 'digest' and l.learned_at >= t.ended_at)
        group by e.task_id
        order by max(e.number) desc
        "#,
        tx.workspace.0,
        after,
        rows,
    )
    .fetch_all(traced!(tx, "knowledge.facts.newest_ended"))
    .await
}

/// An ended task.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct TaskRow {
    pub task_id: TaskId,
    pub goal_id: GoalId,
    pub project_id: Option<ProjectId>,
    pub goal_title: String,
    pub title: String,
    pub description: String,
    pub section: Option<String>,
    pub labels: Vec<String>,
    pub capabilities: Vec<String>,
    pub state: TaskState,
    pub failure_class: Option<FailureClass>,
    pub end_reason: Option<String>,
    pub estimate: Option<Value>,
    pub ended_at: DateTime<Utc>,
    /// Number of attempts that were started.
    pub attempts: i32,
    /// The accepted attempt.
    pub accepted: Option<AttemptId>,
    /// The agent of the accepted attempt.
    pub agent_id: Option<AgentId>,
    pub result: Option<Value>,
    /// Whether a person approved the result.
    pub approved: bool,
}

/// These tasks, as far as they are ended and no container.
pub async fn tasks(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<TaskRow>> {
    let rows = sqlx::query!(
        r#"
        select t.task_id as "task_id: TaskId", t.goal_id as "goal_id: GoalId",
               g.project_id as "project_id: ProjectId", g.title as goal_title, x.title, x.description,
               x.section, x.labels, t.capability_key, t.state as "state: TaskState",
               t.failure_class as "failure_class: FailureClass", x.end_reason,
               x.estimate, t.ended_at as "ended_at!", t.attempts_started,
               a.attempt_id as "accepted?: AttemptId", a.agent_id as "agent_id?: AgentId", r.result,
               exists (select from approvals p
                       where p.workspace_id = $1 and p.task_id = t.task_id and p.kind = 'result'
                         and p.state = 'approved' and p.attempt_id = a.attempt_id) as "approved!"
        from tasks t
        join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
        join goals g on g.workspace_id = $1 and g.goal_id = t.goal_id
        left join attempts a on a.workspace_id = $1 and a.attempt_id = t.current_attempt_id
             and a.state = 'accepted'
        left join attempt_results r on r.workspace_id = $1 and r.attempt_id = a.attempt_id
        where t.workspace_id = $1 and t.task_id = any($2) and t.ended_at is not null
          and not t.container
        "#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "knowledge.facts.tasks"))
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| TaskRow {
            task_id: row.task_id,
            goal_id: row.goal_id,
            project_id: row.project_id,
            goal_title: row.goal_title,
            title: row.title,
            description: row.description,
            section: row.section,
            labels: row.labels,
            capabilities: capabilities(&row.capability_key),
            state: row.state,
            failure_class: row.failure_class,
            end_reason: row.end_reason,
            estimate: row.estimate,
            ended_at: row.ended_at,
            attempts: row.attempts_started,
            accepted: row.accepted,
            agent_id: row.agent_id,
            result: row.result,
            approved: row.approved,
        })
        .collect())
}

/// A criterion of a task, with what its accepted attempt showed.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct CriterionRow {
    pub task_id: TaskId,
    pub number: i16,
    pub text: String,
    pub required: bool,
    /// Whether some evidence says that it is met; `None`: there is none.
    pub met: Option<bool>,
    /// The best tier of that evidence.
    pub tier: Option<EvidenceTier>,
}

/// The criteria of tasks.
pub async fn criteria(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<CriterionRow>> {
    sqlx::query_as!(
        CriterionRow,
        r#"
        select c.task_id as "task_id: TaskId", c.number, left(c.text, 500) as "text!", c.required,
               e.met as "met?", e.tier as "tier?: EvidenceTier"
        from criteria c
        join tasks t on t.workspace_id = $1 and t.task_id = c.task_id
        left join lateral (
            select v.met, v.tier from evidence v
            where v.workspace_id = $1 and v.attempt_id = t.current_attempt_id
              and v.criterion = c.number
            order by v.met desc,
                     array_position(array['person', 'reviewed', 'machine_checked', 'attached', 'claimed'], v.tier)
            limit 1) e on true
        where c.workspace_id = $1 and c.task_id = any($2)
        order by c.task_id, c.number
        "#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "knowledge.facts.criteria"))
    .await
}

/// An attempt of a task.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct AttemptRow {
    pub task_id: TaskId,
    pub attempt_id: AttemptId,
    pub number: i32,
    pub agent: Option<String>,
    pub state: AttemptState,
    pub failure_class: Option<FailureClass>,
    pub message: Option<String>,
    pub feedback: Option<String>,
    pub wall_ms: i64,
}

/// The latest ten attempts of tasks, oldest first.
pub async fn attempts(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<AttemptRow>> {
    sqlx::query_as!(
        AttemptRow,
        r#"
        select k.task_id as "task_id!: TaskId", a.attempt_id as "attempt_id: AttemptId", a.number,
               n.name as "agent?", a.state as "state: AttemptState",
               r.failure_class as "failure_class?: FailureClass",
               left(r.message, 1000) as message, left(r.feedback, 1000) as feedback,
               greatest(0, (extract(epoch from coalesce(a.ended_at, a.started_at) - a.started_at) * 1000)::bigint)
               as "wall_ms!"
        from unnest($2::uuid[]) as k (task_id)
        cross join lateral (
            select * from attempts
            where workspace_id = $1 and task_id = k.task_id
            order by number desc
            limit 10) a
        left join agents n on n.workspace_id = $1 and n.agent_id = a.agent_id
        left join attempt_results r on r.workspace_id = $1 and r.attempt_id = a.attempt_id
        order by k.task_id, a.number
        "#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "knowledge.facts.attempts"))
    .await
}

/// What the attempts of tasks used, by task and unit.
pub async fn spend(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<(TaskId, String, i64)>> {
    let rows = sqlx::query!(
        r#"
        select a.task_id as "task_id: TaskId", s.unit, sum(s.reported)::bigint as "amount!"
        from attempts a
        join attempt_spend s on s.workspace_id = $1 and s.attempt_id = a.attempt_id
        where a.workspace_id = $1 and a.task_id = any($2)
        group by a.task_id, s.unit
        order by a.task_id, s.unit
        "#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "knowledge.facts.spend"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.task_id, row.unit, row.amount)).collect())
}

/// A comment on a task.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct CommentRow {
    pub task_id: TaskId,
    pub who: String,
    pub text: String,
}

/// The latest ten comments on tasks, oldest first.
pub async fn comments(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<CommentRow>> {
    sqlx::query_as!(
        CommentRow,
        r#"
        select k.task_id as "task_id!: TaskId",
               coalesce(c.person, n.name, 'somebody') as "who!", left(c.text, 1000) as "text!"
        from unnest($2::uuid[]) as k (task_id)
        join tasks t on t.workspace_id = $1 and t.task_id = k.task_id and t.commented
        cross join lateral (
            select * from comments
            where workspace_id = $1 and task_id = k.task_id
            order by comment_id desc
            limit 10) c
        left join agents n on n.workspace_id = $1 and n.agent_id = c.agent_id
        order by k.task_id, c.comment_id
        "#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "knowledge.facts.comments"))
    .await
}

/// Artifacts of the results of tasks: digest in hexadecimal and media type.
pub async fn artifacts(
    tx: &mut Tx,
    tasks: &[TaskId],
) -> sqlx::Result<Vec<(TaskId, String, Option<String>)>> {
    let rows = sqlx::query!(
        r#"
        select t.task_id as "task_id: TaskId", encode(f.sha256, 'hex') as "sha256!", s.media_type as "media_type?"
        from tasks t
        join artifact_refs f on f.workspace_id = $1 and f.attempt_id = t.current_attempt_id and f.in_result
        left join artifacts s on s.workspace_id = $1 and s.sha256 = f.sha256
        where t.workspace_id = $1 and t.task_id = any($2)
        order by t.task_id, f.sha256
        "#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "knowledge.facts.artifacts"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.task_id, row.sha256, row.media_type)).collect())
}
