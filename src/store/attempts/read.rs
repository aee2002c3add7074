//! Attempts as returned by the API. Excludes the lease hashes.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    domain::{
        approval::review::FeedbackPoint,
        artifact::digest::ArtifactDigest,
        criterion::EvidenceTier,
        gate::resource::Touch,
        ids::{AgentId, ApprovalId, AttemptId, GoalId, KeyId, TaskId},
        spend::Amounts,
        states::{AttemptState, FailureClass},
    },
    store::{Tx, traced},
};

/// An attempt without result and checkpoint.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct AttemptRow {
    pub attempt_id: AttemptId,
    pub task_id: TaskId,
    pub goal_id: GoalId,
    pub agent_id: Option<AgentId>,
    pub held_by_key: Option<KeyId>,
    pub number: i32,
    pub state: AttemptState,
    pub lease_expires_at: DateTime<Utc>,
    pub hard_deadline: DateTime<Utc>,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub progress: Option<Value>,
    pub progress_at: Option<DateTime<Utc>>,
    pub failure_class: Option<FailureClass>,
    pub message: Option<String>,
    pub feedback: Option<String>,
    pub feedback_points: Option<Json<Vec<FeedbackPoint>>>,
    pub spend: Json<Amounts>,
    pub concurrency_keys: Vec<String>,
    pub resources: Json<Vec<Touch>>,
}

/// Selection for [`list`].
#[derive(Debug, Clone, Copy)]
pub enum AttemptScope {
    /// This one.
    This(AttemptId),
    /// Attempts of a task, highest number first.
    OfTask {
        /// The task.
        task: TaskId,
        /// Only smaller numbers.
        after: Option<i32>,
    },
    /// Attempts of an agent, newest first.
    OfAgent {
        /// The agent.
        agent: AgentId,
        /// Only running ones.
        running: bool,
        /// Only older ones.
        after: Option<AttemptId>,
    },
}

/// Reads attempts. Conditions on `$2` are constant within a call, so only one branch runs, along
/// its own index. The rows are looked up one by one (`limit 1`): a generic plan does not know how
/// few they are and would scan the table.
pub async fn list(tx: &mut Tx, scope: AttemptScope, rows: u32) -> sqlx::Result<Vec<AttemptRow>> {
    let newest = uuid::Uuid::max();
    let (branch, of, number, before) = match scope {
        AttemptScope::This(attempt) => ("this", attempt.0, i32::MAX, newest),
        AttemptScope::OfTask { task, after } => ("task", task.0, after.unwrap_or(i32::MAX), newest),
        AttemptScope::OfAgent { agent, running, after } => {
            let branch = if running { "running" } else { "agent" };
            (branch, agent.0, i32::MAX, after.map_or(newest, |id| id.0))
        }
    };
    sqlx::query_as!(
        AttemptRow,
        r#"
        with picked as materialized (
            (select a.attempt_id from attempts a
             where $2 = 'this' and a.workspace_id = $1 and a.attempt_id = $3)
            union all
            (select a.attempt_id from attempts a
             where $2 = 'task' and a.workspace_id = $1 and a.task_id = $3 and a.number < $4
             order by a.number desc limit $6)
            union all
            (select a.attempt_id from attempts a
             where $2 = 'agent' and a.workspace_id = $1 and a.agent_id = $3 and a.attempt_id < $5
             order by a.attempt_id desc limit $6)
            union all
            (select a.attempt_id from attempts a
             where $2 = 'running' and a.workspace_id = $1 and a.agent_id = $3
               and a.state = 'running' and a.attempt_id < $5
             order by a.attempt_id desc limit $6)
        )
        select a.attempt_id as "attempt_id: AttemptId", a.task_id as "task_id: TaskId",
               a.goal_id as "goal_id: GoalId", a.agent_id as "agent_id: AgentId",
               a.held_by_key as "held_by_key: KeyId", a.number,
               a.state as "state: AttemptState", a.lease_expires_at, a.hard_deadline,
               a.started_at, a.ended_at, p.progress as "progress?",
               p.updated_at as "progress_at?", r.failure_class as "failure_class?: FailureClass",
               r.message as "message?", r.feedback as "feedback?",
               r.feedback_points as "feedback_points?: Json<Vec<FeedbackPoint>>",
               coalesce((select jsonb_object_agg(s.unit, least(
                             s.entries::numeric + s.reported + s.fraction / 1000000,
                             9223372036854775807)::bigint)
                         from attempt_spend s
                         where s.workspace_id = $1 and s.attempt_id = a.attempt_id),
                        '{}') as "spend!: Json<Amounts>",
               case when a.state = 'running' then array(
                   select k.name from concurrency_grants g
                   join concurrency_keys k on k.workspace_id = $1
                        and k.concurrency_key_id = g.concurrency_key_id
                   where g.workspace_id = $1 and g.attempt_id = a.attempt_id order by k.name)
               else '{}' end as "concurrency_keys!: Vec<String>",
               case when a.state = 'running' then coalesce((
                   select jsonb_agg(jsonb_build_object('resource', h.resource, 'mode', h.mode)
                                    order by h.resource)
                   from resource_grants h
                   where h.workspace_id = $1 and h.attempt_id = a.attempt_id), '[]')
               else '[]' end as "resources!: Json<Vec<Touch>>"
        from picked
        cross join lateral (
            select * from attempts a
            where a.workspace_id = $1 and a.attempt_id = picked.attempt_id limit 1) a
        left join lateral (
            select * from attempt_progress p
            where p.workspace_id = $1 and p.attempt_id = picked.attempt_id limit 1) p on true
        left join lateral (
            select * from attempt_results r
            where r.workspace_id = $1 and r.attempt_id = picked.attempt_id limit 1) r on true
        order by case when $2 = 'task' then a.number end desc, a.attempt_id desc
        "#,
        tx.workspace.0,
        branch,
        of,
        number,
        before,
        i64::from(rows),
    )
    .fetch_all(traced!(tx, "attempts.read.list"))
    .await
}

