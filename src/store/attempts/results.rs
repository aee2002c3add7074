//! Ends of attempts: results, stored answers, evidence, feedback.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    domain::{
        artifact::digest::ArtifactDigest,
        criterion::{Criterion, CriterionType, EvidenceTier, Terms, decimal::Decimal},
        ids::{AttemptId, TaskId},
        states::{AgentState, FailureClass},
    },
    store::{Tx, columns::uuids, traced},
};

/// The end of an attempt.
#[derive(Debug, Clone)]
pub struct NewResult {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// The answer to the agent, repeated for repeated requests.
    pub outcome: Value,
    /// SHA-256 of the agent's request.
    pub request_sha256: [u8; 32],
    /// The result.
    pub result: Option<Value>,
    /// Its failure class.
    pub failure: Option<FailureClass>,
    /// The agent's message.
    pub message: Option<String>,
    /// Whether it failed because of a rate limit and used up no try.
    pub uncounted: bool,
}

/// Stores ends of attempts. A late completion replaces the sweeper's entry.
pub async fn insert(tx: &mut Tx, results: &[NewResult]) -> sqlx::Result<()> {
    if results.is_empty() {
        return Ok(());
    }
    let failures: Vec<Option<&str>> =
        results.iter().map(|r| r.failure.map(FailureClass::as_str)).collect();
    sqlx::query!(
        r#"
        insert into attempt_results (workspace_id, attempt_id, outcome, request_sha256, result,
                                     failure_class, message, created_at, uncounted)
        select $1, r.attempt_id, r.outcome, r.request_sha256, r.result, r.failure_class, r.message,
               $2, r.uncounted
        from unnest($3::uuid[], $4::jsonb[], $5::bytea[], $6::jsonb[], $7::text[], $8::text[],
                    $9::bool[])
             as r (attempt_id, outcome, request_sha256, result, failure_class, message, uncounted)
        on conflict (workspace_id, attempt_id) do update
            set outcome = excluded.outcome, request_sha256 = excluded.request_sha256,
                result = excluded.result, failure_class = excluded.failure_class,
                message = excluded.message, created_at = excluded.created_at,
                uncounted = excluded.uncounted
        "#,
        tx.workspace.0,
        tx.now,
        &results.iter().map(|r| r.attempt_id.0).collect::<Vec<_>>(),
        &results.iter().map(|r| r.outcome.clone()).collect::<Vec<_>>(),
        &results.iter().map(|r| r.request_sha256.to_vec()).collect::<Vec<_>>(),
        &results.iter().map(|r| r.result.clone()).collect::<Vec<_>>() as &[Option<Value>],
        &failures as &[Option<&str>],
        &results.iter().map(|r| r.message.clone()).collect::<Vec<_>>() as &[Option<String>],
        &results.iter().map(|r| r.uncounted).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "attempts.results.insert"))
    .await?;
    Ok(())
}

/// The stored answer to the request that ended an attempt.
#[derive(Debug, Clone)]
pub struct StoredOutcome {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// The answer.
    pub outcome: Value,
    /// SHA-256 of the request.
    pub request_sha256: Vec<u8>,
}

/// Reads the stored answers of ended attempts.
pub async fn outcomes(tx: &mut Tx, attempts: &[AttemptId]) -> sqlx::Result<Vec<StoredOutcome>> {
    sqlx::query_as!(
        StoredOutcome,
        r#"select attempt_id as "attempt_id: AttemptId", outcome, request_sha256
           from attempt_results where workspace_id = $1 and attempt_id = any($2)"#,
        tx.workspace.0,
        &uuids(attempts),
    )
    .fetch_all(traced!(tx, "attempts.results.outcomes"))
    .await
}

/// Evidence to be stored.
#[derive(Debug, Clone)]
pub struct NewEvidence {
    /// The attempt.
    pub attempt_id: AttemptId,
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
    pub value: Option<Decimal>,
    /// The exit code of a program.
    pub exit_code: Option<i32>,
    /// How far it was checked.
    pub tier: EvidenceTier,
    /// The version of the criteria of its task.
    pub criteria_version: i32,
}

