//! Intervention rules: creating, reading, editing and deleting them.
//!
//! A rule acts from the answer of its creation until the answer of its deletion: an action locks
//! the rule, and editors wait for it. Editing, disabling or deleting a rule does not undo its
//! actions: people still decide its approvals and lift its freezes; only open nudges are closed.

pub(in crate::app) mod act;
pub mod dry_run;
pub(in crate::app) mod facts;
pub mod views;

use serde_json::json;

use super::{
    App, Error, Result, Unit,
    caller::{AdminCaller, Caller as _, MonitorCaller, ReaderCaller},
    error::same_version,
    unit::idempotency::{Outcome, Request},
};
use crate::{
    domain::{
        ids::{InterventionId, RuleId},
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
    },
    store::{self, Hold, Tx, rules::RuleText},
};

pub use crate::store::rules::{RuleFilter, intervention_read::InterventionFilter};
pub use views::{Intervention, NewRule, Rule, RuleChange};

impl App {
    /// Creates a rule.
    ///
    /// # Errors
    /// `invalid`; `already_exists` if the name is taken.
    pub async fn create_rule(
        &self,
        caller: &AdminCaller,
        new: &NewRule,
        request: Option<&Request>,
    ) -> Result<Outcome<Rule>> {
        self.create(caller.principal(), request, Hold::Share, async |unit| {
            check(unit, new).await?;
            let (id, by): (RuleId, _) = (unit.id(), unit.actor());
            if !store::rules::insert(unit.tx(), (id, by), &text(new)).await? {
                return Err(taken(&new.name));
            }
            let rule = read(unit.tx(), id).await?;
            unit.record(event(Kind::RuleCreated, id, &new.name).after(&rule));
            Ok(rule)
        })
        .await
    }

    /// Reads one rule.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get_rule(&self, caller: &MonitorCaller, rule: RuleId) -> Result<Rule> {
        read(&mut self.reader(caller.principal().workspace).await?, rule).await
    }

    /// Up to `rows` rules after `after`, newest first.
    pub async fn list_rules(
        &self,
        caller: &MonitorCaller,
        filter: RuleFilter,
        after: Option<RuleId>,
        rows: u32,
    ) -> Result<Vec<Rule>> {
        let workspace = caller.principal().workspace;
        let mut tx = self.reader(workspace).await?;
        let rows = store::rules::list(&mut tx, filter, after, rows.into()).await?;
        Ok(rows.into_iter().map(Rule::from).collect())
    }

    /// Edits a rule. `version`: the version the caller read (`If-Match`); `None` skips the check.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `invalid`, `already_exists`.
    pub async fn update_rule(
        &self,
        caller: &AdminCaller,
        rule: RuleId,
        version: Option<i64>,
        change: &RuleChange,
    ) -> Result<Rule> {
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let stored = lock(&mut unit, rule, version).await?;
        let new = change.of(stored.clone());
        check(&mut unit, &new).await?;
        if new != RuleChange::default().of(stored.clone()) {
            if !store::rules::update(unit.tx(), rule, &text(&new)).await? {
                return Err(taken(&new.name));
            }
            let edited = read(unit.tx(), rule).await?;
            unit.record(event(Kind::RuleUpdated, rule, &new.name).before(&stored).after(&edited));
        }
        let edited = read(unit.tx(), rule).await?;
        self.commit(unit).await?;
        Ok(edited)
    }

    /// Deletes a rule. Its interventions stay.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`.
    pub async fn delete_rule(
        &self,
        caller: &AdminCaller,
        rule: RuleId,
        version: Option<i64>,
    ) -> Result<()> {
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let stored = lock(&mut unit, rule, version).await?;
        store::rules::delete(unit.tx(), rule).await?;
        unit.record(event(Kind::RuleDeleted, rule, &stored.name).before(&stored));
        self.commit(unit).await
    }

    /// Up to `rows` interventions after `after`, newest first.
    pub async fn list_interventions(
        &self,
        caller: &ReaderCaller,
        filter: InterventionFilter,
        after: Option<InterventionId>,
        rows: u32,
    ) -> Result<Vec<Intervention>> {
        let workspace = caller.principal().workspace;
        let mut tx = self.reader(workspace).await?;
        let list = store::rules::intervention_read::list(&mut tx, filter, after, rows.into());
        Ok(list.await?.into_iter().map(Intervention::from).collect())
    }

    /// Reads one intervention.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get_intervention(
        &self,
        caller: &ReaderCaller,
        intervention: InterventionId,
    ) -> Result<Intervention> {
        let filter = InterventionFilter {
            intervention: Some(intervention),
            ..InterventionFilter::default()
        };
        let found = self.list_interventions(caller, filter, None, 1).await?.pop();
        Ok(found.ok_or_else(|| Refusal::not_found("intervention"))?)
    }
}

/// Refuses contradictory fields, and a project that does not exist.
async fn check(unit: &mut Unit, new: &NewRule) -> Result<()> {
    new.check()?;
    let Some(project) = new.scope.project_id else { return Ok(()) };
    if store::rules::project_exists(unit.tx(), project.0).await? {
        return Ok(());
    }
    Err(Refusal::invalid_at("/scope/project_id", "there is no such project").into())
}

fn taken(name: &str) -> Error {
    let detail = format!("there is a rule called `{name}`; edit it, or take another name");
    Refusal::new(Code::AlreadyExists, detail).into()
}

fn event(kind: Kind, rule: RuleId, name: &str) -> NewRow {
    NewRow::new(kind).data(json!({"rule_id": rule, "name": name}))
}

fn text(new: &NewRule) -> RuleText<'_> {
    RuleText {
        name: &new.name,
        enabled: new.enabled,
        when: &new.when,
        project_id: new.scope.project_id,
        capabilities: &new.scope.capabilities,
        then: &new.then,
        cooldown_ms: new.cooldown_seconds * 1_000,
    }
}

/// Locks a rule against edits and actions, checks its version and reads it.
async fn lock(unit: &mut Unit, rule: RuleId, version: Option<i64>) -> Result<Rule> {
    if !store::rules::lock(unit.tx(), rule).await? {
        return Err(Refusal::not_found("rule").into());
    }
    let stored = read(unit.tx(), rule).await?;
    if let Some(version) = version {
        same_version(i64::from(stored.version), version)?;
    }
    Ok(stored)
}

async fn read(tx: &mut Tx, rule: RuleId) -> Result<Rule> {
    let filter = RuleFilter { rule: Some(rule), ..RuleFilter::default() };
    let found = store::rules::list(tx, filter, None, 1).await?.pop();
    Ok(found.ok_or_else(|| Refusal::not_found("rule"))?.into())
}
