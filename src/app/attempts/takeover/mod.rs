//! Reassignment and takeover: an operator takes a task from its holder.
//!
//! The running attempt ends in the same transaction. From then on its holder can write only late
//! spend; everything else is refused with `lease_lost`. The attempt is `released`: it does not
//! count, and its reservation is returned. The next attempt has the next number and gets everything
//! a claim hands over: checkpoint, earlier attempts, decisions.
//!
//! **Reassignment.** The task is offered again at once, either to one named agent or to all agents
//! except the last holder. A task that waits because it was released again and again is offered at
//! once too, and so is one that waits for its division. The assignment is stored on the task until its next attempt starts, also while the task
//! waits; later retries are open to every agent again. Retiring the named agent
//! removes it. An agent that is busy, paused, frozen or has lost a required capability keeps the
//! assignment: an operator who does not want to wait reassigns again. A check is not directed to an agent that may not
//! do it ([`independence`]), and not taken over by a person who may not.
//!
//! An attempt whose lease had ended before may complete the task no longer.
//!
//! **Takeover.** A new attempt starts at once, and the answer is its claim. Its holder is the
//! operator's key: no other key may write to the attempt, and this key may write to no other
//! holder's attempt. The person completes, fails or releases it by the same routes as an agent,
//! under its lease. The lease is long, and the task's limit on the length of an attempt does not
//! apply; a lease that ends loses the attempt like any other. Its spend is charged to the task,
//! goal, project and workspace, but to no agent.
//!
//! A takeover ends the task's waits for prices: a person works without the model, or decides to use it.
//! What was used before keeps its tokens without money until an operator has it rated.
//!
//! Under a freeze a task can be reassigned, because that starts nothing, but not taken over.

pub mod views;

use std::{slice, time::Duration};

use serde_json::json;

use super::{
    claim::answer::{Claim, claims},
    end::{End, end},
    start::{Started, begun, new_attempt},
};
use crate::{
    app::{
        App, Error, Result, Unit,
        approvals::ask,
        budgets::{reserve::Funds, shortage::exhausted, windows::LockMode},
        caller::{Caller as _, OperatorCaller, ProjectOperatorCaller},
        gates::{self, Gates},
        tasks::{
            cascade,
            change::Change,
            detail::{self, TaskDetail},
        },
        unit::{
            idempotency::{Outcome, Request},
            locks::{find, lock_goal_of, locked},
        },
    },
    domain::{
        gate::resource::Touch,
        ids::{AgentId, AttemptId, GoalId, TaskId},
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
        settings,
        states::AgentState,
        task::{
            AttemptFacts, Next, TaskFacts,
            claim::{Funding, Keeping},
            holder::Holder,
            independence::{self, Relation},
            lease::LeaseTerms,
            takeover::{self, Taking},
        },
    },
    store::{self, Hold, attempts::claim::ReadyTask},
};

pub use views::{ReassignRequest, TakeoverRequest};

impl App {
    /// Reassigns a task to one agent, or to every agent except its holder.
    ///
    /// # Errors
    /// `not_found`, `invalid`, `task_ended`, `goal_ended`, `wrong_state`, `precondition_failed`.
    pub async fn reassign_task(
        &self,
        caller: &ProjectOperatorCaller,
        task: TaskId,
        request: &ReassignRequest,
    ) -> Result<TaskDetail> {
        request.check()?;
        let principal = caller.principal();
        self.see_task(principal, task).await?;
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let facts = hold(&mut unit, task, request.attempt_id).await?;
        reassign_in(&mut unit, facts, request.agent_id, &request.reason).await?;
        let task = detail::read(unit.tx(), task).await?;
        self.commit(unit).await?;
        Ok(task)
    }

