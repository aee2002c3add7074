//! Answers: finished tasks that may have answered another one, and those that were accepted.
//!
//! What a finished task used and showed is read from its rows. They may be pruned; then the digest says what is known.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    domain::{
        access::person::Person,
        artifact::digest::ArtifactDigest,
        criterion::EvidenceTier,
        ids::{AgentId, AttemptId, GoalId, KeyId, LessonId, ProjectId, TaskId},
        knowledge::{LessonState, Trust, uplift},
        spend::Amounts,
        task::claim::capabilities,
    },
    store::{Tx, columns::uuids, traced},
};

/// What the lessons of claims need of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Whether it has a lesson that can be found.
    pub some: bool,
    /// Most tokens of the lessons of a claim.
    pub tokens: i32,
    /// Percentage of tasks without lessons.
    pub control_percent: i32,
}

/// What a workspace offers to claims.
pub async fn offer(tx: &mut Tx) -> sqlx::Result<Offer> {
    let found = sqlx::query_as!(
        Offer,
        r#"select exists (select from lessons l where l.workspace_id = $1 and l.doc is not null) as "some!",
                  lesson_tokens as tokens, lesson_control_percent as control_percent
           from workspaces where workspace_id = $1"#,
        tx.workspace.0,
    )
    .fetch_optional(traced!(tx, "knowledge.answers.offer"))
    .await?;
    let control_percent = uplift::CONTROL_PERCENT.into();
    Ok(found.unwrap_or(Offer { some: false, tokens: 0, control_percent }))
}

/// A task as text.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct Subject {
    pub task_id: TaskId,
    pub goal_id: GoalId,
    pub project_id: Option<ProjectId>,
    pub title: String,
    pub capabilities: Vec<String>,
    /// Whether the service made it to plan, verify, check or rework.
    pub has_purpose: bool,
}

