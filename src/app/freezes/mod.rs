//! Freezes: an operator stops the work in a scope, and lifts the freeze again.
//!
//! Setting and lifting lock the workspace exclusively for a moment, so the cut through the agents'
//! requests is exact: earlier requests have ended, later ones see the freeze. A `stop` ends the
//! attempts under it in the same transaction: after its answer none of their leases is valid, and
//! the answer names their holders. Their tasks can be claimed again after the last freeze over them
//! is lifted. That costs no try, and their reservations are released.
//!
//! A freeze is state in the database and not a message: it applies to agents that do not know of
//! it, and survives restarts. Running agents learn of it with their next heartbeat; waiting claims
//! are woken when it is lifted.
//!
//! Decisions:
//! - Freezes on the same scope do not replace each other: two operators who stop the same goal have
//!   two reasons, and each reason needs its own lift.
//! - Stopped attempts are `released` and not `cancelled`, because neither they nor their task
//!   failed. Like any ended attempt they get `lease_lost`; `frozen` is for attempts that may go on
//!   after the lift.
//! - An attempt with a lost lease may complete as long as no other has its task, but not under a
//!   `stop`.
//! - Deadlines of tasks continue under a freeze: they are promises to people, who keep waiting.
//! - People may decide, edit and cancel frozen work.

pub mod views;

use serde_json::json;
use uuid::Uuid;

use super::{
    App, Result, Unit,
    attempts::end::{End, end},
    caller::{Caller as _, OperatorCaller, ReaderCaller},
    unit::{
        idempotency::{Outcome, Request},
        locks::{self, Locked},
    },
};
use crate::{
    domain::{
        freeze::{self, FreezeScope},
        ids::{AgentId, AttemptId, FreezeId, GoalId, TaskId},
        journal::{Kind, NewRow},
        refusal::Refusal,
        task::{AttemptFacts, TaskFacts},
    },
    store::{self, Hold, Tx},
};

pub use crate::store::freezes::read::FreezeFilter;
pub use views::{Freeze, FreezeDetail, Lift, NewFreeze};

/// Maximum number of stopped attempts in an answer.
const LISTED: i64 = 200;

impl App {
    /// Sets a freeze, and with mode `stop` ends the running attempts under it.
    ///
    /// # Errors
    /// `invalid`; `not_found` if the scope does not exist.
    pub async fn set_freeze(
        &self,
        caller: &OperatorCaller,
        new: &NewFreeze,
        request: Option<&Request>,
    ) -> Result<Outcome<FreezeDetail>> {
        let principal = caller.principal();
        let scope_id = new.check(principal.workspace)?;
        self.create(principal, request, Hold::Alone, async |unit| {
            if let Some(id) = scope_id
                && !store::freezes::scope_exists(unit.tx(), new.scope, id).await?
            {
                return Err(Refusal::not_found(new.scope.as_str()).into());
            }
            let freeze = set(unit, new, scope_id).await?;
            read(unit.tx(), freeze).await
        })
        .await
    }

    /// Lifts one freeze. Lifting a lifted freeze changes nothing.
    ///
    /// # Errors
    /// `not_found`, `invalid`.
    pub async fn lift_freeze(
        &self,
        caller: &OperatorCaller,
        freeze: FreezeId,
        lift: &Lift,
    ) -> Result<FreezeDetail> {
        lift.check()?;
        let principal = caller.principal();
        let mut unit = self.begin_alone(principal.workspace, principal.actor()).await?;
        let actor = unit.actor();
        let before = read(unit.tx(), freeze).await?.freeze;
        let generation = store::freezes::lift(unit.tx(), freeze, actor, &lift.reason).await?;
        let lifted = read(unit.tx(), freeze).await?;
        if generation.is_some() {
            let event = event(Kind::FreezeLifted, &lifted.freeze, &lift.reason);
            unit.record(event.before(&before).after(&lifted.freeze));
        }
        self.commit(unit).await?;
        Ok(lifted)
    }

    /// Reads one freeze, with its stopped attempts.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get_freeze(
        &self,
        caller: &ReaderCaller,
        freeze: FreezeId,
    ) -> Result<FreezeDetail> {
        read(&mut self.reader(caller.principal().workspace).await?, freeze).await
    }

    /// Up to `rows` freezes after `after`, newest first.
    pub async fn list_freezes(
        &self,
        caller: &ReaderCaller,
        filter: FreezeFilter,
        after: Option<FreezeId>,
        rows: u32,
    ) -> Result<Vec<Freeze>> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        let rows = store::freezes::read::list(&mut tx, filter, after, rows.into()).await?;
        Ok(rows.into_iter().map(Freeze::from).collect())
    }
}

