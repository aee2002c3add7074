//! Making, listing and revoking links, with which people decide who have no key.
//!
//! Whoever makes a link holds its token for a moment, so what a link may decide is what its maker could
//! have decided: nobody who is excluded from an approval makes links for it, and none is made for whom
//! is excluded. Both are looked at again when it is used. A token leaves the service once, in the answer
//! that makes it.
//!
//! A link ends at once when it is revoked, and when the key that made it is.

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
            idempotency::{self, Outcome, Request},
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
        refusal::{Code, Refusal},
        settings,
    },
    store::{
        self, Tx,
        approvals::{
            About,
            links::{LinkRow, NewLinkRow},
        },
    },
};

/// A link, without its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApprovalLink {
    /// Its id.
    pub id: LinkId,
    /// What it decides.
    pub approval_id: ApprovalId,
    /// Who decides with it.
    pub person: Person,
    /// The form of the payload that it decides: when that is revised, make another link.
    pub payload_sha256: PayloadHash,
    /// What it is good for now.
    pub state: LinkState,
    /// The key that made it. When that key is revoked, so is the link.
    pub created_by: KeyId,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From then on it opens nothing.
    pub expires_at: DateTime<Utc>,
    /// Since then it opens nothing; `null`: it was not revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When the person decided with it; `null`: not yet.
    pub used_at: Option<DateTime<Utc>>,
    /// What the person decided with it.
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

/// A link to be made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLink {
    /// Who will decide with it. Nobody who is `excluded` from the approval.
    pub person: Person,
    /// After how many seconds it ends; absent: three days. At most thirty days.
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

/// A link and its token, which is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IssuedLink {
    /// The link.
    pub link: ApprovalLink,
    /// What to send to the person, after the address under which people reach this service. Send it to
    /// nobody else: its holder decides as this person. It is stored nowhere and cannot be shown
    /// again.
    #[schema(example = "/decide/msl_<public>_<secret>")]
    pub path: String,
    /// The last part of `path`.
    #[schema(example = "msl_<public>_<secret>")]
    pub token: String,
}

impl App {
    /// Makes a link for a person to decide an approval that waits.
    ///
    /// # Errors
    /// `invalid`; `not_found`; `already_decided`; `separation_of_duties` when caller or person is
    /// excluded; `link_refused` when a link is not enough.
    pub async fn create_approval_link(
        &self,
        caller: &OperatorCaller,
        approval: ApprovalId,
        new: &NewLink,
        request: Option<&Request>,
    ) -> Result<Outcome<IssuedLink>> {
        let lasts = new.check()?;
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let work = async |unit: &mut Unit| {
            if let Some(issued) = idempotency::replay(unit, principal, request).await? {
                return Ok(Outcome::replayed(issued));
            }
            let issued = issue(unit, principal, approval, &new.person, lasts).await?;
            idempotency::store(unit, principal, request, &issued).await?;
            Ok(Outcome::fresh(issued))
        };
        let outcome = work(&mut unit).await;
        self.conclude(unit, outcome).await
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

    /// One link of an approval.
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
        // Only a link of this approval.
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

/// Whether the person for whom a link is made may decide.
fn separate_person(excluded: &[Excluded], person: &Person) -> std::result::Result<(), Refusal> {
    let decider = Decider { key: None, person: Some(person.clone()) };
    separate(excluded, &decider).map_err(|_| {
        let detail = format!(
            "{person} does not decide about this: `excluded` says why; make a link for somebody else"
        );
        Refusal::new(Code::SeparationOfDuties, detail)
    })
}

/// The event of a link. Never its token.
fn event(kind: Kind, about: About, link: &ApprovalLink) -> NewRow {
    let About { kind: asked, goal_id, task_id } = about;
    NewRow::new(kind).goal(goal_id).task(task_id).approval(link.approval_id).data(json!({
        "link_id": link.id, "kind": asked, "person": link.person, "expires_at": link.expires_at,
        "payload_sha256": link.payload_sha256,
    }))
}
