//! Creating, listing and revoking decision links, for people without a key.
//!
//! The creator of a link sees its token, so a link may decide only what its creator could decide:
//! an excluded person creates no links for that approval, and no link is created for an excluded
//! person. Both are checked again on use. A token leaves the service once, in the answer that
//! creates it.
//!
//! Under a policy with named approvers, only they and admins make links. Where more than one person
//! must agree, nobody does ([`linked`]).
//!
//! A link ends immediately when it is revoked, or when the key that created it is revoked.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    app::{
        App, Result, Unit,
        approvals::views,
        caller::{Caller as _, OperatorCaller, Principal, ReaderCaller},
        unit::{
            idempotency::{Outcome, Request},
            locks::lock_pending,
        },
    },
    domain::{
        access::person::Person,
        approval::{
            PayloadHash, Verdict,
            excluded::{Decider, Excluded, separate},
        },
        check::Checks,
        ids::{ApprovalId, KeyId, LinkId},
        journal::{Kind, NewRow},
        link::{self, LinkState, LinkToken},
        policy::{StagePosition, linked, panel::Panel},
        refusal::{Code, Refusal},
        settings,
    },
    store::{
        self, Hold, Tx,
        approvals::{
            About, ApprovalFacts,
            links::{LinkRow, NewLinkRow},
        },
    },
};

/// A decision link, without its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApprovalLink {
    /// Id of the link; stable for its life.
    pub id: LinkId,
    /// The approval that the link decides.
    pub approval_id: ApprovalId,
    /// The person who decides with the link.
    pub person: Person,
    /// Hash of the payload that the link decides. After a revision of the payload, create another
    /// link.
    pub payload_sha256: PayloadHash,
    /// State of the link at the time of the answer.
    pub state: LinkState,
    /// The key that created the link. When that key is revoked, or a key that it dies with, so is the
    /// link.
    pub created_by: KeyId,
    /// When the link was created.
    pub created_at: DateTime<Utc>,
    /// When the link expires; it opens nothing from then on.
    pub expires_at: DateTime<Utc>,
    /// When the link was revoked; it opens nothing from then on. `null`: it was not revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When the person decided with the link; `null`: not yet.
    pub used_at: Option<DateTime<Utc>>,
    /// Verdict of the decision with this link; `null`: none yet.
    pub verdict: Option<Verdict>,
}

impl ApprovalLink {
    fn of(row: LinkRow, now: DateTime<Utc>) -> Self {
        let state = row.times().state(now);
        let LinkRow {
            link_id,
            approval_id,
            person,
            payload_sha256,
            created_by,
            maker_role: _,
            maker_holder: _,
            maker_origin: _,
            maker_person: _,
            created_at,
            expires_at,
            revoked_at,
            used_at,
            verdict,
        } = row;
        Self {
            id: link_id,
            approval_id,
            person,
            payload_sha256,
            state,
            created_by,
            created_at,
            expires_at,
            revoked_at,
            used_at,
            verdict,
        }
    }
}

/// Request to create a decision link.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLink {
    /// The person who will decide with the link; not one of the `excluded` of the approval.
    pub person: Person,
    /// Lifetime of the link in seconds, at most thirty days; absent: three days.
    #[serde(default)]
    #[schema(example = 259_200, minimum = 1, maximum = 2_592_000)]
    pub expires_in_seconds: Option<u64>,
}

impl NewLink {
    fn check(&self) -> Result<Duration> {
        let mut checks = Checks::new();
        let lasts = self.expires_in_seconds.map_or(settings::LINK_EXPIRY, Duration::from_secs);
        let longest = settings::LINK_EXPIRY_MAX.as_secs();
        checks.range("/expires_in_seconds", lasts.as_secs(), 1..=longest);
        checks.finish()?;
        Ok(lasts)
    }
}

/// A link with its token. The token is shown only in this answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IssuedLink {
    /// The link that was created.
    pub link: ApprovalLink,
    /// Path to send to the person, after the public address of this service. Send it to nobody
    /// else: its holder decides as this person. It is not stored and cannot be shown again.
    #[schema(example = "/decide/msl_<public>_<secret>")]
    pub path: String,
    /// The last part of `path`.
    #[schema(example = "msl_<public>_<secret>")]
    pub token: String,
}

impl App {
    /// Creates a link with which a person decides a pending approval.
    ///
    /// # Errors
    /// `invalid`; `not_found`; `already_decided`; `separation_of_duties` if the caller or the
    /// person is excluded; `not_an_approver` if the caller is neither an approver nor an admin; `link_refused` if the approval needs more than a link.
    pub async fn create_approval_link(
        &self,
        caller: &OperatorCaller,
        approval: ApprovalId,
        new: &NewLink,
        request: Option<&Request>,
    ) -> Result<Outcome<IssuedLink>> {
        let lasts = new.check()?;
        let principal = caller.principal();
        self.create(principal, request, Hold::Share, async |unit| {
            issue(unit, principal, approval, &new.person, lasts).await
        })
        .await
    }

