//! The workspace of the key: its name and its settings.

use crate::{
    app::{
        caller::{AdminCaller, ReaderCaller},
        workspace::{Workspace, WorkspaceChange},
    },
    http::{
        extract::{
            auth::Auth,
            body::ApiJson,
            conditional::{IfMatch, Versioned},
        },
        problem::Result,
    },
};

/// Read the workspace.
///
/// Returns the workspace that the key opens, with its settings.
#[utoipa::path(get, path = "/v1/workspace")]
pub async fn get_workspace(
    Auth { app, caller }: Auth<ReaderCaller>,
) -> Result<Versioned<Workspace>> {
    Ok(Versioned::new(app.get_workspace(&caller).await?, |workspace| workspace.version))
}

/// Edit the workspace.
///
/// A shorter `agent_key_lifetime_seconds` also holds for valid keys of agents: they end one lifetime
/// after the edit at the latest. A change of `routing` from or to `fifo` gives all ready tasks their new place in the
/// order of claims.
#[utoipa::path(patch, path = "/v1/workspace")]
pub async fn update_workspace(
    Auth { app, caller }: Auth<AdminCaller>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<WorkspaceChange>,
) -> Result<Versioned<Workspace>> {
    let workspace = app.update_workspace(&caller, if_match.version, &change).await?;
    Ok(Versioned::new(workspace, |workspace| workspace.version))
}