async fn read(tx: &mut Tx, freeze: FreezeId) -> Result<FreezeDetail> {
    let filter = FreezeFilter { freeze: Some(freeze), ..FreezeFilter::default() };
    let found = store::freezes::read::list(tx, filter, None, 1).await?.pop();
    let row = found.ok_or_else(|| Refusal::not_found("freeze"))?;
    let stopped = store::freezes::read::stopped(tx, freeze, LISTED).await?;
    Ok(FreezeDetail { freeze: row.into(), stopped: stopped.into_iter().map(Into::into).collect() })
}

/// Sets a checked freeze; the unit holds the workspace exclusively.
pub(super) async fn set(
    unit: &mut Unit,
    new: &NewFreeze,
    scope_id: Option<Uuid>,
) -> Result<FreezeId> {
    let freeze: FreezeId = unit.id();
    let row = store::freezes::NewFreeze {
        freeze_id: freeze,
        scope: new.scope,
        scope_id,
        capability: new.capability.as_deref(),
        mode: new.mode,
        reason: &new.reason,
        set_by: unit.actor(),
    };
    store::freezes::insert(unit.tx(), &row).await?;
    if new.mode.ends_attempts() {
        stop(unit, freeze, &new.reason).await?;
    }
    let filter = FreezeFilter { freeze: Some(freeze), ..FreezeFilter::default() };
    let rows = store::freezes::read::list(unit.tx(), filter, None, 1).await?;
    for row in rows {
        let made: Freeze = row.into();
        unit.record(event(Kind::FreezeSet, &made, &new.reason).after(&made));
    }
    Ok(freeze)
}

/// The event of a freeze, with the id of its scope.
fn event(kind: Kind, freeze: &Freeze, reason: &str) -> NewRow {
    let event = NewRow::new(kind).data(json!({
        "freeze_id": freeze.id, "scope": freeze.scope, "scope_id": freeze.scope_id,
        "capability": freeze.capability, "mode": freeze.mode, "generation": freeze.generation,
        "stopped_attempts": freeze.stopped_attempts,
        "reason": reason.chars().take(300).collect::<String>(),
    }));
    match (freeze.scope, freeze.scope_id) {
        (FreezeScope::Goal, Some(id)) => event.goal(GoalId(id)),
        (FreezeScope::Task, Some(id)) => event.task(TaskId(id)),
        (FreezeScope::Agent, Some(id)) => event.agent(AgentId(id)),
        (FreezeScope::Workspace | FreezeScope::Project | FreezeScope::Capability, _)
        | (FreezeScope::Goal | FreezeScope::Task | FreezeScope::Agent, None) => event,
    }
}

/// An attempt to be stopped, with its task.
struct Stopped {
    attempt: AttemptFacts,
    task: TaskFacts,
}

/// Ends every running attempt under a freeze.
async fn stop(unit: &mut Unit, freeze: FreezeId, reason: &str) -> Result<()> {
    let stopped = hold(unit, freeze).await?;
    if stopped.is_empty() {
        return Ok(());
    }
    let now = unit.now();
    let ids: Vec<AttemptId> = stopped.iter().map(|stopped| stopped.attempt.attempt_id).collect();
    store::freezes::note_stopped(unit.tx(), freeze, &ids).await?;
    let message = match reason {
        "" => "stopped by an operator".to_owned(),
        reason => format!("stopped by an operator: {reason}"),
    };
    let ends = stopped.iter().map(|Stopped { attempt, task }| {
        End::new(attempt, task.clone(), freeze::stopped(task, now), message.clone())
    });
    end(unit, ends.collect(), Vec::new()).await
}

/// Locks the goals, tasks and running attempts under a freeze. Heartbeats continue meanwhile; the
/// fields that only they change may be outdated.
async fn hold(unit: &mut Unit, freeze: FreezeId) -> Result<Vec<Stopped>> {
    let places = store::freezes::running_under(unit.tx(), freeze).await?;
    let Locked { goals: _, tasks, mut attempts } = locks::of_attempts(unit, &places).await?;
    let stopped = tasks.into_values().filter_map(|task| {
        let attempt = attempts.remove(&task.current_attempt?)?;
        Some(Stopped { attempt, task })
    });
    Ok(stopped.collect())
}
