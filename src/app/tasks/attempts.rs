//! Reading attempts and their spend. No lease appears here: only its claimer gets it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    app::{
        App, Result,
        approvals::views::Waived,
        caller::{AttemptReaderCaller, Caller as _, ProjectReaderCaller},
    },
    domain::{
        approval::review::FeedbackPoint,
        artifact::{ArtifactRef, digest::ArtifactDigest},
        criterion::{EvidenceTier, decimal::Decimal},
        gate::resource::Touch,
        ids::{AgentId, ApprovalId, AttemptId, GoalId, KeyId, TaskId},
        refusal::Refusal,
        spend::Amounts,
        states::{AttemptState, FailureClass},
    },
    store::{
        self, Tx,
        artifacts::ArtifactRow,
        attempts::read::{AttemptRow, AttemptScope, EvidenceRow, HandedIn, SpendRow},
    },
};

/// One try at a task by one agent, or by a person who took it over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Attempt {
    /// Id of the attempt; stable for its life.
    pub id: AttemptId,
    /// Id of the task that is tried.
    pub task_id: TaskId,
    /// Id of the goal of the task.
    pub goal_id: GoalId,
    /// The agent that holds it; `null` if a person does.
    pub agent_id: Option<AgentId>,
    /// The operator's key that took the task over; `null` if an agent holds it.
    pub held_by_key: Option<KeyId>,
    /// Ordinal of this attempt within its task, from 1.
    pub number: i32,
    /// Only a `running` attempt may write. `parked`: it gave way to an approval or to subtasks;
    /// `submitted`: its result waits for a review; `accepted`, `rejected`, `failed`, `expired`,
    /// `released`, `cancelled`: it has ended.
    pub state: AttemptState,
    /// End of the lease: the task is offered again then, unless a heartbeat moves it.
    pub lease_expires_at: DateTime<Utc>,
    /// Latest possible end of the lease; no heartbeat moves it further.
    pub hard_deadline: DateTime<Utc>,
    /// When the task was claimed or taken over.
    pub started_at: DateTime<Utc>,
    /// When it stopped running; `null` while it runs.
    pub ended_at: Option<DateTime<Utc>>,
    /// Progress last reported by its holder; `null` before the first report.
    #[schema(example = json!({"percent": 40, "message": "3 of 7 endpoints"}))]
    pub progress: Option<Value>,
    /// When progress or a checkpoint was last reported.
    pub progress_at: Option<DateTime<Utc>>,
    /// Class of its failure; `null` unless it failed or expired.
    pub failure_class: Option<FailureClass>,
    /// Message with its failure or release, from its holder or the service.
    pub message: Option<String>,
    /// The reviewer's feedback on its result; `null` without one.
    pub feedback: Option<String>,
    /// The feedback by criterion, if the reviewer gave it in points.
    pub feedback_points: Vec<FeedbackPoint>,
    /// Total spend so far, by unit.
    #[schema(example = json!({"usd_micros": 1250, "output_tokens": 320}))]
    pub spend: Amounts,
    /// Concurrency keys that it holds; empty when it has ended.
    #[serde(default)]
    #[schema(example = json!(["deploy"]))]
    pub concurrency_keys: Vec<String>,
    /// Resources that it holds, by name; empty when it has ended.
    #[serde(default)]
    pub resources: Vec<Touch>,
}

/// A piece of evidence for the result of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Evidence {
    /// Ordinal of this piece within its attempt, from 1.
    pub number: i16,
    /// Number of the criterion that it is about; `null`: the result in general.
    pub criterion: Option<i16>,
    /// `false`: it shows that the criterion is not met.
    pub met: bool,
    /// The evidence itself: test output, a review, a measurement.
    #[schema(example = "test result: ok. 57 passed")]
    pub text: String,
    /// Address of the full evidence; not fetched by muster.
    #[schema(example = "https://ci.example.com/builds/4711")]
    pub uri: Option<String>,
    /// The artifact that is the evidence; `null`: none. Retention may have deleted it since the goal ended.
    pub artifact: Option<ArtifactDigest>,
    /// The number of a metric; `null`: none.
    pub value: Option<Decimal>,
    /// The exit code of a program; `null`: none.
    pub exit_code: Option<i32>,
    /// How far it was checked, as the server computed it.
    pub tier: EvidenceTier,
    /// The `criteria_version` of the task for which it was given.
    pub criteria_version: i32,
    /// The attempt of the check that gave it; `null`: the attempt itself, the server or a person gave it.
    pub by_attempt_id: Option<AttemptId>,
    /// The approval by which a person gave it; `null`: none did.
    pub approval_id: Option<ApprovalId>,
}

