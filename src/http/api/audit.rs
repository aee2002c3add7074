//! The audit: who did what, and whether that record was touched.

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

use crate::{
    app::{
        App,
        audits::{AuditFilter, AuditRecord, AuditVerification},
        caller::MonitorCaller,
    },
    domain::{
        audit::{Digest, Head},
        check::Checks,
        ids::{AuditEntryId, KeyId},
    },
    http::{
        describe::handlers,
        extract::{
            auth::Auth,
            long_poll::LongPoll,
            page::{Listing, Paged, SortKey},
            query::ApiQuery,
        },
        problem::Result,
        reply::{Reply, ndjson::Ndjson},
        state::HttpState,
    },
};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![list_audit, verify_audit, export_audit]
}

/// Which entries to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Only about things of this kind.
    #[param(example = "task")]
    pub subject: Option<String>,
    /// Only about this thing.
    pub subject_id: Option<Uuid>,
    /// Only what was done with this key.
    pub actor_key_id: Option<KeyId>,
    /// Only what was done with a key of this person.
    #[param(example = "alice@example.com")]
    pub person: Option<String>,
    /// Only what was done on behalf of this person.
    #[param(example = "bob@example.com")]
    pub on_behalf_of: Option<String>,
    /// Only this action.
    #[param(example = "key.created")]
    pub action: Option<String>,
    /// Only what was done by this request: `X-Request-Id` of its answer.
    pub request_id: Option<String>,
    /// Only what was done at this instant or later.
    #[param(example = "2026-03-01T00:00:00Z")]
    pub from: Option<DateTime<Utc>>,
    /// Only what was done before this instant.
    #[param(example = "2026-04-01T00:00:00Z")]
    pub until: Option<DateTime<Utc>>,
}

/// Where a page of the audit starts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct AuditAfter {
    id: AuditEntryId,
}

impl SortKey for AuditAfter {
    const LIST: &'static str = "audit";
}

/// List what was done.
///
/// Every mutation that was answered with 2xx, and everything that the service did by itself: who, on
/// whose behalf, in which request, to what, and the SHA-256 of it before and after. Newest first. A
/// request that found everything as it asked for changed nothing, and neither did a heartbeat that only
/// keeps a lease: these are not here.
///
/// By the thing or the request entries are found at once. Filters by person, key, kind or action look
/// at one entry after the other: say the time too where there are millions.
#[utoipa::path(get, path = "/v1/audit", tag = "audit")]
async fn list_audit(
    Auth(caller): Auth<MonitorCaller>,
    State(app): State<Arc<App>>,
    list: Listing<AuditQuery, AuditAfter>,
) -> Result<Paged<AuditRecord>> {
    let AuditQuery {
        subject,
        subject_id,
        actor_key_id,
        person,
        on_behalf_of,
        action,
        request_id,
        from,
        until,
    } = &list.filter;
    let filter = AuditFilter {
        subject: subject.as_deref(),
        subject_id: *subject_id,
        actor_key: *actor_key_id,
        person: person.as_deref(),
        on_behalf_of: on_behalf_of.as_deref(),
        action: action.as_deref(),
        request: request_id.as_deref(),
        from: *from,
        until: *until,
    };
    let before = list.after.map(|after| after.id);
    let found = app.list_audit(&caller, filter, before, list.rows()).await?;
    list.page(found, |record| AuditAfter { id: record.entry.entry_id })
}

/// A head of the audit that was kept elsewhere.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct KeptHead {
    /// `seq` of the head; with `head`.
    #[param(minimum = 1, example = 5120)]
    pub seq: Option<i64>,
    /// `chain_sha256` of the head; with `seq`.
    #[param(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub head: Option<String>,
}

impl KeptHead {
    fn read(&self) -> Result<Option<Head>> {
        let mut checks = Checks::new();
        let read = match (self.seq, &self.head) {
            (None, None) => None,
            (Some(seq), Some(head)) => {
                checks.range("?seq", seq, 1..=i64::MAX);
                let digest: std::result::Result<Digest, _> = head.parse();
                digest
                    .map_err(|wrong| checks.add("?head", wrong))
                    .ok()
                    .map(|chain_sha256| Head { seq, chain_sha256 })
            }
            (Some(_), None) => {
                checks.add("?head", "must be given with `seq`: both are of one head");
                None
            }
            (None, Some(_)) => {
                checks.add("?seq", "must be given with `head`: both are of one head");
                None
            }
        };
        checks.finish()?;
        Ok(read)
    }
}

/// Check that the audit was not touched.
///
/// Recomputes every hash from what is stored. Answers 200 also when something was touched: look at
/// `holds`, and at `breaks` for what and where. `head` is how far it is sealed: whoever keeps it (it is
/// the last line of every export) can send it as `seq` and `head` later, and so finds out when the end
/// was cut off, or everything from some place on was written anew with hashes that fit.
///
/// One check runs at a time. One that takes longer than a minute is given up with 503: use `muster
/// audit verify` on the machine of the database then.
#[utoipa::path(get, path = "/v1/audit/verify", tag = "audit")]
async fn verify_audit(
    Auth(caller): Auth<MonitorCaller>,
    State(app): State<Arc<App>>,
    ApiQuery(kept): ApiQuery<KeptHead>,
    _: LongPoll,
) -> Result<Reply<AuditVerification>> {
    Ok(Reply(app.verify_audit(&caller, kept.read()?).await?))
}

/// Export the audit.
///
/// A line of JSON for each sealed entry, in their order: `seq`, `entry_id`, `entry_sha256`,
/// `chain_sha256`, `entry`. `entry_sha256` is SHA-256 of `entry` in canonical form (RFC 8785), and
/// `chain_sha256` that of the `chain_sha256` before it (32 zero bytes for the first), `seq` in 8 bytes,
/// the highest first, and `entry_sha256`. So anybody can check the file without the service, and
/// `muster audit verify FILE` does. The last line is `{"head": {"workspace_id", "seq", "chain_sha256",
/// "exported_at"}}`; a file without it broke off.
#[utoipa::path(get, path = "/v1/audit/export", tag = "audit")]
async fn export_audit(
    Auth(caller): Auth<MonitorCaller>,
    State(app): State<Arc<App>>,
    _: LongPoll,
) -> Result<Ndjson> {
    Ok(Ndjson(app.export_audit(&caller).await?))
}
