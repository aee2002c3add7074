//! Approval policies: creating, editing, retiring, and copying them to new approvals.
//!
//! Only administrators change policies, because the right to name deciders includes the right to
//! decide. Each change is an event with the new content of the policy.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::floors;
use crate::{
    app::{
        App, Error, Result, Unit,
        caller::{AdminCaller, Caller as _, MonitorCaller},
        error::same_version,
        unit::idempotency::{Outcome, Request},
    },
    domain::{
        ids::{ApprovalId, KeyId, PolicyId},
        journal::{Kind, NewRow},
        policy::{
            PolicySpec, StagePosition, expiry,
            matching::{Asked, Policy, choose},
        },
        refusal::{Code, Refusal},
        settings,
    },
    store::{
        self, Hold, Tx,
        approvals::{
            ApprovalFacts,
            frozen_policy::{Frozen, Schedule},
            policies::{NewPolicy, PolicyRow},
        },
    },
};

pub use crate::store::approvals::policies::PolicyFilter;

/// Who decides which approvals, and the effect of a timeout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApprovalPolicy {
    /// Id of the policy; stable for its life.
    pub id: PolicyId,
    /// Content of the policy, in the format of `PUT`.
    pub spec: PolicySpec,
    /// Version of the policy; rises by one with every edit; the `ETag`.
    pub version: i32,
    /// The key that created the policy; `null` if that had no key.
    pub created_by: Option<KeyId>,
    /// When the policy was created.
    pub created_at: DateTime<Utc>,
    /// When the policy was last edited or retired.
    pub updated_at: DateTime<Utc>,
    /// When the policy was retired; `null`: it is in force. Approvals requested before keep
    /// following it.
    pub retired_at: Option<DateTime<Utc>>,
}

fn view(row: PolicyRow) -> ApprovalPolicy {
    let PolicyRow { policy_id, document, version, created_by, created_at, updated_at, retired_at } =
        row;
    ApprovalPolicy {
        id: policy_id,
        spec: document.0,
        version,
        created_by,
        created_at,
        updated_at,
        retired_at,
    }
}

/// Reads one policy.
///
/// # Errors
/// `not_found`.
pub(in crate::app) async fn read(tx: &mut Tx, policy: PolicyId) -> Result<ApprovalPolicy> {
    let filter = PolicyFilter { policy: Some(policy), retired: None };
    let found = store::approvals::policies::list(tx, filter, None, 1).await?.pop();
    Ok(view(found.ok_or_else(|| Refusal::not_found("approval policy"))?))
}

fn taken(name: &str) -> Error {
    let detail = format!("there is a policy in force called `{name}`; edit it, or retire it first");
    Refusal::new(Code::AlreadyExists, detail).into()
}

impl App {
    /// Creates a policy. It applies to approvals requested from then on.
    ///
    /// # Errors
    /// `invalid`; `not_found` if the project does not exist; `already_exists`.
    pub async fn create_policy(
        &self,
        caller: &AdminCaller,
        spec: &PolicySpec,
        request: Option<&Request>,
    ) -> Result<Outcome<ApprovalPolicy>> {
        spec.check()?;
        self.create(caller.principal(), request, Hold::Share, async |unit| {
            check_project(unit, spec).await?;
            let policy_id = unit.id();
            let in_force = store::approvals::policies::count_in_force(unit.tx()).await?;
            if in_force >= settings::POLICIES {
                let detail = format!("{in_force} policies are in force; retire one first");
                return Err(Refusal::invalid_at("", detail).into());
            }
            let new = NewPolicy { policy_id, spec, by: unit.actor() };
            if !store::approvals::policies::insert(unit.tx(), &new).await? {
                return Err(taken(&spec.name));
            }
            let policy = read(unit.tx(), policy_id).await?;
            unit.record(event(Kind::PolicyCreated, &policy).after(&policy));
            Ok(policy)
        })
        .await
    }

    /// Replaces the content of a policy. Pending approvals keep the old content. An edit without a
    /// change makes no new version.
    ///
    /// # Errors
    /// `invalid`, `not_found`, `precondition_failed`, `already_exists`.
    pub async fn replace_policy(
        &self,
        caller: &AdminCaller,
        policy: PolicyId,
        version: Option<i64>,
        spec: &PolicySpec,
    ) -> Result<ApprovalPolicy> {
        let principal = caller.principal();
        spec.check()?;
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let before = lock(&mut unit, policy, version).await?;
        if before.retired_at.is_some() {
            let detail = "the policy is retired and cannot be edited; create another one";
            return Err(Refusal::new(Code::PreconditionFailed, detail).into());
        }
        check_project(&mut unit, spec).await?;
        if before.spec == *spec {
            return Ok(before);
        }
        if !store::approvals::policies::update(unit.tx(), policy, spec).await? {
            return Err(taken(&spec.name));
        }
        let after = read(unit.tx(), policy).await?;
        unit.record(event(Kind::PolicyUpdated, &after).before(&before).after(&after));
        self.commit(unit).await?;
        Ok(after)
    }

