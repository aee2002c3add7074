//! Registering and administering agents.
//!
//! Registration is idempotent by name, so a launcher can register the agent at every start. A known
//! agent keeps its id, its history and its state; it gets one more key. The newest
//! [`crate::domain::settings::AGENT_KEYS`] keys stay valid, so a rolling replacement of instances keeps working
//! and keys do not accumulate.
//!
//! The registrant and the owner of an agent may register it again; neither decides about its work.
//! Anybody else needs an admin's key, and so does a change of the owner ([`owners`]).

mod archive;
mod owners;
pub mod views;

use serde_json::{Value, json};

use super::{
    App, Result, Unit,
    access::keys::{self, Issue, IssuedKey},
    attempts::takeover,
    caller::{Actor, Caller as _, OperatorCaller, Principal, ReaderCaller},
    caps,
    error::same_version,
    unit::idempotency::{Outcome, Request},
    workspace,
};
use crate::{
    domain::{
        access::role::Role,
        cap::workspace::Holding,
        ids::AgentId,
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
        states::AgentState,
    },
    store::{
        self, Hold,
        agents::{AgentRow, NewAgentRow},
    },
};
use views::{Agent, AgentChange, NewAgent, Registration};

pub use crate::store::agents::AgentFilter;

impl App {
    /// Registers an agent, or another instance of a known one, and creates a key for it.
    ///
    /// # Errors
    /// `invalid`; `agent_not_active` when the agent is retired or archived; `forbidden` when a known agent belongs
    /// to somebody else, or its owner would change, and the caller is no admin.
    pub async fn register_agent(
        &self,
        caller: &OperatorCaller,
        new: &NewAgent,
        request: Option<&Request>,
    ) -> Result<Outcome<Registration>> {
        self.create(caller.principal(), request, Hold::Share, async |unit| {
            new.check()?;
            let (id, created) = match make(unit, new).await? {
                Some(made) => (made, true),
                None => (again(unit, caller.principal(), new).await?, false),
            };
            let IssuedKey { key, token } = one_more_key(unit, id, new).await?;
            let agent = views::read(unit.tx(), id).await?;
            Ok(Registration { agent, created, key, token })
        })
        .await
    }

    /// Reads one agent.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get_agent(&self, caller: &ReaderCaller, agent: AgentId) -> Result<Agent> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        views::read(&mut tx, agent).await
    }

    /// Up to `rows` agents after `after`, newest first.
    pub async fn list_agents(
        &self,
        caller: &ReaderCaller,
        filter: AgentFilter<'_>,
        after: Option<AgentId>,
        rows: u32,
    ) -> Result<Vec<Agent>> {
        let workspace = caller.principal().workspace;
        let mut tx = self.reader(workspace).await?;
        let rows = store::agents::list(&mut tx, filter, after, i64::from(rows)).await?;
        Ok(rows.into_iter().map(|row| Agent::of(row, tx.now)).collect())
    }

    /// Edits an agent. `version`: the version the caller read (`If-Match`); `None` skips the
    /// check. An edit without a change makes no new version.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `invalid`; `forbidden` when the owner would change and the
    /// caller is no admin.
    pub async fn update_agent(
        &self,
        caller: &OperatorCaller,
        agent: AgentId,
        version: Option<i64>,
        change: &AgentChange,
    ) -> Result<Agent> {
        change.check()?;
        let principal = caller.principal();
        // Retiring releases the tasks kept for the agent, and other transactions may be changing
        // these.
        let mut unit = match change.state {
            Some(AgentState::Retired) => {
                self.begin_alone(principal.workspace, principal.actor()).await?
            }
            Some(AgentState::Active | AgentState::Paused | AgentState::Draining) | None => {
                self.begin(principal.workspace, principal.actor()).await?
            }
        };
        let stored = store::agents::lock(unit.tx(), agent).await?;
        let stored = stored.ok_or_else(|| Refusal::not_found("agent"))?;
        if let Some(version) = version {
            same_version(i64::from(stored.version), version)?;
        }
        edit(&mut unit, principal, &stored, change).await?;
        if change.state == Some(AgentState::Retired) {
            takeover::keep_no_more(&mut unit, agent).await?;
        }
        let agent = views::read(unit.tx(), agent).await?;
        self.commit(unit).await?;
        Ok(agent)
    }
}

