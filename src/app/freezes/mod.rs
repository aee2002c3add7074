//! Freezes: an operator stops a scope, and lifts that again.
//!
//! Setting and lifting hold the workspace alone for a moment, so there is an exact cut through
//! everything that agents do: what was under way has ended before, what comes after is judged by what is
//! frozen then. A `stop` ends the attempts under it in the same transaction, so with its answer no lease
//! is left that could be used, and the answer says whose they were. Their tasks may be claimed again
//! after the last freeze over them is lifted, without a lost try, and what they had set aside goes back.
//!
//! A freeze is state in the database and no message: nobody has to have heard of it, and a restart
//! changes nothing. Agents at work hear of it with their next heartbeat, claims that wait are called when
//! it is lifted.
//!
//! Decisions:
//! - Freezes on the same scope do not replace each other. Two operators who stop the same goal have two
//!   reasons, and when one of these is gone the other is not.
//! - Stopped attempts are `released` and not `cancelled`: nothing was wrong with them or their task. As
//!   any other that was ended they get `lease_lost`; `frozen` is for those who may go on after the lift.
//! - An attempt that lost its lease may complete as long as nobody else has its task; under a `stop` it
//!   may not.
//! - Deadlines of tasks run on under a freeze: they are promises to people, who did not stop waiting.
//! - People may decide, edit and cancel what is frozen.

pub mod views;

use serde_json::json;
use uuid::Uuid;

use super::{
    App, Result, Unit,
    attempts::end::{End, end},
    caller::{Caller as _, OperatorCaller, ReaderCaller},
    unit::{
        idempotency::{self, Outcome, Request},
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
    store::{self, Tx},
};

pub use crate::store::freezes::read::FreezeFilter;
pub use views::{Freeze, FreezeDetail, Lift, NewFreeze};

/// Most stopped attempts that an answer lists.
const LISTED: i64 = 200;

impl App {
    /// Sets a freeze, and ends what runs under it if it is a `stop`.
    ///
    /// # Errors
    /// `invalid`; `not_found` when there is no such thing to freeze.
    pub async fn set_freeze(
        &self,
        caller: &OperatorCaller,
        new: &NewFreeze,
        request: Option<&Request>,
    ) -> Result<Outcome<FreezeDetail>> {
        let principal = caller.principal();
        let scope_id = new.check(principal.workspace)?;
        let mut unit = self.begin_alone(principal.workspace, principal.actor()).await?;
        let work = async |unit: &mut Unit| {
            if let Some(freeze) = idempotency::replay(unit, principal, request).await? {
                return Ok(Outcome::replayed(freeze));
            }
            if let Some(id) = scope_id
                && !store::freezes::scope_exists(unit.tx(), new.scope, id).await?
            {
                return Err(Refusal::not_found(new.scope.as_str()).into());
            }
            let freeze = set(unit, new, scope_id).await?;
            let freeze = read(unit.tx(), freeze).await?;
            idempotency::store(unit, principal, request, &freeze).await?;
            Ok(Outcome::fresh(freeze))
        };
        let outcome = work(&mut unit).await;
        self.conclude(unit, outcome).await
    }

    /// Lifts a freeze, and no other. Lifting a lifted freeze changes nothing.
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

    /// One freeze, with what it stopped.
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

/// Sets a freeze that was checked; the unit holds the workspace alone.
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

/// The event of a freeze, about what it is over.
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

/// An attempt that is ended by a freeze, with its task.
struct Stopped {
    attempt: AttemptFacts,
    task: TaskFacts,
}

/// Ends every attempt that runs under a freeze.
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

/// Locks what runs under a freeze: goals, tasks, attempts. Heartbeats go on beside this, and what
/// nothing but they touch stays as it was found.
async fn hold(unit: &mut Unit, freeze: FreezeId) -> Result<Vec<Stopped>> {
    let places = store::freezes::running_under(unit.tx(), freeze).await?;
    let Locked { goals: _, tasks, mut attempts } = locks::of_attempts(unit, &places).await?;
    let stopped = tasks.into_values().filter_map(|task| {
        let attempt = attempts.remove(&task.current_attempt?)?;
        Some(Stopped { attempt, task })
    });
    Ok(stopped.collect())
}
