//! Votes on approvals.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    domain::{
        access::{origin::Origin, person::Person},
        approval::{
            PayloadHash, Verdict,
            excluded::{ByLink, Decider},
        },
        ids::{ApprovalId, KeyId, LinkId},
    },
    store::{Tx, traced},
};

/// A vote to be stored.
#[derive(Debug)]
pub struct NewVote<'a> {
    /// The approval; locked.
    pub approval_id: ApprovalId,
    /// Ordinal of the payload it is about.
    pub revision: i32,
    /// Current stage of the policy.
    pub stage: i16,
    /// Number of escalations in the stage.
    pub escalation: i16,
    /// The voting key; `None` for a vote by link.
    pub key_id: Option<KeyId>,
    /// The link used.
    pub link: Option<&'a ByLink>,
    /// The voting person, if known.
    pub person: Option<&'a Person>,
    /// The person it is cast for, as their deputy.
    pub in_place_of: Option<&'a Person>,
    /// The verdict.
    pub verdict: Verdict,
    /// The answer to an approval of kind `input`.
    pub answer: Option<&'a Value>,
    /// Hash of the answer.
    pub answer_sha256: Option<[u8; 32]>,
    /// Reason, or a remark.
    pub reason: Option<&'a str>,
    /// Hash of the payload the voter read.
    pub payload_sha256: PayloadHash,
}

/// Stores a vote.
pub async fn insert(tx: &mut Tx, vote: &NewVote<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into approval_votes (workspace_id, approval_id, number, revision, stage, escalation,
                                     key_id, person, in_place_of, verdict, answer, answer_sha256,
                                     reason, payload_sha256, voted_at, link_id, link_maker)
         select $1, $2, 1 + count(*), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
                $15, $16
         from approval_votes where workspace_id = $1 and approval_id = $2",
        tx.workspace.0,
        vote.approval_id.0,
        vote.revision,
        vote.stage,
        vote.escalation,
        vote.key_id.map(|id| id.0),
        vote.person.map(Person::as_str),
        vote.in_place_of.map(Person::as_str),
        vote.verdict.as_str(),
        vote.answer,
        vote.answer_sha256.as_ref().map(<[u8; 32]>::as_slice),
        vote.reason,
        vote.payload_sha256.0.as_slice(),
        tx.now,
        vote.link.map(|link| link.link.0),
        vote.link.map(|link| link.maker.0),
    )
    .execute(traced!(tx, "approvals.votes.insert"))
    .await?;
    Ok(())
}

/// A vote.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct VoteRow {
    pub approval_id: ApprovalId,
    pub revision: i32,
    pub stage: i16,
    pub escalation: i16,
    pub key_id: Option<KeyId>,
    pub person: Option<Person>,
    pub origin: Option<KeyId>,
    pub origin_person: Option<Person>,
    pub link_id: Option<LinkId>,
    pub link_maker: Option<KeyId>,
    pub maker_origin: Option<KeyId>,
    pub maker_person: Option<Person>,
    pub in_place_of: Option<Person>,
    pub verdict: Verdict,
    pub answer: Option<Value>,
    pub answer_sha256: Option<[u8; 32]>,
    pub reason: Option<String>,
    pub voted_at: DateTime<Utc>,
}

impl VoteRow {
    /// Who cast it.
    #[must_use]
    pub fn decider(&self) -> Decider {
        let made_by = Origin { key: self.maker_origin, person: self.maker_person.clone() };
        let link = self.link_id.zip(self.link_maker);
        Decider {
            key: self.key_id,
            person: self.person.clone(),
            origin: Origin { key: self.origin, person: self.origin_person.clone() },
            link: link.map(|(link, maker)| ByLink { link, maker, made_by }),
        }
    }
}

/// The votes on approvals; of each in the order of their casting.
pub async fn list(tx: &mut Tx, approvals: &[ApprovalId]) -> sqlx::Result<Vec<VoteRow>> {
    sqlx::query_as!(
        VoteRow,
        r#"select v.approval_id as "approval_id: ApprovalId", v.revision, v.stage, v.escalation,
                  v.key_id as "key_id: KeyId", v.person as "person: Person",
                  coalesce(k.origin, k.key_id) as "origin?: KeyId",
                  k.origin_person as "origin_person?: Person",
                  v.link_id as "link_id: LinkId", v.link_maker as "link_maker: KeyId",
                  coalesce(m.origin, m.key_id) as "maker_origin?: KeyId",
                  m.origin_person as "maker_person?: Person",
                  v.in_place_of as "in_place_of: Person", v.verdict as "verdict: Verdict",
                  v.answer, v.answer_sha256 as "answer_sha256: [u8; 32]", v.reason, v.voted_at
           from approval_votes v
           left join keys k on k.workspace_id = $1 and k.key_id = v.key_id
           left join keys m on m.workspace_id = $1 and m.key_id = v.link_maker
           where v.workspace_id = $1 and v.approval_id = any($2)
           order by v.approval_id, v.number"#,
        tx.workspace.0,
        &crate::store::columns::uuids(approvals),
    )
    .fetch_all(traced!(tx, "approvals.votes.list"))
    .await
}
