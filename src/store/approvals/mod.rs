//! Approvals: creation, locks, decisions.

pub mod excluded;
pub mod floors;
pub mod frozen_policy;
pub mod history;
pub mod links;
pub mod policies;
pub mod read;
pub mod reviews;
pub mod revisions;
pub mod votes;

use serde_json::{Value, json};
use sqlx::types::Json;

use super::{Tx, columns::uuids, traced};
use crate::domain::{
    access::person::Person,
    approval::{
        PayloadHash, Risk, Verdict,
        excluded::{Decider, Excluded},
        floor::RiskFloor,
        kind::Subject,
    },
    form::AnswerSchema,
    handover::DeliveredDecision,
    ids::{ApprovalId, AttemptId, GoalId, KeyId, LimitId, PlanId, TaskId},
    states::{ApprovalKind, ApprovalState},
};

/// An approval to be created.
#[derive(Debug, Clone)]
pub struct NewApproval {
    /// Its id.
    pub approval_id: ApprovalId,
    /// Its kind.
    pub kind: ApprovalKind,
    /// The goal it is about.
    pub goal_id: GoalId,
    /// The task it is about.
    pub task_id: Option<TaskId>,
    /// The attempt that asks or is reviewed.
    pub attempt_id: Option<AttemptId>,
    /// The plan it is about.
    pub plan_id: Option<PlanId>,
    /// The limit it proposes to raise.
    pub limit_id: Option<LimitId>,
    /// Title, one line; if empty, the task's title.
    pub title: String,
    /// Body in Markdown; if empty, the task's description.
    pub body: String,
    /// The exact object of the decision.
    pub payload: Option<Value>,
    /// Possible harm of a wrong decision: as stated, then at least its floor.
    pub risk: Risk,
    /// The highest floor that applies.
    pub risk_floor: Option<RiskFloor>,
    /// JSON Schema of the answer.
    pub answer_schema: Option<Value>,
    /// The requesting key.
    pub asked_by: Option<KeyId>,
    /// The people who may not decide.
    pub excluded: Vec<Excluded>,
    /// Whether the decision must choose the next step of a task without rework left.
    pub last_round: bool,
}

impl NewApproval {
    /// An approval of a kind about a goal; everything else is empty.
    #[must_use]
    pub fn new(approval_id: ApprovalId, kind: ApprovalKind, goal_id: GoalId) -> Self {
        Self {
            approval_id,
            kind,
            goal_id,
            task_id: None,
            attempt_id: None,
            plan_id: None,
            limit_id: None,
            title: String::new(),
            body: String::new(),
            payload: None,
            risk: Risk::Medium,
            risk_floor: None,
            answer_schema: None,
            asked_by: None,
            excluded: Vec::new(),
            last_round: false,
        }
    }
}

