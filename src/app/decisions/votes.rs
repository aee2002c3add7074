//! Votes on approvals with a policy.
//!
//! The approval's row is locked throughout, so votes are serialized and exactly one of them
//! decides. The deciding vote has its effect in the same transaction, like a single decision; every
//! other vote only counts. An approval without a policy has no votes: any operator decides it.

use serde_json::json;

use super::request::DecisionRequest;
use crate::{
    app::{Result, Unit, approvals::standing::vote},
    domain::{
        approval::{Verdict, excluded::Decider, review::Choice},
        canonical,
        journal::{Kind, NewRow},
        policy::{
            PolicySpec, StagePosition, expiry, linked,
            panel::{Outcome, Panel, Tally, Vote},
        },
        refusal::{Code, Refusal},
        settings,
    },
    store::{
        self,
        approvals::{
            ApprovalFacts,
            frozen_policy::{Schedule, Standing},
            votes::{NewVote, VoteRow},
        },
    },
};

/// The outcome of a vote.
#[derive(Debug)]
pub(in crate::app) enum Cast {
    /// The vote counts; more votes are needed.
    Counts,
    /// A repetition of an earlier vote; nothing changes.
    Again,
    /// The vote decides the approval.
    Decides(Box<DecisionRequest>),
}

/// Casts a vote of a permitted decider. The approval is locked and pending, and the vote names its
/// current payload.
///
/// # Errors
/// `not_an_approver`, `already_voted`, `invalid`.
pub(in crate::app) async fn cast(
    unit: &mut Unit,
    facts: &ApprovalFacts,
    decider: &Decider,
    request: &DecisionRequest,
) -> Result<Cast> {
    let id = facts.approval_id;
    let Some(standing) = store::approvals::frozen_policy::standing(unit.tx(), id).await? else {
        return match request.in_place_of {
            Some(_) => {
                let detail = "the approval has no policy, so there is no approver to represent";
                Err(Refusal::invalid_at("/in_place_of", detail).into())
            }
            None => Ok(Cast::Decides(Box::new(request.clone()))),
        };
    };
    let Standing {
        policy: spec,
        stage,
        escalation,
        policy_id: _,
        expires_at: _,
        remind_at: _,
        reminded: _,
    } = standing;
    let place = StagePosition { stage, escalation };
    let panel = Panel::new(&spec, place, &facts.excluded);
    check_link(unit, &panel, (&spec, place), decider).await?;
    let rows = store::approvals::votes::list(unit.tx(), &[id]).await?;
    let mut votes: Vec<Vote> = rows.iter().map(vote).collect();
    let principal = panel.principal(decider, request.in_place_of.as_ref(), unit.now())?;
    let new = Vote {
        place,
        revision: facts.revision,
        decider: decider.clone(),
        in_place_of: principal,
        verdict: request.decision,
        answer: request.answer.as_ref().map(canonical::sha256),
        at: unit.now(),
    };
    if let Some(before) = panel.before(&votes, &new) {
        return same(before, &new);
    }
    same_answer(&votes, &new)?;
    insert(unit, facts, decider, &new, request).await?;
    votes.push(new);
    let tally = panel.tally(&votes, facts.revision);
    match tally.outcome {
        Outcome::Decided(verdict) => {
            let reason = reason(&rows, place, facts.revision, verdict, request);
            let ruling = ruling(verdict, reason, facts.last_round, request);
            Ok(Cast::Decides(Box::new(ruling)))
        }
        Outcome::Pending => {
            record_event(unit, facts, (decider, place), tally);
            store::approvals::frozen_policy::touch(unit.tx(), id).await?;
            Ok(Cast::Counts)
        }
        Outcome::NextStage => {
            record_event(unit, facts, (decider, place), tally);
            let next = place.next_stage();
            let (expires_at, remind_at) = expiry::clock(&spec, next, unit.now());
            let StagePosition { stage, escalation } = next;
            let to = Schedule { stage, escalation, expires_at, remind_at, reminded: 0 };
            store::approvals::frozen_policy::set_schedule(unit.tx(), id, to).await?;
            Ok(Cast::Counts)
        }
    }
}

/// Refuses a vote by link where several must agree, or whose maker may make none here.
async fn check_link(
    unit: &mut Unit,
    panel: &Panel<'_>,
    (spec, place): (&PolicySpec, StagePosition),
    decider: &Decider,
) -> Result<()> {
    let Some(link) = &decider.link else { return Ok(()) };
    linked::one_agrees(spec, place)?;
    let holder = store::authority::holder(unit.tx(), link.maker).await?;
    let holder = holder.ok_or_else(|| Refusal::not_found("key"))?;
    Ok(linked::may_make(panel, holder.role, holder.decider.person.as_ref())?)
}