    /// Takes a task over: starts its next attempt, held by the caller.
    ///
    /// # Errors
    /// `not_found`, `invalid`, `task_ended`, `goal_ended`, `wrong_state`, `frozen`,
    /// `budget_exhausted`, `precondition_failed`, `separation_of_duties`.
    pub async fn take_over_task(
        &self,
        caller: &OperatorCaller,
        task: TaskId,
        asked: &TakeoverRequest,
        request: Option<&Request>,
    ) -> Result<Outcome<Claim>> {
        let principal = caller.principal();
        let mut taken = self
            .create(principal, request, Hold::Share, async |unit| {
                asked.check()?;
                let facts = hold(unit, task, asked.attempt_id).await?;
                take_over(unit, facts, Holder::Key(principal.key), asked).await
            })
            .await?;
        self.attach_lessons(principal.workspace, slice::from_mut(&mut taken.value)).await;
        Ok(taken)
    }
}

/// Locks a task and its goal, which must be planning, active or verifying. `seen`: the attempt that must be the current
/// one.
pub(super) async fn hold(
    unit: &mut Unit,
    task: TaskId,
    seen: Option<AttemptId>,
) -> Result<TaskFacts> {
    let goal = lock_goal_of(unit, task).await?;
    let facts = store::tasks::lock(unit.tx(), &[task]).await?;
    let facts = facts.into_iter().next().ok_or_else(|| Refusal::not_found("task"))?;
    if !goal.state.has_attempts() && !facts.state.is_terminal() {
        return Err(Refusal::new(Code::GoalEnded, format!("the goal is {}", goal.state)).into());
    }
    if seen.is_some_and(|seen| facts.current_attempt != Some(seen)) {
        let detail = "another attempt has the task by now; read it again and decide anew";
        return Err(Refusal::new(Code::PreconditionFailed, detail).into());
    }
    Ok(facts)
}

/// Reassigns a task to `to`, or to every agent except its holder. The caller holds the locks of the
/// task and its goal, and no lock of an attempt.
///
/// # Errors
/// `task_ended`, `wrong_state`; `invalid` at `/agent_id` for an agent that cannot or may not do the task.
pub(in crate::app) async fn reassign_in(
    unit: &mut Unit,
    task: TaskFacts,
    to: Option<AgentId>,
    reason: &str,
) -> Result<()> {
    let oversized = store::tasks::split::is_oversized(unit.tx(), task.task_id).await?;
    let taking = takeover::reassign(&task, oversized)?;
    check_able(unit, task.task_id, to, "/agent_id").await?;
    let (id, goal) = (task.task_id, task.goal_id);
    let (from, ended) = match taking {
        Taking::Revoke => {
            let taken = revoke(unit, task, "reassigned", reason).await?;
            (Some(taken.holder), Some(taken.attempt_id))
        }
        Taking::Offer => {
            let last = last_holder(unit, &task).await?;
            let change = Change {
                released_in_row: 0,
                ..Change::of_task(task, Next::Retry(unit.now()), None)
            };
            cascade::apply(unit, vec![change]).await?;
            (last, None)
        }
        Taking::Nothing | Taking::Withdraw => (None, None),
    };
    keep(unit, (id, goal), takeover::keeping(to, from), ended, reason).await
}

/// The holder of the last attempt of a task. The caller holds the lock of the task, and no lock of an
/// attempt.
async fn last_holder(unit: &mut Unit, task: &TaskFacts) -> Result<Option<Holder>> {
    let Some(attempt) = task.current_attempt else { return Ok(None) };
    let attempts = locked(unit, &[attempt]).await?;
    Ok(Some(find(&attempts, attempt)?.holder))
}

/// Assigns a returned task to `to`, or to every agent except `from`, the author of its rejected
/// result. The caller holds the locks of the task and its goal.
///
/// # Errors
/// `invalid` at `/choice/agent_id` for an agent that cannot or may not do the task.
pub(in crate::app) async fn keep_from(
    unit: &mut Unit,
    task: &TaskFacts,
    to: Option<AgentId>,
    from: Holder,
    reason: &str,
) -> Result<()> {
    check_able(unit, task.task_id, to, "/choice/agent_id").await?;
    let keeping = takeover::keeping(to, Some(from));
    keep(unit, (task.task_id, task.goal_id), keeping, None, reason).await
}

/// Bars the last holder of a task without a live attempt. The caller holds the lock of the task,
/// and no lock of an attempt.
pub(in crate::app) async fn bar_last(
    unit: &mut Unit,
    task: &TaskFacts,
    reason: &str,
) -> Result<()> {
    match last_holder(unit, task).await? {
        Some(holder) => keep_from(unit, task, None, holder, reason).await,
        None => Ok(()),
    }
}

