//! Checking that the promises are kept.

use std::sync::Arc;

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::{App, caller::AdminCaller, verify::Verification},
    http::{
        describe::handlers,
        extract::{auth::Auth, long_poll::LongPoll},
        problem::Result,
        reply::Reply,
        state::HttpState,
    },
};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![verify]
}

/// Check on live data that the promises are kept.
///
/// Looks for whatever breaks one of the published invariants in the workspace of the key: at most
/// one live attempt per task, counters that equal what they count, events without gaps, sums of
/// spend, leases that are swept in time, and so on. All are checked at one moment, so running
/// traffic raises no false alarm, and nobody waits for the check. Answers 200 also when something
/// is broken: look at `holds`. A broken invariant is a defect of muster or a hand in the database;
/// please report it.
///
/// The check reads everything there is, which takes a while on large data. One runs at a time;
/// requests that come meanwhile share the next. One that takes longer than a minute is given up
/// with 503: use `muster verify` on the machine of the database then, which has more time.
#[utoipa::path(get, path = "/v1/verify", tag = "health")]
async fn verify(
    Auth(caller): Auth<AdminCaller>,
    State(app): State<Arc<App>>,
    _: LongPoll,
) -> Result<Reply<Verification>> {
    Ok(Reply(app.verify(&caller).await?))
}