/// Inserts a new agent and returns its id; `None` if the name is known.
async fn make(unit: &mut Unit, new: &NewAgent) -> Result<Option<AgentId>> {
    let id = unit.id();
    let capabilities = sorted(new.capabilities.clone().unwrap_or_default());
    let most = new.max_concurrent.unwrap_or(1);
    let Actor { key, person, owner: _, request_id: _, link: _ } = unit.acting().clone();
    let owner = new.owner.clone().or(person);
    let row = NewAgentRow {
        agent_id: id,
        name: &new.name,
        capabilities: &capabilities,
        max_concurrent: most,
        owner: owner.as_ref(),
        model: new.model.as_deref(),
        agent_version: new.agent_version.as_deref(),
        registered_by: key,
        account: new.account.as_deref(),
    };
    if !store::agents::insert(unit.tx(), &row).await? {
        return Ok(None);
    }
    // The row that was just written is counted.
    caps::admit(unit, Holding::Agents, 0).await?;
    store::agent_owners::change(unit.tx(), id, owner.as_ref()).await?;
    let data = json!({
        "name": new.name, "capabilities": capabilities, "max_concurrent": most, "owner": owner,
        "account": new.account,
        "model": new.model, "agent_version": new.agent_version,
    });
    unit.record(NewRow::new(Kind::AgentRegistered).agent(id).after(&data).data(data));
    Ok(Some(id))
}

/// A known agent registers again: its capabilities change, its state does not.
async fn again(unit: &mut Unit, principal: &Principal, new: &NewAgent) -> Result<AgentId> {
    let stored = store::agents::lock_by_name(unit.tx(), &new.name).await?;
    let stored = stored.ok_or_else(|| Refusal::not_found("agent"))?;
    owners::check_registrant(unit, principal, &stored).await?;
    if stored.archived {
        return Err(archive::refused(&stored).into());
    }
    match stored.state {
        AgentState::Active | AgentState::Paused | AgentState::Draining => {}
        AgentState::Retired => return Err(retired(&stored).into()),
    }
    let change = AgentChange {
        capabilities: new.capabilities.clone(),
        max_concurrent: new.max_concurrent,
        state: None,
        owner: new.owner.clone(),
        account: new.account.clone().map(Some),
        model: new.model.clone().map(Some),
        agent_version: new.agent_version.clone().map(Some),
    };
    edit(unit, principal, &stored, &change).await?;
    Ok(stored.agent_id)
}

fn retired(agent: &AgentRow) -> Refusal {
    let detail = format!(
        "the agent `{}` is retired, so a new key of it would be refused; an operator can set its \
         state with PATCH /v1/agents/{}",
        agent.name, agent.agent_id
    );
    Refusal::new(Code::AgentNotActive, detail)
}

async fn one_more_key(unit: &mut Unit, agent: AgentId, new: &NewAgent) -> Result<IssuedKey> {
    let dies_with = keys::dies_with(unit, new.dies_with_maker).await?;
    let lifetime = workspace::agent_key_lifetime(unit.tx()).await?;
    let issue = Issue {
        name: &new.name,
        role: Role::Agent,
        person: None,
        agent: Some(agent),
        expires_at: lifetime.map(|lifetime| unit.now() + lifetime),
        scope: &new.scope,
        created_by: unit.actor(),
        counts_as: unit.actor(),
        dies_with: &dies_with,
    };
    caps::admit(unit, Holding::Keys, 1).await?;
    let issued = keys::issue(unit, issue).await?;
    keys::revoke_surplus(unit, agent, issued.key.id).await?;
    Ok(issued)
}

async fn edit(
    unit: &mut Unit,
    principal: &Principal,
    stored: &AgentRow,
    change: &AgentChange,
) -> Result<()> {
    let AgentChange { capabilities, max_concurrent, state, owner, account, model, agent_version } =
        change.clone();
    let edited = AgentRow {
        capabilities: capabilities.map_or_else(|| stored.capabilities.clone(), sorted),
        max_concurrent: max_concurrent.unwrap_or(stored.max_concurrent),
        state: state.unwrap_or(stored.state),
        owner: owner.or_else(|| stored.owner.clone()),
        account: account.unwrap_or_else(|| stored.account.clone()),
        model: model.unwrap_or_else(|| stored.model.clone()),
        agent_version: agent_version.unwrap_or_else(|| stored.agent_version.clone()),
        ..stored.clone()
    };
    if edited == *stored {
        return Ok(());
    }
    if edited.owner != stored.owner {
        owners::check_change(principal.role)?;
        let owner = edited.owner.as_ref();
        store::agent_owners::change(unit.tx(), edited.agent_id, owner).await?;
    }
    store::agents::update(unit.tx(), &edited).await?;
    let data = facts(&edited);
    let event = NewRow::new(Kind::AgentUpdated).agent(edited.agent_id);
    unit.record(event.before(&facts(stored)).after(&data).data(data));
    Ok(())
}

/// The agent's data in the journal.
fn facts(agent: &AgentRow) -> Value {
    let AgentRow {
        agent_id: _,
        name,
        capabilities,
        max_concurrent,
        state,
        owner,
        model,
        agent_version,
        version: _,
        archived: _,
        account,
    } = agent;
    json!({
        "name": name, "capabilities": capabilities, "max_concurrent": max_concurrent,
        "state": state, "owner": owner, "account": account, "model": model, "agent_version": agent_version,
    })
}

/// The stored form: the order of capabilities has no meaning.
fn sorted(mut capabilities: Vec<String>) -> Vec<String> {
    capabilities.sort_unstable();
    capabilities
}
