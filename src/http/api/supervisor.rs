//! What the supervisor did last.

use std::sync::Arc;

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::{App, caller::MonitorCaller, duties::record::SupervisorRecord},
    http::{
        describe::handlers, extract::auth::Auth, problem::Result, reply::Reply, state::HttpState,
    },
};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![get_supervisor]
}

/// Read what the supervisor did last.
///
/// Each background step with its last run, whichever process ran it, for the workspace of the key.
/// A step whose `last_run_at` falls behind does not run; one with `last_failed` has the reason in
/// the service's log.
#[utoipa::path(get, path = "/v1/supervisor", tag = "health")]
async fn get_supervisor(
    Auth(caller): Auth<MonitorCaller>,
    State(app): State<Arc<App>>,
) -> Result<Reply<SupervisorRecord>> {
    Ok(Reply(app.supervisor_record(&caller).await?))
}
