//! Everything that a task may wait for, read in one snapshot.

use uuid::Uuid;

use super::{
    deferral,
    fleet::{Fleet, Shown},
    sight::Sight,
};
use crate::{
    app::{
        Result,
        attention::{items, nobody, ready_made},
        error::corrupt,
        spend::waits,
    },
    domain::{
        access::{person::Person, scope::Scope},
        explain::{
            answer::{NAMED, OpenApproval, QueuePlace, TaskAhead},
            fleet::FleetAgent,
            request,
            task::{
                gates,
                situation::{Holding, Question, Situation, Unpriced, UsedRate},
            },
        },
        ids::{ApprovalId, GoalId, TaskId},
        policy::{PolicySpec, StagePosition},
        price::wait::named,
        refusal::Refusal,
        routing::{assign::Facts, beliefs::Beliefs},
        states::TaskState,
        task::{self, claim, claim::Keeping},
    },
    store::{
        self, Tx,
        attempts::claim::{Lookers, SearchBounds},
        attention::{AskedOf, AwaitedModel},
        explain::task::Around,
        tasks::list::TaskRow,
    },
};

/// Most tasks that are looked at for the place in the order.
const LOOKED_AT: i64 = 500;
/// Tasks ahead that are named.
const AHEAD: usize = 5;

/// As whom a task is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look<'a> {
    /// What the caller sees.
    pub sight: Sight<'a>,
    /// What is believed of the agents.
    pub beliefs: &'a Beliefs,
}

/// The first search of a claim.
pub(super) const fn bounds(wanted: i64) -> SearchBounds {
    SearchBounds { wanted, slack: 0, from: GoalId(Uuid::nil()) }
}

