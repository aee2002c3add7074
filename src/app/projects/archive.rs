//! Archiving projects without open goals.
//!
//! An archived project gets no new goals: they would be open in a project that lists leave out. Both directions
//! hold the workspace alone for a moment, so no goal is posted meanwhile.

use super::{Project, read};
use crate::{
    app::{
        App, Result, Unit,
        caller::{Caller as _, OperatorCaller},
    },
    domain::{
        archive,
        ids::ProjectId,
        journal::{Kind, NewRow},
        refusal::Refusal,
    },
    store,
};

impl App {
    /// Archives a project. Archiving it again changes nothing.
    ///
    /// # Errors
    /// `not_found`; `wrong_state` if it has open goals.
    pub async fn archive_project(
        &self,
        caller: &OperatorCaller,
        project: ProjectId,
    ) -> Result<Project> {
        self.put_project(caller, project, true).await
    }

    /// Puts an archived project back into the lists. Doing so again changes nothing.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn unarchive_project(
        &self,
        caller: &OperatorCaller,
        project: ProjectId,
    ) -> Result<Project> {
        self.put_project(caller, project, false).await
    }

    async fn put_project(
        &self,
        caller: &OperatorCaller,
        project: ProjectId,
        archived: bool,
    ) -> Result<Project> {
        let principal = caller.principal();
        let mut unit = self.begin_alone(principal.workspace, principal.actor()).await?;
        let before = read(unit.tx(), project).await?;
        if before.archived_at.is_some() == archived {
            self.undo(unit).await?;
            return Ok(before);
        }
        let kind = if archived {
            archive::project(store::projects::open_goals(unit.tx(), project).await?)?;
            Kind::ProjectArchived
        } else {
            Kind::ProjectUnarchived
        };
        store::projects::set_archived(unit.tx(), project, archived).await?;
        let after = read(unit.tx(), project).await?;
        unit.record(NewRow::new(kind).project(project).before(&before).after(&after));
        self.commit(unit).await?;
        Ok(after)
    }
}

/// Refuses an archived project for a goal. The unit shares the workspace, so it is not archived meanwhile.
///
/// # Errors
/// `invalid` at `/project`.
pub(in crate::app) async fn refuse_archived(unit: &mut Unit, project: ProjectId) -> Result<()> {
    if !store::projects::is_archived(unit.tx(), project).await? {
        return Ok(());
    }
    let detail = format!(
        "the project is archived and gets no goals; POST /v1/projects/{project}/unarchive brings it back"
    );
    Err(Refusal::invalid_at("/project", detail).into())
}
