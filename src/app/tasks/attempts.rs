//! Reading attempts and what they spent. A lease is told to its claimer alone, so nothing here
//! has one.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    app::{
        App, Result,
        approvals::views::Waived,
        caller::{Caller as _, ReaderCaller},
        error::corrupt,
    },
    domain::{
        approval::review::FeedbackPoint,
        ids::{AgentId, AttemptId, GoalId, KeyId, TaskId},
        refusal::Refusal,
        spend::Amounts,
        states::{AttemptState, FailureClass},
    },
    store::{
        self, Tx,
        attempts::read::{AttemptRow, AttemptScope, EvidenceRow, HandedIn, SpendRow},
    },
};

/// One try of one task by one agent, or by a person who took it over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// The task that is tried.
    pub task_id: TaskId,
    /// The goal of the task.
    pub goal_id: GoalId,
    /// The agent that tries; `null`: a person does.
    pub agent_id: Option<AgentId>,
    /// The key of the operator who took the task over; `null`: an agent tries.
    pub held_by_key: Option<KeyId>,
    /// Counts the attempts of the task from 1.
    pub number: i32,
    /// Only a `running` attempt may write. `parked`: it gave way to a question or subtasks;
    /// `submitted`: its result waits for a person; `accepted`, `rejected`, `failed`, `expired`,
    /// `released`, `cancelled`: it has ended.
    pub state: AttemptState,
    /// When the task may be given to somebody else, unless a heartbeat comes before.
    pub lease_expires_at: DateTime<Utc>,
    /// No heartbeat moves the lease past this.
    pub hard_deadline: DateTime<Utc>,
    /// When it was claimed.
    pub started_at: DateTime<Utc>,
    /// When it stopped running.
    pub ended_at: Option<DateTime<Utc>>,
    /// The last progress that its agent reported.
    #[schema(example = json!({"percent": 40, "message": "3 of 7 endpoints"}))]
    pub progress: Option<Value>,
    /// When progress or a checkpoint was last reported.
    pub progress_at: Option<DateTime<Utc>>,
    /// Why it failed or expired.
    pub failure_class: Option<FailureClass>,
    /// What its agent said of the failure or release.
    pub message: Option<String>,
    /// What the reviewer said of its result.
    pub feedback: Option<String>,
    /// The same point by point.
    pub feedback_points: Vec<FeedbackPoint>,
    /// What it used, by unit.
    #[schema(example = json!({"usd_micros": 1250, "output_tokens": 320}))]
    pub spend: Amounts,
}

/// A piece of evidence: what an attempt shows for its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Evidence {
    /// Counts the evidence of the attempt from 1.
    pub number: i16,
    /// The number of the criterion that it speaks for; `null`: for the result in general.
    pub criterion: Option<i16>,
    /// The evidence: a test's output, a review, a measurement.
    #[schema(example = "test result: ok. 57 passed")]
    pub text: String,
    /// Where it is.
    #[schema(example = "https://ci.example.com/builds/4711")]
    pub uri: Option<String>,
}

/// An attempt with what it handed in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AttemptDetail {
    /// What lists show of it.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// Its last checkpoint: what the next attempt needs to go on.
    pub checkpoint: Option<Value>,
    /// What it handed in.
    pub result: Option<Value>,
    /// What it showed for its result.
    pub evidence: Vec<Evidence>,
    /// Required criteria without evidence that were let go when its result was accepted.
    pub waived: Vec<Waived>,
}

/// A line of an attempt's spend; lines are never changed or taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SpendLine {
    /// The agent's key of the entry. Those that start with `total:` are what a cumulative report
    /// added, those with `rerate:` what computing money anew changed.
    #[schema(example = "call-17")]
    pub key: String,
    /// The unit.
    #[schema(example = "usd_micros")]
    pub unit: String,
    /// How much was used, in the unit.
    #[schema(example = 1250)]
    pub amount: i64,
    /// Millionths of the unit beside the amount; only money computed from tokens has them.
    pub fraction: i32,
    /// Whether it was reported after the attempt had ended.
    pub late: bool,
    /// Who was called.
    pub provider: Option<String>,
    /// The model that was called.
    pub model: Option<String>,
    /// A remark for people.
    pub note: Option<String>,
    /// When it was stored.
    pub recorded_at: DateTime<Utc>,
}

/// A place in the list of an attempt's spend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendPlace {
    /// The key of the entry.
    pub key: String,
    /// The unit.
    pub unit: String,
}

