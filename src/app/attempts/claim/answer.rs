//! What a claim asks for and is answered with.

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

/// What an agent asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimRequest {
    /// How many tasks at most, 1 to 100. Never more than the agent has slots free.
    #[schema(minimum = 1, maximum = 100, default = 1)]
    pub max: u32,
    /// How long to wait for the first task, 0 to 60 seconds.
    #[schema(minimum = 0, maximum = 60, default = 0, example = 30)]
    pub wait_seconds: u32,
    /// How long you may stay silent, 1 to 3600 seconds; default: the task's own, or 60.
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

/// The tasks that were claimed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClaimAnswer {
    /// At least one; without any the answer is 204.
    pub claims: Vec<Claim>,
}

/// A task that is yours now, and everything you need to work on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Claim {
    /// The attempt: name it in every write.
    pub attempt_id: AttemptId,
    /// The fence: send it with every write. It is shown only here.
    #[schema(example = "lse_mfzwizlomruw45dfnzsgk4q")]
    pub lease: String,
    /// Ordinal of this attempt within its task, from 1.
    pub number: i32,
    /// The lease's length in milliseconds: beat at least three times as often.
    pub lease_ms: i64,
    /// When the lease runs out unless you beat before.
    pub lease_expires_at: DateTime<Utc>,
    /// No heartbeat moves the lease past this.
    pub hard_deadline: DateTime<Utc>,
    /// What to do.
    pub task: ClaimedTask,
    /// What the tasks that it needs produced; the first 2,000 of them.
    pub needs: Vec<NeededResult>,
    /// How its subtasks ended, when it parked for some.
    pub children: Vec<ChildResult>,
    /// What earlier attempts left behind, the latest ten, oldest first.
    pub earlier_attempts: Vec<EarlierAttempt>,
    /// The last checkpoint of any earlier attempt.
    pub checkpoint: Option<Value>,
    /// Decisions of people that no earlier attempt was told.
    pub decisions: Vec<DeliveredDecision>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClaimedTask {
    /// Stable over all attempts: use it to make your own effects idempotent.
    pub id: TaskId,
    /// Its goal.
    pub goal_id: GoalId,
    /// Its goal's title.
    pub goal_title: String,
    /// Its name in the plan.
    pub r#ref: String,
    /// One line.
    pub title: String,
    /// Markdown.
    pub description: String,
    /// The heading that it stands under in the brief.
    pub section: Option<String>,
    /// Free words.
    pub labels: Vec<String>,
    /// What the planner handed over.
    pub input: Option<Value>,
    /// 0 to 9.
    pub priority: i16,
    /// Expected spend by unit.
    pub estimate: BTreeMap<String, Estimate>,
    /// Conditions of success: evidence is needed for each required one.
    pub criteria: Vec<ClaimedCriterion>,
}

/// A condition of success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClaimedCriterion {
    /// Evidence names it by this.
    pub number: i16,
    /// What must be true.
    pub text: String,
    /// Whether the task can be completed without evidence for it.
    pub required: bool,
}

/// What a needed task produced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NeededResult {
    /// The task.
    pub task_id: TaskId,
    /// Its name in the plan.
    pub r#ref: String,
    /// One line.
    pub title: String,
    /// What it produced; `null` also when it is larger than 64 KiB, or when all results together
    /// are larger than 1 MiB: read the task then.
    pub result: Option<Value>,
}

/// How a subtask ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChildResult {
    /// The task.
    pub task_id: TaskId,
    /// Its name in the plan.
    pub r#ref: String,
    /// One line.
    pub title: String,
    /// `done`, `failed` or `cancelled`.
    pub state: TaskState,
    /// Why it failed or was cancelled.
    pub reason: Option<String>,
    /// What it produced; bounded as in `needs`.
    pub result: Option<Value>,
}

/// What an earlier attempt left behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EarlierAttempt {
    /// The attempt; its evidence can be read there.
    pub attempt_id: AttemptId,
    /// Its number.
    pub number: i32,
    /// How it ended.
    pub state: AttemptState,
    /// Why it failed.
    pub failure_class: Option<FailureClass>,
    /// What its agent said.
    pub message: Option<String>,
    /// What the reviewer said of its result: start here.
    pub feedback: Option<String>,
    /// The same point by point, when the reviewer said so: what is wrong with which criterion.
    pub feedback_points: Vec<FeedbackPoint>,
    /// The result that was rejected; `null` also when it is larger than 64 KiB.
    pub result: Option<Value>,
}

/// A decision of a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeliveredDecision {
    /// The approval.
    pub approval_id: ApprovalId,
    /// What it was about.
    pub kind: ApprovalKind,
    /// How it was decided.
    pub state: ApprovalState,
    /// What was said: `decline` when a person would not answer; `null` when nobody decided in time.
    pub verdict: Option<Verdict>,
    /// The question.
    pub title: String,
    /// What it said about it; `null` unless an agent asked.
    pub body: Option<String>,
    /// What was asked for, in the form in which it was approved: do exactly this. `null` unless an
    /// agent asked.
    pub payload: Option<Value>,
    /// SHA-256 of the payload in canonical form.
    pub payload_sha256: PayloadHash,
    /// Which form of the payload this is: above 1 it was edited.
    #[schema(minimum = 1)]
    pub revision: i32,
    /// The answer to it.
    pub answer: Option<Value>,
    /// Why, or a remark.
    pub reason: Option<String>,
    /// When it was decided.
    pub decided_at: DateTime<Utc>,
}

/// How much is handed over with one task.
const LIMITS: HandoverLimits =
    HandoverLimits { result_bytes: 64 * 1024, total_bytes: 1024 * 1024, tasks: 2_000 };

/// Everything that is handed over with started attempts, by task. Decisions are told once.
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
