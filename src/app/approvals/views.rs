//! Reading approvals, and waiting for their decision.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::standing::{self, ApprovalStanding};
use crate::{
    app::{
        App, Result,
        access::scope::sees_goal,
        caller::{Caller as _, ProjectReaderCaller},
    },
    domain::{
        access::person::Person,
        approval::{
            PayloadHash, Risk, Verdict, excluded::Excluded, floor::RiskFloor, kind::Subject,
            review::ReviewChoice,
        },
        form::AnswerSchema,
        ids::{ApprovalId, AttemptId, GoalId, KeyId, PlanId, TaskId},
        refusal::Refusal,
        states::{ApprovalKind, ApprovalState},
        words::Words as _,
    },
    store::{
        self, Tx,
        approvals::{
            About,
            read::{ApprovalRow, ApprovalScope},
            reviews::WaiverRow,
        },
    },
};

/// A request for a decision of a person, pending or decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Approval {
    /// Id of the approval; stable for its life.
    pub id: ApprovalId,
    /// Subject of the decision: whether a `plan` is applied, a task may `start`, a `result` is
    /// accepted, or an agent may do an `action`; the answer to an agent's question (`input`); or
    /// whether a limit is raised (`budget`).
    pub kind: ApprovalKind,
    /// `pending` until it is decided; then `approved`, `rejected` or `answered`. `cancelled` if its
    /// subject ended first, `expired` if the policy's time limit passed.
    pub state: ApprovalState,
    /// The goal of the subject; never changes.
    pub goal_id: GoalId,
    /// The task of the subject; `null` for a plan, and for a budget, for which many tasks may wait.
    pub task_id: Option<TaskId>,
    /// The attempt that requested it, or whose result is reviewed; `null` for other kinds.
    pub attempt_id: Option<AttemptId>,
    /// The plan to be applied; `null` unless the kind is `plan`.
    pub plan_id: Option<PlanId>,
    /// Summary of the decision: one line, for people.
    #[schema(example = "Send the announcement to all 4,000 customers?")]
    pub title: String,
    /// Explanation for the decider, in Markdown. Only if one approval is read; `null` in lists.
    pub body: Option<String>,
    /// Content of the decision: the tasks of a plan; the task that would start; `result`,
    /// `evidence` and `criteria` of a result; the payload of the agent; the exhausted limit and its
    /// new amount (`proposed`). Only if one approval is read; `null` in lists.
    pub payload: Option<Value>,
    /// Hash that a decision must name: SHA-256, in hexadecimal digits, of the payload in canonical
    /// form (RFC 8785, and integers with all their digits); of `null` without a payload.
    pub payload_sha256: PayloadHash,
    /// Revision of the payload, from 1; rises by one when the payload is revised.
    #[schema(minimum = 1)]
    pub revision: i32,
    /// Possible harm of a wrong decision: as stated by the requester, and at least `risk_floor`. Only a
    /// revision of the payload raises it; nothing lowers it.
    pub risk: Risk,
    /// Why `risk` is at least this: the highest floor that the task or a rule set, when the approval was
    /// requested or its payload revised. `null`: none applied.
    pub risk_floor: Option<RiskFloor>,
    /// Required format of the answer; only for the kind `input`. Only if one approval is read;
    /// `null` in lists.
    pub answer_schema: Option<AnswerSchema>,
    /// Verdict of the decision; `null` while pending, and without a decision by a person.
    pub verdict: Option<Verdict>,
    /// The key that requested it; `null`: the service itself, because the task requires it.
    pub asked_by: Option<KeyId>,
    /// The answer, if the verdict is `answer`; only for the kind `input`.
    pub answer: Option<Value>,
    /// Reason of the decision or cancellation, or a remark; `null` if none was given.
    #[schema(example = "Only to those who opted in.")]
    pub reason: Option<String>,
    /// The key that decided; `null` while pending, and without a decision by a key.
    pub decided_by: Option<KeyId>,
    /// The person who decided; `null` if no person is known.
    pub decided_by_person: Option<Person>,
    /// Whether the decision came through a link; its maker could have decided with it. Set with the
    /// decision.
    pub by_link: bool,
    /// Whether an admin decided, although excluded or no approver, because nobody else could. Set
    /// with the decision.
    pub nobody_else: bool,
    /// Persons and keys that may not decide, with the reason; fixed when the approval is requested.
    pub excluded: Vec<Excluded>,
    /// Whether excluded persons may decide all the same, by the policy.
    pub allow_self: bool,
    /// Allowed values of `choice`. Not empty once the task has reached its maximum of rejected
    /// results; the decision must then name one of them.
    #[schema(example = json!(["accept", "reassign", "split", "cancel"]))]
    pub choices: Vec<ReviewChoice>,
    /// The choice of the decision; `null` while pending, and without `choices`.
    pub choice: Option<ReviewChoice>,
    /// Required criteria without evidence that the decision waived. Only if one approval is read;
    /// empty in lists.
    pub waived: Vec<Waived>,
    /// Version of the approval; rises with every change; the `ETag`.
    pub version: i32,
    /// When the approval was requested.
    pub created_at: DateTime<Utc>,
    /// When the approval was decided, cancelled or expired; `null` while it is pending.
    pub decided_at: Option<DateTime<Utc>>,
    /// Standing in the policy: deciders, votes and time limit. `null`: any operator decides,
    /// without a time limit.
    pub policy: Option<ApprovalStanding>,
}

/// Filter of a list of approvals.
#[derive(Debug, Clone, Default)]
pub struct ApprovalFilter {
    /// Only these states; empty: all.
    pub states: Vec<ApprovalState>,
    /// Only these kinds; empty: all.
    pub kinds: Vec<ApprovalKind>,
    /// Only approvals of this goal.
    pub goal: Option<GoalId>,
}

