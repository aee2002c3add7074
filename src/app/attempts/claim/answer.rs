//! Request and answer of a claim.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    app::{Result, Unit, attempts::start::Started, error::corrupt},
    domain::{
        approval::{PayloadHash, Verdict, review::FeedbackPoint},
        budget::ask::Estimate,
        check::Checks,
        ids::{ApprovalId, AttemptId, GoalId, TaskId},
        plan::check_lease,
        refusal::Refusal,
        settings,
        states::{ApprovalKind, ApprovalState, AttemptState, FailureClass, TaskState},
    },
    store::{
        self,
        attempts::claim::{Handover, HandoverLimits},
    },
};

/// A request for tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimRequest {
    /// Maximum number of tasks, 1 to 100. The agent's free slots limit it further.
    #[schema(minimum = 1, maximum = 100, default = 1)]
    pub max: u32,
    /// Time to wait for the first task, 0 to 60 seconds.
    #[schema(minimum = 0, maximum = 60, default = 0, example = 30)]
    pub wait_seconds: u32,
    /// Length of the lease, 1 to 3600 seconds: the longest silence between heartbeats. Default: the
    /// task's own, or 60.
    #[schema(minimum = 1, maximum = 3600, example = 60)]
    pub lease_seconds: Option<u32>,
}

impl Default for ClaimRequest {
    fn default() -> Self {
        Self { max: 1, wait_seconds: 0, lease_seconds: None }
    }
}

impl ClaimRequest {
    /// Refuses values out of bounds.
    ///
    /// # Errors
    /// `invalid`, with every place.
    pub fn check(&self) -> std::result::Result<(), Refusal> {
        let mut checks = Checks::new();
        checks.range("/max", self.max, 1..=settings::CLAIM_MAX);
        checks.range("/wait_seconds", self.wait_seconds, 0..=settings::WAIT_MAX_SECONDS);
        if let Some(seconds) = self.lease_seconds {
            check_lease(&mut checks, "/lease_seconds", seconds);
        }
        checks.finish()
    }
}

/// The claimed tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClaimAnswer {
    /// At least one claim; without a task the answer is 204.
    pub claims: Vec<Claim>,
}

/// A claimed task, with everything needed to work on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Claim {
    /// Id of the new attempt; name it in every write.
    pub attempt_id: AttemptId,
    /// Token of the lease: send it with every write. Returned only here.
    #[schema(example = "lse_mfzwizlomruw45dfnzsgk4q")]
    pub lease: String,
    /// Ordinal of this attempt within its task, from 1.
    pub number: i32,
    /// Length of the lease in milliseconds. Send a heartbeat at least three times per lease.
    pub lease_ms: i64,
    /// End of the lease; every heartbeat moves it.
    pub lease_expires_at: DateTime<Utc>,
    /// Latest possible end of the lease; no heartbeat moves it further.
    pub hard_deadline: DateTime<Utc>,
    /// The task to work on, as it is at the time of the claim.
    pub task: ClaimedTask,
    /// Results of the tasks that this one needs; at most 2,000.
    pub needs: Vec<NeededResult>,
    /// Outcomes of the subtasks added to it, at most 2,000; empty without any.
    pub children: Vec<ChildResult>,
    /// The latest ten earlier attempts of the task, oldest first.
    pub earlier_attempts: Vec<EarlierAttempt>,
    /// The last checkpoint of any earlier attempt; `null` without one.
    pub checkpoint: Option<Value>,
    /// Decided approvals of the task not yet delivered to an attempt; each is delivered once.
    pub decisions: Vec<DeliveredDecision>,
}

/// The content of a claimed task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClaimedTask {
    /// Id of the task, the same over all attempts: use it to make your own effects idempotent.
    pub id: TaskId,
    /// Id of the goal that the task belongs to.
    pub goal_id: GoalId,
    /// Title of the goal, for context.
    pub goal_title: String,
    /// Name of the task within its plan, unique in the goal.
    pub r#ref: String,
    /// What to do, in one line.
    pub title: String,
    /// What to do, in detail; Markdown.
    pub description: String,
    /// Heading above the task in the brief; `null` without one.
    pub section: Option<String>,
    /// Labels from the plan; muster does not interpret them.
    pub labels: Vec<String>,
    /// Input from the plan, any JSON; `null` without one.
    pub input: Option<Value>,
    /// Priority of the task, 0 (lowest) to 9.
    pub priority: i16,
    /// Expected spend of one attempt, by unit.
    pub estimate: BTreeMap<String, Estimate>,
    /// Conditions of success. Each required one needs evidence at completion.
    pub criteria: Vec<ClaimedCriterion>,
}

/// A condition of success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClaimedCriterion {
    /// Number of the criterion within the task; evidence refers to it.
    pub number: i16,
    /// The condition that the result must meet.
    pub text: String,
    /// Whether completion needs evidence for it.
    pub required: bool,
}

/// Result of a needed task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NeededResult {
    /// Id of the needed task.
    pub task_id: TaskId,
    /// Name of the needed task in the plan.
    pub r#ref: String,
    /// Title of the needed task, in one line.
    pub title: String,
    /// Its result. `null` also if it is larger than 64 KiB, or beyond the first 1 MiB of results in
    /// this list: read the task then.
    pub result: Option<Value>,
}