/// An attempt with its result and checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AttemptDetail {
    /// The fields shown in lists.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// Its last checkpoint, any JSON, for the next attempt.
    pub checkpoint: Option<Value>,
    /// The result it delivered, any JSON; `null` without one.
    pub result: Option<Value>,
    /// The evidence it delivered with the result.
    pub evidence: Vec<Evidence>,
    /// The artifacts of its result that are still there.
    pub artifacts: Vec<ArtifactRef>,
    /// Required criteria without evidence that the reviewer waived when accepting the result.
    pub waived: Vec<Waived>,
}

/// One line of an attempt's spend. Lines are never changed or deleted; corrections are further
/// lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SpendLine {
    /// The holder's key of the entry. Keys starting with `total:` come from cumulative reports,
    /// those with `rerate:` from re-rating.
    #[schema(example = "call-17")]
    pub key: String,
    /// Unit of the amount, such as `usd_micros`.
    #[schema(example = "usd_micros")]
    pub unit: String,
    /// Amount used, in the unit; negative in a correction.
    #[schema(example = 1250)]
    pub amount: i64,
    /// Millionths of the unit beyond the amount; only for money computed from tokens.
    pub fraction: i32,
    /// Whether it was reported after the attempt had ended.
    pub late: bool,
    /// Provider of the called model; `null` if not reported.
    pub provider: Option<String>,
    /// Name of the called model; `null` if not reported.
    pub model: Option<String>,
    /// Free text from the reporter; `null` without one.
    pub note: Option<String>,
    /// When the service stored the line.
    pub recorded_at: DateTime<Utc>,
}

/// Position in the list of an attempt's spend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendPlace {
    /// Key of the entry.
    pub key: String,
    /// Unit of the line.
    pub unit: String,
}

pub(in crate::app) async fn evidence(tx: &mut Tx, attempt: AttemptId) -> Result<Vec<Evidence>> {
    let rows = store::attempts::read::evidence(tx, attempt).await?;
    let piece = |row: EvidenceRow| {
        let EvidenceRow {
            number,
            criterion,
            met,
            text,
            uri,
            artifact,
            value,
            exit_code,
            tier,
            criteria_version,
            by_attempt: by_attempt_id,
            approval: approval_id,
        } = row;
        let value = value.as_deref().and_then(Decimal::parse);
        Evidence {
            number,
            criterion,
            met,
            text,
            uri,
            artifact,
            value,
            exit_code,
            tier,
            criteria_version,
            by_attempt_id,
            approval_id,
        }
    };
    Ok(rows.into_iter().map(piece).collect())
}

/// The artifacts of the result of an attempt.
pub(in crate::app) async fn artifacts(tx: &mut Tx, attempt: AttemptId) -> Result<Vec<ArtifactRef>> {
    let rows = store::artifacts::of_result(tx, attempt).await?;
    let of = |row: ArtifactRow| {
        let ArtifactRow { sha256: digest, size, media_type, .. } = row;
        ArtifactRef { digest, size, media_type }
    };
    Ok(rows.into_iter().map(of).collect())
}

/// Criteria waived when the result of an attempt was accepted.
pub(in crate::app) async fn waived(tx: &mut Tx, attempt: AttemptId) -> Result<Vec<Waived>> {
    let rows = store::approvals::reviews::of_attempt(tx, attempt).await?;
    Ok(rows.into_iter().map(Waived::from).collect())
}

pub(in crate::app) async fn read(tx: &mut Tx, id: AttemptId) -> Result<AttemptDetail> {
    let rows = store::attempts::read::list(tx, AttemptScope::This(id), 1).await?;
    let row = rows.into_iter().next().ok_or_else(|| Refusal::not_found("attempt"))?;
    let HandedIn { checkpoint, result } = store::attempts::read::handed_in(tx, id).await?;
    let evidence = evidence(tx, id).await?;
    let artifacts = artifacts(tx, id).await?;
    let waived = waived(tx, id).await?;
    Ok(AttemptDetail { attempt: view(row), checkpoint, result, evidence, artifacts, waived })
}

