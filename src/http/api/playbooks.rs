//! Playbooks: stored, versioned templates of plans.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::{
        caller::{OperatorCaller, ReaderCaller, TryingCaller},
        goals::{
            PlanPreview,
            playbooks::{NewPlaybookTrial, PlaybookTrial},
        },
        playbooks::views::{NewPlaybook, Playbook, PlaybookVersion},
    },
    http::{
        extract::{
            auth::Auth,
            body::OptionalJson,
            idempotency::Create,
            page::{Listing, NoFilter, Paged},
            path::ApiPath,
            query::ApiQuery,
            yaml::{CreateOfYaml, JsonOrYaml, YamlBody},
        },
        problem::Result,
        reply::{Created, Reply},
    },
};

impl YamlBody for NewPlaybook {
    fn of_yaml(document: String) -> Self {
        Self::of_body(document)
    }
}

impl YamlBody for NewPlaybookTrial {
    fn of_yaml(document: String) -> Self {
        Self::of_body(document)
    }
}

/// The filters of the list of playbooks.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PlaybookQuery {
    /// `true`: only archived playbooks. Absent or `false`: only others.
    pub archived: Option<bool>,
}

/// The version to read.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct VersionQuery {
    /// The number of the version; default: the latest. 0 is the built-in text.
    #[param(minimum = 0)]
    pub version: Option<i32>,
}

/// List the playbooks.
///
/// By name, each in its latest version and without its document: those of the workspace, and the built-in ones.
/// Archived playbooks are left out unless `archived=true`.
#[utoipa::path(get, path = "/v1/playbooks")]
pub async fn list_playbooks(
    Auth { app, caller }: Auth<ReaderCaller>,
    list: Listing<PlaybookQuery, String>,
) -> Result<Paged<Playbook>> {
    let archived = list.filter.archived.unwrap_or_default();
    let after = list.after.as_deref();
    let playbooks = app.list_playbooks(&caller, archived, after, list.rows()).await?;
    list.page(playbooks, |playbook| playbook.name.clone())
}

/// Store a playbook.
///
/// The body is the playbook itself in YAML, with `Content-Type: application/yaml`, or JSON with the YAML in `source`
/// or the playbook as JSON in `document`. Its `name` says which playbook it is: a new name makes a new
/// playbook, a known one another version of it. The same text as the latest version makes no version. A playbook
/// with the name of a built-in one takes its place.
///
/// The document is checked as a whole: its fields and types, every template in it, and the plan that it gives with
/// values made of the types and defaults of its variables. Each error has the place in the body and, for YAML,
/// the line and column.
#[utoipa::path(post, path = "/v1/playbooks")]
pub async fn create_playbook(
    Auth { app, caller }: Auth<OperatorCaller>,
    CreateOfYaml(Create { body, idempotency }): CreateOfYaml<NewPlaybook>,
) -> Result<Created<Playbook>> {
    let outcome = app.create_playbook(&caller, &body, idempotency.as_ref()).await?;
    let path = |playbook: &Playbook| {
        format!("/v1/playbooks/{}?version={}", playbook.name, playbook.version)
    };
    Ok(Created::new(outcome, path))
}

/// Try a playbook that is not stored.
///
/// Returns the tasks that a goal with it would get, and writes nothing. It is checked as if it were stored. The body
/// is JSON, or the playbook itself in YAML with `Content-Type: application/yaml`; the values are then made of the
/// types and defaults of its variables.
#[utoipa::path(post, path = "/v1/playbooks/try")]
pub async fn try_new_playbook(
    Auth { app, caller }: Auth<TryingCaller>,
    JsonOrYaml(trial): JsonOrYaml<NewPlaybookTrial>,
) -> Result<Reply<PlanPreview>> {
    Ok(Reply(app.try_new_playbook(&caller, &trial).await?))
}

/// Read a playbook.
///
/// The latest version, or the one that `version` names.
#[utoipa::path(get, path = "/v1/playbooks/{name}")]
pub async fn get_playbook(
    Auth { app, caller }: Auth<ReaderCaller>,
    ApiPath(name): ApiPath<String>,
    ApiQuery(query): ApiQuery<VersionQuery>,
) -> Result<Reply<Playbook>> {
    Ok(Reply(app.get_playbook(&caller, &name, query.version).await?))
}

/// List the versions of a playbook.
///
/// Latest first. A version never changes.
#[utoipa::path(get, path = "/v1/playbooks/{name}/versions")]
pub async fn list_playbook_versions(
    Auth { app, caller }: Auth<ReaderCaller>,
    ApiPath(name): ApiPath<String>,
    list: Listing<NoFilter, i32>,
) -> Result<Paged<PlaybookVersion>> {
    let versions = app.list_playbook_versions(&caller, &name, list.after, list.rows()).await?;
    list.page(versions, |version| version.version)
}

/// Try a playbook.
///
/// Returns the tasks that a goal with these values would get, and writes nothing. A goal is posted with
/// `POST /v1/goals` and `playbook: {name, version, variables}`.
#[utoipa::path(post, path = "/v1/playbooks/{name}/try")]
pub async fn try_playbook(
    Auth { app, caller }: Auth<TryingCaller>,
    ApiPath(name): ApiPath<String>,
    OptionalJson(trial): OptionalJson<PlaybookTrial>,
) -> Result<Reply<PlanPreview>> {
    Ok(Reply(app.try_playbook(&caller, &name, &trial).await?))
}

/// Archive a playbook.
///
/// Lists leave it out from then on, unless they are asked for `archived=true`. Nothing else changes: goals and
/// playbooks that name it still get it. Storing another version brings it back. Archiving it again changes nothing.
#[utoipa::path(post, path = "/v1/playbooks/{name}/archive")]
pub async fn archive_playbook(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(name): ApiPath<String>,
) -> Result<Reply<Playbook>> {
    Ok(Reply(app.archive_playbook(&caller, &name).await?))
}

/// Unarchive a playbook.
///
/// Puts it back into the lists. Does nothing to a playbook that is not archived.
#[utoipa::path(post, path = "/v1/playbooks/{name}/unarchive")]
pub async fn unarchive_playbook(
    Auth { app, caller }: Auth<OperatorCaller>,
    ApiPath(name): ApiPath<String>,
) -> Result<Reply<Playbook>> {
    Ok(Reply(app.unarchive_playbook(&caller, &name).await?))
}
