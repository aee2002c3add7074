//! The audit: all rows of the journal, and whether they were changed.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::{
    app::{
        caller::MonitorCaller,
        journal::{AuditFilter, AuditRow, verify::AuditVerification},
    },
    domain::{
        check::Checks,
        ids::{GoalId, KeyId},
        journal::{Digest, Head},
    },
    http::{
        extract::{
            auth::Auth,
            page::{Listing, Paged},
            query::ApiQuery,
        },
        problem::Result,
        reply::{
            Reply,
            ndjson::{ExportType, Ndjson},
        },
    },
};

/// Which rows to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// Only rows whose subject has this noun.
    #[param(example = "task")]
    pub subject: Option<String>,
    /// Only rows about this subject.
    pub subject_id: Option<Uuid>,
    /// Only rows that concern this goal, its tasks, attempts or approvals.
    pub goal_id: Option<GoalId>,
    /// Only what this key did.
    pub actor_key_id: Option<KeyId>,
    /// Only what this person did.
    #[param(example = "alice@example.com")]
    pub actor_person: Option<String>,
    /// Only what was done on behalf of this person.
    #[param(example = "bob@example.com")]
    pub on_behalf_of: Option<String>,
    /// Only rows of this kind.
    #[param(example = "key.created")]
    pub kind: Option<String>,
    /// Only what this request did: `X-Request-Id` of its answer.
    pub request: Option<String>,
    /// Only rows of this instant or later.
    #[param(example = "2026-03-01T00:00:00Z")]
    pub from: Option<DateTime<Utc>>,
    /// Only rows before this instant.
    #[param(example = "2026-04-01T00:00:00Z")]
    pub until: Option<DateTime<Utc>>,
}

/// List the journal.
///
/// One row for each thing that happened: every request that changed something, and everything the
/// service did by itself. A row says who did it, on whose behalf, in which request, and about what;
/// rows of edits have the SHA-256 of their subject before and after. Newest first. A request that
/// changed nothing has no row, nor has a heartbeat that only renews a lease.
///
/// Rows of a goal or of a subject are found by an index, and so is a span of time. The other filters
/// test one row after the other, at most 50,000 for a page. So a page may have few items, or none, and
/// still a `next_cursor`.
#[utoipa::path(get, path = "/v1/audit")]
pub async fn list_audit(
    Auth { app, caller }: Auth<MonitorCaller>,
    list: Listing<AuditQuery, i64>,
) -> Result<Paged<AuditRow>> {
    let query = &list.filter;
    let filter = AuditFilter {
        subject: query.subject.as_deref(),
        subject_id: query.subject_id,
        goal: query.goal_id,
        actor_key: query.actor_key_id,
        actor_person: query.actor_person.as_deref(),
        on_behalf_of: query.on_behalf_of.as_deref(),
        kind: query.kind.as_deref(),
        request: query.request.as_deref(),
        from: query.from,
        until: query.until,
    };
    let found = app.list_audit(&caller, filter, list.after, list.rows()).await?;
    list.page_of(found.rows, |found| found.row.number, found.goes_on_below)
}

/// A head of the journal that was kept elsewhere.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct KeptHead {
    /// `number` of the head; with `head`.
    #[param(minimum = 1, example = 5120)]
    pub number: Option<i64>,
    /// `chain_sha256` of the head; with `number`.
    #[param(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub head: Option<String>,
}

impl KeptHead {
    fn read(&self) -> Result<Option<Head>> {
        let mut checks = Checks::new();
        let read = match (self.number, &self.head) {
            (None, None) => None,
            (Some(number), Some(head)) => {
                checks.range("?number", number, 1..=i64::MAX);
                let digest: std::result::Result<Digest, _> = head.parse();
                digest
                    .map_err(|wrong| checks.add("?head", wrong))
                    .ok()
                    .map(|chain_sha256| Head { number, chain_sha256 })
            }
            (Some(_), None) => {
                checks.add("?head", "must be given with `number`: both are of one head");
                None
            }
            (None, Some(_)) => {
                checks.add("?number", "must be given with `head`: both are of one head");
                None
            }
        };
        checks.finish()?;
        Ok(read)
    }
}

/// Check the journal for changes.
///
/// Recomputes every hash from the stored rows. Answers 200 also if something was changed: `holds` says
/// whether not, and `breaks` where and how. Store `head` elsewhere (it is also the last line of every
/// export) and send it later as `number` and `head`: such a check also finds a cut-off end, and rows
/// that were rewritten together with all hashes after them.
///
/// Rows that were pruned and data that was erased are no breaks if the journal says so: see `pruned_to`
/// and `erased`.
///
/// One check runs at a time. A check that takes longer than a minute is given up with 503: use `muster
/// audit verify` on the machine of the database then.
#[utoipa::path(get, path = "/v1/audit/verify")]
pub async fn verify_audit(
    Auth { app, caller }: Auth<MonitorCaller>,
    ApiQuery(kept): ApiQuery<KeptHead>,
) -> Result<Reply<AuditVerification>> {
    Ok(Reply(app.verify_audit(&caller, kept.read()?).await?))
}

/// Export the journal.
///
/// One JSON object per line, in the order of numbers: `{"seal": ...}` before the rows of its segment,
/// `{"row": ...}` per sealed row, and `{"head": ...}` as the last line; a file without it broke off.
/// `muster audit verify FILE` checks such a file without the service or its database.
///
/// To check it by other means, H is SHA-256:
///
/// - The digest of a row is `H(H(envelope) || H(salt || data))`. `salt` is 16 bytes, `data` the text of
///   the field as it stands in the line. After an erasure both are absent, and `data_sha256` is
///   `H(salt || data)`.
/// - `envelope` is the byte 1, then these columns as fields: workspace_id, at, kind, public,
///   project_id, goal_id, task_id, attempt_id, agent_id, approval_id, subject, subject_id,
///   actor_key_id, actor_person, link_id, link_maker, on_behalf_of, request, trace_id, before_sha256,
///   after_sha256, data_version.
/// - A field is its length in 4 bytes and its bytes; an absent one is the length `ffffffff` alone. An id
///   is 16 bytes, a text its UTF-8, a boolean one byte (0 or 1), a number 8 bytes, an instant its
///   microseconds since 1970 as a number, a hash its bytes, a list the count of its elements in 4 bytes
///   and each element as a field. The highest byte comes first.
/// - `digests` of a seal has the digests of its rows, 32 bytes each. Its `chain_sha256` is
///   `H(chain before || first || last || digests)`, with `first` and `last` in 8 bytes each; the chain
///   before number 1 is 32 zero bytes.
/// - A seal without `digests` was pruned: its rows are gone, its `chain_sha256` counts. A row of the
///   kind `journal.pruned` says up to which number, and with which `chain_sha256`.
#[utoipa::path(get, path = "/v1/audit/export")]
pub async fn export_audit(
    Auth { app, caller }: Auth<MonitorCaller>,
    media_type: ExportType,
) -> Result<Ndjson> {
    Ok(Ndjson { export: app.export_audit(&caller).await?, media_type })
}
