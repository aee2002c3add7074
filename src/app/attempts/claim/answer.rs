//! Request and answer of a claim.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::learned::ClaimedLessons;
use crate::{
    app::{Result, Unit, attempts::start::Started, knowledge::answers::SolvedBy},
    domain::{
        budget::ask::Estimate,
        check::Checks,
        handover::{
            ChildResult, ClaimedComment, ClaimedCriterion, DeliveredDecision, EarlierAttempt,
            HandedOver, NeededResult,
        },
        ids::{AttemptId, GoalId, TaskId},
        plan::check_lease,
        refusal::Refusal,
        settings,
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
    /// task's own, or 60. The workspace may set a longest lease; `lease_ms` of the claim says what was
    /// given.
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
    #[schema(example = "lse_<workspace>_<secret>")]
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
    /// The hand-off of the attempt before: its note is what that agent says, and the checkpoint is its. `null` if the
    /// attempt before did not end with one.
    #[serde(default)]
    #[schema(required = true)]
    pub handed_over: Option<HandedOver>,
    /// Decided approvals of the task not yet delivered to an attempt; each is delivered once.
    pub decisions: Vec<DeliveredDecision>,
    /// What people and agents said about the task and its goal, newest last: the latest 20 comments, and
    /// of these the newest with at most 16 KiB together. All are listed by
    /// `GET /v1/tasks/{task_id}/comments` and `GET /v1/goals/{goal_id}/comments`.
    #[serde(default)]
    #[schema(required = true)]
    pub comments: Vec<ClaimedComment>,
    /// Lessons of earlier work, within `lesson_tokens` of the workspace. `null`: none were looked for, because there are
    /// none or the service is busy. `POST /v1/knowledge/context` gives them later.
    #[serde(default)]
    #[schema(required = true)]
    pub lessons: Option<ClaimedLessons>,
    /// Finished tasks whose titles are like that of this one, at most 3: `POST
    /// /v1/attempts/{attempt_id}/accept-answer` completes it with the result of one. Empty where `lessons` is `null`.
    #[serde(default)]
    #[schema(required = true)]
    pub solved: Vec<SolvedBy>,
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

/// Size limits of the results handed over with one task.
const LIMITS: HandoverLimits = HandoverLimits {
    result_bytes: 64 * 1024,
    total_bytes: 1024 * 1024,
    tasks: 2_000,
    comments: settings::CLAIM_COMMENTS,
    comment_bytes: settings::CLAIM_COMMENT_BYTES,
};

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
    for (task, decision) in store::approvals::deliver_decisions(unit.tx(), &pairs).await? {
        decisions.entry(task).or_default().push(decision);
    }
    let started: HashMap<TaskId, &Started> =
        started.iter().map(|s| (s.attempt.task_id, s)).collect();
    note_given(unit, &handovers, &started).await?;
    let mut claims = HashMap::with_capacity(handovers.len());
    for handover in handovers {
        let id = handover.task_id;
        let Some(started) = started.get(&id) else { continue };
        let told = decisions.remove(&id).unwrap_or_default();
        claims.insert(id, claim(handover, started, told));
    }
    Ok(claims)
}

/// Notes which new comments on their goals attempts have, so that these are not delivered to them again. Nearly no claim
/// has any, and nothing is written.
async fn note_given(
    unit: &mut Unit,
    handovers: &[Handover],
    started: &HashMap<TaskId, &Started>,
) -> Result<()> {
    let since = unit.now() - 2 * settings::SPREAD_WITHIN;
    let mut given = Vec::new();
    for handover in handovers {
        let Some(started) = started.get(&handover.task_id) else { continue };
        let new = handover.comments.0.iter().filter(|comment| comment.created_at >= since);
        let place = (started.attempt.attempt_id, started.attempt.goal_id);
        given.extend(new.map(|comment| (place.0, place.1, comment.comment_id)));
    }
    Ok(store::comments::deliveries::given(unit.tx(), &given).await?)
}

fn claim(handover: Handover, started: &Started, decisions: Vec<DeliveredDecision>) -> Claim {
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
        handed_over,
        comments,
    } = handover;
    let Started { token, attempt } = started;
    Claim {
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
            estimate: estimate.map(|estimate| estimate.0).unwrap_or_default(),
            criteria: criteria.0,
        },
        needs: needs.0,
        children: children.0,
        earlier_attempts: earlier.0,
        checkpoint,
        handed_over: handed_over.map(|handed_over| handed_over.0),
        decisions,
        comments: comments.0,
        lessons: None,
        solved: Vec::new(),
    }
}