/// Result and checkpoint of an attempt.
#[derive(Debug)]
pub struct HandedIn {
    /// Its last checkpoint.
    pub checkpoint: Option<Value>,
    /// Its result.
    pub result: Option<Value>,
}

/// Reads the result and checkpoint of an attempt.
pub async fn handed_in(tx: &mut Tx, attempt: AttemptId) -> sqlx::Result<HandedIn> {
    sqlx::query_as!(
        HandedIn,
        r#"select (select checkpoint from attempt_progress
                   where workspace_id = $1 and attempt_id = $2) as checkpoint,
                  (select result from attempt_results
                   where workspace_id = $1 and attempt_id = $2) as result"#,
        tx.workspace.0,
        attempt.0,
    )
    .fetch_one(traced!(tx, "attempts.read.handed_in"))
    .await
}

/// A piece of evidence.
#[derive(Debug)]
pub struct EvidenceRow {
    /// Ordinal within the attempt, from 1.
    pub number: i16,
    /// Number of the criterion it supports.
    pub criterion: Option<i16>,
    /// Whether it shows that the criterion is met.
    pub met: bool,
    /// The evidence as text.
    pub text: String,
    /// Its location.
    pub uri: Option<String>,
    /// The artifact that is the evidence.
    pub artifact: Option<ArtifactDigest>,
    /// The number of a metric.
    pub value: Option<String>,
    /// The exit code of a program.
    pub exit_code: Option<i32>,
    /// How far it was checked.
    pub tier: EvidenceTier,
    /// The version of the criteria for which it was given.
    pub criteria_version: i32,
    /// The attempt of the check that gave it.
    pub by_attempt: Option<AttemptId>,
    /// The approval that gave it.
    pub approval: Option<ApprovalId>,
}

/// Reads the evidence of an attempt.
pub async fn evidence(tx: &mut Tx, attempt: AttemptId) -> sqlx::Result<Vec<EvidenceRow>> {
    sqlx::query_as!(
        EvidenceRow,
        r#"select number, criterion, met, text, uri,
                  artifact_sha256 as "artifact: ArtifactDigest", value, exit_code, tier as "tier: EvidenceTier",
                  criteria_version, by_attempt_id as "by_attempt: AttemptId",
                  approval_id as "approval: ApprovalId"
           from evidence
           where workspace_id = $1 and attempt_id = $2 order by number"#,
        tx.workspace.0,
        attempt.0,
    )
    .fetch_all(traced!(tx, "attempts.read.evidence"))
    .await
}

/// The attempt with the task's accepted result, if any.
pub async fn accepted(tx: &mut Tx, task: TaskId) -> sqlx::Result<Option<AttemptId>> {
    sqlx::query_scalar!(
        r#"select attempt_id as "attempt_id: AttemptId" from attempts
           where workspace_id = $1 and task_id = $2 and state = 'accepted'
           order by number desc limit 1"#,
        tx.workspace.0,
        task.0,
    )
    .fetch_optional(traced!(tx, "attempts.read.accepted"))
    .await
}

/// One spend entry of an attempt in one unit.
#[derive(Debug)]
pub struct SpendRow {
    /// The agent's key of the entry.
    pub entry_key: String,
    /// The unit.
    pub unit: String,
    /// Whole units.
    pub amount: i64,
    /// Millionths of a unit, in addition.
    pub fraction: i32,
    /// Whether it was reported after the attempt ended.
    pub late: bool,
    /// The called provider.
    pub provider: Option<String>,
    /// The called model.
    pub model: Option<String>,
    /// Remark for people.
    pub note: Option<String>,
    /// Time of its storage.
    pub recorded_at: DateTime<Utc>,
}

/// Reads the spend of an attempt in order of key and unit, after the given ones.
pub async fn spend(
    tx: &mut Tx,
    attempt: AttemptId,
    after: Option<(&str, &str)>,
    rows: u32,
) -> sqlx::Result<Vec<SpendRow>> {
    let (key, unit) = after.unwrap_or(("", ""));
    sqlx::query_as!(
        SpendRow,
        "select entry_key, unit, amount, fraction, late, provider, model, note, recorded_at
         from spend_entries
         where workspace_id = $1 and attempt_id = $2 and (entry_key, unit) > ($3, $4)
         order by entry_key, unit limit $5",
        tx.workspace.0,
        attempt.0,
        key,
        unit,
        i64::from(rows),
    )
    .fetch_all(traced!(tx, "attempts.read.spend"))
    .await
}

/// Whether the agent exists.
pub async fn agent_exists(tx: &mut Tx, agent: AgentId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from agents where workspace_id = $1 and agent_id = $2) as "is!""#,
        tx.workspace.0,
        agent.0,
    )
    .fetch_one(traced!(tx, "attempts.read.agent_exists"))
    .await
}