/// Accepts a repetition of the same vote and refuses a different one. Reasons are not compared.
fn same(before: &Vote, new: &Vote) -> Result<Cast> {
    let mine = before.is_by(&new.decider);
    let said = |vote: &Vote| (vote.verdict, vote.answer, vote.in_place_of.clone());
    if mine && said(before) == said(new) {
        return Ok(Cast::Again);
    }
    let detail = if !mine && before.shares_a_link_with(new) {
        "a vote by link and the votes of the link's maker count as one, and that one was cast; \
         another person must vote, with a key of their own"
            .to_owned()
    } else if mine {
        format!("you have already voted in this stage, with `{}`", before.verdict)
    } else {
        format!("this approver's vote was already cast, with `{}`", before.verdict)
    };
    Err(Refusal::new(Code::AlreadyVoted, detail).into())
}

/// Refuses an answer that differs from the one agreed on in the previous stage.
fn same_answer(votes: &[Vote], new: &Vote) -> Result<()> {
    // The last answer of a stage completed it.
    let agreed = votes.iter().rev().find(|vote| {
        vote.revision == new.revision
            && vote.place.stage + 1 == new.place.stage
            && vote.verdict == Verdict::Answer
    });
    match (new.verdict, agreed) {
        (Verdict::Answer, Some(agreed)) if agreed.answer != new.answer => {
            let detail = "the previous stage agreed on another answer: give that one, or reject";
            Err(Refusal::invalid_at("/answer", detail).into())
        }
        (Verdict::Answer | Verdict::Approve | Verdict::Reject | Verdict::Decline, _) => Ok(()),
    }
}

async fn insert(
    unit: &mut Unit,
    facts: &ApprovalFacts,
    decider: &Decider,
    new: &Vote,
    request: &DecisionRequest,
) -> Result<()> {
    let vote = NewVote {
        approval_id: facts.approval_id,
        revision: new.revision,
        stage: new.place.stage,
        escalation: new.place.escalation,
        key_id: decider.key,
        link: decider.link.as_ref(),
        person: decider.person.as_ref(),
        in_place_of: new.in_place_of.as_ref(),
        verdict: new.verdict,
        answer: request.answer.as_ref(),
        answer_sha256: new.answer,
        reason: request.reason.as_deref(),
        payload_sha256: facts.payload_sha256,
    };
    Ok(store::approvals::votes::insert(unit.tx(), &vote).await?)
}

fn record_event(
    unit: &mut Unit,
    facts: &ApprovalFacts,
    (decider, place): (&Decider, StagePosition),
    tally: Tally,
) {
    let Tally { agree, reject, outcome } = tally;
    let row = NewRow::new(Kind::ApprovalVoted)
        .goal(facts.goal_id)
        .task(facts.task_id)
        .attempt(facts.attempt_id)
        .approval(facts.approval_id);
    unit.record(row.data(json!({
        "kind": facts.kind, "revision": facts.revision, "stage": place.stage, "agree": agree,
        "reject": reject, "stage_passed": outcome == Outcome::NextStage,
        "by_link": decider.link.is_some(),
    })));
}

/// The reason of the decision: that of the deciding vote, or those of all votes against it.
fn reason(
    rows: &[VoteRow],
    place: StagePosition,
    revision: i32,
    verdict: Verdict,
    request: &DecisionRequest,
) -> Option<String> {
    let here = |row: &&VoteRow| {
        row.revision == revision && (row.stage, row.escalation) == (place.stage, place.escalation)
    };
    match verdict {
        Verdict::Approve | Verdict::Answer => request.reason.clone(),
        Verdict::Reject | Verdict::Decline => {
            let against = rows.iter().filter(here).filter(|row| match row.verdict {
                Verdict::Reject | Verdict::Decline => true,
                Verdict::Approve | Verdict::Answer => false,
            });
            let mut reasons: Vec<&str> = against.filter_map(|row| row.reason.as_deref()).collect();
            reasons.extend(request.reason.as_deref());
            if reasons.is_empty() && verdict == Verdict::Reject {
                reasons.push("the approvers can no longer agree");
            }
            let all = reasons.join("\n");
            let cut = all.floor_char_boundary(settings::MESSAGE_BYTES);
            all.get(..cut).filter(|all| !all.is_empty()).map(str::to_owned)
        }
    }
}

/// The votes' outcome as a single decision. Result fields of the deciding vote apply if its verdict
/// is the outcome.
fn ruling(
    verdict: Verdict,
    reason: Option<String>,
    last_round: bool,
    last: &DecisionRequest,
) -> DecisionRequest {
    let answer = match verdict {
        Verdict::Answer => last.answer.clone(),
        Verdict::Approve | Verdict::Reject | Verdict::Decline => None,
    };
    if last.decision == verdict {
        return DecisionRequest { reason, answer, ..last.clone() };
    }
    DecisionRequest {
        decision: verdict,
        reason,
        answer,
        waive: Vec::new(),
        feedback: Vec::new(),
        choice: last_round.then(|| Choice::disagreed(verdict)),
        ..last.clone()
    }
}