impl Look<'_> {
    /// Reads everything that a task may wait for.
    pub async fn at(self, tx: &mut Tx, id: TaskId) -> Result<Situation> {
        let row = store::tasks::list::list(tx, &[id]).await?.pop();
        let around = store::explain::task::around(tx, id).await?;
        let (Some(row), Some(around)) = (row, around) else {
            return Err(Refusal::not_found("task").into());
        };
        let mut found = situation(tx, &row, &around);
        match row.state {
            TaskState::Done | TaskState::Failed => return Ok(found),
            TaskState::Cancelled => {
                found.failed_first = store::explain::task::failed_first(tx, id).await?;
                return Ok(found);
            }
            TaskState::Waiting | TaskState::Running | TaskState::Parked => {
                let blocked = row.needs_unmet > 0 || row.children_open > 0;
                if blocked {
                    let most = i64::try_from(NAMED).unwrap_or_default();
                    let (roots, count) = store::explain::task::roots(tx, id, most).await?;
                    (found.roots, found.blocked_by) = (roots, count);
                }
            }
            TaskState::Ready | TaskState::Reviewing => {}
        }
        found.freezes = store::explain::task::freezes(tx, id).await?;
        found.models = models(tx, &row).await?;
        if let Some(approval) = around.approval_id {
            found.question = question(tx, self.sight.scope, approval).await?;
        }
        if let Some(wait) = row.waits_for_budget.map(|wait| wait.0) {
            let shown = Shown::of_limits(tx, self.sight, &[wait.limit_id]).await?;
            found.limits = shown.waited_for(wait).into_iter().collect();
            if found.limits.is_empty() {
                // Its increase is not needed now.
                found.question = None;
            }
        }
        if row.state == TaskState::Ready {
            self.ready(tx, &mut found, &around).await?;
        }
        Ok(found)
    }

    /// What keeps a ready task from being claimed.
    async fn ready(self, tx: &mut Tx, found: &mut Situation, around: &Around) -> Result<()> {
        let (id, goal) = (found.task_id, found.goal_id);
        if around.gated {
            found.gates =
                gates::within(self.sight.scope, store::explain::task::gates(tx, id).await?);
        }
        let now = tx.now;
        let rates = store::explain::task::rates(tx, &found.needed()).await?;
        let used = rates.into_iter().filter(|(_, pace)| pace.free(now) == 0);
        let used = used.map(|(capability, pace)| UsedRate { capability, free_at: pace.free_at() });
        found.rates = used.collect();
        let mut fleet = Fleet::read(tx, self.sight, &found.required).await?;
        let needed = found.needed();
        found.limits = fleet.measure(tx, self.sight, (id, goal), &needed, &found.keeping).await?;
        found.fleet = std::mem::take(&mut fleet.agents);
        let free = |agent: &&FleetAgent| found.hindrance(agent).is_none();
        let able = |agent: &&FleetAgent| found.admits(agent);
        let as_whom = found.fleet.iter().find(free).or_else(|| found.fleet.iter().find(able));
        let place = match as_whom {
            Some(agent) => self.place(tx, id, agent).await?,
            None => None,
        };
        let askers = found.fleet.iter().filter(free);
        let askers: Vec<_> = askers.filter_map(|one| fleet.claimers.get(&one.agent_id)).collect();
        let more = place.as_ref().is_none_or(|place| place.at_least);
        found.place = place;
        // Where more is ready than a search looks at, nothing is left for others.
        if !more {
            let facts = Facts {
                task: id,
                goal,
                started: around.attempts_started,
                ready_from: found.ready_from,
            };
            let candidates = [(facts, needed, found.keeping.clone())];
            let left =
                deferral::left_for(tx, self.beliefs, &askers, &candidates, &found.fleet).await?;
            found.left_for = left;
        }
        Ok(())
    }

    /// The place of a task among those that an agent would be given; `None`: the search leaves it out.
    async fn place(
        self,
        tx: &mut Tx,
        task: TaskId,
        agent: &FleetAgent,
    ) -> Result<Option<QueuePlace>> {
        let agents = [agent.agent_id];
        let lookers = Lookers { able: &agent.capabilities, agents: &agents };
        let looked = store::attempts::claim::look_ready(tx, lookers, bounds(LOOKED_AT)).await?;
        let more = looked.first().is_some_and(|first| first.more);
        let own = looked.iter().position(|one| one.task_id == task);
        if own.is_none() && !more {
            return Ok(None);
        }
        let ahead = own.unwrap_or(looked.len());
        let seen = looked[..ahead].iter().filter(|one| self.sight.scope.sees(one.project_id));
        let first = seen.take(AHEAD).map(|one| TaskAhead {
            task_id: one.task_id,
            r#ref: one.reference.clone(),
            title: one.title.clone(),
            goal_id: one.goal_id,
            goal_title: one.goal_title.clone(),
            turn: one.turn,
            rank: one.claim_rank,
        });
        Ok(Some(QueuePlace {
            agent_id: agent.agent_id,
            ahead: i64::try_from(ahead).unwrap_or(i64::MAX),
            at_least: own.is_none(),
            first: first.collect(),
            turn: own.map(|own| looked[own].turn),
            rank: own.map(|own| looked[own].claim_rank),
        }))
    }
}

fn situation(tx: &Tx, row: &TaskRow, around: &Around) -> Situation {
    let holding = match (around.attempt_id, around.started_at, around.lease_expires_at) {
        (Some(attempt_id), Some(since), Some(lease_expires_at)) => Some(Holding {
            attempt_id,
            agent_id: around.agent_id,
            agent_name: around.agent_name.clone(),
            held_by_key: around.held_by_key,
            since,
            lease_expires_at,
        }),
        (_, _, _) => None,
    };
    Situation {
        now: tx.now,
        task_id: row.task_id,
        goal_id: row.goal_id,
        goal_state: around.goal_state,
        start_at: around.start_at,
        state: row.state,
        container: row.container,
        required: claim::capabilities(&row.capability_key),
        keeping: Keeping::of(row.assigned_agent_id, row.barred_agent_id)
            .except(around.may_not.clone()),
        offered_capability: around.offered_capability.clone(),
        offer_until: row.offer_until,
        other_owner: around.other_owner,
        ready_from: row.ready_from,
        not_before: around.not_before,
        needs_unmet: row.needs_unmet,
        children_open: row.children_open,
        attempts_used: row.attempts_used,
        max_attempts: row.max_attempts,
        failure_class: row.failure_class,
        quarantined: task::quarantined(row.failure_class, row.lost_in_row),
        end_reason: row.end_reason.clone(),
        oversized: row.oversized_at.is_some(),
        cancel_by: around.cancel_by,
        holding,
        question: None,
        roots: Vec::new(),
        blocked_by: 0,
        root: None,
        failed_first: None,
        freezes: Vec::new(),
        models: Vec::new(),
        gates: Vec::new(),
        rates: Vec::new(),
        limits: Vec::new(),
        fleet: Vec::new(),
        left_for: None,
        place: None,
    }
}

