//! Hand-off: the holder of a running task ends its attempt and says who continues.
//!
//! In one transaction the attempt ends as `released`, with everything that every end does: grants and reservations are
//! given back, spend is charged. The task is ready again and offered to the addressee: one agent, or the agents that
//! have a capability besides those that the task requires. The next attempt gets the note and the checkpoint.
//!
//! Decisions:
//! - The offer ends after a time, 10 minutes by default: then every able agent may claim the task, also the one that
//!   handed it over. An addressee that never comes must not keep a task for ever. A duty ends it, so it may last
//!   one sweep longer.
//! - A hand-off that nobody could take is refused when it is made: the holder still has the lease and can decide
//!   otherwise. An agent that is busy, paused or frozen is no reason: the offer ends anyway. A check goes to nobody
//!   who worked on what it checks.
//! - No try is used up and no record of routing is made: the agent did not fail. What bounds agents that pass a task
//!   around is the number of hand-offs of the task.
//! - The lease is the fence as with every other end. After the hand-off it is lost, also for the same request
//!   again; with an `Idempotency-Key` that gets the same answer.
//! - A reassignment or takeover by an operator replaces the offer.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    end::{End, end},
    finish::transaction::answer,
    park::{Parking, check_rest, hold},
    takeover::check_able,
};
use crate::{
    app::{
        App, Result, Unit,
        caller::{Caller as _, HolderCaller},
        unit::idempotency::{Outcome, Request},
    },
    domain::{
        addressee::Addressee,
        check::Checks,
        freeze::Act,
        ids::{AttemptId, TaskId},
        journal::{Kind, NewRow},
        refusal::Refusal,
        settings,
        spend::SpendReport,
        states::{AttemptState, TaskState},
        task::{self, Ending, TaskFacts, hand_off, holder::Holder},
    },
    store::{self, Hold, hand_offs::NewHandOff},
};

/// Hands the task of a running attempt over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandOffRequest {
    /// The lease of the attempt, from its claim.
    pub lease: String,
    /// Who continues: one agent, or agents with a capability besides those that the task requires.
    pub to: Addressee,
    /// What they should know, Markdown; at most 16 KiB.
    #[schema(
        example = "The endpoints are written; the tests of the pagination still fail.",
        min_length = 1
    )]
    pub note: String,
    /// How long the task is only for them, in seconds. Afterwards every able agent may claim it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 86400, default = 600, example = 600)]
    pub offer_seconds: Option<u32>,
    /// Anything they need to continue from here, any JSON; at most 256 KiB.
    #[serde(default)]
    pub checkpoint: Option<Value>,
    /// Spend since the last report.
    #[serde(default)]
    pub spend: SpendReport,
}

impl HandOffRequest {
    fn check(&self) -> Result<()> {
        check_rest(&self.checkpoint, &self.spend)?;
        let mut checks = Checks::new();
        self.to.check(&mut checks, "/to");
        checks.message("/note", &self.note);
        if let Some(seconds) = self.offer_seconds {
            checks.range("/offer_seconds", seconds, 1..=settings::OFFER_SECONDS_MAX);
        }
        Ok(checks.finish()?)
    }
}

/// The task that was handed over; the attempt has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HandOffAnswer {
    /// Id of the ended attempt.
    pub attempt_id: AttemptId,
    /// Always `released`: the attempt does not count.
    pub attempt_state: AttemptState,
    /// Id of the task.
    pub task_id: TaskId,
    /// State of the task: `ready`, or `parked` if it waits for a price.
    pub task_state: TaskState,
    /// Who may claim it.
    pub to: Addressee,
    /// From then on every able agent may.
    pub offer_until: DateTime<Utc>,
    /// How often the task may still be handed over.
    pub hand_offs_left: i64,
}

