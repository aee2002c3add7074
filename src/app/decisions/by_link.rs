//! Opening decision links, and deciding with them.
//!
//! Opening a link writes nothing, however often and by whatever program. A decision takes the
//! submitted form of the link's page, and is the same as one with a key: same checks, same effect,
//! in the transaction that also marks the link as used. A repeated submission shows the recorded
//! decision; of twenty concurrent ones, one decides and all see the same.
//!
//! For every bad token (unknown, of another workspace, wrong secret) the answer and the work are
//! the same: one query and one comparison in constant time. Only a malformed token is refused
//! earlier, which tells its sender nothing.
//!
//! The token in the path is the only authority: there is no cookie and no key. Another site cannot
//! make a browser decide without the token, and with the token it needs no browser. So `Origin` and
//! similar headers are not checked.
//!
//! The maker of a link saw its token, so a decision by link is also the maker's. The link of an
//! excluded maker decides nothing, and no link votes where more than one person must agree.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{decide_as, request::DecisionRequest};
use crate::{
    app::{
        App, Error, Result,
        approvals::views::{self, Approval},
        caller::Actor,
    },
    domain::{
        access::{actor::UsedLink, person::Person},
        approval::{excluded::separate, same_payload},
        ids::WorkspaceId,
        link::{self, Filled, FormDecision, LinkToken, Over},
        refusal::{Code, FieldError, Refusal},
        states::ApprovalState,
    },
    store::{
        self,
        approvals::links::{LinkRow, Surroundings},
    },
};

/// The content of the page of a link.
#[derive(Debug)]
pub enum Opened {
    /// The approval, pending for the person.
    Asked(Box<Question>),
    /// The approval has ended: decided, cancelled or expired.
    Settled(Box<Settled>),
    /// The person voted with the link, but more votes are needed.
    Counted(Box<Settled>),
    /// The link has ended: revoked or expired.
    Over(Over),
    /// The person cannot decide with this link.
    Refused(Refusal),
}

/// A pending approval as shown to a person.
#[derive(Debug)]
pub struct Question {
    /// The pending approval.
    pub approval: Approval,
    /// The payload, formatted; empty without a payload.
    pub payload: String,
    /// Its goal and task.
    pub about: Surroundings,
    /// The person of the link.
    pub person: Person,
    /// When the link expires.
    pub expires_at: DateTime<Utc>,
    /// Errors in the submitted form.
    pub errors: Vec<FieldError>,
}

/// An approval after the use of a link.
#[derive(Debug)]
pub struct Settled {
    /// The approval, with its decision if there is one.
    pub approval: Approval,
    /// Its goal and task.
    pub about: Surroundings,
    /// The link, with its verdict if it was used.
    pub link: LinkRow,
}

impl App {
    /// The content of a link's page. Changes nothing.
    ///
    /// # Errors
    /// `not_found` if the token is no link.
    pub async fn open_link(&self, token: &str) -> Result<Opened> {
        let (workspace, link) = self.find_link(token).await?;
        self.open(workspace, link).await
    }

    /// Decides with a link, if the form is complete and the approval is pending; then returns the
    /// content of the link's page.
    ///
    /// # Errors
    /// `not_found` if the token is no link.
    pub async fn decide_by_link(
        &self,
        token: &str,
        filled: &Filled,
        request_id: Arc<str>,
    ) -> Result<Opened> {
        let (workspace, link) = self.find_link(token).await?;
        let opened = self.open(workspace, link.clone()).await?;
        let Opened::Asked(question) = opened else { return Ok(opened) };
        let said = match filled.read(question.approval.answer_schema.as_ref()) {
            Ok(said) => said,
            Err(refusal) => return Ok(wrong(question, refusal)),
        };
        match self.decide_through(workspace, &link, said, request_id).await {
            Ok(()) => {}
            Err(Error::Refused(refusal)) if refusal.code == Code::Invalid => {
                return Ok(wrong(question, refusal));
            }
            // Another decision came first, perhaps with this very link: the page shows it.
            Err(Error::Refused(refusal)) if refusal.code == Code::AlreadyDecided => {}
            Err(Error::Refused(refusal)) if refusal.code == Code::PayloadChanged => {
                return Ok(Opened::Refused(changed()));
            }
            Err(Error::Refused(refusal)) => return Ok(Opened::Refused(refusal)),
            Err(error) => return Err(error),
        }
        self.open_link(token).await
    }

