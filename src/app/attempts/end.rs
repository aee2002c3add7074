//! Ending attempts: what every end writes, in one order.
//!
//! An attempt ends because its agent finished it, because it gives way to an approval or to subtasks, or
//! because an operator, a rule, a freeze or the clock took its task away. The domain decides the
//! [`Ending`]; [`end`] writes it: the attempt's state, its result and checkpoint, the move of its task
//! with everything that follows ([`cascade`]), its last spend and the return of its reservations.
//!
//! The rows of the goals, tasks and attempts are locked by the caller.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::{
    app::{
        Result, Unit,
        caller::Actor,
        spend::charge::charge,
        tasks::{cascade, change::Change},
    },
    domain::{
        ids::{AgentId, AttemptId},
        journal::{Kind, NewRow},
        spend::SpendReport,
        states::{AttemptState, FailureClass},
        task::{AttemptFacts, Ending, TaskFacts},
    },
    store::{
        self,
        attempts::{Progress, results::NewResult},
    },
};

/// An attempt that ends.
#[derive(Debug)]
pub(in crate::app) struct End<'a> {
    pub attempt: &'a AttemptFacts,
    /// Its task, as it was before.
    pub task: TaskFacts,
    pub ending: Ending,
    /// Why the attempt failed.
    pub failure: Option<FailureClass>,
    /// What is said of the attempt, for people and the next attempt.
    pub message: Option<String>,
    /// Why the task moves, for people.
    pub reason: Option<String>,
    /// The request that ends it; `None`: the service ends it.
    pub request: Option<Finished>,
    pub checkpoint: Option<Value>,
    /// What was used since the last report.
    pub spend: Option<&'a SpendReport>,
    /// Who ends it, if not the unit's actor.
    pub actor: Option<Actor>,
}

/// The request of an agent that ended its attempt, and its answer.
#[derive(Debug)]
pub(in crate::app) struct Finished {
    pub answer: Value,
    pub request_sha256: [u8; 32],
    pub result: Option<Value>,
}

impl<'a> End<'a> {
    /// An end that no request of the attempt's agent asked for.
    pub(in crate::app) fn new(
        attempt: &'a AttemptFacts,
        task: TaskFacts,
        ending: Ending,
        reason: impl Into<Option<String>>,
    ) -> Self {
        let reason = reason.into();
        Self {
            attempt,
            task,
            ending,
            failure: None,
            message: reason.clone(),
            reason,
            request: None,
            checkpoint: None,
            spend: None,
            actor: None,
        }
    }

    /// A result that waits for its review stands: only its attempt's state changes.
    fn result(&self) -> Option<NewResult> {
        if self.attempt.state == AttemptState::Submitted {
            return None;
        }
        let (outcome, request_sha256, result) = match &self.request {
            Some(of) => (of.answer.clone(), of.request_sha256, of.result.clone()),
            None => (json!({"attempt_state": self.ending.attempt}), [0; 32], None),
        };
        Some(NewResult {
            attempt_id: self.attempt.attempt_id,
            outcome,
            request_sha256,
            result,
            failure: self.failure,
            message: self.message.clone(),
            uncounted: self.ending.attempt == AttemptState::Failed
                && self.ending.attempts_used == self.task.attempts_used,
        })
    }

    fn progress(&self) -> Option<Progress> {
        let checkpoint = Some(self.checkpoint.clone()?);
        Some(Progress { attempt_id: self.attempt.attempt_id, progress: None, checkpoint })
    }

    fn change(self) -> Change {
        let Self { attempt, task, ending, reason, actor, .. } = self;
        let change = Change::by_attempt(task, attempt.attempt_id, attempt.holder, ending, reason);
        Change { actor, ..change }
    }
}

/// Ends attempts, and moves `others`: tasks that end in the same step without an attempt.
pub(in crate::app) async fn end(
    unit: &mut Unit,
    ends: Vec<End<'_>>,
    others: Vec<Change>,
) -> Result<()> {
    end_limited(unit, ends, others, &[]).await
}

/// The same, and holds agents until the times given with them, each agent once: their provider limits their rate.
pub(in crate::app) async fn end_limited(
    unit: &mut Unit,
    ends: Vec<End<'_>>,
    others: Vec<Change>,
    limited: &[(AgentId, DateTime<Utc>)],
) -> Result<()> {
    let states: Vec<_> = ends.iter().map(|e| (e.attempt.attempt_id, e.ending.attempt)).collect();
    let results: Vec<NewResult> = ends.iter().filter_map(End::result).collect();
    let progress: Vec<Progress> = ends.iter().filter_map(End::progress).collect();
    let reports: Vec<_> = ends.iter().filter_map(|e| Some((e.attempt, e.spend?))).collect();
    // A swept attempt gave its reservations back then.
    let running = ends.iter().filter(|end| end.attempt.state == AttemptState::Running);
    let running: Vec<AttemptId> = running.map(|end| end.attempt.attempt_id).collect();
    store::attempts::end(unit.tx(), &states).await?;
    store::attempts::results::insert(unit.tx(), &results).await?;
    store::attempts::progress(unit.tx(), &progress).await?;
    let changes = ends.into_iter().map(End::change).chain(others);
    cascade::apply(unit, changes.collect()).await?;
    // Between both, as a claim: it locks tasks, which the cascade may end, then agents, then windows and budgets.
    hold_limited(unit, limited).await?;
    let spent = charge(unit, "/spend", &reports, &running).await?;
    unit.note_spend(&spent);
    Ok(())
}

/// Holds agents whose provider limits their rate, and those that share an account with them.
async fn hold_limited(unit: &mut Unit, limited: &[(AgentId, DateTime<Utc>)]) -> Result<()> {
    if limited.is_empty() {
        return Ok(());
    }
    let mut held = store::quota_windows::hold_agents(unit.tx(), limited).await?;
    held.sort_unstable();
    for (agent, until) in held {
        let row = NewRow::new(Kind::AgentRateLimited).agent(agent);
        unit.record(row.data(json!({"limited_until": until})));
    }
    Ok(())
}