/// Creates approvals.
pub async fn insert(tx: &mut Tx, approvals: &[NewApproval]) -> sqlx::Result<()> {
    macro_rules! column {
        ($of:expr) => {
            &approvals.iter().map($of).collect::<Vec<_>>()
        };
    }
    let kinds: Vec<&str> = approvals.iter().map(|a| a.kind.as_str()).collect();
    let risks: Vec<&str> = approvals.iter().map(|a| a.risk.as_str()).collect();
    sqlx::query!(
        r#"
        insert into approvals (workspace_id, state, created_at, approval_id, kind, goal_id, task_id,
                               attempt_id, plan_id, limit_id, title, body, payload, asked_by,
                               payload_sha256, revision, risk, answer_schema, excluded,
                               last_round, risk_floor)
        select $1, 'pending', $2, a.approval_id, a.kind, a.goal_id, a.task_id, a.attempt_id,
               a.plan_id, a.limit_id, coalesce(nullif(a.title, ''), x.title, ''),
               coalesce(nullif(a.body, ''), x.description, ''), a.payload, a.asked_by,
               a.payload_sha256, 1, a.risk, a.answer_schema, a.excluded, a.last_round,
               a.risk_floor
        from unnest($3::uuid[], $4::text[], $5::uuid[], $6::uuid[], $7::uuid[], $8::uuid[],
                    $9::text[], $10::text[], $11::jsonb[], $12::uuid[], $13::uuid[],
                    $14::bytea[], $15::text[], $16::jsonb[], $17::jsonb[], $18::bool[],
                    $19::jsonb[])
             as a (approval_id, kind, goal_id, task_id, attempt_id, plan_id, title, body, payload,
                   asked_by, limit_id, payload_sha256, risk, answer_schema, excluded, last_round,
                   risk_floor)
        left join task_texts x on x.workspace_id = $1 and x.task_id = a.task_id
        "#,
        tx.workspace.0,
        tx.now,
        column!(|a| a.approval_id.0),
        &kinds as &[&str],
        column!(|a| a.goal_id.0),
        column!(|a| a.task_id.map(|id| id.0)) as &[Option<uuid::Uuid>],
        column!(|a| a.attempt_id.map(|id| id.0)) as &[Option<uuid::Uuid>],
        column!(|a| a.plan_id.map(|id| id.0)) as &[Option<uuid::Uuid>],
        column!(|a| a.title.clone()),
        column!(|a| a.body.clone()),
        column!(|a| a.payload.clone()) as &[Option<Value>],
        column!(|a| a.asked_by.map(|id| id.0)) as &[Option<uuid::Uuid>],
        column!(|a| a.limit_id.map(|id| id.0)) as &[Option<uuid::Uuid>],
        column!(|a| PayloadHash::of(a.payload.as_ref()).0.to_vec()),
        &risks as &[&str],
        column!(|a| a.answer_schema.clone()) as &[Option<Value>],
        column!(|a| json!(a.excluded)),
        column!(|a| a.last_round),
        column!(|a| a.risk_floor.as_ref().map(|floor| json!(floor))) as &[Option<Value>],
    )
    .execute(traced!(tx, "approvals.insert"))
    .await?;
    Ok(())
}

/// The facts for a decision.
#[derive(Debug, Clone)]
pub struct ApprovalFacts {
    /// The approval.
    pub approval_id: ApprovalId,
    /// Its kind.
    pub kind: ApprovalKind,
    /// Its state.
    pub state: ApprovalState,
    /// The goal it is about.
    pub goal_id: GoalId,
    /// The task it is about.
    pub task_id: Option<TaskId>,
    /// The attempt that asks or is reviewed.
    pub attempt_id: Option<AttemptId>,
    /// The plan it is about.
    pub plan_id: Option<PlanId>,
    /// The limit it proposes to raise.
    pub limit_id: Option<LimitId>,
    /// The current payload: the exact object of the decision.
    pub payload: Option<Value>,
    /// Hash of the payload.
    pub payload_sha256: PayloadHash,
    /// Ordinal of the current payload, from 1.
    pub revision: i32,
    /// JSON Schema of the answer.
    pub answer_schema: Option<Json<AnswerSchema>>,
    /// The people who may not decide.
    pub excluded: Json<Vec<Excluded>>,
    /// Its risk.
    pub risk: Risk,
    /// The highest floor of its risk.
    pub risk_floor: Option<Json<RiskFloor>>,
    /// Whether excluded people may decide all the same.
    pub allow_self: bool,
    /// Whether the decision must choose the next step of the task.
    pub last_round: bool,
}

/// The immutable references of an approval.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// Its kind.
    pub kind: ApprovalKind,
    /// The goal.
    pub goal_id: GoalId,
    /// The task.
    pub task_id: Option<TaskId>,
}

