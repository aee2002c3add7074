//! Nudges in heartbeat answers: from rules, and from loop detection.
//!
//! The nudge of a rule waits in the database until the next heartbeat of the task's attempt. It is
//! delivered once, in the transaction that records the delivery. The statement that renews leases
//! also sees waiting nudges, so heartbeats without one cost no more.
//!
//! Loops are also found in the answer of that statement. The nudge is repeated with every step that
//! continues the loop; the loop is recorded once per pattern. Recording is a separate small unit of
//! work, after the heartbeats are stored, and judges again under a lock. If the process dies in
//! between, the next step records the loop.

use std::collections::HashMap;

use serde_json::json;

use super::{answer::Nudge, command::HeartbeatCommand};
use crate::{
    app::{App, Result, Unit, caller::Actor},
    domain::{
        ids::{AttemptId, TaskId, WorkspaceId},
        journal::{Kind, NewRow},
        loops::Pattern,
        states::AttemptState,
        task::AttemptFacts,
    },
    store::{
        self, Tx,
        attempts::heartbeat::{Heard, Steps},
        rules::nudges::DeliveredNudge,
    },
};

/// Nudges of rules for the attempts of a batch.
#[derive(Debug, Default)]
pub(in crate::app) struct Nudges(HashMap<AttemptId, Vec<DeliveredNudge>>);

/// Delivers waiting nudges to renewed attempts.
pub(in crate::app) async fn of(tx: &mut Tx, heard: &HashMap<AttemptId, Heard>) -> Result<Nudges> {
    let waiting = heard.values().filter(|heard| heard.nudges);
    let place = |heard: &Heard| (heard.attempt.attempt_id, heard.attempt.task_id);
    let places: Vec<(AttemptId, TaskId)> = waiting.map(place).collect();
    if places.is_empty() {
        return Ok(Nudges::default());
    }
    Ok(Nudges(store::rules::nudges::deliver(tx, &places).await?))
}

impl Nudges {
    /// Nudges for the answer to this heartbeat. Of several heartbeats of an attempt the first gets
    /// the nudges of rules.
    pub(in crate::app) fn take(&mut self, heard: &Heard, command: &HeartbeatCommand) -> Vec<Nudge> {
        let told = self.0.remove(&heard.attempt.attempt_id).unwrap_or_default();
        let mut nudges: Vec<Nudge> = told
            .into_iter()
            .map(|DeliveredNudge { rule_id, text }| Nudge {
                text,
                rule_id: Some(rule_id),
                r#loop: None,
            })
            .collect();
        let steps = heard.steps.as_ref().filter(|_| !command.steps.is_empty());
        let found = steps.and_then(|steps| steps.window.loops().into_iter().next());
        nudges.extend(found.map(|found| Nudge {
            text: found.advice(),
            rule_id: None,
            r#loop: Some(found),
        }));
        nudges
    }
}

impl App {
    /// Records loops that attempts have entered or left. The heartbeats are already stored, so a
    /// failure is only logged: the next step records the loop.
    pub(in crate::app) async fn note_loops(
        &self,
        workspace: WorkspaceId,
        heard: &HashMap<AttemptId, Heard>,
    ) {
        let changed = |heard: &&Heard| heard.steps.as_ref().is_some_and(|steps| !is_noted(steps));
        let attempts: Vec<AttemptId> =
            heard.values().filter(changed).map(|heard| heard.attempt.attempt_id).collect();
        if attempts.is_empty() {
            return;
        }
        if let Err(error) = self.note_loops_of(workspace, &attempts).await {
            tracing::warn!(%error, "loops could not be noted; the next step notes them");
        }
    }

    async fn note_loops_of(&self, workspace: WorkspaceId, attempts: &[AttemptId]) -> Result<()> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        let held = store::attempts::lock(unit.tx(), attempts).await?;
        let steps = store::attempts::loops::of_attempts(unit.tx(), attempts).await?;
        let mut steps: HashMap<AttemptId, Steps> = steps.into_iter().collect();
        for attempt in held.iter().filter(|attempt| attempt.state == AttemptState::Running) {
            if let Some(steps) = steps.remove(&attempt.attempt_id) {
                note(&mut unit, attempt, &steps).await?;
            }
        }
        self.commit(unit).await
    }
}

/// Whether the recorded patterns match the steps. A second concurrent pattern is not recorded; a
/// recorded pattern stays so while it lasts.
fn is_noted(steps: &Steps) -> bool {
    let Steps { window, loops } = steps;
    let found = window.loops();
    let first = found.first().is_none_or(|first| loops.contains(&first.pattern));
    first && loops.iter().all(|noted| found.iter().any(|found| found.pattern == *noted))
}

/// Records the loops of a running attempt. The caller holds its lock.
async fn note(unit: &mut Unit, attempt: &AttemptFacts, steps: &Steps) -> Result<()> {
    let AttemptFacts { attempt_id, task_id, goal_id, holder, .. } = *attempt;
    let found = steps.window.loops();
    let holds = |pattern: &Pattern| found.iter().any(|found| found.pattern == *pattern);
    let left: Vec<Pattern> = steps.loops.iter().copied().filter(|noted| !holds(noted)).collect();
    if !left.is_empty() {
        store::attempts::loops::left(unit.tx(), attempt_id, &left).await?;
    }
    let new = found.first().filter(|first| !steps.loops.contains(&first.pattern));
    if let Some(new) = new {
        let (place, id) = ((attempt_id, task_id), unit.id());
        store::attempts::loops::found(unit.tx(), place, id, new).await?;
        let row = NewRow::new(Kind::AttemptLooping).goal(goal_id).task(task_id);
        unit.record(row.attempt(attempt_id).agent(holder.agent()).data(json!(new)));
    }
    Ok(())
}
