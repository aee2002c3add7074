//! Past approvals, to simulate policies on.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    domain::{
        access::person::Person,
        approval::{Verdict, excluded::Excluded},
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
    pub revision: i32,
    pub verdict: Option<Verdict>,
    pub answer: Option<Value>,
    pub decided_by: Option<KeyId>,
    pub person: Option<Person>,
    pub excluded: Json<Vec<Excluded>>,
    pub created_at: DateTime<Utc>,
    pub decided_at: Option<DateTime<Utc>>,
}

/// Approvals, newest first. Ids rise with time, so the page needs no sort.
pub async fn list(tx: &mut Tx, scope: &PastScope) -> sqlx::Result<Vec<PastRow>> {
    sqlx::query_as!(
        PastRow,
        r#"select approval_id as "approval_id: ApprovalId", kind as "kind: ApprovalKind",
                  state as "state: ApprovalState", revision, verdict as "verdict: Verdict", answer,
                  decided_by as "decided_by: KeyId", decided_by_person as "person: Person",
                  excluded as "excluded: Json<Vec<Excluded>>", created_at, decided_at
           from approvals
           where workspace_id = $1 and ($2::timestamptz is null or created_at >= $2)
             and ($3::timestamptz is null or created_at < $3)
           order by approval_id desc limit $4"#,
        tx.workspace.0,
        scope.from,
        scope.until,
        scope.rows,
    )
    .fetch_all(traced!(tx, "approvals.history.list"))
    .await
}