/// Stores the assignment of the next attempt, and takes the task back from a lapsed one. The caller holds
/// the lock of the task.
async fn keep(
    unit: &mut Unit,
    (task, goal): (TaskId, GoalId),
    keeping: Keeping,
    ended: Option<AttemptId>,
    reason: &str,
) -> Result<()> {
    store::attempts::withdraw(unit.tx(), &[task]).await?;
    store::attempts::takeover::keep(unit.tx(), task, keeping.clone()).await?;
    let row = NewRow::new(Kind::TaskReassigned).goal(goal).task(task).agent(keeping.assigned());
    unit.record(row.data(json!({
        "agent_id": keeping.assigned(), "all_but_agent_id": keeping.barred(),
        "ended_attempt_id": ended, "reason": shortened(reason),
    })));
    Ok(())
}

/// Removes all assignments to an agent that is being retired or archived. No other unit of work runs in the
/// workspace meanwhile.
pub(in crate::app) async fn keep_no_more(unit: &mut Unit, agent: AgentId) -> Result<()> {
    let free = store::attempts::takeover::drop_kept_for(unit.tx(), agent).await?;
    for (task, goal) in free {
        let data = json!({"agent_id": null, "reason": "its agent was retired or archived"});
        unit.record(NewRow::new(Kind::TaskReassigned).goal(goal).task(task).data(data));
    }
    Ok(())
}

/// The agent cannot be retired or archived meanwhile: both lock the workspace.
pub(super) async fn check_able(
    unit: &mut Unit,
    task: TaskId,
    agent: Option<AgentId>,
    at: &str,
) -> Result<()> {
    let Some(agent) = agent else { return Ok(()) };
    let refuse = |detail: String| Err(Refusal::invalid_at(at, detail).into());
    let Some(assignee) = store::attempts::takeover::assignee(unit.tx(), task, agent).await? else {
        return refuse("there is no such agent".to_owned());
    };
    if assignee.archived {
        return refuse("the agent is archived".to_owned());
    }
    match assignee.state {
        AgentState::Retired => refuse("the agent is retired".to_owned()),
        AgentState::Active | AgentState::Paused | AgentState::Draining => {
            if !assignee.lacks.is_empty() {
                let lacks = assignee.lacks.join(", ");
                return refuse(format!("the agent cannot do what the task requires: {lacks}"));
            }
            let relation = Relation { barred: assignee.barred, author: assignee.author };
            Ok(independence::admit_agent(relation, at)?)
        }
    }
}

/// Ends the running attempt; the task is ready afterwards. Returns the attempt as it was.
async fn revoke(unit: &mut Unit, task: TaskFacts, how: &str, reason: &str) -> Result<AttemptFacts> {
    let now = unit.now();
    let id = task.current_attempt;
    let id = id.ok_or_else(|| Error::Corrupt("a running task without its attempt".into()))?;
    let attempts = locked(unit, &[id]).await?;
    let attempt = find(&attempts, id)?.clone();
    let ending = takeover::revoked(&task, now);
    let message = match reason {
        "" => format!("{how} by an operator"),
        reason => format!("{how} by an operator: {reason}"),
    };
    end(unit, vec![End::new(&attempt, task, ending, message)], Vec::new()).await?;
    Ok(attempt)
}