impl App {
    /// Hands the task of a running attempt over and ends the attempt.
    ///
    /// # Errors
    /// `lease_lost`, `frozen`, `goal_ended`, `task_ended`, `not_found`, `not_your_attempt`; `invalid` if nobody could
    /// take it; `wrong_state` after too many hand-offs. Nothing is stored then.
    pub async fn hand_off(
        &self,
        caller: &HolderCaller,
        attempt: AttemptId,
        asked: &HandOffRequest,
        request: Option<&Request>,
    ) -> Result<Outcome<HandOffAnswer>> {
        let outcome = self
            .create(caller.principal(), request, Hold::Share, async |unit| {
                asked.check()?;
                let held = hold(unit, caller, attempt, &asked.lease, Act::Rest).await?;
                hand_off(unit, &held, asked).await
            })
            .await?;
        if !outcome.replayed {
            let to = if asked.to.agent_id.is_some() { "agent" } else { "capability" };
            metrics::counter!("muster_hand_offs_total", "to" => to).increment(1);
        }
        Ok(outcome)
    }
}

async fn hand_off(
    unit: &mut Unit,
    held: &Parking,
    asked: &HandOffRequest,
) -> Result<HandOffAnswer> {
    let Parking { goal, task, attempt } = held;
    let before = store::hand_offs::count(unit.tx(), task.task_id).await?;
    hand_off::admit(&asked.to, attempt.holder, before)?;
    refuse_nobody(unit, task, attempt.holder, &asked.to).await?;
    let now = unit.now();
    let seconds = asked.offer_seconds.unwrap_or(settings::OFFER_SECONDS);
    let offer_until = now + TimeDelta::seconds(seconds.into());
    let ending = hand_off::handed_over(task, now);
    let awaiting = store::spend::waits::of_tasks(unit.tx(), &[task.task_id]).await?;
    let next = task::held_back(ending.next, !awaiting.is_empty());
    let finished = answer(attempt, Ending { next, ..ending }, now);
    let ended = End {
        message: Some(asked.note.clone()),
        checkpoint: asked.checkpoint.clone(),
        spend: Some(&asked.spend),
        ..End::new(attempt, task.clone(), ending, "handed over".to_owned())
    };
    end(unit, vec![ended], Vec::new()).await?;
    let new = NewHandOff {
        task_id: task.task_id,
        attempt_id: attempt.attempt_id,
        number: attempt.number,
        from: attempt.holder,
        to: &asked.to,
        offer_until,
        note: &asked.note,
    };
    let keeping = hand_off::keeping(&asked.to, attempt.holder);
    store::hand_offs::insert(unit.tx(), &new, keeping).await?;
    let note: String = asked.note.chars().take(settings::COMMENT_EXCERPT_CHARS).collect();
    let row = NewRow::new(Kind::TaskHandedOver).goal(goal.goal_id).task(task.task_id);
    let row = row.attempt(attempt.attempt_id).agent(attempt.holder.agent());
    unit.record(row.data(json!({"to": asked.to, "offer_until": offer_until, "note": note})));
    Ok(HandOffAnswer {
        attempt_id: attempt.attempt_id,
        attempt_state: finished.attempt_state,
        task_id: task.task_id,
        task_state: finished.task_state,
        to: asked.to.clone(),
        offer_until,
        hand_offs_left: settings::HAND_OFFS - before - 1,
    })
}

/// Refuses an addressee that cannot do the task.
async fn refuse_nobody(
    unit: &mut Unit,
    task: &TaskFacts,
    from: Holder,
    to: &Addressee,
) -> Result<()> {
    check_able(unit, task.task_id, to.agent_id, "/to/agent_id").await?;
    let Some(capability) = &to.capability else { return Ok(()) };
    let except = from.agent();
    if store::hand_offs::is_anybody_able(unit.tx(), task.task_id, capability, except).await? {
        return Ok(());
    }
    let detail = format!(
        "no registered agent except the holder has `{capability}` and everything that the task requires, or none \
         of these may do it because they worked on what it checks; name another capability or an agent, or go on"
    );
    Err(Refusal::invalid_at("/to/capability", detail).into())
}