    async fn find_link(&self, token: &str) -> Result<(WorkspaceId, LinkRow)> {
        let unknown = || Error::from(Refusal::not_found("link"));
        let token = LinkToken::parse(token).ok_or_else(unknown)?;
        let workspace = token.workspace();
        let found =
            store::approvals::links::find(&mut self.reader(workspace).await?, token.link()).await?;
        let proven = token.proves(found.as_ref().map(|(_, stored)| stored.as_slice()));
        let (link, _) = found.filter(|_| proven).ok_or_else(unknown)?;
        Ok((workspace, link))
    }

    async fn open(&self, workspace: WorkspaceId, link: LinkRow) -> Result<Opened> {
        let mut tx = self.reader(workspace).await?;
        if let Some(over) = link.times().over(tx.now) {
            return Ok(Opened::Over(over));
        }
        let approval = views::read(&mut tx, link.approval_id).await?;
        let about = store::approvals::links::surroundings(&mut tx, link.approval_id).await?;
        if approval.state != ApprovalState::Pending {
            return Ok(Opened::Settled(Box::new(Settled { approval, about, link })));
        }
        if link.used_at.is_some() {
            return Ok(Opened::Counted(Box::new(Settled { approval, about, link })));
        }
        Ok(match may_decide(&link, &approval) {
            Ok(payload) => {
                let LinkRow { person, expires_at, .. } = link;
                let errors = Vec::new();
                let question = Question { approval, payload, about, person, expires_at, errors };
                Opened::Asked(Box::new(question))
            }
            Err(refusal) => Opened::Refused(refusal),
        })
    }

    async fn decide_through(
        &self,
        workspace: WorkspaceId,
        link: &LinkRow,
        said: FormDecision,
        request_id: Arc<str>,
    ) -> Result<()> {
        let FormDecision { verdict, payload_sha256, reason, answer } = said;
        // The page showed the payload of the link, so the decision is about that payload.
        same_payload(payload_sha256, link.payload_sha256)?;
        let new = DecisionRequest::new(verdict, payload_sha256);
        let request = DecisionRequest { reason, answer, ..new };
        let about = {
            let mut tx = self.reader(workspace).await?;
            views::about(&mut tx, link.approval_id).await?
        };
        let decider = link.decider();
        let actor = Actor {
            person: decider.person.clone(),
            request_id: Some(request_id),
            link: Some(UsedLink { id: link.link_id, made_by: link.created_by }),
            ..Actor::SERVICE
        };
        let mut unit = self.begin_to_decide(workspace, actor, about.kind, &request).await?;
        let work = async {
            let decided =
                decide_as(&mut unit, about, link.approval_id, (&decider, None), &request).await?;
            link::enough(decided.risk, &decided.choices)?;
            let id = link.link_id;
            if store::approvals::links::use_up(unit.tx(), id, verdict).await? {
                return Ok(());
            }
            let detail = "this link was just used or revoked, or has just expired";
            Err(Refusal::new(Code::AlreadyDecided, detail).into())
        };
        match work.await {
            Ok(()) => self.commit(unit).await,
            Err(error) => {
                // The refusal matters more than a connection that broke during the rollback.
                let _ = self.undo(unit).await;
                Err(error)
            }
        }
    }
}

/// Refuses if the link cannot decide the approval now; returns the formatted payload.
fn may_decide(link: &LinkRow, approval: &Approval) -> std::result::Result<String, Refusal> {
    link::enough(approval.risk, &approval.choices)?;
    if link.payload_sha256 != approval.payload_sha256 {
        return Err(changed());
    }
    if !approval.allow_self {
        let decider = link.decider();
        separate(&approval.excluded, &decider)?;
        decider.maker().map_or(Ok(()), |maker| separate(&approval.excluded, &maker))?;
    }
    if approval.policy.as_ref().is_some_and(|standing| standing.quorum > 1) {
        return Err(several());
    }
    link::shown(approval.payload.as_ref())
}

fn several() -> Refusal {
    let detail = "more than one person must agree now, and the maker of this link could vote with it: \
                  decide with a key of your own";
    Refusal::new(Code::LinkRefused, detail)
}

fn changed() -> Refusal {
    let detail = "the request was revised after this link was created; ask for another link";
    Refusal::new(Code::PayloadChanged, detail)
}

fn wrong(mut question: Box<Question>, refusal: Refusal) -> Opened {
    question.errors = refusal.errors;
    Opened::Asked(question)
}
