//! Gates with grants: concurrency keys and resources.
//!
//! The search of the claim leaves out tasks that cannot start ([`gates_over`], a function of the database). What it
//! finds is decided again here, under locks: of all tasks of a batch with a gate, the concurrency keys are locked in id order and then
//! the resources of the workspace; what is held is read, the domain decides task by task, and the grants are written
//! with the attempts. So no two transactions grant the same thing, and no two tasks of one batch conflict. A task that
//! gets no grant stays ready; the search skips it until the grant is released.
//!
//! Grants end with the attempt, whatever ends it, in the statement that ends it. A takeover passes them on: it ends the
//! attempt and grants the same again in one transaction, which nobody comes between.
//!
//! Lock order: after agents, before budgets.
//!
//! [`gates_over`]: crate::store::attempts::claim::lock_ready

pub mod keys;
mod tasks;

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::{Result, Unit};
use crate::{
    domain::{
        gate::{
            ledger::{Holding, KeyUse, Ledger, Needs, Obstacle},
            resource::Touch,
        },
        ids::{AgentId, AttemptId, ConcurrencyKeyId, TaskId},
        refusal::{Code, Refusal},
        task::claim::Funding,
    },
    store,
};

pub(in crate::app) use tasks::{few_new_keys, name_again, store_gates};

/// What a batch of tasks needs, and what is held of it, locked.
#[derive(Debug, Default)]
pub(in crate::app) struct Gates {
    ledger: Ledger,
    needs: HashMap<TaskId, Needs>,
    refused: bool,
}

impl Gates {
    /// Reads what tasks need, locks it, and reads what is held. Reads nothing without tasks.
    pub(in crate::app) async fn open(unit: &mut Unit, tasks: &[TaskId]) -> Result<Self> {
        if tasks.is_empty() {
            return Ok(Self::default());
        }
        let rows = store::gates::needs(unit.tx(), tasks).await?;
        let mut gates = Self::default();
        for row in rows {
            let keys = row.keys.into_iter().map(ConcurrencyKeyId).collect();
            let needs = Needs { keys, scope: row.scope, touches: row.touches.0 };
            gates.needs.insert(row.task_id, needs);
        }
        gates.lock(unit).await?;
        Ok(gates)
    }

    /// The gates of one task whose attempt takes `more` resources beside its own.
    pub(in crate::app) async fn open_with(
        unit: &mut Unit,
        task: TaskId,
        more: &[Touch],
    ) -> Result<Self> {
        let mut gates = Self::default();
        for row in store::gates::needs(unit.tx(), &[task]).await? {
            let keys = row.keys.into_iter().map(ConcurrencyKeyId).collect();
            let mut needs = Needs { keys, scope: row.scope, touches: row.touches.0 };
            for touch in more {
                match needs.touches.iter_mut().find(|known| known.resource == touch.resource) {
                    Some(known) => known.mode = known.mode.min(touch.mode),
                    None => needs.touches.push(touch.clone()),
                }
            }
            gates.needs.insert(row.task_id, needs);
        }
        gates.lock(unit).await?;
        Ok(gates)
    }

    async fn lock(&mut self, unit: &mut Unit) -> Result<()> {
        let keys = self.needs.values().flat_map(|needs| needs.keys.iter().copied());
        let keys: BTreeSet<ConcurrencyKeyId> = keys.collect();
        let keys = Vec::from_iter(keys);
        if !keys.is_empty() {
            store::gates::lock_keys(unit.tx(), &keys).await?;
            for row in store::gates::key_uses(unit.tx(), &keys).await? {
                let one = KeyUse { name: row.name, most: row.most.into(), held: row.held };
                self.ledger.keys.insert(row.concurrency_key_id, one);
            }
        }
        let touching = self.needs.values().filter(|needs| !needs.touches.is_empty());
        let scopes: BTreeSet<Uuid> = touching.map(|needs| needs.scope).collect();
        if !scopes.is_empty() {
            self.ledger.held = held_in(unit, &Vec::from_iter(scopes)).await?;
        }
        Ok(())
    }

    /// What keeps a task from starting; `None`: nothing.
    pub(in crate::app) fn obstacle(&self, task: TaskId) -> Option<Obstacle> {
        self.ledger.obstacle(self.needs.get(&task)?, None)
    }

    /// Lets a task start if nothing keeps it from that and `fund` grants it.
    pub(in crate::app) fn start(
        &mut self,
        task: TaskId,
        agent: Option<AgentId>,
        fund: impl FnOnce() -> Funding,
    ) -> Funding {
        if self.obstacle(task).is_some() {
            self.refused = true;
            return Funding::Short;
        }
        let funding = fund();
        if funding == Funding::Granted
            && let Some(needs) = self.needs.get(&task)
        {
            self.ledger.take(task, agent, needs);
        }
        funding
    }

    /// Whether a task was refused. Later tasks may fit.
    pub(in crate::app) fn refused(&self) -> bool {
        self.refused
    }

    /// Writes the grants of started attempts.
    pub(in crate::app) async fn write(
        &self,
        unit: &mut Unit,
        started: impl Iterator<Item = (AttemptId, TaskId)>,
    ) -> Result<()> {
        let mut keys = Vec::new();
        let mut resources = Vec::new();
        for (attempt, task) in started {
            let Some(needs) = self.needs.get(&task) else { continue };
            keys.extend(needs.keys.iter().map(|key| (attempt, *key)));
            let touches = needs.touches.iter().cloned();
            resources.extend(touches.map(|touch| (attempt, needs.scope, touch)));
        }
        if !keys.is_empty() {
            store::gates::grant_keys(unit.tx(), &keys).await?;
        }
        if !resources.is_empty() {
            store::gates::grant_resources(unit.tx(), &resources).await?;
        }
        Ok(())
    }
}

/// Everything held in some scopes, under the lock of resources.
pub(in crate::app) async fn held_in(unit: &mut Unit, scopes: &[Uuid]) -> Result<Vec<Holding>> {
    store::gates::lock_resources(unit.tx()).await?;
    let rows = store::gates::held_in(unit.tx(), scopes).await?;
    let holding = |row: store::gates::HeldRow| Holding {
        scope: row.scope_id,
        touch: Touch { resource: row.resource, mode: row.mode },
        attempt: Some(row.attempt_id),
        task: row.task_id,
        agent: row.agent_id,
    };
    Ok(rows.into_iter().map(holding).collect())
}

/// The refusal of what an obstacle keeps from starting.
pub(in crate::app) fn held(obstacle: &Obstacle) -> Refusal {
    Refusal::new(Code::ResourceHeld, obstacle.sentence())
}
