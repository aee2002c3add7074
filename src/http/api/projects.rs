//! Projects: named groups of goals.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::{
        App,
        caller::{OperatorCaller, ReaderCaller, SubmitterCaller},
        projects::{NewProject, Project, ProjectChange, ProjectFilter},
    },
    domain::ids::ProjectId,
    http::{
        describe::handlers,
        extract::{
            auth::Auth,
            body::ApiJson,
            conditional::{IfMatch, Versioned},
            idempotency::Create,
            page::{Listing, Paged, SortKey},
            path::ApiPath,
        },
        problem::Result,
        reply::Created,
        state::HttpState,
    },
};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    handlers![
        list_projects,
        create_project[AlreadyExists],
        get_project,
        update_project[AlreadyExists],
    ]
}

/// Which projects to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ProjectQuery {
    /// Only the one with exactly this name.
    pub name: Option<String>,
}

/// Where a page of projects starts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ProjectAfter {
    id: ProjectId,
}

impl SortKey for ProjectAfter {
    const LIST: &'static str = "projects";
}

/// List the projects.
///
/// Newest first.
#[utoipa::path(get, path = "/v1/projects", tag = "projects")]
async fn list_projects(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    list: Listing<ProjectQuery, ProjectAfter>,
) -> Result<Paged<Project>> {
    let filter = ProjectFilter { project: None, name: list.filter.name.as_deref() };
    let after = list.after.map(|after| after.id);
    let projects = app.list_projects(&caller, filter, after, list.rows()).await?;
    list.page(projects, |project| ProjectAfter { id: project.id })
}

/// Make a project.
///
/// A goal may also name a project that does not exist; then it is made with the goal.
#[utoipa::path(post, path = "/v1/projects", tag = "projects")]
async fn create_project(
    Auth(caller): Auth<SubmitterCaller>,
    State(app): State<Arc<App>>,
    Create { body, idempotency }: Create<NewProject>,
) -> Result<Created<Project>> {
    let outcome = app.create_project(&caller, &body, idempotency.as_ref()).await?;
    let version = i64::from(outcome.value.version);
    Ok(Created::new(format!("/v1/projects/{}", outcome.value.id), outcome).version(version))
}

/// Read a project.
///
/// With what its goals have used.
#[utoipa::path(get, path = "/v1/projects/{project_id}", tag = "projects")]
async fn get_project(
    Auth(caller): Auth<ReaderCaller>,
    State(app): State<Arc<App>>,
    ApiPath(project): ApiPath<ProjectId>,
) -> Result<Versioned<Project>> {
    let project = app.get_project(&caller, project).await?;
    Ok(Versioned::new(i64::from(project.version), project))
}

/// Edit a project.
#[utoipa::path(patch, path = "/v1/projects/{project_id}", tag = "projects")]
async fn update_project(
    Auth(caller): Auth<OperatorCaller>,
    State(app): State<Arc<App>>,
    ApiPath(project): ApiPath<ProjectId>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<ProjectChange>,
) -> Result<Versioned<Project>> {
    let project = app.update_project(&caller, project, if_match.version, &change).await?;
    Ok(Versioned::new(i64::from(project.version), project))
}
