//! The standing of an approval in its policy, as a wire type.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    app::Result,
    domain::{
        access::person::Person,
        approval::{Verdict, excluded::Excluded},
        ids::{ApprovalId, KeyId, LinkId, PolicyId},
        policy::{
            OnExpiry, StagePosition,
            panel::{Panel, Tally, Vote},
        },
    },
    store::{
        self, Tx,
        approvals::{
            read::{ApprovalRow, FrozenPolicy},
            votes::VoteRow,
        },
    },
};

/// Standing of an approval in its policy. The approval keeps the policy as it was when the approval
/// was requested; later edits have no effect on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApprovalStanding {
    /// Id of the policy: `GET /v1/approval-policies/{policy_id}`.
    pub policy_id: PolicyId,
    /// Version of the policy that was copied to the approval.
    pub version: i32,
    /// Name of the policy at that version.
    #[schema(example = "deploys need two")]
    pub name: String,
    /// Number of the current or last stage, from 1.
    #[schema(minimum = 1)]
    pub stage: i16,
    /// Number of stages in the policy.
    #[schema(minimum = 1)]
    pub stages: usize,
    /// Number of escalations in this stage so far.
    pub escalation: i16,
    /// Persons who may vote in this stage, unless they are excluded; empty: any operator.
    pub approvers: Vec<Person>,
    /// Number of approvers who must agree in this stage.
    #[schema(example = 2, minimum = 1)]
    pub quorum: u32,
    /// Number of approvers who agree so far: on the current payload and with the same answer.
    #[schema(example = 1)]
    pub agree: usize,
    /// Number of approvers who are against it so far.
    pub reject: usize,
    /// Number of approvers who are not excluded and so can vote; `null`: any operator. If it is
    /// below `quorum`, only a timeout or a rejection can end this stage.
    pub able: Option<usize>,
    /// Whether a single rejection decides the approval.
    pub veto: bool,
    /// Whether excluded persons may decide all the same.
    pub allow_self: bool,
    /// When this stage times out; `null`: never.
    pub expires_at: Option<DateTime<Utc>>,
    /// Effect of a timeout of this stage.
    pub on_expiry: Option<OnExpiry>,
    /// Number of reminders that were sent in this stage.
    pub reminded: i16,
    /// All votes, oldest first. Votes on an earlier revision, stage or escalation do not count.
    pub votes: Vec<ApprovalVote>,
}

/// One person's vote on an approval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApprovalVote {
    /// The person who voted; `null`: the key has no person.
    pub person: Option<Person>,
    /// The key that voted; `null`: the vote came through a link.
    pub key_id: Option<KeyId>,
    /// Whether the vote came through a link. Its maker could have cast it: the votes of the maker and
    /// all votes by the maker's links count as one.
    pub by_link: bool,
    /// The link; `null`: the vote came with a key.
    pub link_id: Option<LinkId>,
    /// The key that made the link; `null`: the vote came with a key.
    pub link_maker: Option<KeyId>,
    /// The approver whom the voter represented, by a delegation; `null`: the voter's own vote.
    pub in_place_of: Option<Person>,
    /// Verdict of the vote; never changes.
    pub decision: Verdict,
    /// Answer of the vote; `null` unless the verdict is `answer`.
    pub answer: Option<Value>,
    /// Reason or remark of the voter; `null` if none was given.
    pub reason: Option<String>,
    /// Revision of the payload that the vote was about.
    pub revision: i32,
    /// Number of the stage in which the vote was cast.
    pub stage: i16,
    /// Number of escalations in that stage when the vote was cast.
    pub escalation: i16,
    /// When the vote was cast.
    pub voted_at: DateTime<Utc>,
}

impl From<VoteRow> for ApprovalVote {
    fn from(row: VoteRow) -> Self {
        let VoteRow {
            approval_id: _,
            revision,
            stage,
            escalation,
            key_id,
            person,
            origin: _,
            origin_person: _,
            link_id,
            link_maker,
            maker_origin: _,
            maker_person: _,
            in_place_of,
            verdict,
            answer,
            answer_sha256: _,
            reason,
            voted_at,
        } = row;
        Self {
            person,
            key_id,
            by_link: link_id.is_some(),
            link_id,
            link_maker,
            in_place_of,
            decision: verdict,
            answer,
            reason,
            revision,
            stage,
            escalation,
            voted_at,
        }
    }
}

/// The standing of each of these approvals that has a policy.
pub(in crate::app) async fn standings(
    tx: &mut Tx,
    rows: &[ApprovalRow],
) -> Result<HashMap<ApprovalId, ApprovalStanding>> {
    let with_policy = rows.iter().filter(|row| row.frozen.is_some());
    let ids: Vec<ApprovalId> = with_policy.map(|row| row.approval_id).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let mut votes: HashMap<ApprovalId, Vec<VoteRow>> = HashMap::new();
    for vote in store::approvals::votes::list(tx, &ids).await? {
        votes.entry(vote.approval_id).or_default().push(vote);
    }
    let mut standings = HashMap::new();
    for row in rows {
        let Some(frozen) = &row.frozen else { continue };
        let votes = votes.remove(&row.approval_id).unwrap_or_default();
        standings.insert(row.approval_id, standing(frozen, row.revision, &row.excluded, votes));
    }
    Ok(standings)
}

fn standing(
    frozen: &FrozenPolicy,
    revision: i32,
    excluded: &[Excluded],
    rows: Vec<VoteRow>,
) -> ApprovalStanding {
    let FrozenPolicy { policy_id, version, policy: spec, stage, escalation, expires_at, reminded } =
        frozen;
    let votes: Vec<Vote> = rows.iter().map(vote).collect();
    let place = StagePosition { stage: *stage, escalation: *escalation };
    let panel = Panel::new(spec, place, excluded);
    let Tally { agree, reject, outcome: _ } = panel.tally(&votes, revision);
    let able = panel.size();
    let (approvers, quorum) = spec.approvers(place);
    ApprovalStanding {
        policy_id: *policy_id,
        version: *version,
        stage: *stage,
        stages: spec.stages.len(),
        escalation: *escalation,
        approvers: approvers.to_vec(),
        quorum,
        agree,
        reject,
        able,
        veto: spec.veto,
        allow_self: spec.allow_self,
        expires_at: *expires_at,
        on_expiry: spec.on_expiry,
        reminded: *reminded,
        votes: rows.into_iter().map(ApprovalVote::from).collect(),
        name: spec.name.clone(),
    }
}

/// A stored vote, as it counts.
pub(in crate::app) fn vote(row: &VoteRow) -> Vote {
    Vote {
        place: StagePosition { stage: row.stage, escalation: row.escalation },
        revision: row.revision,
        decider: row.decider(),
        in_place_of: row.in_place_of.clone(),
        verdict: row.verdict,
        answer: row.answer_sha256,
        at: row.voted_at,
    }
}
