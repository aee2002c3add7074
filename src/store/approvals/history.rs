//! Past approvals, to simulate policies on.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    domain::{
        access::person::Person,
        approval::{Risk, Verdict, excluded::Excluded, floor::RiskFloor},
        ids::{ApprovalId, KeyId},
        states::{ApprovalKind, ApprovalState},
    },
    store::{Tx, traced},
};

/// Filter and page of [`list`].
#[derive(Debug, Clone, Copy)]
pub struct PastScope {
    /// Created at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Created before this time.
    pub until: Option<DateTime<Utc>>,
    /// Most rows.
    pub rows: i64,
}

/// A past approval.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct PastRow {
    pub approval_id: ApprovalId,
    pub kind: ApprovalKind,
    pub state: ApprovalState,
    pub risk: Risk,
    pub risk_floor: Option<Json<RiskFloor>>,
    pub revision: i32,
    pub verdict: Option<Verdict>,
    pub answer: Option<Value>,
    pub decided_by: Option<KeyId>,
    pub person: Option<Person>,
    pub origin: Option<KeyId>,
    pub origin_person: Option<Person>,
    pub excluded: Json<Vec<Excluded>>,
    pub created_at: DateTime<Utc>,
    pub decided_at: Option<DateTime<Utc>>,
}

/// Approvals, newest first. Ids rise with time, so the page needs no sort.
pub async fn list(tx: &mut Tx, scope: &PastScope) -> sqlx::Result<Vec<PastRow>> {
    sqlx::query_as!(
        PastRow,
        r#"select a.approval_id as "approval_id: ApprovalId", a.kind as "kind: ApprovalKind",
                  a.state as "state: ApprovalState", a.risk as "risk: Risk",
                  a.risk_floor as "risk_floor: Json<RiskFloor>", a.revision, a.verdict as "verdict: Verdict",
                  a.answer, a.decided_by as "decided_by: KeyId",
                  a.decided_by_person as "person: Person",
                  coalesce(k.origin, k.key_id) as "origin?: KeyId",
                  k.origin_person as "origin_person?: Person",
                  a.excluded as "excluded: Json<Vec<Excluded>>", a.created_at, a.decided_at
           from approvals a
           left join keys k on k.workspace_id = $1 and k.key_id = a.decided_by
           where a.workspace_id = $1 and ($2::timestamptz is null or a.created_at >= $2)
             and ($3::timestamptz is null or a.created_at < $3)
           order by a.approval_id desc limit $4"#,
        tx.workspace.0,
        scope.from,
        scope.until,
        scope.rows,
    )
    .fetch_all(traced!(tx, "approvals.history.list"))
    .await
}
