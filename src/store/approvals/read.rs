//! Approvals as returned by the API.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    domain::{
        access::person::Person,
        approval::{
            PayloadHash, Risk, Verdict, excluded::Excluded, floor::RiskFloor, review::ReviewChoice,
        },
        form::AnswerSchema,
        ids::{ApprovalId, AttemptId, GoalId, KeyId, PlanId, PolicyId, ProjectId, TaskId},
        policy::PolicySpec,
        states::{ApprovalKind, ApprovalState},
    },
    store::{
        Tx,
        columns::{uuids, words},
        traced,
    },
};

/// An approval. Lists omit its long texts.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct ApprovalRow {
    pub approval_id: ApprovalId,
    pub kind: ApprovalKind,
    pub state: ApprovalState,
    pub goal_id: GoalId,
    pub task_id: Option<TaskId>,
    pub attempt_id: Option<AttemptId>,
    pub plan_id: Option<PlanId>,
    pub title: String,
    pub body: Option<String>,
    pub payload: Option<Value>,
    pub payload_sha256: PayloadHash,
    pub revision: i32,
    pub risk: Risk,
    pub risk_floor: Option<Json<RiskFloor>>,
    pub answer_schema: Option<Json<AnswerSchema>>,
    pub verdict: Option<Verdict>,
    pub asked_by: Option<KeyId>,
    pub answer: Option<Value>,
    pub reason: Option<String>,
    pub decided_by: Option<KeyId>,
    pub decided_by_person: Option<Person>,
    pub by_link: bool,
    pub nobody_else: bool,
    pub excluded: Json<Vec<Excluded>>,
    pub allow_self: bool,
    pub last_round: bool,
    pub choice: Option<ReviewChoice>,
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub decided_at: Option<DateTime<Utc>>,
    pub frozen: Option<Json<FrozenPolicy>>,
}

/// The policy frozen with an approval, and its current stage.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct FrozenPolicy {
    pub policy_id: PolicyId,
    pub version: i32,
    pub policy: PolicySpec,
    pub stage: i16,
    pub escalation: i16,
    pub expires_at: Option<DateTime<Utc>>,
    pub reminded: i16,
}

/// Reads one approval.
pub async fn read(tx: &mut Tx, approval: ApprovalId) -> sqlx::Result<Option<ApprovalRow>> {
    sqlx::query_as!(
        ApprovalRow,
        r#"
        select approval_id as "approval_id: ApprovalId", kind as "kind: ApprovalKind",
               state as "state: ApprovalState", goal_id as "goal_id: GoalId",
               task_id as "task_id: TaskId", attempt_id as "attempt_id: AttemptId",
               plan_id as "plan_id: PlanId", title, body as "body?", payload,
               payload_sha256 as "payload_sha256: PayloadHash", revision, risk as "risk: Risk",
               risk_floor as "risk_floor: Json<RiskFloor>",
               answer_schema as "answer_schema: Json<AnswerSchema>",
               verdict as "verdict: Verdict",
               asked_by as "asked_by: KeyId", answer, reason, decided_by as "decided_by: KeyId",
               decided_by_person as "decided_by_person: Person",
               decided_by_link is not null as "by_link!", nobody_else,
               excluded as "excluded: Json<Vec<Excluded>>", allow_self, last_round,
               choice as "choice: ReviewChoice",
               version, created_at, decided_at,
               case when policy_id is not null then jsonb_build_object(
                   'policy_id', policy_id, 'version', policy_version, 'policy', policy,
                   'stage', stage, 'escalation', escalation,
                   'expires_at', expires_at, 'reminded', reminded) end
               as "frozen: Json<FrozenPolicy>"
        from approvals where workspace_id = $1 and approval_id = $2
        "#,
        tx.workspace.0,
        approval.0,
    )
    .fetch_optional(traced!(tx, "approvals.read.read"))
    .await
}

/// Filters and page of [`list`].
#[derive(Debug)]
pub struct ApprovalScope<'a> {
    /// Only these states; empty means all.
    pub states: &'a [ApprovalState],
    /// Only these kinds; empty means all.
    pub kinds: &'a [ApprovalKind],
    /// Only of this goal.
    pub goal: Option<GoalId>,
    /// Only of goals of these projects, if `goal` is not given.
    pub within: Option<&'a [ProjectId]>,
    /// Only newer ones.
    pub after: Option<ApprovalId>,
    /// Most rows.
    pub rows: u32,
}