    /// Up to `rows` links of an approval after `after`, newest first.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn list_approval_links(
        &self,
        caller: &ReaderCaller,
        approval: ApprovalId,
        after: Option<LinkId>,
        rows: u32,
    ) -> Result<Vec<ApprovalLink>> {
        let workspace = caller.principal().workspace;
        let mut tx = self.reader(workspace).await?;
        views::about(&mut tx, approval).await?;
        let rows =
            store::approvals::links::list(&mut tx, approval, None, after, rows.into()).await?;
        Ok(rows.into_iter().map(|row| ApprovalLink::of(row, tx.now)).collect())
    }

    /// Reads one link of an approval.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get_approval_link(
        &self,
        caller: &ReaderCaller,
        approval: ApprovalId,
        link: LinkId,
    ) -> Result<ApprovalLink> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        read(&mut tx, approval, link).await
    }

    /// Revokes a link at once. Revoking a revoked link changes nothing.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn revoke_approval_link(
        &self,
        caller: &OperatorCaller,
        approval: ApprovalId,
        link: LinkId,
    ) -> Result<ApprovalLink> {
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let about = views::about(unit.tx(), approval).await?;
        // Refuses a link of another approval.
        read(unit.tx(), approval, link).await?;
        let fresh = store::approvals::links::revoke(unit.tx(), link).await?;
        let revoked = read(unit.tx(), approval, link).await?;
        if fresh {
            unit.record(event(Kind::ApprovalLinkRevoked, about, &revoked));
        }
        self.commit(unit).await?;
        Ok(revoked)
    }
}

async fn read(tx: &mut Tx, approval: ApprovalId, link: LinkId) -> Result<ApprovalLink> {
    let found = store::approvals::links::list(tx, approval, Some(link), None, 1).await?.pop();
    let row = found.ok_or_else(|| Refusal::not_found("link"))?;
    Ok(ApprovalLink::of(row, tx.now))
}

async fn issue(
    unit: &mut Unit,
    principal: &Principal,
    approval: ApprovalId,
    person: &Person,
    lasts: Duration,
) -> Result<IssuedLink> {
    let (workspace, now) = (unit.workspace(), unit.now());
    let about = views::about(unit.tx(), approval).await?;
    let facts = lock_pending(unit, approval).await?;
    if !facts.allow_self {
        separate(&facts.excluded, &principal.decider())?;
        separate_person(&facts.excluded, person)?;
    }
    may_make(unit, principal, &facts, person).await?;
    let asked = views::read(unit.tx(), approval).await?;
    link::enough(asked.risk, &asked.choices)?;
    link::shown(facts.payload.as_ref())?;
    let token = LinkToken::new(workspace, unit.id(), unit.entropy().bytes());
    let hash = token.hash();
    let row = NewLinkRow {
        link_id: token.link(),
        approval_id: approval,
        person,
        token_sha256: hash.as_bytes(),
        payload_sha256: facts.payload_sha256,
        created_by: principal.key,
        expires_at: now + lasts,
    };
    store::approvals::links::insert(unit.tx(), &row).await?;
    let link = read(unit.tx(), approval, token.link()).await?;
    unit.record(event(Kind::ApprovalLinkCreated, about, &link));
    let token = token.expose().to_owned();
    Ok(IssuedLink { link, path: format!("/decide/{token}"), token })
}

/// Refuses a link where several must agree, and a maker who is no approver and no admin.
async fn may_make(
    unit: &mut Unit,
    principal: &Principal,
    facts: &ApprovalFacts,
    person: &Person,
) -> Result<()> {
    let id = facts.approval_id;
    let standing = store::approvals::frozen_policy::standing(unit.tx(), id).await?;
    let Some(standing) = standing else { return Ok(()) };
    let spec = standing.policy.0;
    let place = StagePosition { stage: standing.stage, escalation: standing.escalation };
    let panel = Panel::new(&spec, place, &facts.excluded);
    linked::may_make(&panel, principal.role, principal.person.as_ref())?;
    Ok(linked::one_agrees_from(&spec, place, person)?)
}

/// Refuses a link for an excluded person.
fn separate_person(excluded: &[Excluded], person: &Person) -> std::result::Result<(), Refusal> {
    separate(excluded, &Decider::person(person.clone())).map_err(|_| {
        let detail = format!(
            "{person} may not decide this approval: `excluded` says why; create a link for another person"
        );
        Refusal::new(Code::SeparationOfDuties, detail)
    })
}

/// The event of a link, without its token.
fn event(kind: Kind, about: About, link: &ApprovalLink) -> NewRow {
    let About { kind: asked, goal_id, task_id } = about;
    NewRow::new(kind).goal(goal_id).task(task_id).approval(link.approval_id).data(json!({
        "link_id": link.id, "kind": asked, "person": link.person, "expires_at": link.expires_at,
        "payload_sha256": link.payload_sha256,
    }))
}