/// Stores evidence.
pub async fn insert_evidence(tx: &mut Tx, evidence: &[NewEvidence]) -> sqlx::Result<()> {
    if evidence.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into evidence (workspace_id, attempt_id, number, criterion, text, uri, met,
                               artifact_sha256, value, exit_code, tier, criteria_version)
         select $1, *
         from unnest($2::uuid[], $3::smallint[], $4::smallint[], $5::text[], $6::text[], $7::bool[],
                     $8::bytea[], $9::text[], $10::int[], $11::text[], $12::int[])",
        tx.workspace.0,
        &evidence.iter().map(|e| e.attempt_id.0).collect::<Vec<_>>(),
        &evidence.iter().map(|e| e.number).collect::<Vec<_>>(),
        &evidence.iter().map(|e| e.criterion).collect::<Vec<_>>() as &[Option<i16>],
        &evidence.iter().map(|e| e.text.clone()).collect::<Vec<_>>(),
        &evidence.iter().map(|e| e.uri.clone()).collect::<Vec<_>>() as &[Option<String>],
        &evidence.iter().map(|e| e.met).collect::<Vec<_>>(),
        &evidence.iter().map(|e| e.artifact.map(|a| a.0.to_vec())).collect::<Vec<_>>()
            as &[Option<Vec<u8>>],
        &evidence.iter().map(|e| e.value.map(|value| value.to_string())).collect::<Vec<_>>()
            as &[Option<String>],
        &evidence.iter().map(|e| e.exit_code).collect::<Vec<_>>() as &[Option<i32>],
        &evidence.iter().map(|e| e.tier.as_str().to_owned()).collect::<Vec<_>>(),
        &evidence.iter().map(|e| e.criteria_version).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "attempts.results.insert_evidence"))
    .await?;
    Ok(())
}

/// The criteria of tasks, in order.
pub async fn criteria(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<(TaskId, Criterion)>> {
    let rows = sqlx::query!(
        r#"select task_id as "task_id: TaskId", number, required, type as "type: CriterionType",
                  terms as "terms: Json<Terms>", min_tier as "min_tier: EvidenceTier",
                  goal_criterion is not null or checks is not null as "reports!"
           from criteria where workspace_id = $1 and task_id = any($2) order by task_id, number"#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "attempts.results.criteria"))
    .await?;
    let criteria = rows.into_iter().map(|row| {
        let criterion = Criterion {
            number: row.number,
            required: row.required,
            r#type: row.r#type,
            terms: row.terms.map(|Json(terms)| terms).unwrap_or_default(),
            min_tier: row.min_tier,
            reports: row.reports,
        };
        (row.task_id, criterion)
    });
    Ok(criteria.collect())
}

/// The criteria of tasks as shown to reviewers; omits tasks without criteria.
pub async fn shown_criteria(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<HashMap<TaskId, Value>> {
    let rows = sqlx::query!(
        r#"select task_id as "task_id: TaskId",
                  -- What a text has none of is left out, as before: reviewers' rules compare payloads.
                  jsonb_agg(jsonb_build_object('number', number, 'text', text, 'required', required)
                            || case when type = 'text' then '{}' else jsonb_build_object('type', type) end
                            || coalesce(terms, '{}')
                            || case when min_tier = 'claimed' then '{}'
                               else jsonb_build_object('min_tier', min_tier) end order by number)
                  as "criteria!"
           from criteria where workspace_id = $1 and task_id = any($2) group by task_id"#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "attempts.results.shown_criteria"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.task_id, row.criteria)).collect())
}

/// What a release is judged by.
#[derive(Debug, Clone, Copy)]
pub struct BeforeRelease {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Time of its start.
    pub started_at: DateTime<Utc>,
    /// State of its agent; `None` if a person holds it.
    pub agent_state: Option<AgentState>,
    /// Whether it reported progress, or leaves a checkpoint that differs from the last one of the
    /// attempts before.
    pub progressed: bool,
}

/// Reads what releases are judged by: each attempt with the checkpoint of its release.
pub async fn before_release(
    tx: &mut Tx,
    releases: &[(AttemptId, Option<Value>)],
) -> sqlx::Result<Vec<BeforeRelease>> {
    sqlx::query_as!(
        BeforeRelease,
        r#"
        select a.attempt_id as "attempt_id: AttemptId", a.started_at,
               g.state as "agent_state?: AgentState",
               p.progressed_at is not null
                   or r.checkpoint is not null and r.checkpoint is distinct from (
                       select o.checkpoint from attempts b
                       join attempt_progress o on o.workspace_id = $1
                            and o.attempt_id = b.attempt_id and o.checkpoint is not null
                       where b.workspace_id = $1 and b.task_id = a.task_id and b.number < a.number
                       order by b.number desc limit 1) as "progressed!"
        from unnest((select $2::uuid[]), (select $3::jsonb[])) as r (attempt_id, checkpoint)
        join attempts a on a.workspace_id = $1 and a.attempt_id = r.attempt_id
        left join attempt_progress p on p.workspace_id = $1 and p.attempt_id = a.attempt_id
        left join agents g on g.workspace_id = $1 and g.agent_id = a.agent_id
        "#,
        tx.workspace.0,
        &releases.iter().map(|(id, _)| id.0).collect::<Vec<_>>(),
        &releases.iter().map(|(_, checkpoint)| checkpoint.clone()).collect::<Vec<_>>()
            as &[Option<Value>],
    )
    .fetch_all(traced!(tx, "attempts.results.before_release"))
    .await
}