/// The models without a price that a task waits for, each with the request that adds it.
async fn models(tx: &mut Tx, row: &TaskRow) -> Result<Vec<Unpriced>> {
    let waiting = &row.waits_for_prices.0;
    let models = waiting.iter().map(|wait| (wait.provider.clone(), wait.model.clone())).collect();
    let lacks = waits::lacks(tx, models).await?;
    let unpriced = waiting.iter().zip(&lacks).map(|(wait, lack)| {
        let awaited = AwaitedModel {
            id: Uuid::nil(),
            provider: wait.provider.clone(),
            model: wait.model.clone(),
            waiting: 1,
            ended: 0,
            since: wait.since,
            task_id: row.task_id,
            goal_id: row.goal_id,
        };
        let action = items::unpriced(awaited, lack).action;
        let model = named(wait.provider.as_deref(), &wait.model);
        Unpriced { model, add: request::post(action.path, action.body, action.what) }
    });
    Ok(unpriced.collect())
}

/// A pending approval, who may decide it, and the ready-made decision. `None`: it is decided, or raises a limit and was
/// asked for in a project that the caller does not see.
async fn question(tx: &mut Tx, scope: &Scope, approval: ApprovalId) -> Result<Option<Question>> {
    let Some((pending, expires_at)) = store::explain::task::pending(tx, approval).await? else {
        return Ok(None);
    };
    let asked = store::attention::asked_of(tx, &[approval]).await?.pop();
    if asked.as_ref().is_some_and(|asked| !scope.sees(asked.project_id)) {
        return Ok(None);
    }
    let keys = store::authority::deciders(tx).await?;
    let (mut body, mut what) = {
        let (body, what) = ready_made::ready_made(&pending);
        (body, what.to_owned())
    };
    let (mut deciders, mut nobody_may_decide) = (Vec::new(), false);
    if let Some(asked) = asked {
        nobody_may_decide = !nobody::decidable(&asked, &keys)?;
        deciders = who(&asked, &store::authority::within(&keys, asked.project_id))?;
    }
    if nobody_may_decide {
        body["nobody_else"] = serde_json::json!(true);
        what.push_str(" Only with the key of an admin.");
    }
    let decision = request::post(format!("/v1/approvals/{approval}/decide"), body, what);
    let approval = OpenApproval {
        approval_id: approval,
        kind: pending.kind,
        title: pending.title,
        deciders,
        nobody_may_decide,
        expires_at,
    };
    Ok(Some(Question { approval, decision }))
}

/// Persons who may decide an approval now.
fn who(
    asked: &AskedOf,
    keys: &[crate::domain::approval::excluded::Decider],
) -> Result<Vec<Person>> {
    let AskedOf { approval_id: _, project_id: _, excluded, policy, stage, escalation } = asked;
    let excluded = &excluded.0;
    let spec: Option<PolicySpec> =
        policy.clone().map(serde_json::from_value).transpose().map_err(corrupt)?;
    let place = StagePosition { stage: *stage, escalation: *escalation };
    let is_out = |person: &Person| {
        excluded.iter().any(|one| one.person.as_ref() == Some(person))
            && !spec.as_ref().is_some_and(|spec| spec.allow_self)
    };
    let approvers = spec.as_ref().map_or(&[][..], |spec| spec.approvers(place).0);
    let mut persons: Vec<Person> = if approvers.is_empty() {
        let able = keys.iter().filter(|key| !excluded.iter().any(|one| one.is(key)));
        able.filter_map(|key| key.person.clone()).collect()
    } else {
        approvers.iter().filter(|person| !is_out(person)).cloned().collect()
    };
    persons.sort_unstable();
    persons.dedup();
    persons.truncate(NAMED);
    Ok(persons)
}