async fn take_over(
    unit: &mut Unit,
    task: TaskFacts,
    holder: Holder,
    asked: &TakeoverRequest,
) -> Result<Claim> {
    let (now, id) = (unit.now(), task.task_id);
    let waits = store::attempts::takeover::waits(unit.tx(), id).await?;
    let taking = takeover::take_over(&task, waits)?;
    refuse_own_check(unit, &task, holder).await?;
    refuse_frozen(unit, id).await?;
    store::spend::waits::forget_task(unit.tx(), id).await?;
    let held = match (taking, task.current_attempt) {
        (Taking::Revoke, Some(attempt)) => store::gates::held_by(unit.tx(), attempt).await?,
        (Taking::Revoke, None) | (Taking::Nothing | Taking::Offer | Taking::Withdraw, _) => {
            Vec::new()
        }
    };
    if taking == Taking::Revoke {
        // The end of the attempt settles budgets, and a claim locks what gates grant before them.
        Gates::open_with(unit, id, &held).await?;
    }
    let ended = match taking {
        Taking::Revoke => Some(revoke(unit, task, "taken over", &asked.reason).await?.attempt_id),
        Taking::Nothing => None,
        Taking::Offer | Taking::Withdraw => {
            if taking == Taking::Withdraw {
                ask::withdraw_questions(unit, &[id], "a person took the task over").await?;
            }
            let change = Change::of_task(task, Next::Retry(now), None);
            cascade::apply(unit, vec![change]).await?;
            None
        }
    };
    let claim = start(unit, id, holder, asked.lease_seconds, &held).await?;
    let data = json!({
        "attempt": claim.number, "ended_attempt_id": ended, "reason": shortened(&asked.reason),
    });
    let event = NewRow::new(Kind::TaskTakenOver).goal(claim.task.goal_id).task(id);
    unit.record(event.attempt(claim.attempt_id).data(data));
    Ok(claim)
}

/// Refuses a check to a person who could not complete it. Reads nothing without a check.
async fn refuse_own_check(unit: &mut Unit, task: &TaskFacts, holder: Holder) -> Result<()> {
    if task.checks.is_none() {
        return Ok(());
    }
    let barred = store::tasks::checks::barred(unit.tx(), &[(task.task_id, holder)]).await?;
    Ok(independence::admit_holder(!barred.is_empty())?)
}

async fn refuse_frozen(unit: &mut Unit, task: TaskId) -> Result<()> {
    match store::attempts::takeover::frozen(unit.tx(), task).await? {
        None => Ok(()),
        Some(mode) => {
            let detail = format!("the task is under a freeze ({mode}): nothing of it is begun");
            Err(Refusal::new(Code::Frozen, detail).into())
        }
    }
}

/// Starts an operator's attempt at a ready task, if budgets cover it and it gets its grants. `held`: the resources of the
/// attempt before it, which are passed on.
async fn start(
    unit: &mut Unit,
    task: TaskId,
    holder: Holder,
    lease_seconds: Option<u32>,
    held: &[Touch],
) -> Result<Claim> {
    let offered = store::attempts::takeover::offered(unit.tx(), task).await?;
    let timeout = settings::TAKEOVER_TIMEOUT.as_millis() as i64;
    let ready = [ReadyTask { attempt_timeout_ms: Some(timeout), ..offered }];
    let gates = if ready[0].gated || !held.is_empty() {
        Gates::open_with(unit, task, held).await?
    } else {
        Gates::default()
    };
    if let Some(obstacle) = gates.obstacle(task) {
        return Err(gates::held(&obstacle).into());
    }
    let mut funds = Funds::open(unit, &ready, &[], LockMode::Locked).await?;
    if let Some(funds) = &mut funds {
        match funds.fund(unit, &ready[0], None) {
            Funding::Granted => {}
            Funding::AgentShort | Funding::Short => {
                let short = funds.short().get(&task).map(Vec::as_slice).unwrap_or_default();
                return Err(exhausted(short));
            }
        }
    }
    let lease = lease_seconds.map_or(settings::TAKEOVER_LEASE, |s| Duration::from_secs(s.into()));
    // A person may be silent for longer than any agent; the longest lease of the workspace is for agents.
    let terms = LeaseTerms { asked: Some(lease), ..LeaseTerms::default() };
    let started = [new_attempt(unit, holder, terms, &ready[0])];
    unit.record(begun(&started[0].attempt));
    let row = [started[0].attempt.clone()];
    store::attempts::start(unit.tx(), &row).await?;
    gates.write(unit, started.iter().map(Started::pair)).await?;
    let mut found = claims(unit, &started).await?;
    if let Some(funds) = funds {
        funds.write(unit, started.iter().map(|new| &new.attempt)).await?;
    }
    found.remove(&task).ok_or_else(|| Error::Corrupt("a task that cannot be handed over".into()))
}

fn shortened(reason: &str) -> String {
    reason.chars().take(300).collect()
}