    /// Retires a policy. Retiring a retired policy changes nothing.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`.
    pub async fn retire_policy(
        &self,
        caller: &AdminCaller,
        policy: PolicyId,
        version: Option<i64>,
    ) -> Result<ApprovalPolicy> {
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let before = lock(&mut unit, policy, version).await?;
        if before.retired_at.is_some() {
            return Ok(before);
        }
        store::approvals::policies::retire(unit.tx(), policy).await?;
        let after = read(unit.tx(), policy).await?;
        unit.record(event(Kind::PolicyRetired, &after).before(&before).after(&after));
        self.commit(unit).await?;
        Ok(after)
    }

    /// Reads one policy.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get_policy(
        &self,
        caller: &MonitorCaller,
        policy: PolicyId,
    ) -> Result<ApprovalPolicy> {
        read(&mut self.reader(caller.principal().workspace).await?, policy).await
    }

    /// Up to `rows` policies after `after`, newest first.
    pub async fn list_policies(
        &self,
        caller: &MonitorCaller,
        filter: PolicyFilter,
        after: Option<PolicyId>,
        rows: u32,
    ) -> Result<Vec<ApprovalPolicy>> {
        let workspace = caller.principal().workspace;
        let mut tx = self.reader(workspace).await?;
        let rows = store::approvals::policies::list(&mut tx, filter, after, rows.into()).await?;
        Ok(rows.into_iter().map(view).collect())
    }
}

/// Locks a policy, checks its version and reads it.
async fn lock(unit: &mut Unit, policy: PolicyId, version: Option<i64>) -> Result<ApprovalPolicy> {
    let found = store::approvals::policies::lock(unit.tx(), policy).await?;
    let (stored, _) = found.ok_or_else(|| Refusal::not_found("approval policy"))?;
    if let Some(version) = version {
        same_version(stored.into(), version)?;
    }
    read(unit.tx(), policy).await
}

async fn check_project(unit: &mut Unit, spec: &PolicySpec) -> Result<()> {
    let Some(project) = spec.r#match.project_id else { return Ok(()) };
    if store::approvals::policies::project_exists(unit.tx(), project).await? {
        return Ok(());
    }
    Err(Refusal::not_found("project").into())
}

fn event(kind: Kind, policy: &ApprovalPolicy) -> NewRow {
    NewRow::new(kind).data(json!({
        "policy_id": policy.id, "name": policy.spec.name, "version": policy.version,
        "allow_self": policy.spec.allow_self, "veto": policy.spec.veto,
        "stages": policy.spec.stages, "on_expiry": policy.spec.on_expiry,
    }))
}

/// Matches policies to newly requested approvals, and stores a copy of the policy with each.
pub(in crate::app) async fn freeze(
    unit: &mut Unit,
    approvals: &[ApprovalId],
) -> Result<HashMap<ApprovalId, PolicyId>> {
    let found = find(unit, approvals).await?;
    let mut frozen = Vec::new();
    for (approval_id, policy) in found {
        let Policy { policy_id, version, spec } = policy;
        let (expires_at, remind_at) = expiry::clock(&spec, StagePosition::FIRST, unit.now());
        frozen.push(Frozen {
            approval_id,
            policy_id,
            version,
            allow_self: spec.allow_self,
            document: spec,
            expires_at,
            remind_at,
        });
    }
    if !frozen.is_empty() {
        store::approvals::frozen_policy::freeze(unit.tx(), &frozen).await?;
    }
    Ok(frozen.into_iter().map(|frozen| (frozen.approval_id, frozen.policy_id)).collect())
}

async fn find(unit: &mut Unit, approvals: &[ApprovalId]) -> Result<Vec<(ApprovalId, Policy)>> {
    let policies = store::approvals::policies::in_force(unit.tx()).await?;
    if policies.is_empty() {
        return Ok(Vec::new());
    }
    let asked = store::approvals::frozen_policy::asked(unit.tx(), approvals).await?;
    let chosen = |(id, asked): (ApprovalId, Asked)| Some((id, choose(&policies, &asked)?.clone()));
    Ok(asked.into_iter().filter_map(chosen).collect())
}

/// Restarts the policy of an approval after a revision of its payload. The payload of a plan or a
/// raise states requirements or costs, and any payload may have another floor of the risk, so another
/// policy may match; that one applies from now on. So nobody bypasses the policy for large amounts by
/// requesting a small one and approving more.
pub(in crate::app) async fn ask_anew(unit: &mut Unit, facts: &mut ApprovalFacts) -> Result<()> {
    let risen = floors::reassess(unit, facts).await?;
    let (now, id) = (unit.now(), facts.approval_id);
    let standing = store::approvals::frozen_policy::standing(unit.tx(), id).await?;
    if risen || facts.kind.subject().is_matched_by_payload() {
        let found = find(unit, &[id]).await?.pop();
        let other = found.filter(|(_, policy)| {
            standing.as_ref().is_none_or(|standing| standing.policy_id != policy.policy_id)
        });
        if other.is_some() {
            freeze(unit, &[id]).await?;
            return Ok(());
        }
    }
    let Some(standing) = standing else { return Ok(()) };
    // Approvers who missed the first stage's time limit are not asked again.
    let escalation =
        if standing.stage == StagePosition::FIRST.stage { standing.escalation } else { 0 };
    let place = StagePosition { escalation, ..StagePosition::FIRST };
    let (expires_at, remind_at) = expiry::clock(&standing.policy, place, now);
    let to = Schedule { stage: place.stage, escalation, expires_at, remind_at, reminded: 0 };
    Ok(store::approvals::frozen_policy::set_schedule(unit.tx(), id, to).await?)
}
