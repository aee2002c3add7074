//! Everything that an agent may lack, read in one snapshot.

use super::{
    deferral, first_cause,
    fleet::{Fleet, Shown},
    task::{Look, bounds},
};
use crate::{
    app::{Result, budgets::reserve::Funds},
    domain::{
        explain::{
            agent::{AgentSituation, KeptTask},
            answer::LackingLimit,
            fleet::FleetAgent,
        },
        ids::{AgentId, GoalId, TaskId},
        refusal::Refusal,
        routing::assign::Facts,
        states::AgentState,
        task::claim::Keeping,
    },
    store::{
        self, Tx,
        attempts::claim::{FoundTask, Lookers},
        explain::agents::{AgentRow, WithinRow},
    },
};

/// Most ready tasks that are looked at as if the agent asked for them.
const LOOKED_AT: i64 = 20;

/// Reads everything that an agent may lack.
pub(super) async fn at(tx: &mut Tx, look: Look<'_>, id: AgentId) -> Result<AgentSituation> {
    let row = store::explain::agents::agent(tx, id).await?;
    let row = row.ok_or_else(|| Refusal::not_found("agent"))?;
    let mut fleet = Fleet::read_one(tx, look.sight, id).await?;
    let found = fleet.agents.iter().position(|agent| agent.agent_id == id);
    let Some(index) = found.filter(|_| !row.archived && row.state != AgentState::Retired) else {
        return Ok(out_of_service(id, row));
    };
    let agent = fleet.agents[index].clone();
    let wanted = store::explain::agents::wanted(tx).await?;
    let mut at = AgentSituation { wanted, ..blank(agent) };
    if at.wanted.is_empty() {
        return Ok(at);
    }
    let agents = [id];
    let lookers = Lookers { able: &at.agent.capabilities, agents: &agents };
    let ready = store::attempts::claim::look_ready(tx, lookers, bounds(LOOKED_AT)).await?;
    at.found = ready.len();
    if ready.is_empty() {
        for row in store::explain::agents::within(tx, id, &at.agent.capabilities).await? {
            if is_kept(&at.agent, &row) {
                let WithinRow { task, to, own_check } = row;
                at.excluded.push(KeptTask { task, to, own_check });
            } else {
                at.blocked.push(row.task);
            }
        }
        if let Some(first) = at.blocked.first().map(|first| first.task_id) {
            at.first_waits = first_cause(&look.at(tx, first).await?);
        }
        return Ok(at);
    }
    at.agent.quota_until = quota(tx, &fleet, id, &ready).await?;
    at.short = short(tx, look, id, &ready).await?;
    let all = ready.first().is_some_and(|first| !first.more);
    if let (true, Some(claimer)) = (all, fleet.claimers.get(&id)) {
        let candidates: Vec<_> = ready
            .iter()
            .map(|task| {
                let facts = Facts {
                    task: task.task_id,
                    goal: task.goal_id,
                    started: task.attempts_started,
                    ready_from: task.ready_from,
                };
                // The search found it for this agent.
                (facts, task.required.clone(), Keeping::Anybody)
            })
            .collect();
        let others = std::mem::take(&mut fleet.agents);
        at.left_for =
            deferral::left_for(tx, look.beliefs, &[claimer], &candidates, &others).await?;
    }
    Ok(at)
}

/// Whether a task is kept from an agent that is able to do it.
fn is_kept(agent: &FleetAgent, row: &WithinRow) -> bool {
    let WithinRow { task: _, to, own_check } = row;
    let lacks = to.capability.as_ref().is_some_and(|name| !agent.capabilities.contains(name));
    *own_check || lacks || !Keeping::of(to.agent_id, to.except_agent_id).admits(agent.agent_id)
}

/// When the windows that none of the tasks fits in have ended for the first of them; `None`: one fits.
async fn quota(
    tx: &mut Tx,
    fleet: &Fleet,
    agent: AgentId,
    ready: &[FoundTask],
) -> Result<Option<chrono::DateTime<chrono::Utc>>> {
    let windows = fleet.windows(tx).await?;
    if windows.is_empty() {
        return Ok(None);
    }
    let tasks: Vec<TaskId> = ready.iter().map(|task| task.task_id).collect();
    let estimates = store::quota_windows::estimates(tx, &tasks).await?;
    let now = tx.now;
    let until =
        tasks.iter().map(|task| fleet.quota_until(&windows, agent, estimates.get(task), now));
    let until: Option<Vec<_>> = until.collect();
    Ok(until.and_then(|all| all.into_iter().min()))
}

/// The limits that are short for the first task if none of the tasks can be paid for; empty: one can.
async fn short(
    tx: &mut Tx,
    look: Look<'_>,
    agent: AgentId,
    ready: &[FoundTask],
) -> Result<Vec<LackingLimit>> {
    let tasks: Vec<(TaskId, GoalId)> =
        ready.iter().map(|task| (task.task_id, task.goal_id)).collect();
    let Some(funds) = Funds::look(tx, &tasks, &[agent]).await? else { return Ok(Vec::new()) };
    let mut first = None;
    for task in tasks {
        let lacks = funds.lacks(tx.workspace, task, Some(agent));
        if lacks.is_empty() {
            return Ok(Vec::new());
        }
        first.get_or_insert(lacks);
    }
    let first = first.unwrap_or_default();
    Ok(Shown::read(tx, look.sight, first.iter()).await?.of(&first))
}

fn blank(agent: FleetAgent) -> AgentSituation {
    AgentSituation {
        agent,
        archived: false,
        wanted: Vec::new(),
        found: 0,
        excluded: Vec::new(),
        blocked: Vec::new(),
        first_waits: None,
        short: Vec::new(),
        left_for: None,
    }
}

/// An agent that is retired or archived: nothing else matters.
fn out_of_service(agent_id: AgentId, row: AgentRow) -> AgentSituation {
    let AgentRow { name, version, state, archived } = row;
    let agent = FleetAgent {
        agent_id,
        name,
        version,
        capabilities: Vec::new(),
        state,
        heard: true,
        freeze: None,
        has_key: true,
        free_slots: 0,
        held_until: None,
        rate_limited: false,
        quota_until: None,
        oldest: None,
        short: Vec::new(),
    };
    AgentSituation { archived, ..blank(agent) }
}