/// Outcome of a subtask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChildResult {
    /// Id of the ended subtask.
    pub task_id: TaskId,
    /// Name of the subtask in the plan.
    pub r#ref: String,
    /// Title of the subtask, in one line.
    pub title: String,
    /// Final state: `done`, `failed` or `cancelled`.
    pub state: TaskState,
    /// Why it failed or was cancelled.
    pub reason: Option<String>,
    /// Its result; same size limits as in `needs`.
    pub result: Option<Value>,
}

/// Outcome of an earlier attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EarlierAttempt {
    /// Id of the attempt; read its evidence there.
    pub attempt_id: AttemptId,
    /// Ordinal of that attempt within the task, from 1.
    pub number: i32,
    /// Final state of the attempt.
    pub state: AttemptState,
    /// Class of its failure; `null` unless it failed.
    pub failure_class: Option<FailureClass>,
    /// Message of its agent, or of the service or operator that ended it.
    pub message: Option<String>,
    /// The reviewer's feedback on its rejected result: start here.
    pub feedback: Option<String>,
    /// The feedback by criterion, if the reviewer gave it in points.
    pub feedback_points: Vec<FeedbackPoint>,
    /// The rejected result; `null` also if it is larger than 64 KiB.
    pub result: Option<Value>,
}

/// The outcome of an approval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeliveredDecision {
    /// Id of the decided approval.
    pub approval_id: ApprovalId,
    /// Kind of the approval, such as `action` or `input`.
    pub kind: ApprovalKind,
    /// Final state of the approval.
    pub state: ApprovalState,
    /// The decision: `decline` if a person refused to answer; `null` if it expired undecided.
    pub verdict: Option<Verdict>,
    /// Title of the approval, in one line.
    pub title: String,
    /// Details from the asking agent, Markdown; `null` unless an agent asked.
    pub body: Option<String>,
    /// The approved payload, possibly edited by a person: do exactly this. `null` unless an agent
    /// asked.
    pub payload: Option<Value>,
    /// SHA-256 of the payload in canonical form, in hex.
    pub payload_sha256: PayloadHash,
    /// Revision of the payload, from 1; above 1 a person edited it.
    #[schema(minimum = 1)]
    pub revision: i32,
    /// The answer to an `input`; `null` for other kinds.
    pub answer: Option<Value>,
    /// Reason or remark of the person; `null` without one.
    pub reason: Option<String>,
    /// When the approval was decided or expired.
    pub decided_at: DateTime<Utc>,
}

/// Size limits of the results handed over with one task.
const LIMITS: HandoverLimits =
    HandoverLimits { result_bytes: 64 * 1024, total_bytes: 1024 * 1024, tasks: 2_000 };

/// The claims of started attempts, by task. Marks their decisions as delivered.
pub(in crate::app) async fn claims(
    unit: &mut Unit,
    started: &[Started],
) -> Result<HashMap<TaskId, Claim>> {
    if started.is_empty() {
        return Ok(HashMap::new());
    }
    let tasks: Vec<TaskId> = started.iter().map(|s| s.attempt.task_id).collect();
    let pairs: Vec<_> = started.iter().map(|s| (s.attempt.task_id, s.attempt.attempt_id)).collect();
    let handovers = store::attempts::claim::handovers(unit.tx(), &tasks, LIMITS).await?;
    let mut decisions: HashMap<TaskId, Vec<DeliveredDecision>> = HashMap::new();
    for (task, outcome) in store::approvals::deliver_decisions(unit.tx(), &pairs).await? {
        let decision = serde_json::from_value(outcome).map_err(corrupt)?;
        decisions.entry(task).or_default().push(decision);
    }
    let started: HashMap<TaskId, &Started> =
        started.iter().map(|s| (s.attempt.task_id, s)).collect();
    let mut claims = HashMap::with_capacity(handovers.len());
    for handover in handovers {
        let id = handover.task_id;
        let Some(started) = started.get(&id) else { continue };
        let told = decisions.remove(&id).unwrap_or_default();
        claims.insert(id, claim(handover, started, told)?);
    }
    Ok(claims)
}

fn claim(
    handover: Handover,
    started: &Started,
    decisions: Vec<DeliveredDecision>,
) -> Result<Claim> {
    let Handover {
        task_id,
        reference,
        title,
        description,
        input,
        estimate,
        labels,
        section,
        priority,
        goal_title,
        criteria,
        needs,
        children,
        earlier,
        checkpoint,
    } = handover;
    let Started { token, attempt } = started;
    let needs: Vec<NeededResult> = serde_json::from_value(needs).map_err(corrupt)?;
    let children: Vec<ChildResult> = serde_json::from_value(children).map_err(corrupt)?;
    Ok(Claim {
        attempt_id: attempt.attempt_id,
        lease: token.clone(),
        number: attempt.number,
        lease_ms: attempt.lease_ms,
        lease_expires_at: attempt.lease_expires_at,
        hard_deadline: attempt.hard_deadline,
        task: ClaimedTask {
            id: task_id,
            goal_id: attempt.goal_id,
            goal_title,
            r#ref: reference,
            title,
            description,
            section,
            labels,
            input,
            priority,
            estimate: estimate
                .map(serde_json::from_value)
                .transpose()
                .map_err(corrupt)?
                .unwrap_or_default(),
            criteria: serde_json::from_value(criteria).map_err(corrupt)?,
        },
        needs,
        children,
        earlier_attempts: serde_json::from_value(earlier).map_err(corrupt)?,
        checkpoint,
        decisions,
    })
}