/// The references of an approval, to lock its goal and task first.
pub async fn about(tx: &mut Tx, approval: ApprovalId) -> sqlx::Result<Option<About>> {
    sqlx::query_as!(
        About,
        r#"select kind as "kind: ApprovalKind", goal_id as "goal_id: GoalId",
                  task_id as "task_id: TaskId"
           from approvals where workspace_id = $1 and approval_id = $2"#,
        tx.workspace.0,
        approval.0,
    )
    .fetch_optional(traced!(tx, "approvals.about"))
    .await
}

/// Locks an approval and reads the facts for a decision.
pub async fn lock(tx: &mut Tx, approval: ApprovalId) -> sqlx::Result<ApprovalFacts> {
    sqlx::query_as!(
        ApprovalFacts,
        r#"select approval_id as "approval_id: ApprovalId", kind as "kind: ApprovalKind",
                  state as "state: ApprovalState", goal_id as "goal_id: GoalId",
                  task_id as "task_id: TaskId", attempt_id as "attempt_id: AttemptId",
                  plan_id as "plan_id: PlanId", limit_id as "limit_id: LimitId",
                  payload, payload_sha256 as "payload_sha256: PayloadHash", revision,
                  answer_schema as "answer_schema: Json<AnswerSchema>",
                  excluded as "excluded: Json<Vec<Excluded>>", risk as "risk: Risk",
                  risk_floor as "risk_floor: Json<RiskFloor>", allow_self, last_round
           from approvals where workspace_id = $1 and approval_id = $2 for no key update"#,
        tx.workspace.0,
        approval.0,
    )
    .fetch_one(traced!(tx, "approvals.lock"))
    .await
}

/// A decision to be stored.
#[derive(Debug)]
pub struct Decision<'a> {
    /// The approval.
    pub approval_id: ApprovalId,
    /// The verdict; the approval's state follows from it.
    pub verdict: Verdict,
    /// Reason, or a remark.
    pub reason: Option<&'a str>,
    /// The answer to an approval of kind `input`.
    pub answer: Option<&'a Value>,
    /// The key and person that decided.
    pub decider: &'a Decider,
    /// Whether an admin decides because nobody else can.
    pub nobody_else: bool,
}

/// Decides a pending approval; returns `false` if it was not pending.
pub async fn decide(tx: &mut Tx, decision: &Decision<'_>) -> sqlx::Result<bool> {
    let changed = sqlx::query!(
        "update approvals set state = $3, reason = $4, answer = $5, decided_by = $6,
                decided_at = $7, verdict = $8, decided_by_person = $9, decided_by_link = $10,
                nobody_else = $11, version = version + 1
         where workspace_id = $1 and approval_id = $2 and state = 'pending'",
        tx.workspace.0,
        decision.approval_id.0,
        decision.verdict.state().as_str(),
        decision.reason,
        decision.answer,
        decision.decider.key.map(|id| id.0),
        tx.now,
        decision.verdict.as_str(),
        decision.decider.person.as_ref().map(Person::as_str),
        decision.decider.link.as_ref().map(|by| by.link.0),
        decision.nobody_else,
    )
    .execute(traced!(tx, "approvals.decide"))
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// Cancels the pending approvals of ended tasks; returns them.
pub async fn cancel_for_tasks(
    tx: &mut Tx,
    tasks: &[TaskId],
    reason: &str,
) -> sqlx::Result<Vec<(ApprovalId, TaskId, GoalId)>> {
    let rows = sqlx::query!(
        r#"
        with mine as materialized (
            select approval_id from approvals
            where workspace_id = $1 and task_id = any($2) and state = 'pending'
            order by approval_id for no key update
        )
        update approvals a
        set state = 'cancelled', reason = $3, decided_at = $4, version = version + 1
        from mine where a.workspace_id = $1 and a.approval_id = mine.approval_id
        returning a.approval_id as "approval_id: ApprovalId", a.task_id as "task_id!: TaskId",
                  a.goal_id as "goal_id: GoalId"
        "#,
        tx.workspace.0,
        &uuids(tasks),
        reason,
        tx.now,
    )
    .fetch_all(traced!(tx, "approvals.cancel_for_tasks"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.approval_id, row.task_id, row.goal_id)).collect())
}