/// Tasks as text; omits unknown ids.
pub async fn subjects(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<HashMap<TaskId, Subject>> {
    let rows = sqlx::query!(
        r#"select t.task_id as "task_id: TaskId", t.goal_id as "goal_id: GoalId",
                  g.project_id as "project_id: ProjectId", x.title, t.capability_key,
                  t.purpose is not null as "has_purpose!"
           from tasks t
           join task_texts x on x.workspace_id = $1 and x.task_id = t.task_id
           join goals g on g.workspace_id = $1 and g.goal_id = t.goal_id
           where t.workspace_id = $1 and t.task_id = any($2)"#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "knowledge.answers.subjects"))
    .await?;
    let subjects = rows.into_iter().map(|row| {
        let subject = Subject {
            task_id: row.task_id,
            goal_id: row.goal_id,
            project_id: row.project_id,
            title: row.title,
            capabilities: capabilities(&row.capability_key),
            has_purpose: row.has_purpose,
        };
        (row.task_id, subject)
    });
    Ok(subjects.collect())
}

/// The digest of a done task, and what its rows say.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct DigestRow {
    pub lesson_id: LessonId,
    pub project_id: Option<ProjectId>,
    pub state: LessonState,
    pub trust: Trust,
    pub title: String,
    pub task_id: TaskId,
    pub goal_id: Option<GoalId>,
    pub done_at: DateTime<Utc>,
    /// Whether the task is still stored, and done.
    pub stored: bool,
    /// Least tier of the evidence for its required criteria; `None`: it has none, or is pruned.
    pub tier: Option<EvidenceTier>,
}

/// Those of the lessons that are digests of done tasks and given to agents.
pub async fn digests(tx: &mut Tx, lessons: &[LessonId]) -> sqlx::Result<Vec<DigestRow>> {
    if lessons.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as!(
        DigestRow,
        r#"
        select l.lesson_id as "lesson_id: LessonId", l.project_id as "project_id: ProjectId",
               l.state as "state: LessonState", l.trust as "trust: Trust", v.title,
               l.source_task as "task_id!: TaskId", l.source_goal as "goal_id: GoalId",
               l.learned_at as done_at, t.task_id is not null as "stored!", e.tier as "tier?: EvidenceTier"
        from lessons l
        join lesson_versions v on v.workspace_id = $1 and v.lesson_id = l.lesson_id and v.version = l.version
        left join tasks t on t.workspace_id = $1 and t.task_id = l.source_task and t.state = 'done'
        left join lateral (
            select p.tier from criteria c
            cross join lateral (
                select coalesce((select w.tier from evidence w
                                 where w.workspace_id = $1 and w.attempt_id = t.current_attempt_id
                                   and w.criterion = c.number and w.met
                                 order by tier_rank(w.tier) desc limit 1), 'claimed') as tier) p
            where c.workspace_id = $1 and c.task_id = t.task_id and c.required
            order by tier_rank(p.tier)
            limit 1) e on true
        where l.workspace_id = $1 and l.lesson_id = any($2) and l.kind = 'digest' and l.outcome = 'done'
          and l.state in ('active', 'candidate') and l.source_task is not null
        "#,
        tx.workspace.0,
        &uuids(lessons),
    )
    .fetch_all(traced!(tx, "knowledge.answers.digests"))
    .await
}

/// What tasks used, by task and unit, with `attempts` and `wall_ms`. Omits tasks that are pruned.
pub async fn used(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<HashMap<TaskId, Amounts>> {
    if tasks.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!(
        r#"
        select t.task_id as "task_id!: TaskId", u.unit as "unit!", u.amount as "amount!"
        from tasks t
        cross join lateral (
            select s.unit, s.amount from task_spend s
            where s.workspace_id = $1 and s.task_id = t.task_id
            union all
            select m.unit, m.amount
            from (select count(*) as attempts,
                         least(coalesce(sum(floor(extract(epoch from a.ended_at - a.started_at) * 1000)), 0),
                               9223372036854775807)::bigint as wall_ms
                  from attempts a
                  where a.workspace_id = $1 and a.task_id = t.task_id and a.ended_at is not null) k
            cross join lateral (values ('attempts', k.attempts), ('wall_ms', k.wall_ms)) as m (unit, amount)
        ) u
        where t.workspace_id = $1 and t.task_id = any($2)
        order by t.task_id, u.unit
        "#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "knowledge.answers.used"))
    .await?;
    let mut used: HashMap<TaskId, Amounts> = HashMap::new();
    for row in rows {
        used.entry(row.task_id).or_default().insert(row.unit, row.amount);
    }
    Ok(used)
}

/// The result of a done task, and its digest.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct AnswerRow {
    pub lesson_id: LessonId,
    pub project_id: Option<ProjectId>,
    pub task_id: TaskId,
    pub title: String,
    pub body: String,
    /// Its accepted attempt; `None`: it has none, or is pruned.
    pub attempt_id: Option<AttemptId>,
    pub result: Option<Value>,
}

/// The digest of a done task that is given to agents, with the result of the task.
pub async fn find(tx: &mut Tx, lesson: LessonId) -> sqlx::Result<Option<AnswerRow>> {
    sqlx::query_as!(
        AnswerRow,
        r#"
        select l.lesson_id as "lesson_id: LessonId", l.project_id as "project_id: ProjectId",
               l.source_task as "task_id!: TaskId", v.title, v.body,
               a.attempt_id as "attempt_id?: AttemptId", r.result
        from lessons l
        join lesson_versions v on v.workspace_id = $1 and v.lesson_id = l.lesson_id and v.version = l.version
        left join tasks t on t.workspace_id = $1 and t.task_id = l.source_task and t.state = 'done'
        left join attempts a on a.workspace_id = $1 and a.attempt_id = t.current_attempt_id
             and a.state = 'accepted'
        left join attempt_results r on r.workspace_id = $1 and r.attempt_id = a.attempt_id
        where l.workspace_id = $1 and l.lesson_id = $2 and l.kind = 'digest' and l.outcome = 'done'
          and l.state in ('active', 'candidate') and l.source_task is not null
        "#,
        tx.workspace.0,
        lesson.0,
    )
    .fetch_optional(traced!(tx, "knowledge.answers.find"))
    .await
}

/// The artifacts of the result of an attempt that are still there.
pub async fn artifacts(tx: &mut Tx, attempt: AttemptId) -> sqlx::Result<Vec<ArtifactDigest>> {
    sqlx::query_scalar!(
        r#"select f.sha256 as "sha256: ArtifactDigest" from artifact_refs f
           join artifacts s on s.workspace_id = $1 and s.sha256 = f.sha256
           where f.workspace_id = $1 and f.attempt_id = $2 and f.in_result
           order by f.sha256"#,
        tx.workspace.0,
        attempt.0,
    )
    .fetch_all(traced!(tx, "knowledge.answers.artifacts"))
    .await
}

/// An answer that somebody accepted.
#[derive(Debug, Clone)]
pub struct NewAccepted {
    /// The task that is closed.
    pub task_id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
    /// The task that had solved it.
    pub source_task: TaskId,
    /// Its digest.
    pub lesson_id: LessonId,
    /// The key that accepts.
    pub accepted_by: Option<KeyId>,
    /// The person of the key.
    pub person: Option<Person>,
    /// The agent that accepts; `None`: a person.
    pub agent_id: Option<AgentId>,
    /// What the earlier task had cost, in millionths of a US dollar.
    pub usd_micros: i64,
    /// Tokens that it had used.
    pub tokens: i64,
    /// Time of its attempts, in milliseconds.
    pub wall_ms: i64,
}

/// Stores an accepted answer. One that was accepted before and rejected by a reviewer is replaced.
pub async fn accept(tx: &mut Tx, new: &NewAccepted) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into accepted_answers (workspace_id, task_id, goal_id, source_task, lesson_id, accepted_by,
                                       agent_id, accepted_at, saved_usd_micros, saved_tokens, saved_wall_ms, person)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         on conflict (workspace_id, task_id) do update
             set source_task = excluded.source_task, lesson_id = excluded.lesson_id,
                 accepted_by = excluded.accepted_by, agent_id = excluded.agent_id,
                 accepted_at = excluded.accepted_at, saved_usd_micros = excluded.saved_usd_micros,
                 saved_tokens = excluded.saved_tokens, saved_wall_ms = excluded.saved_wall_ms,
                 person = excluded.person",
        tx.workspace.0,
        new.task_id.0,
        new.goal_id.0,
        new.source_task.0,
        new.lesson_id.0,
        new.accepted_by.map(|id| id.0),
        new.agent_id.map(|id| id.0),
        tx.now,
        new.usd_micros.max(0),
        new.tokens.max(0),
        new.wall_ms.max(0),
        new.person.as_ref().map(Person::as_str),
    )
    .execute(traced!(tx, "knowledge.answers.accept"))
    .await?;
    Ok(())
}

