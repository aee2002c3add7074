//! A decision that is sent again.
//!
//! A person whose answer got lost sends the same decision once more. It changes nothing, and gets the same
//! answer as before: the approval. The same decision has the same verdict, answer and payload, by the same
//! person, or with the same key. Reasons are not compared. Any other decision on an approval that is no
//! longer pending is `already_decided`.

use crate::{
    app::{Result, Unit, approvals::standing::vote},
    domain::{
        approval::{PayloadHash, excluded::Decider},
        canonical,
    },
    store::{self, approvals::ApprovalFacts},
};

use super::request::DecisionRequest;

/// Whether the decider decided or voted so before. The approval is locked and no longer pending.
pub(super) async fn decided_so(
    unit: &mut Unit,
    facts: &ApprovalFacts,
    decider: &Decider,
    request: &DecisionRequest,
) -> Result<bool> {
    let payload = request.payload.as_ref();
    let payload = payload.map_or(request.payload_sha256, |payload| PayloadHash::of(Some(payload)));
    if payload != facts.payload_sha256 {
        return Ok(false);
    }
    let answer = request.answer.as_ref().map(canonical::sha256);
    let id = facts.approval_id;
    if let Some(past) = store::approvals::read::read(unit.tx(), id).await? {
        let by_key = past.decided_by.is_some() && past.decided_by == decider.key;
        let by_person =
            past.decided_by_person.is_some() && past.decided_by_person == decider.person;
        let same = past.verdict == Some(request.decision)
            && past.answer.as_ref().map(canonical::sha256) == answer
            && past.nobody_else == request.nobody_else;
        if same && (by_key || by_person) {
            return Ok(true);
        }
    }
    let votes = store::approvals::votes::list(unit.tx(), &[id]).await?;
    Ok(votes.iter().map(vote).any(|vote| {
        vote.revision == facts.revision
            && vote.is_by(decider)
            && (vote.verdict, vote.answer) == (request.decision, answer)
    }))
}
