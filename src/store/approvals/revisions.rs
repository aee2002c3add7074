//! Earlier payloads of approvals that were revised.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    domain::{
        approval::PayloadHash,
        ids::{ApprovalId, KeyId, PlanId},
    },
    store::{Tx, traced},
};

/// An earlier payload.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct RevisionRow {
    pub revision: i32,
    pub payload: Option<Value>,
    pub payload_sha256: PayloadHash,
    pub replaced_by: Option<KeyId>,
    pub replaced_at: DateTime<Utc>,
}

/// Earlier payloads of an approval, oldest first.
pub async fn list(tx: &mut Tx, approval: ApprovalId) -> sqlx::Result<Vec<RevisionRow>> {
    sqlx::query_as!(
        RevisionRow,
        r#"select revision, payload, payload_sha256 as "payload_sha256: PayloadHash",
                  replaced_by as "replaced_by: KeyId", replaced_at
           from approval_revisions where workspace_id = $1 and approval_id = $2
           order by revision"#,
        tx.workspace.0,
        approval.0,
    )
    .fetch_all(traced!(tx, "approvals.revisions.list"))
    .await
}

/// A payload that replaces another.
#[derive(Debug)]
pub struct NewRevision<'a> {
    /// The approval; locked and pending.
    pub approval_id: ApprovalId,
    /// The new payload.
    pub payload: &'a Value,
    /// The new plan, for an approval of a plan.
    pub plan_id: Option<PlanId>,
    /// The key that revises it.
    pub by: Option<KeyId>,
}

/// Archives the current payload and replaces it.
pub async fn replace(tx: &mut Tx, new: &NewRevision<'_>) -> sqlx::Result<()> {
    let hash = PayloadHash::of(Some(new.payload)).0;
    sqlx::query!(
        "with kept as (
             insert into approval_revisions (workspace_id, approval_id, revision, payload,
                                             payload_sha256, replaced_by, replaced_at)
             select workspace_id, approval_id, revision, payload, payload_sha256, $3, $4
             from approvals where workspace_id = $1 and approval_id = $2
         )
         update approvals set payload = $5, payload_sha256 = $6, revision = revision + 1,
                plan_id = coalesce($7, plan_id), version = version + 1
         where workspace_id = $1 and approval_id = $2",
        tx.workspace.0,
        new.approval_id.0,
        new.by.map(|id| id.0),
        tx.now,
        new.payload,
        hash.as_slice(),
        new.plan_id.map(|id| id.0),
    )
    .execute(traced!(tx, "approvals.revisions.replace"))
    .await?;
    Ok(())
}
