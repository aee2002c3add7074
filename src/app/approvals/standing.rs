//! How an approval stands in its policy, as it is shown.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    app::{Result, error::corrupt},
    domain::{
        access::person::Person,
        approval::{
            Verdict,
            excluded::{Decider, Excluded},
        },
        ids::{ApprovalId, KeyId, PolicyId},
        policy::{
            OnExpiry, PolicySpec, StagePosition,
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

/// How an approval stands in the policy that was found for it when it was asked. What the policy said
/// then counts, whatever became of it since.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApprovalStanding {
    /// The policy: `GET /v1/approval-policies/{policy_id}`.
    pub policy_id: PolicyId,
    /// Which edit of it.
    pub version: i32,
    /// Its name.
    #[schema(example = "deploys need two")]
    pub name: String,
    /// Which stage is asked, or was asked last; from 1.
    #[schema(minimum = 1)]
    pub stage: i16,
    /// How many stages there are.
    #[schema(minimum = 1)]
    pub stages: usize,
    /// How often it was escalated in this stage.
    pub escalation: i16,
    /// Who may vote at this stage, but for those who are excluded; empty: any operator.
    pub approvers: Vec<Person>,
    /// How many of them must agree.
    #[schema(example = 2, minimum = 1)]
    pub quorum: u32,
    /// How many agree so far, on the payload as it is, with the same answer.
    #[schema(example = 1)]
    pub agree: usize,
    /// How many are against it.
    pub reject: usize,
    /// How many can vote at all: the approvers without those who are excluded; `null`: any operator.
    /// When it is below `quorum`, only time or a person who rejects can end this stage.
    pub able: Option<usize>,
    /// Whether one rejection ends it.
    pub veto: bool,
    /// Whether those may decide too who are otherwise excluded.
    pub allow_self: bool,
    /// When this stage is out of time; `null`: never.
    pub expires_at: Option<DateTime<Utc>>,
    /// What happens then.
    pub on_expiry: Option<OnExpiry>,
    /// How often people were reminded in this stage.
    pub reminded: i16,
    /// All votes, oldest first. Those about an earlier revision, stage or escalation count no more.
    pub votes: Vec<ApprovalVote>,
}

/// What one person said about an approval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApprovalVote {
    /// Who; `null`: the key has no person.
    pub person: Option<Person>,
    /// With which key; `null`: through a link.
    pub key_id: Option<KeyId>,
    /// In whose place; `null`: the voter's own.
    pub in_place_of: Option<Person>,
    /// What was said.
    pub decision: Verdict,
    /// The answer to a question.
    pub answer: Option<Value>,
    /// Why, or a remark.
    pub reason: Option<String>,
    /// Which form of the payload it was about.
    pub revision: i32,
    /// Which stage was asked.
    pub stage: i16,
    /// How often that was escalated.
    pub escalation: i16,
    /// When.
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

/// How each of these approvals stands in its policy: those that have one.
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
        standings.insert(row.approval_id, standing(frozen, row.revision, &row.excluded, votes)?);
    }
    Ok(standings)
}

fn standing(
    frozen: &FrozenPolicy,
    revision: i32,
    excluded: &[Excluded],
    rows: Vec<VoteRow>,
) -> Result<ApprovalStanding> {
    let FrozenPolicy { policy_id, version, policy, stage, escalation, expires_at, reminded } =
        frozen;
    let spec: PolicySpec = serde_json::from_value(policy.clone()).map_err(corrupt)?;
    let votes: Vec<Vote> =
        rows.iter().map(crate::app::approvals::standing::vote).collect::<Result<_>>()?;
    let place = StagePosition { stage: *stage, escalation: *escalation };
    let panel = Panel::new(&spec, place, excluded);
    let Tally { agree, reject, outcome: _ } = panel.tally(&votes, revision);
    let able = panel.size();
    let (approvers, quorum) = spec.approvers(place);
    Ok(ApprovalStanding {
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
        name: spec.name,
    })
}

/// A vote as it counts.
///
/// # Errors
/// When what is stored is no vote.
pub(in crate::app) fn vote(row: &VoteRow) -> Result<Vote> {
    let answer = row.answer_sha256.as_deref().map(<[u8; 32]>::try_from).transpose();
    Ok(Vote {
        place: StagePosition { stage: row.stage, escalation: row.escalation },
        revision: row.revision,
        decider: Decider { key: row.key_id, person: row.person.clone() },
        in_place_of: row.in_place_of.clone(),
        verdict: row.verdict,
        answer: answer.map_err(corrupt)?,
        at: row.voted_at,
    })
}
