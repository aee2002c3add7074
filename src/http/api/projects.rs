//! Projects: named groups of goals.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        caller::{OperatorCaller, ProjectReaderCaller, SubmitterCaller},
        projects::{NewProject, Project, ProjectChange, ProjectFilter},
    },
    domain::ids::ProjectId,
    http::{
        extract::{
            auth::Auth,
            body::ApiJson,
            conditional::{IfMatch, Versioned},
            idempotency::Create,
            page::{Listing, Paged},
            path::ApiPath,
        },
        problem::Result,
        reply::Created,
    },
};

/// The filters of the list of projects.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ProjectQuery {
    /// Only the project with exactly this name.
    pub name: Option<String>,
    /// `true`: only archived projects. Absent or `false`: only others.
    pub archived: Option<bool>,
}

/// List the projects.
///
/// Newest first. Archived projects are left out unless `archived=true`.
#[utoipa::path(get, path = "/v1/projects")]
pub async fn list_projects(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    list: Listing<ProjectQuery, ProjectId>,
) -> Result<Paged<Project>> {
    let filter = ProjectFilter {
        name: list.filter.name.as_deref(),
        archived: Some(list.filter.archived.unwrap_or_default()),
        ..ProjectFilter::default()
    };
    let projects = app.list_projects(&caller, filter, list.after, list.rows()).await?;
    list.page(projects, |project| project.id)
}

/// Create a project.
///
/// Not needed for a goal: a goal that names an unknown project creates it.
#[utoipa::path(post, path = "/v1/projects")]
pub async fn create_project(
    Auth { app, caller }: Auth<SubmitterCaller>,
    Create { body, idempotency }: Create<NewProject>,
) -> Result<Created<Project>> {
    let outcome = app.create_project(&caller, &body, idempotency.as_ref()).await?;
    let created = Created::new(outcome, |project| format!("/v1/projects/{}", project.id));
    Ok(created.version(|project| project.version))
}

/// Read a project.
///
/// Includes the spend of its goals.
#[utoipa::path(get, path = "/v1/projects/{project_id}")]
pub async fn get_project(
    Auth { app, caller }: Auth<ProjectReaderCaller>,
    ApiPath(project): ApiPath<ProjectId>,
) -> Result<Versioned<Project>> {
    Ok(Versioned::new(app.get_project(&caller, project).await?, |project| project.version))
}

/// Edit a project.
#[utoipa::path(patch, path = "/v1/projects/{project_id}")]
pub async fn update_project(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(project): ApiPath<ProjectId>,
    if_match: IfMatch,
    ApiJson(change): ApiJson<ProjectChange>,
) -> Result<Versioned<Project>> {
    let project = app.update_project(&caller, project, if_match.version, &change).await?;
    Ok(Versioned::new(project, |project| project.version))
}

/// Archive a project.
///
/// Lists leave it out from then on, unless they are asked for `archived=true`, and it gets no new goals. Only
/// a project without open goals can be archived. Archiving an archived project changes nothing.
#[utoipa::path(post, path = "/v1/projects/{project_id}/archive")]
pub async fn archive_project(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(project): ApiPath<ProjectId>,
) -> Result<Versioned<Project>> {
    Ok(Versioned::new(app.archive_project(&caller, project).await?, |project| project.version))
}

/// Unarchive a project.
///
/// Puts it back into the lists. Does nothing to a project that is not archived.
#[utoipa::path(post, path = "/v1/projects/{project_id}/unarchive")]
pub async fn unarchive_project(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(project): ApiPath<ProjectId>,
) -> Result<Versioned<Project>> {
    Ok(Versioned::new(app.unarchive_project(&caller, project).await?, |project| project.version))
}
