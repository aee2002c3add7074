//! The agents as claims see them.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde_json::json;

use super::sight::Sight;
use crate::{
    app::{
        Result, attempts::claim::transaction::free_slots, budgets::reserve::Funds, error::corrupt,
    },
    domain::{
        attention::counted_on_since,
        budget::{self, BudgetNode, ledger::Shortage, shown::BudgetWait},
        explain::{answer::LackingLimit, fleet::FleetAgent, request},
        ids::{AgentId, GoalId, LimitId, TaskId},
        quota, settings,
        task::claim::{Keeping, covers},
    },
    store::{
        self, Tx,
        attempts::claim::Claimer,
        explain::task::BudgetOf,
        quota_windows::{QuotaFilter, QuotaRow},
    },
};

/// Most able agents that are looked at closely.
const CLOSELY: usize = 500;
/// Most able agents whose budgets are looked at.
const FUNDED: usize = 64;

/// The agents of a workspace, and those of them that claims were asked about.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    /// All agents that are not retired, by name.
    pub agents: Vec<FleetAgent>,
    /// The able ones as claims see them.
    pub claimers: HashMap<AgentId, Claimer>,
    /// Their accounts.
    accounts: HashMap<AgentId, String>,
}

impl Fleet {
    /// Reads the agents; closely those that are able.
    pub async fn read(tx: &mut Tx, sight: Sight<'_>, required: &[String]) -> Result<Self> {
        Self::read_some(tx, sight, |agent| covers(&agent.capabilities, required)).await
    }

    /// Reads the agents; closely one.
    pub async fn read_one(tx: &mut Tx, sight: Sight<'_>, agent: AgentId) -> Result<Self> {
        Self::read_some(tx, sight, |one| one.agent_id == agent).await
    }

    async fn read_some(
        tx: &mut Tx,
        sight: Sight<'_>,
        wanted: impl Fn(&store::attention::AbleAgent) -> bool,
    ) -> Result<Self> {
        let all = store::attention::fleet(tx).await?;
        let able: Vec<AgentId> = all
            .iter()
            .filter(|agent| wanted(agent))
            .map(|agent| agent.agent_id)
            .take(CLOSELY)
            .collect();
        let mut fleet = Self::default();
        let mut asides = HashMap::new();
        let mut freezes = HashMap::new();
        if !able.is_empty() {
            let claimers = store::attempts::claim::claimers(tx, &able).await?;
            if claimers.iter().any(|claimer| claimer.frozen) {
                freezes = store::explain::agents::freezes(tx, &able).await?.into_iter().collect();
            }
            fleet.claimers = claimers.into_iter().map(|one| (one.agent_id, one)).collect();
            let within = sight.scope.projects.as_deref();
            for row in store::explain::agents::aside(tx, &able, within).await? {
                if let Some(account) = &row.account {
                    fleet.accounts.insert(row.agent_id, account.clone());
                }
                asides.insert(row.agent_id, row);
            }
        }
        let (now, since) = (tx.now, counted_on_since(tx.now));
        fleet.agents = all
            .into_iter()
            .map(|agent| {
                let claimer = fleet.claimers.get(&agent.agent_id);
                let aside = asides.get(&agent.agent_id);
                let held_until = claimer.and_then(|claimer| claimer.held_until);
                let limited = aside.and_then(|aside| aside.limited_until);
                FleetAgent {
                    agent_id: agent.agent_id,
                    name: agent.name,
                    version: agent.version,
                    capabilities: agent.capabilities,
                    state: agent.state,
                    heard: agent.heard_at >= since,
                    freeze: freezes.remove(&agent.agent_id),
                    has_key: aside.is_none_or(|aside| aside.has_key),
                    free_slots: claimer.map_or(1, free_slots),
                    held_until,
                    rate_limited: limited
                        .is_some_and(|until| until > now && Some(until) == held_until),
                    quota_until: None,
                    oldest: aside.and_then(|aside| aside.oldest),
                    short: Vec::new(),
                }
            })
            .collect();
        Ok(fleet)
    }

    /// The windows over the accounts of the agents; empty without any.
    pub async fn windows(&self, tx: &mut Tx) -> Result<Vec<QuotaRow>> {
        if self.claimers.values().all(|claimer| claimer.metered.is_none()) {
            return Ok(Vec::new());
        }
        let filter = QuotaFilter::default();
        Ok(store::quota_windows::list(tx, filter, None, settings::QUOTA_WINDOWS).await?)
    }

    /// When the windows of an agent that a task with these estimates does not fit in have ended.
    pub fn quota_until(
        &self,
        windows: &[QuotaRow],
        agent: AgentId,
        estimates: Option<&budget::ask::Estimates>,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let account = self.accounts.get(&agent)?;
        let own = windows.iter().filter(|window| &window.account == account);
        let short = own.filter(|window| {
            let expected = quota::expected(&window.unit, estimates);
            !window.quota().admits(expected, now)
        });
        // One that is short has begun: it is used.
        short.filter_map(|window| window.quota().end_at(now)).max()
    }

