//! Links to decide an approval without a key.
//!
//! A link counts as revoked if its creating key is: a stolen key may have created links, and its
//! revocation must end them too.

use chrono::{DateTime, Utc};

use crate::{
    domain::{
        access::{origin::Origin, person::Person, role::Role},
        approval::{
            PayloadHash, Verdict,
            excluded::{ByLink, Decider},
        },
        ids::{ApprovalId, KeyId, LinkId},
        link::Times,
    },
    store::{Tx, traced},
};

/// A link without its token; only the hash of that is stored.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct LinkRow {
    pub link_id: LinkId,
    pub approval_id: ApprovalId,
    pub person: Person,
    pub payload_sha256: PayloadHash,
    pub created_by: KeyId,
    pub maker_role: Role,
    pub maker_holder: Option<Person>,
    pub maker_origin: KeyId,
    pub maker_person: Option<Person>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub used_at: Option<DateTime<Utc>>,
    pub verdict: Option<Verdict>,
}

impl LinkRow {
    /// The decider with this link: its person, and its maker.
    #[must_use]
    pub fn decider(&self) -> Decider {
        let made_by = Origin { key: Some(self.maker_origin), person: self.maker_person.clone() };
        let link = ByLink { link: self.link_id, maker: self.created_by, made_by };
        Decider { link: Some(link), ..Decider::person(self.person.clone()) }
    }

    /// The times that decide its validity.
    #[must_use]
    pub fn times(&self) -> Times {
        let Self { expires_at, revoked_at, used_at, .. } = self;
        Times { expires_at: *expires_at, revoked_at: *revoked_at, used_at: *used_at }
    }
}

/// A link to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewLinkRow<'a> {
    /// The link.
    pub link_id: LinkId,
    /// The approval it decides.
    pub approval_id: ApprovalId,
    /// The person who decides with it.
    pub person: &'a Person,
    /// SHA-256 of the secret part of its token.
    pub token_sha256: &'a [u8],
    /// Hash of the payload that it decides.
    pub payload_sha256: PayloadHash,
    /// The key that creates it.
    pub created_by: KeyId,
    /// Time of its expiry.
    pub expires_at: DateTime<Utc>,
}

/// Stores a link.
pub async fn insert(tx: &mut Tx, link: &NewLinkRow<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into approval_links (workspace_id, link_id, approval_id, person, token_sha256,
                                     payload_sha256, created_by, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        tx.workspace.0,
        link.link_id.0,
        link.approval_id.0,
        link.person.as_str(),
        link.token_sha256,
        link.payload_sha256.0.as_slice(),
        link.created_by.0,
        tx.now,
        link.expires_at,
    )
    .execute(traced!(tx, "approvals.links.insert"))
    .await?;
    Ok(())
}

/// A link and the hash of its secret, to verify a presented token.
pub async fn find(tx: &mut Tx, link: LinkId) -> sqlx::Result<Option<(LinkRow, Vec<u8>)>> {
    let row = sqlx::query!(
        r#"select l.link_id as "link_id: LinkId", l.approval_id as "approval_id: ApprovalId",
                  l.person as "person: Person", l.payload_sha256 as "payload_sha256: PayloadHash",
                  l.created_by as "created_by: KeyId", l.created_at, l.expires_at,
                  k.role as "maker_role: Role", k.person as "maker_holder: Person",
                  coalesce(k.origin, k.key_id) as "maker_origin!: KeyId",
                  k.origin_person as "maker_person: Person",
                  coalesce(l.revoked_at, k.revoked_at,
                           (select min(m.revoked_at) from keys m
                            where m.workspace_id = $1 and m.key_id = any(k.dies_with)))
                  as revoked_at, l.used_at,
                  l.verdict as "verdict: Verdict", l.token_sha256
           from approval_links l
           join keys k on k.workspace_id = l.workspace_id and k.key_id = l.created_by
           where l.workspace_id = $1 and l.link_id = $2"#,
        tx.workspace.0,
        link.0,
    )
    .fetch_optional(traced!(tx, "approvals.links.find"))
    .await?;
    Ok(row.map(|row| {
        let link = LinkRow {
            link_id: row.link_id,
            approval_id: row.approval_id,
            person: row.person,
            payload_sha256: row.payload_sha256,
            created_by: row.created_by,
            maker_role: row.maker_role,
            maker_holder: row.maker_holder,
            maker_origin: row.maker_origin,
            maker_person: row.maker_person,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            used_at: row.used_at,
            verdict: row.verdict,
        };
        (link, row.token_sha256)
    }))
}