/// Reads approvals, oldest first.
///
/// Each filter (goal, states, none) has its own index, and conditions on the arguments leave only
/// one branch to run. The rows are looked up one by one (`limit 1`): a generic plan does not know
/// how few they are and would scan the table.
pub async fn list(tx: &mut Tx, scope: &ApprovalScope<'_>) -> sqlx::Result<Vec<ApprovalRow>> {
    sqlx::query_as!(
        ApprovalRow,
        r#"
        with picked as materialized (
            (select a.approval_id from approvals a
             where $2::uuid is not null and a.workspace_id = $1 and a.goal_id = $2
               and (cardinality($3::text[]) = 0 or a.state = any($3))
               and (cardinality($4::text[]) = 0 or a.kind = any($4))
               and a.approval_id > $5
             order by a.approval_id limit $6)
            union all
            (select o.approval_id from unnest($3::text[]) as s (state)
             cross join lateral (
                 select a.approval_id from approvals a
                 where a.workspace_id = $1 and a.state = s.state
                   and ($7::uuid[] is null or exists (select from goals g where g.workspace_id = $1
                        and g.goal_id = a.goal_id and g.project_id = any($7)))
                   and (cardinality($4::text[]) = 0 or a.kind = any($4))
                   and a.approval_id > $5
                 order by a.approval_id limit $6) o
             where $2::uuid is null and cardinality($3::text[]) > 0)
            union all
            (select a.approval_id from approvals a
             where $2::uuid is null and cardinality($3::text[]) = 0 and a.workspace_id = $1
               and ($7::uuid[] is null or exists (select from goals g where g.workspace_id = $1
                        and g.goal_id = a.goal_id and g.project_id = any($7)))
               and (cardinality($4::text[]) = 0 or a.kind = any($4))
               and a.approval_id > $5
             order by a.approval_id limit $6)
        )
        select a.approval_id as "approval_id: ApprovalId", a.kind as "kind: ApprovalKind",
               a.state as "state: ApprovalState", a.goal_id as "goal_id: GoalId",
               a.task_id as "task_id: TaskId", a.attempt_id as "attempt_id: AttemptId",
               a.plan_id as "plan_id: PlanId", a.title, null::text as body,
               null::jsonb as payload, a.payload_sha256 as "payload_sha256: PayloadHash",
               a.revision, a.risk as "risk: Risk",
               a.risk_floor as "risk_floor: Json<RiskFloor>", null::jsonb as "answer_schema: Json<AnswerSchema>",
               a.verdict as "verdict: Verdict", a.asked_by as "asked_by: KeyId", a.answer, a.reason,
               a.decided_by as "decided_by: KeyId",
               a.decided_by_person as "decided_by_person: Person",
               a.decided_by_link is not null as "by_link!", a.nobody_else,
               a.excluded as "excluded: Json<Vec<Excluded>>", a.allow_self, a.last_round,
               a.choice as "choice: ReviewChoice", a.version, a.created_at, a.decided_at,
               case when a.policy_id is not null then jsonb_build_object(
                   'policy_id', a.policy_id, 'version', a.policy_version, 'policy', a.policy,
                   'stage', a.stage, 'escalation', a.escalation,
                   'expires_at', a.expires_at, 'reminded', a.reminded) end
               as "frozen: Json<FrozenPolicy>"
        from picked
        cross join lateral (
            select * from approvals a
            where a.workspace_id = $1 and a.approval_id = picked.approval_id limit 1) a
        order by a.approval_id limit $6
        "#,
        tx.workspace.0,
        scope.goal.map(|id| id.0),
        &words(scope.states),
        &words(scope.kinds),
        scope.after.map_or(uuid::Uuid::nil(), |id| id.0),
        i64::from(scope.rows),
        scope.within.map(uuids) as Option<Vec<uuid::Uuid>>,
    )
    .fetch_all(traced!(tx, "approvals.read.list"))
    .await
}

/// The version of an approval and whether it is decided, for long polls.
pub async fn version(tx: &mut Tx, approval: ApprovalId) -> sqlx::Result<Option<(i64, bool)>> {
    let row = sqlx::query!(
        r#"select version, decided_at is not null as "decided!" from approvals
           where workspace_id = $1 and approval_id = $2"#,
        tx.workspace.0,
        approval.0,
    )
    .fetch_optional(traced!(tx, "approvals.read.version"))
    .await?;
    Ok(row.map(|row| (i64::from(row.version), row.decided)))
}
