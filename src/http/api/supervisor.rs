//! The record of the supervisor.

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

/// Read the record of the supervisor.
///
/// Each duty with its last run, by any process on the database, for the workspace of the key. A duty
/// whose `last_run_at` falls behind does not run. The service's log has the reason of a
/// `last_failed`.
#[utoipa::path(get, path = "/v1/supervisor", tag = "health")]
async fn get_supervisor(
    Auth(caller): Auth<MonitorCaller>,
    State(app): State<Arc<App>>,
) -> Result<Reply<SupervisorRecord>> {
    Ok(Reply(app.supervisor_record(&caller).await?))
}