fn view(row: AttemptRow) -> Attempt {
    let AttemptRow {
        attempt_id,
        task_id,
        goal_id,
        agent_id,
        held_by_key,
        number,
        state,
        lease_expires_at,
        hard_deadline,
        started_at,
        ended_at,
        progress,
        progress_at,
        failure_class,
        message,
        feedback,
        feedback_points,
        spend,
        concurrency_keys,
        resources,
    } = row;
    Attempt {
        id: attempt_id,
        task_id,
        goal_id,
        agent_id,
        held_by_key,
        number,
        state,
        lease_expires_at,
        hard_deadline,
        started_at,
        ended_at,
        progress,
        progress_at,
        failure_class,
        message,
        feedback,
        feedback_points: feedback_points.unwrap_or_default().0,
        spend: spend.0,
        concurrency_keys,
        resources: resources.0,
    }
}

fn line(row: SpendRow) -> SpendLine {
    let SpendRow { entry_key, unit, amount, fraction, late, provider, model, note, recorded_at } =
        row;
    SpendLine { key: entry_key, unit, amount, fraction, late, provider, model, note, recorded_at }
}

/// Whether a caller that sees only the attempts of one agent sees this one.
async fn is_own(tx: &mut Tx, caller: &AttemptReaderCaller, attempt: AttemptId) -> Result<bool> {
    let Some(own) = caller.only_of() else { return Ok(true) };
    let rows = store::attempts::read::list(tx, AttemptScope::This(attempt), 1).await?;
    Ok(rows.iter().all(|row| row.agent_id == Some(own)))
}

impl App {
    /// Reads one attempt with its result. An agent reads its own, and those that it checks.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn read_attempt(
        &self,
        caller: &AttemptReaderCaller,
        attempt: AttemptId,
    ) -> Result<AttemptDetail> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        let detail = read(&mut tx, attempt).await?;
        let others = caller.only_of().filter(|own| detail.attempt.agent_id != Some(*own));
        if let Some(own) = others
            && !store::tasks::checks::has_checked(&mut tx, own, attempt).await?
        {
            return Err(Refusal::not_found("attempt").into());
        }
        Ok(detail)
    }

    /// The attempts of a task, latest first.
    ///
    /// # Errors
    /// `not_found` for an unknown task.
    pub async fn list_task_attempts(
        &self,
        caller: &ProjectReaderCaller,
        task: TaskId,
        after: Option<i32>,
        rows: u32,
    ) -> Result<Vec<Attempt>> {
        let workspace = caller.principal().workspace;
        self.see_task(caller.principal(), task).await?;
        let mut tx = self.reader(workspace).await?;
        if store::tasks::goal_of(&mut tx, task).await?.is_none() {
            return Err(Refusal::not_found("task").into());
        }
        let scope = AttemptScope::OfTask { task, after };
        let rows = store::attempts::read::list(&mut tx, scope, rows).await?;
        Ok(rows.into_iter().map(view).collect())
    }

    /// The attempts of an agent, latest first. `running`: only running ones.
    ///
    /// # Errors
    /// `not_found` for an unknown agent.
    pub async fn list_agent_attempts(
        &self,
        caller: &AttemptReaderCaller,
        agent: AgentId,
        running: bool,
        after: Option<AttemptId>,
        rows: u32,
    ) -> Result<Vec<Attempt>> {
        let workspace = caller.principal().workspace;
        let mut tx = self.reader(workspace).await?;
        let hidden = caller.only_of().is_some_and(|own| own != agent);
        if hidden || !store::attempts::read::agent_exists(&mut tx, agent).await? {
            return Err(Refusal::not_found("agent").into());
        }
        let scope = AttemptScope::OfAgent { agent, running, after };
        let rows = store::attempts::read::list(&mut tx, scope, rows).await?;
        Ok(rows.into_iter().map(view).collect())
    }

    /// Spend lines of an attempt, in the order of their keys.
    ///
    /// # Errors
    /// `not_found` for an unknown attempt.
    pub async fn list_attempt_spend(
        &self,
        caller: &AttemptReaderCaller,
        attempt: AttemptId,
        after: Option<&SpendPlace>,
        rows: u32,
    ) -> Result<Vec<SpendLine>> {
        let workspace = caller.principal().workspace;
        let mut tx = self.reader(workspace).await?;
        if store::attempts::locate(&mut tx, &[attempt]).await?.is_empty()
            || !is_own(&mut tx, caller, attempt).await?
        {
            return Err(Refusal::not_found("attempt").into());
        }
        let after = after.map(|place| (place.key.as_str(), place.unit.as_str()));
        let rows = store::attempts::read::spend(&mut tx, attempt, after, rows).await?;
        Ok(rows.into_iter().map(line).collect())
    }
}