/// The accepted answer of a task.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct AcceptedRow {
    pub source_task: TaskId,
    pub lesson_id: LessonId,
    pub accepted_by: Option<KeyId>,
    pub agent_id: Option<AgentId>,
    pub accepted_at: DateTime<Utc>,
    pub saved_usd_micros: i64,
    pub saved_tokens: i64,
    pub saved_wall_ms: i64,
    pub person: Option<Person>,
}

/// The accepted answer of a task; `None`: it has none.
pub async fn accepted(tx: &mut Tx, task: TaskId) -> sqlx::Result<Option<AcceptedRow>> {
    sqlx::query_as!(
        AcceptedRow,
        r#"select source_task as "source_task: TaskId", lesson_id as "lesson_id: LessonId",
                  accepted_by as "accepted_by: KeyId", agent_id as "agent_id: AgentId", accepted_at,
                  saved_usd_micros, saved_tokens, saved_wall_ms, person as "person: Person"
           from accepted_answers where workspace_id = $1 and task_id = $2"#,
        tx.workspace.0,
        task.0,
    )
    .fetch_optional(traced!(tx, "knowledge.answers.accepted"))
    .await
}

/// What accepted answers saved.
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "sums of the columns of the table, documented there")]
pub struct SavedRow {
    pub answers: i64,
    pub usd_micros: i64,
    pub tokens: i64,
    pub wall_ms: i64,
}

/// What accepted answers of done tasks saved, with the filter of trials.
pub async fn saved(tx: &mut Tx, filter: super::trials::TrialFilter) -> sqlx::Result<SavedRow> {
    sqlx::query_as!(
        SavedRow,
        r#"
        select count(*) as "answers!",
               least(coalesce(sum(a.saved_usd_micros), 0), 9223372036854775807)::bigint as "usd_micros!",
               least(coalesce(sum(a.saved_tokens), 0), 9223372036854775807)::bigint as "tokens!",
               least(coalesce(sum(a.saved_wall_ms), 0), 9223372036854775807)::bigint as "wall_ms!"
        from accepted_answers a
        join tasks t on t.workspace_id = $1 and t.task_id = a.task_id and t.state = 'done'
        join goals g on g.workspace_id = $1 and g.goal_id = a.goal_id
        where a.workspace_id = $1
          and ($2::uuid is null or g.project_id = $2)
          and ($3::timestamptz is null or a.accepted_at >= $3)
          and ($4::timestamptz is null or a.accepted_at < $4)
        "#,
        tx.workspace.0,
        filter.project.map(|id| id.0),
        filter.since,
        filter.until,
    )
    .fetch_one(traced!(tx, "knowledge.answers.saved"))
    .await
}
