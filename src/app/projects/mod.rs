//! Projects: named groups of goals.

mod archive;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    App, Error, Result, Unit,
    access::scope::see_project,
    caller::{Caller as _, OperatorCaller, ProjectReaderCaller, SubmitterCaller},
    error::same_version,
    unit::idempotency::{Outcome, Request},
};
use crate::{
    domain::{
        check::Checks,
        ids::ProjectId,
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
        settings,
        spend::Amounts,
    },
    store::{self, Hold, Tx, projects::ProjectRow},
};

pub(in crate::app) use archive::refuse_archived;

pub use crate::store::projects::ProjectFilter;

/// A named group of goals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Project {
    /// Id of the project; stable for its life.
    pub id: ProjectId,
    /// One line, unique in the workspace; goals may name a project by it.
    #[schema(example = "importer")]
    pub name: String,
    /// Description for people; empty if none was given.
    #[schema(example = "Everything about reading customers' spreadsheets")]
    pub description: String,
    /// Spend of the attempts of its goals, by unit.
    #[schema(example = json!({"usd_micros": 41000, "output_tokens": 9120}))]
    pub spend: Amounts,
    /// Version of the project; rises by one with every edit; the `ETag`.
    pub version: i32,
    /// When the project was created.
    pub created_at: DateTime<Utc>,
    /// When the project was last edited.
    pub updated_at: DateTime<Utc>,
    /// When it was archived; `null`: it is not, and lists have it.
    pub archived_at: Option<DateTime<Utc>>,
}

impl From<ProjectRow> for Project {
    fn from(row: ProjectRow) -> Self {
        let ProjectRow {
            project_id,
            name,
            description,
            spend,
            version,
            created_at,
            updated_at,
            archived_at,
        } = row;
        Self {
            id: project_id,
            name,
            description,
            spend: spend.0,
            version,
            created_at,
            updated_at,
            archived_at,
        }
    }
}

/// Request to create a project.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProject {
    /// One line, unique in the workspace.
    #[schema(example = "importer", min_length = 1, max_length = 200)]
    pub name: String,
    /// Description for people; at most 16 KiB.
    #[serde(default)]
    #[schema(example = "Everything about reading customers' spreadsheets")]
    pub description: String,
}

/// An edit of a project; absent fields keep their value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectChange {
    /// New name: one line, unique in the workspace.
    #[schema(example = "importer", min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// New description for people; at most 16 KiB.
    pub description: Option<String>,
}

fn check(name: &str, description: &str) -> Result<()> {
    let mut checks = Checks::new();
    checks.line("/name", name, settings::NAME_CHARS);
    checks.bytes("/description", description, settings::PROJECT_DESCRIPTION_BYTES);
    Ok(checks.finish()?)
}

fn taken(name: &str) -> Error {
    let detail = format!(
        "there is a project called `{name}`; GET /v1/projects?name=... shows it, with archived=true \
         if it is archived"
    );
    Refusal::new(Code::AlreadyExists, detail).into()
}

async fn read(tx: &mut Tx, project: ProjectId) -> Result<Project> {
    let filter = ProjectFilter { project: Some(project), ..ProjectFilter::default() };
    let found = store::projects::list(tx, filter, None, 1).await?.pop();
    Ok(found.ok_or_else(|| Refusal::not_found("project"))?.into())
}

/// The project with this name. One that does not exist is made, and that is recorded.
pub(in crate::app) async fn ensure_by_name(unit: &mut Unit, name: &str) -> Result<ProjectId> {
    let id: ProjectId = unit.id();
    let found = store::projects::ensure_by_name(unit.tx(), id, name).await?;
    if found == id {
        let project = read(unit.tx(), id).await?;
        let created = NewRow::new(Kind::ProjectCreated).project(id);
        unit.record(created.after(&project).data(json!({"name": name})));
    }
    Ok(found)
}

impl App {
    /// Creates a project.
    ///
    /// # Errors
    /// `invalid`; `already_exists` when the name is taken.
    pub async fn create_project(
        &self,
        caller: &SubmitterCaller,
        new: &NewProject,
        request: Option<&Request>,
    ) -> Result<Outcome<Project>> {
        self.create(caller.principal(), request, Hold::Share, async |unit| {
            check(&new.name, &new.description)?;
            let id = unit.id();
            if !store::projects::insert(unit.tx(), id, &new.name, &new.description).await? {
                return Err(taken(&new.name));
            }
            let project = read(unit.tx(), id).await?;
            unit.record(
                NewRow::new(Kind::ProjectCreated)
                    .project(id)
                    .after(&project)
                    .data(json!({"name": new.name})),
            );
            Ok(project)
        })
        .await
    }

    /// Reads one project.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get_project(
        &self,
        caller: &ProjectReaderCaller,
        project: ProjectId,
    ) -> Result<Project> {
        see_project(caller.principal(), project)?;
        let mut tx = self.reader(caller.principal().workspace).await?;
        read(&mut tx, project).await
    }

    /// Up to `rows` projects after `after`, newest first.
    pub async fn list_projects(
        &self,
        caller: &ProjectReaderCaller,
        filter: ProjectFilter<'_>,
        after: Option<ProjectId>,
        rows: u32,
    ) -> Result<Vec<Project>> {
        let workspace = caller.principal().workspace;
        let mut tx = self.reader(workspace).await?;
        let within = caller.principal().scope.projects.as_deref();
        let filter = ProjectFilter { within, ..filter };
        let rows = store::projects::list(&mut tx, filter, after, i64::from(rows)).await?;
        Ok(rows.into_iter().map(Project::from).collect())
    }

    /// Edits a project. `version`: the version the caller read (`If-Match`); `None` skips the
    /// check. An edit without a change makes no new version.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `invalid`, `already_exists`.
    pub async fn update_project(
        &self,
        caller: &OperatorCaller,
        project: ProjectId,
        version: Option<i64>,
        change: &ProjectChange,
    ) -> Result<Project> {
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let stored = store::projects::lock(unit.tx(), project).await?;
        let stored = stored.ok_or_else(|| Refusal::not_found("project"))?;
        if let Some(version) = version {
            same_version(i64::from(stored.version), version)?;
        }
        let name = change.name.as_ref().unwrap_or(&stored.name);
        let description = change.description.as_ref().unwrap_or(&stored.description);
        check(name, description)?;
        if (name, description) != (&stored.name, &stored.description) {
            let before = read(unit.tx(), project).await?;
            if !store::projects::update(unit.tx(), project, name, description).await? {
                return Err(taken(name));
            }
            let after = read(unit.tx(), project).await?;
            unit.record(
                NewRow::new(Kind::ProjectUpdated)
                    .project(project)
                    .before(&before)
                    .after(&after)
                    .data(json!({"name": name})),
            );
        }
        let project = read(unit.tx(), project).await?;
        self.commit(unit).await?;
        Ok(project)
    }
}