/// The subject of an approval. It never changes, so it is read before any lock is taken.
///
/// # Errors
/// `not_found`.
pub(in crate::app) async fn about(tx: &mut Tx, approval: ApprovalId) -> Result<About> {
    let found = store::approvals::about(tx, approval).await?;
    Ok(found.ok_or_else(|| Refusal::not_found("approval"))?)
}

pub(in crate::app) async fn read(tx: &mut Tx, approval: ApprovalId) -> Result<Approval> {
    let row = store::approvals::read::read(tx, approval).await?;
    let row = row.ok_or_else(|| Refusal::not_found("approval"))?;
    let read = views(tx, vec![row]).await?.pop();
    let read = read.ok_or_else(|| Refusal::not_found("approval"))?;
    if read.kind.subject() != Subject::Result {
        return Ok(read);
    }
    let waived = store::approvals::reviews::of_approval(tx, approval).await?;
    Ok(Approval { waived: waived.into_iter().map(Waived::from).collect(), ..read })
}

/// Wire types of approvals, each with its standing in its policy.
async fn views(tx: &mut Tx, rows: Vec<ApprovalRow>) -> Result<Vec<Approval>> {
    let mut standings = standing::standings(tx, &rows).await?;
    let view = |row: ApprovalRow| {
        let standing = standings.remove(&row.approval_id);
        view(row, standing)
    };
    Ok(rows.into_iter().map(view).collect())
}

fn view(row: ApprovalRow, policy: Option<ApprovalStanding>) -> Approval {
    let ApprovalRow {
        approval_id,
        kind,
        state,
        goal_id,
        task_id,
        attempt_id,
        plan_id,
        title,
        body,
        payload,
        payload_sha256,
        revision,
        risk,
        risk_floor,
        answer_schema,
        verdict,
        asked_by,
        answer,
        reason,
        decided_by,
        decided_by_person,
        by_link,
        nobody_else,
        excluded,
        allow_self,
        last_round,
        choice,
        version,
        created_at,
        decided_at,
        frozen: _,
    } = row;
    Approval {
        id: approval_id,
        kind,
        state,
        goal_id,
        task_id,
        attempt_id,
        plan_id,
        title,
        body,
        payload,
        payload_sha256,
        revision,
        risk,
        risk_floor: risk_floor.map(|floor| floor.0),
        answer_schema: answer_schema.map(|schema| schema.0),
        verdict,
        asked_by,
        answer,
        reason,
        decided_by,
        decided_by_person,
        by_link,
        nobody_else,
        excluded: excluded.0,
        allow_self,
        choices: if last_round { ReviewChoice::ALL.to_vec() } else { Vec::new() },
        choice,
        waived: Vec::new(),
        version,
        created_at,
        decided_at,
        policy,
    }
}

impl App {
    /// Lists approvals, oldest first: the longest waiting is on top.
    pub async fn list_approvals(
        &self,
        caller: &ProjectReaderCaller,
        filter: &ApprovalFilter,
        after: Option<ApprovalId>,
        rows: u32,
    ) -> Result<Vec<Approval>> {
        let ApprovalFilter { states, kinds, goal } = filter;
        let principal = caller.principal();
        let within = principal.scope.projects.as_deref();
        let scope = ApprovalScope { states, kinds, goal: *goal, within, after, rows };
        let workspace = principal.workspace;
        let mut tx = self.reader(workspace).await?;
        if let Some(goal) = goal
            && !sees_goal(&mut tx, principal, *goal).await?
        {
            return Ok(Vec::new());
        }
        let rows = store::approvals::read::list(&mut tx, &scope).await?;
        views(&mut tx, rows).await
    }

    /// Reads one approval. Waits up to `wait` until it is decided or, if a version is given, until
    /// its version differs; then returns the current state.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn wait_approval(
        &self,
        caller: &ProjectReaderCaller,
        approval: ApprovalId,
        known: Option<i64>,
        wait: Duration,
    ) -> Result<Approval> {
        let workspace = caller.principal().workspace;
        self.see_approval(caller.principal(), approval).await?;
        let waiting = self.wait_until(caller.principal().waiting(), wait, || async {
            let mut tx = self.reader(workspace).await?;
            let found = store::approvals::read::version(&mut tx, approval).await?;
            let (version, decided) = found.ok_or_else(|| Refusal::not_found("approval"))?;
            Ok(known.map_or(decided, |known| known != version))
        });
        let _turn = waiting.await?;
        read(&mut self.reader(workspace).await?, approval).await
    }
}

/// A required criterion without evidence that a person waived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Waived {
    /// Number of the criterion within its task, from 1.
    #[schema(minimum = 1)]
    pub criterion: i16,
    /// The approval whose decision waived it.
    pub approval_id: ApprovalId,
    /// Reason for the waiver, as given by the decider.
    #[schema(example = "the staging system is down; checked by hand")]
    pub reason: String,
    /// The key that waived it; `null`: it was waived through a link.
    pub waived_by: Option<KeyId>,
    /// The person who waived it; `null` if no person is known.
    pub waived_by_person: Option<Person>,
    /// When the criterion was waived: the time of the decision.
    pub waived_at: DateTime<Utc>,
}

impl From<WaiverRow> for Waived {
    fn from(row: WaiverRow) -> Self {
        let WaiverRow { criterion, approval_id, reason, waived_by, waived_by_person, waived_at } =
            row;
        Self { criterion, approval_id, reason, waived_by, waived_by_person, waived_at }
    }
}
