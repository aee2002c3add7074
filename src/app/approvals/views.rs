//! Reading approvals, and waiting for their decision.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::standing::{self, ApprovalStanding};
use crate::{
    app::{
        App, Result,
        caller::{Caller as _, ReaderCaller},
        error::corrupt,
    },
    domain::{
        access::person::Person,
        approval::{
            PayloadHash, Risk, Verdict, excluded::Excluded, kind::Subject, review::ReviewChoice,
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

/// A question that waits, or waited, for a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// What it is about: may a `plan` be applied, may a task `start`, is a `result` accepted, may
    /// an agent do an `action`, what is the answer to its question (`input`), or may a limit be
    /// raised (`budget`).
    pub kind: ApprovalKind,
    /// `pending` until a person decides; then `approved`, `rejected` or `answered`. `cancelled`
    /// when what it was about ended first, `expired` when nobody decided in time.
    pub state: ApprovalState,
    /// The goal that it is about.
    pub goal_id: GoalId,
    /// The task that it is about; `null` for a plan and for a budget, for which many may wait.
    pub task_id: Option<TaskId>,
    /// The attempt that asked, or whose result is reviewed.
    pub attempt_id: Option<AttemptId>,
    /// The plan that it is about; `null` unless the kind is `plan`.
    pub plan_id: Option<PlanId>,
    /// One line.
    #[schema(example = "Send the announcement to all 4,000 customers?")]
    pub title: String,
    /// Markdown: what the person should know. Only when one approval is read, `null` in lists.
    pub body: Option<String>,
    /// The subject of the decision: the tasks of a plan; the task that would start; `result`, `evidence` and `criteria` of a
    /// result; the payload that the agent sent; the limit that is short and what it is
    /// raised to (`proposed`). Only when one approval is read, `null` in lists.
    pub payload: Option<Value>,
    /// What a decision must name: SHA-256, in hexadecimal digits, of the payload in canonical form
    /// (RFC 8785, and integers with all their digits); of `null` when there is none.
    pub payload_sha256: PayloadHash,
    /// Which form of the payload this is; it rises when it is revised.
    #[schema(minimum = 1)]
    pub revision: i32,
    /// How much harm a wrong decision could do, as the asker sees it.
    pub risk: Risk,
    /// What the answer must look like; only of the kind `input`. Only when one approval is read,
    /// `null` in lists.
    pub answer_schema: Option<AnswerSchema>,
    /// Verdict of the decision; `null` while pending, and without a decision by a person.
    pub verdict: Option<Verdict>,
    /// The key that asked; `null`: the service itself, because the task says so.
    pub asked_by: Option<KeyId>,
    /// The answer; only of the kind `input`.
    pub answer: Option<Value>,
    /// Why it was rejected or cancelled, or a remark.
    #[schema(example = "Only to those who opted in.")]
    pub reason: Option<String>,
    /// The key that decided; `null` while pending, and when no person did.
    pub decided_by: Option<KeyId>,
    /// The person who decided, when one is known.
    pub decided_by_person: Option<Person>,
    /// Who may not decide, and why: fixed when it was asked.
    pub excluded: Vec<Excluded>,
    /// Whether those may decide all the same, because a policy says so.
    pub allow_self: bool,
    /// What the decision must choose from (`choice`), because results of the task were rejected as often
    /// as may be; empty otherwise.
    #[schema(example = json!(["accept", "reassign", "split", "cancel"]))]
    pub choices: Vec<ReviewChoice>,
    /// What was chosen.
    pub choice: Option<ReviewChoice>,
    /// Required criteria without evidence that the decision let go. Only when one approval is read, empty
    /// in lists.
    pub waived: Vec<Waived>,
    /// Rises with every change; the `ETag`.
    pub version: i32,
    /// When it was asked.
    pub created_at: DateTime<Utc>,
    /// When it left `pending`.
    pub decided_at: Option<DateTime<Utc>>,
    /// The policy that says who decides, who has voted, and by when; `null`: any operator decides,
    /// and it never expires.
    pub policy: Option<ApprovalStanding>,
}

/// Which approvals are listed.
#[derive(Debug, Clone, Default)]
pub struct ApprovalFilter {
    /// Only these states; empty: all.
    pub states: Vec<ApprovalState>,
    /// Only these kinds; empty: all.
    pub kinds: Vec<ApprovalKind>,
    /// Only about this goal.
    pub goal: Option<GoalId>,
}

/// What an approval is about. That never changes, so it is read before anything is locked.
///
/// # Errors
/// `not_found`.
pub(in crate::app) async fn about(tx: &mut Tx, approval: ApprovalId) -> Result<About> {
    let found = store::approvals::about(tx, approval).await?;
    Ok(found.ok_or_else(|| Refusal::not_found("approval"))?)
}

/// Reads one approval.
///
/// # Errors
/// `not_found`.
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

/// The rows as they are shown, each with how it stands in its policy.
async fn views(tx: &mut Tx, rows: Vec<ApprovalRow>) -> Result<Vec<Approval>> {
    let mut standings = standing::standings(tx, &rows).await?;
    let view = |row: ApprovalRow| {
        let standing = standings.remove(&row.approval_id);
        view(row, standing)
    };
    rows.into_iter().map(view).collect()
}

fn view(row: ApprovalRow, policy: Option<ApprovalStanding>) -> Result<Approval> {
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
        answer_schema,
        verdict,
        asked_by,
        answer,
        reason,
        decided_by,
        decided_by_person,
        excluded,
        allow_self,
        last_round,
        choice,
        version,
        created_at,
        decided_at,
        frozen: _,
    } = row;
    let answer_schema = answer_schema.map(serde_json::from_value).transpose().map_err(corrupt)?;
    Ok(Approval {
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
        answer_schema,
        verdict,
        asked_by,
        answer,
        reason,
        decided_by,
        decided_by_person,
        excluded: excluded.0,
        allow_self,
        choices: if last_round { ReviewChoice::ALL.to_vec() } else { Vec::new() },
        choice,
        waived: Vec::new(),
        version,
        created_at,
        decided_at,
        policy,
    })
}

impl App {
    /// Approvals, oldest first: the one that waits longest is on top.
    pub async fn list_approvals(
        &self,
        caller: &ReaderCaller,
        filter: &ApprovalFilter,
        after: Option<ApprovalId>,
        rows: u32,
    ) -> Result<Vec<Approval>> {
        let ApprovalFilter { states, kinds, goal } = filter;
        let scope = ApprovalScope { states, kinds, goal: *goal, after, rows };
        let workspace = caller.principal().workspace;
        let mut tx = self.reader(workspace).await?;
        let rows = store::approvals::read::list(&mut tx, &scope).await?;
        views(&mut tx, rows).await
    }

    /// One approval. Waits up to `wait` until it is decided or, with a known version, until its
    /// version is another; then answers with what there is.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn wait_approval(
        &self,
        caller: &ReaderCaller,
        approval: ApprovalId,
        known: Option<i64>,
        wait: Duration,
    ) -> Result<Approval> {
        let workspace = caller.principal().workspace;
        self.wait_until(workspace, wait, || async {
            let mut tx = self.reader(workspace).await?;
            let found = store::approvals::read::version(&mut tx, approval).await?;
            let (version, decided) = found.ok_or_else(|| Refusal::not_found("approval"))?;
            Ok(known.map_or(decided, |known| known != version))
        })
        .await?;
        read(&mut self.reader(workspace).await?, approval).await
    }
}

/// A required criterion without evidence that a person let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Waived {
    /// The number of the criterion.
    #[schema(minimum = 1)]
    pub criterion: i16,
    /// The approval that was decided so.
    pub approval_id: ApprovalId,
    /// Why.
    #[schema(example = "the staging system is down; checked by hand")]
    pub reason: String,
    /// The key that decided.
    pub waived_by: Option<KeyId>,
    /// The person who decided, when one is known.
    pub waived_by_person: Option<Person>,
    /// When.
    pub waived_at: DateTime<Utc>,
}

impl From<WaiverRow> for Waived {
    fn from(row: WaiverRow) -> Self {
        let WaiverRow { criterion, approval_id, reason, waived_by, waived_by_person, waived_at } =
            row;
        Self { criterion, approval_id, reason, waived_by, waived_by_person, waived_at }
    }
}
