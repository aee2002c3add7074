//! The record of the supervisor.

use crate::{
    app::{caller::MonitorCaller, duties::record::SupervisorRecord},
    http::{extract::auth::Auth, problem::Result, reply::Reply},
};

/// The routes.
/// Read the record of the supervisor.
///
/// Each duty with its last run, by any process on the database, for the workspace of the key. A duty
/// whose `last_run_at` falls behind does not run. The service's log has the reason of a
/// `last_failed`.
#[utoipa::path(get, path = "/v1/supervisor")]
pub async fn get_supervisor(
    Auth { app, caller }: Auth<MonitorCaller>,
) -> Result<Reply<SupervisorRecord>> {
    Ok(Reply(app.supervisor_record(&caller).await?))
}