    /// Notes which quota windows and budgets of able agents are short for a task; returns the limits above the task that
    /// are short for every agent.
    pub async fn measure(
        &mut self,
        tx: &mut Tx,
        sight: Sight<'_>,
        (task, goal): (TaskId, GoalId),
        required: &[String],
        keeping: &Keeping,
    ) -> Result<Vec<LackingLimit>> {
        let windows = self.windows(tx).await?;
        if !windows.is_empty() {
            let estimates = store::quota_windows::estimates(tx, &[task]).await?;
            let (now, estimates) = (tx.now, estimates.get(&task));
            let until: Vec<Option<DateTime<Utc>>> = self
                .agents
                .iter()
                .map(|agent| self.quota_until(&windows, agent.agent_id, estimates, now))
                .collect();
            for (agent, until) in self.agents.iter_mut().zip(until) {
                agent.quota_until = until;
            }
        }
        let free = |agent: &&FleetAgent| agent.hindrance(required, keeping).is_none();
        let free: Vec<AgentId> =
            self.agents.iter().filter(free).map(|agent| agent.agent_id).take(FUNDED).collect();
        let Some(funds) = Funds::look(tx, &[(task, goal)], &free).await? else {
            return Ok(Vec::new());
        };
        let above = funds.lacks(tx.workspace, (task, goal), None);
        let own: HashMap<AgentId, Vec<Shortage>> = free
            .iter()
            .map(|agent| {
                let mut lacks = funds.lacks(tx.workspace, (task, goal), Some(*agent));
                lacks.retain(|lack| lack.node == BudgetNode::Agent);
                (*agent, lacks)
            })
            .collect();
        let shown = Shown::read(tx, sight, above.iter().chain(own.values().flatten())).await?;
        for agent in &mut self.agents {
            if let Some(lacks) = own.get(&agent.agent_id) {
                agent.short = shown.of(lacks);
            }
        }
        Ok(shown.of(&above))
    }
}

/// Limits as they are shown, with the requests that raise them.
#[derive(Debug, Default)]
pub(super) struct Shown {
    rows: HashMap<LimitId, (BudgetOf, Option<DateTime<Utc>>)>,
    /// Whether the caller reads budgets.
    told: bool,
}

impl Shown {
    /// Reads the budgets of limits that are short.
    pub async fn read(
        tx: &mut Tx,
        sight: Sight<'_>,
        lacks: impl Iterator<Item = &Shortage>,
    ) -> Result<Self> {
        let limits: BTreeSet<LimitId> = lacks.map(|lack| lack.limit_id).collect();
        Self::of_limits(tx, sight, &Vec::from_iter(limits)).await
    }

    /// Reads the budgets of limits.
    pub async fn of_limits(tx: &mut Tx, sight: Sight<'_>, limits: &[LimitId]) -> Result<Self> {
        if limits.is_empty() {
            return Ok(Self::default());
        }
        let mut shown = HashMap::new();
        for row in store::explain::task::budgets_of(tx, limits).await? {
            let window = row.period.window(row.time_zone.parse().map_err(corrupt)?, tx.now);
            shown.insert(row.limit_id, (row, window.ends_at));
        }
        Ok(Self { rows: shown, told: sight.budgets })
    }

    /// Limits that are short.
    pub fn of(&self, lacks: &[Shortage]) -> Vec<LackingLimit> {
        let wait = |lack: &Shortage| BudgetWait {
            limit_id: lack.limit_id,
            node: lack.node,
            node_id: lack.node_id,
            unit: lack.unit.clone(),
            period: lack.period,
            limit: lack.limit,
            settled: lack.settled,
            reserved: lack.reserved,
            requested: lack.requested,
            remaining: lack.left,
        };
        lacks.iter().map(|lack| self.one(wait(lack))).collect()
    }

    /// A limit that a task waits for; `None`: it has room, or is gone, and the service offers the task within moments.
    pub fn waited_for(&self, wait: BudgetWait) -> Option<LackingLimit> {
        let limit = self.one(wait);
        let lacks = limit.wait.remaining < limit.wait.requested;
        (lacks && limit.budget_id.is_some()).then_some(limit)
    }

    fn one(&self, wait: BudgetWait) -> LackingLimit {
        let Some((row, renews_at)) = self.rows.get(&wait.limit_id) else {
            return LackingLimit { wait, budget_id: None, renews_at: None, raise: None };
        };
        // What was read is of an earlier period; of this one nothing is used.
        let wait = match row.is_open {
            true => wait,
            false => {
                let amount = row.amount;
                BudgetWait { limit: amount, settled: 0, reserved: 0, remaining: amount, ..wait }
            }
        };
        let BudgetWait { unit, period, limit, settled, reserved, requested, .. } = &wait;
        let proposed =
            budget::raised(*limit, *settled, *reserved, *requested).min(settings::AMOUNT_MAX);
        let mut limits = row.limits.0.clone();
        for one in limits.iter_mut().filter(|one| one.unit == *unit && one.period == *period) {
            one.amount = proposed;
        }
        let body = json!({"limits": limits, "reason": "tasks wait for it"});
        let what = format!(
            "Raises the limit from {limit} to {proposed}; the other limits of the budget stay as they are."
        );
        let path = format!("/v1/budgets/{}", row.budget_id);
        let raise = request::patch(path, row.version, body, what);
        LackingLimit {
            budget_id: Some(row.budget_id),
            renews_at: *renews_at,
            raise: self.told.then_some(raise),
            wait,
        }
    }
}