/// Cancels those of the approvals that are pending; returns each with its goal.
pub async fn withdraw(
    tx: &mut Tx,
    approvals: &[ApprovalId],
    reason: &str,
) -> sqlx::Result<Vec<(ApprovalId, GoalId)>> {
    let rows = sqlx::query!(
        r#"update approvals
           set state = 'cancelled', reason = $3, decided_at = $4, version = version + 1
           where workspace_id = $1 and approval_id = any($2) and state = 'pending'
           returning approval_id as "approval_id: ApprovalId", goal_id as "goal_id: GoalId""#,
        tx.workspace.0,
        &uuids(approvals),
        reason,
        tx.now,
    )
    .fetch_all(traced!(tx, "approvals.withdraw"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.approval_id, row.goal_id)).collect())
}

/// Cancels the pending approvals of plans of a goal that are no longer proposed; returns them.
pub async fn cancel_plan_approvals(
    tx: &mut Tx,
    goal: GoalId,
    reason: &str,
) -> sqlx::Result<Vec<ApprovalId>> {
    sqlx::query_scalar!(
        r#"update approvals
           set state = 'cancelled', reason = $3, decided_at = $4, version = version + 1
           where workspace_id = $1 and goal_id = $2 and state = 'pending'
             and plan_id in (select p.plan_id from plans p
                             where p.workspace_id = $1 and p.goal_id = $2 and p.state <> 'proposed')
           returning approval_id as "approval_id: ApprovalId""#,
        tx.workspace.0,
        goal.0,
        reason,
        tx.now,
    )
    .fetch_all(traced!(tx, "approvals.cancel_plan_approvals"))
    .await
}

/// Marks decided approvals of tasks as delivered to their new attempts; returns them by task.
pub async fn deliver_decisions(
    tx: &mut Tx,
    attempts: &[(TaskId, AttemptId)],
) -> sqlx::Result<Vec<(TaskId, DeliveredDecision)>> {
    let rows = sqlx::query!(
        r#"
        update approvals a set consumed_by = n.attempt_id
        from unnest($2::uuid[], $3::uuid[]) as n (task_id, attempt_id)
        where a.workspace_id = $1 and a.task_id = n.task_id and a.consumed_by is null
          and a.state in ('approved', 'rejected', 'answered', 'expired')
        returning a.task_id as "task_id!: TaskId", a.approval_id as "approval_id: ApprovalId",
                  a.kind as "kind: ApprovalKind", a.state as "state: ApprovalState",
                  a.verdict as "verdict: Verdict", a.title, a.body, a.payload,
                  a.payload_sha256 as "payload_sha256: PayloadHash", a.revision, a.answer, a.reason,
                  a.decided_at as "decided_at!"
        "#,
        tx.workspace.0,
        &attempts.iter().map(|(task, _)| task.0).collect::<Vec<_>>(),
        &attempts.iter().map(|(_, attempt)| attempt.0).collect::<Vec<_>>(),
    )
    .fetch_all(traced!(tx, "approvals.deliver_decisions"))
    .await?;
    let decisions = rows.into_iter().map(|row| {
        // The next attempt may be another agent's, which does not know what was asked.
        let asked = row.kind.subject() == Subject::Question;
        let decision = DeliveredDecision {
            approval_id: row.approval_id,
            kind: row.kind,
            state: row.state,
            verdict: row.verdict,
            title: row.title,
            body: asked.then_some(row.body),
            payload: asked.then_some(row.payload).flatten(),
            payload_sha256: row.payload_sha256,
            revision: row.revision,
            answer: row.answer,
            reason: row.reason,
            decided_at: row.decided_at,
        };
        (row.task_id, decision)
    });
    Ok(decisions.collect())
}
