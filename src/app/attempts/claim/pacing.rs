//! Rates and quota windows of a batch of claims.
//!
//! Both are exact under the locks of their rows: two servers that claim at once wait for each other here, and
//! only if the workspace has a rate or the account of an agent a window. Without them nothing is read.
//!
//! Rates hold for starts by agents. A person who takes a task over starts it at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use crate::{
    app::{Result, Unit, budgets::reserve::Refused},
    domain::{
        budget::ask::Estimates,
        ids::{AgentId, QuotaWindowId, RateId, TaskId},
        quota::{self, Quota},
        rate::Pace,
        spend::ATTEMPTS,
        task::claim::Funding,
    },
    store::{
        self,
        attempts::claim::{Claimer, ReadyTask},
    },
};

/// A locked rate.
#[derive(Debug)]
struct Rated {
    rate_id: RateId,
    pace: Pace,
    taken: bool,
}

/// A locked window of an account.
#[derive(Debug)]
struct Window {
    window_id: QuotaWindowId,
    unit: String,
    /// What is charged: starts, if they are counted.
    quota: Quota,
    /// What the tasks that this batch gives are expected to use.
    expected: i64,
    taken: bool,
}

impl Window {
    fn counts_starts(&self) -> bool {
        self.unit == ATTEMPTS
    }
}

/// The rates and windows over the tasks and agents of a batch, locked.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    now: DateTime<Utc>,
    rates: BTreeMap<String, Rated>,
    windows: BTreeMap<String, Vec<Window>>,
    accounts: HashMap<AgentId, String>,
    estimates: HashMap<TaskId, Estimates>,
    refused: bool,
}

impl Pacing {
    /// Locks what limits these tasks and agents. The caller holds the locks of both.
    pub(super) async fn open(
        unit: &mut Unit,
        ready: &[ReadyTask],
        claimers: &HashMap<AgentId, Claimer>,
    ) -> Result<Self> {
        let mut pacing = Self { now: unit.now(), ..Self::default() };
        if claimers.values().any(|claimer| claimer.rated) {
            pacing.lock_rates(unit, ready).await?;
        }
        let accounts: BTreeMap<AgentId, String> = claimers
            .values()
            .filter_map(|claimer| Some((claimer.agent_id, claimer.metered.clone()?)))
            .collect();
        if !accounts.is_empty() {
            pacing.lock_windows(unit, ready, accounts).await?;
        }
        Ok(pacing)
    }

    async fn lock_rates(&mut self, unit: &mut Unit, ready: &[ReadyTask]) -> Result<()> {
        let required: BTreeSet<&String> = ready.iter().flat_map(|task| &task.required).collect();
        let required: Vec<String> = required.into_iter().cloned().collect();
        let rows = store::rates::lock_of(unit.tx(), &required).await?;
        self.rates = rows
            .into_iter()
            .map(|row| {
                let rated = Rated { rate_id: row.rate_id, pace: row.pace(), taken: false };
                (row.capability, rated)
            })
            .collect();
        Ok(())
    }

    async fn lock_windows(
        &mut self,
        unit: &mut Unit,
        ready: &[ReadyTask],
        accounts: BTreeMap<AgentId, String>,
    ) -> Result<()> {
        let names: BTreeSet<String> = accounts.values().cloned().collect();
        let names: Vec<String> = names.into_iter().collect();
        for row in store::quota_windows::lock_of(unit.tx(), &names).await? {
            let quota = row.quota();
            let window = Window {
                window_id: row.window_id,
                unit: row.unit,
                quota,
                expected: 0,
                taken: false,
            };
            self.windows.entry(row.account).or_default().push(window);
        }
        self.accounts = accounts.into_iter().collect();
        if self.windows.values().flatten().any(|window| !window.counts_starts()) {
            let tasks: Vec<TaskId> = ready.iter().map(|task| task.task_id).collect();
            self.estimates = store::quota_windows::estimates(unit.tx(), &tasks).await?;
        }
        Ok(())
    }

    /// Lets an agent start a task if the rates of its capabilities and the windows of the agent's account have
    /// room, and `fund` grants it. Without a rate and without windows it is `fund`.
    pub(super) fn admit(
        &mut self,
        task: &ReadyTask,
        agent: AgentId,
        fund: impl FnOnce() -> Funding,
    ) -> Funding {
        if !self.has_start(task) {
            self.refused = true;
            return Funding::Short;
        }
        if !self.has_room(task, agent) {
            self.refused = true;
            return Funding::AgentShort;
        }
        let funding = fund();
        match funding {
            Funding::Granted => self.take(task, agent),
            Funding::AgentShort | Funding::Short => {}
        }
        funding
    }

    fn has_start(&self, task: &ReadyTask) -> bool {
        let mut rates = task.required.iter().filter_map(|capability| self.rates.get(capability));
        rates.all(|rated| rated.pace.free(self.now) > 0)
    }

    fn has_room(&self, task: &ReadyTask, agent: AgentId) -> bool {
        self.windows_of(agent).iter().all(|window| {
            window.quota.admits_beside(window.expected, self.expected(task, window), self.now)
        })
    }

    fn windows_of(&self, agent: AgentId) -> &[Window] {
        let windows = self.accounts.get(&agent).and_then(|account| self.windows.get(account));
        windows.map(Vec::as_slice).unwrap_or_default()
    }

    /// What a task is expected to use of a window.
    fn expected(&self, task: &ReadyTask, window: &Window) -> i64 {
        quota::expected(&window.unit, self.estimates.get(&task.task_id))
    }

    fn take(&mut self, task: &ReadyTask, agent: AgentId) {
        let now = self.now;
        for capability in &task.required {
            if let Some(rated) = self.rates.get_mut(capability) {
                rated.pace = rated.pace.take(1, now);
                rated.taken = true;
            }
        }
        let expected = self.windows_of(agent).iter();
        let expected: Vec<i64> =
            expected.map(|window| self.expected(task, window).min(window.quota.amount)).collect();
        let windows = self.accounts.get(&agent).and_then(|account| self.windows.get_mut(account));
        for (window, expected) in windows.into_iter().flatten().zip(expected) {
            if window.counts_starts() {
                window.quota = window.quota.charge(1, now);
                window.taken = true;
            } else {
                window.expected = window.expected.saturating_add(expected);
            }
        }
    }

    /// Whether another search is worth it: sets of capabilities whose rate is used up are left out of it, and it
    /// sees tasks that fit behind those that do not.
    pub(super) fn refused(&self) -> Refused {
        if self.refused { Refused::Agents } else { Refused::Nothing }
    }

    /// Writes what the batch has started.
    pub(super) async fn write(&self, unit: &mut Unit) -> Result<()> {
        let taken = self.rates.values().filter(|rated| rated.taken);
        let paces: Vec<(RateId, Pace)> = taken.map(|rated| (rated.rate_id, rated.pace)).collect();
        if !paces.is_empty() {
            store::rates::set(unit.tx(), &paces).await?;
        }
        let taken = self.windows.values().flatten().filter(|window| window.taken);
        let used: Vec<(QuotaWindowId, Quota)> =
            taken.map(|window| (window.window_id, window.quota)).collect();
        if !used.is_empty() {
            store::quota_windows::set(unit.tx(), &used).await?;
        }
        Ok(())
    }
}