/// The links of an approval, newest first (by id, descending): one, or those after `after`.
pub async fn list(
    tx: &mut Tx,
    approval: ApprovalId,
    only: Option<LinkId>,
    after: Option<LinkId>,
    rows: i64,
) -> sqlx::Result<Vec<LinkRow>> {
    sqlx::query_as!(
        LinkRow,
        r#"select l.link_id as "link_id: LinkId", l.approval_id as "approval_id: ApprovalId",
                  l.person as "person: Person", l.payload_sha256 as "payload_sha256: PayloadHash",
                  l.created_by as "created_by: KeyId", l.created_at, l.expires_at,
                  k.role as "maker_role: Role", k.person as "maker_holder: Person",
                  coalesce(k.origin, k.key_id) as "maker_origin!: KeyId",
                  k.origin_person as "maker_person: Person",
                  coalesce(l.revoked_at, k.revoked_at,
                           (select min(m.revoked_at) from keys m
                            where m.workspace_id = $1 and m.key_id = any(k.dies_with)))
                  as revoked_at, l.used_at,
                  l.verdict as "verdict: Verdict"
           from approval_links l
           join keys k on k.workspace_id = l.workspace_id and k.key_id = l.created_by
           where l.workspace_id = $1 and l.approval_id = $2
             and ($3::uuid is null or l.link_id = $3) and ($4::uuid is null or l.link_id < $4)
           order by l.link_id desc limit $5"#,
        tx.workspace.0,
        approval.0,
        only.map(|id| id.0),
        after.map(|id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "approvals.links.list"))
    .await
}

/// Revokes a link; returns `false` if it was revoked before.
pub async fn revoke(tx: &mut Tx, link: LinkId) -> sqlx::Result<bool> {
    let revoked = sqlx::query!(
        // If the clock was set back, the revocation must still not precede the use.
        "update approval_links set revoked_at = greatest($3, used_at)
         where workspace_id = $1 and link_id = $2 and revoked_at is null",
        tx.workspace.0,
        link.0,
        tx.now,
    )
    .execute(traced!(tx, "approvals.links.revoke"))
    .await?;
    Ok(revoked.rows_affected() == 1)
}

/// Records the verdict given with a link. Returns `false` if the link is used, revoked or expired.
pub async fn use_up(tx: &mut Tx, link: LinkId, verdict: Verdict) -> sqlx::Result<bool> {
    let used = sqlx::query!(
        "update approval_links l set used_at = $3, verdict = $4
         where l.workspace_id = $1 and l.link_id = $2
           and l.used_at is null and l.revoked_at is null and l.expires_at > $3
           and not exists (select from keys k
               join keys e on e.workspace_id = $1
                and (e.key_id = k.key_id or e.key_id = any(k.dies_with))
               where k.workspace_id = $1 and k.key_id = l.created_by and e.revoked_at is not null)",
        tx.workspace.0,
        link.0,
        tx.now,
        verdict.as_str(),
    )
    .execute(traced!(tx, "approvals.links.use_up"))
    .await?;
    Ok(used.rows_affected() == 1)
}

/// Context of an approval, shown to the person with a link.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Title of the goal.
    pub goal: String,
    /// Title of the task.
    pub task: Option<String>,
    /// The requesting agent, or the agent of the reviewed result.
    pub agent: Option<String>,
    /// Name of the key that asked.
    pub asked_by: Option<String>,
    /// Name of the key that decided.
    pub decided_by: Option<String>,
}

/// Reads the context of an approval.
pub async fn surroundings(tx: &mut Tx, approval: ApprovalId) -> sqlx::Result<Surroundings> {
    sqlx::query_as!(
        Surroundings,
        r#"select g.title as goal, x.title as "task?", w.name as "agent?",
                  a.name as "asked_by?", d.name as "decided_by?"
           from approvals p
           join goals g on g.workspace_id = $1 and g.goal_id = p.goal_id
           left join task_texts x on x.workspace_id = $1 and x.task_id = p.task_id
           left join attempts t on t.workspace_id = $1 and t.attempt_id = p.attempt_id
           left join agents w on w.workspace_id = $1 and w.agent_id = t.agent_id
           left join keys a on a.workspace_id = $1 and a.key_id = p.asked_by
           left join keys d on d.workspace_id = $1 and d.key_id = p.decided_by
           where p.workspace_id = $1 and p.approval_id = $2"#,
        tx.workspace.0,
        approval.0,
    )
    .fetch_one(traced!(tx, "approvals.links.surroundings"))
    .await
}
