//! The check of the promises on live data.

use crate::{
    app::{caller::AdminCaller, verify::Verification},
    http::{extract::auth::Auth, problem::Result, reply::Reply},
};

/// Verify the invariants on live data.
///
/// Checks the published invariants in the workspace of the key: at most one live attempt per task,
/// counters that match their rows, a journal without gaps, sums of spend, leases swept in time, and so on.
/// All checks read one snapshot, so traffic causes no false alarm, and the check blocks nothing.
/// Answers 200 also if an invariant is broken: read `holds`. A broken invariant is a defect of
/// muster or a manual change of the database; please report it.
///
/// The check reads all data. One check runs at a time; requests that arrive meanwhile share the
/// next one. A check that takes longer than a minute ends with 503: then use `muster verify` on the
/// machine of the database, which has more time.
#[utoipa::path(get, path = "/v1/verify")]
pub async fn verify(Auth { app, caller }: Auth<AdminCaller>) -> Result<Reply<Verification>> {
    Ok(Reply(app.verify(&caller).await?))
}