/// Reads the evidence of an attempt.
pub(in crate::app) async fn evidence(tx: &mut Tx, attempt: AttemptId) -> Result<Vec<Evidence>> {
    let rows = store::attempts::read::evidence(tx, attempt).await?;
    let piece = |row: EvidenceRow| {
        let EvidenceRow { number, criterion, text, uri } = row;
        Evidence { number, criterion, text, uri }
    };
    Ok(rows.into_iter().map(piece).collect())
}

/// What was let go when the result of an attempt was accepted.
pub(in crate::app) async fn waived(tx: &mut Tx, attempt: AttemptId) -> Result<Vec<Waived>> {
    let rows = store::approvals::reviews::of_attempt(tx, attempt).await?;
    Ok(rows.into_iter().map(Waived::from).collect())
}

/// Reads one attempt.
///
/// # Errors
/// `not_found`.
pub(in crate::app) async fn read(tx: &mut Tx, id: AttemptId) -> Result<AttemptDetail> {
    let rows = store::attempts::read::list(tx, AttemptScope::This(id), 1).await?;
    let row = rows.into_iter().next().ok_or_else(|| Refusal::not_found("attempt"))?;
    let HandedIn { checkpoint, result } = store::attempts::read::handed_in(tx, id).await?;
    let evidence = evidence(tx, id).await?;
    let waived = waived(tx, id).await?;
    Ok(AttemptDetail { attempt: view(row)?, checkpoint, result, evidence, waived })
}

fn view(row: AttemptRow) -> Result<Attempt> {
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
    } = row;
    Ok(Attempt {
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
        feedback_points: feedback_points
            .map_or(Ok(Vec::new()), serde_json::from_value)
            .map_err(corrupt)?,
        spend: serde_json::from_value(spend).map_err(corrupt)?,
    })
}

fn line(row: SpendRow) -> SpendLine {
    let SpendRow { entry_key, unit, amount, fraction, late, provider, model, note, recorded_at } =
        row;
    SpendLine { key: entry_key, unit, amount, fraction, late, provider, model, note, recorded_at }
}

impl App {
    /// One attempt with what it handed in.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn read_attempt(
        &self,
        caller: &ReaderCaller,
        attempt: AttemptId,
    ) -> Result<AttemptDetail> {
        read(&mut self.reader(caller.principal().workspace).await?, attempt).await
    }

    /// The attempts of a task, latest first.
    ///
    /// # Errors
    /// `not_found` when there is no such task.
    pub async fn list_task_attempts(
        &self,
        caller: &ReaderCaller,
        task: TaskId,
        after: Option<i32>,
        rows: u32,
    ) -> Result<Vec<Attempt>> {
        let workspace = caller.principal().workspace;
        let mut tx = self.reader(workspace).await?;
        if store::tasks::goal_of(&mut tx, task).await?.is_none() {
            return Err(Refusal::not_found("task").into());
        }
        let scope = AttemptScope::OfTask { task, after };
        let rows = store::attempts::read::list(&mut tx, scope, rows).await?;
        rows.into_iter().map(view).collect()
    }

    /// The attempts of an agent, latest first; only those that run, if asked.
    ///
    /// # Errors
    /// `not_found` when there is no such agent.
    pub async fn list_agent_attempts(
        &self,
        caller: &ReaderCaller,
        agent: AgentId,
        running: bool,
        after: Option<AttemptId>,
        rows: u32,
    ) -> Result<Vec<Attempt>> {
        let workspace = caller.principal().workspace;
        let mut tx = self.reader(workspace).await?;
        if !store::attempts::read::agent_exists(&mut tx, agent).await? {
            return Err(Refusal::not_found("agent").into());
        }
        let scope = AttemptScope::OfAgent { agent, running, after };
        let rows = store::attempts::read::list(&mut tx, scope, rows).await?;
        rows.into_iter().map(view).collect()
    }

    /// What an attempt spent, line by line, in the order of keys.
    ///
    /// # Errors
    /// `not_found` when there is no such attempt.
    pub async fn list_attempt_spend(
        &self,
        caller: &ReaderCaller,
        attempt: AttemptId,
        after: Option<&SpendPlace>,
        rows: u32,
    ) -> Result<Vec<SpendLine>> {
        let workspace = caller.principal().workspace;
        let mut tx = self.reader(workspace).await?;
        if store::attempts::locate(&mut tx, &[attempt]).await?.is_empty() {
            return Err(Refusal::not_found("attempt").into());
        }
        let after = after.map(|place| (place.key.as_str(), place.unit.as_str()));
        let rows = store::attempts::read::spend(&mut tx, attempt, after, rows).await?;
        Ok(rows.into_iter().map(line).collect())
    }
}
