//! Which lessons a caller sees.
//!
//! People see the lessons of the workspace and those of every project that their key sees. A key for single projects
//! sees only lessons of these: a lesson of the workspace may come from any project. An agent sees the lessons of the
//! workspace and of the projects of the tasks that it works on, within the scope of its key. Withheld states are for
//! people only.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::{
    app::{Result, caller::Principal},
    domain::{
        ids::ProjectId,
        knowledge::{LessonState, shelf},
    },
    store::{self, Tx},
};

/// What a caller sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::app) struct Sight {
    /// Projects whose lessons are seen; `None`: all.
    projects: Option<BTreeSet<ProjectId>>,
    /// Whether lessons of the workspace are seen.
    workspace: bool,
    /// Whether withheld states may be asked for.
    is_person: bool,
}

impl Sight {
    /// What the agent of a task of a project gets.
    pub(in crate::app) fn of_task(project: Option<ProjectId>) -> Self {
        Self { projects: Some(project.into_iter().collect()), workspace: true, is_person: false }
    }

    /// What a principal sees.
    pub(in crate::app) async fn of(tx: &mut Tx, principal: &Principal) -> Result<Self> {
        let scoped = principal.scope.projects.as_ref();
        let scoped: Option<BTreeSet<ProjectId>> = scoped.map(|some| some.iter().copied().collect());
        let workspace = scoped.is_none();
        let Some(agent) = principal.agent else {
            return Ok(Self { projects: scoped, workspace, is_person: true });
        };
        let mut projects: BTreeSet<ProjectId> =
            store::knowledge::shelves::worked_on(tx, agent).await?.into_iter().collect();
        if let Some(scoped) = scoped {
            projects.retain(|project| scoped.contains(project));
        }
        Ok(Self { projects: Some(projects), workspace, is_person: false })
    }

    /// Whether the states may be asked for.
    pub(in crate::app) fn is_person(&self) -> bool {
        self.is_person
    }

    /// Whether a lesson is seen.
    pub(in crate::app) fn sees(&self, project: Option<ProjectId>, state: LessonState) -> bool {
        let withheld = shelf::Group::of(state) == shelf::Group::Withheld;
        if withheld && !self.is_person {
            return false;
        }
        match (project, &self.projects) {
            (None, _) => self.workspace,
            (Some(_), None) => true,
            (Some(project), Some(seen)) => seen.contains(&project),
        }
    }

    /// The projects as an argument of a statement; `None`: all.
    pub(in crate::app) fn projects(&self) -> Option<Vec<Uuid>> {
        self.projects.as_ref().map(|some| some.iter().map(|project| project.0).collect())
    }

    /// Whether lessons of the workspace are seen.
    pub(in crate::app) fn sees_workspace(&self) -> bool {
        self.workspace
    }

    /// The shelves of these states that are seen.
    pub(in crate::app) async fn shelves(
        &self,
        tx: &mut Tx,
        states: &[LessonState],
    ) -> Result<Vec<i32>> {
        let bases = self.bases(tx).await?;
        let states: Vec<LessonState> = states
            .iter()
            .copied()
            .filter(|state| self.is_person || shelf::Group::of(*state) != shelf::Group::Withheld)
            .collect();
        Ok(shelf::shelves(&bases, &states))
    }

    /// The shelves of withheld lessons of what is seen: to count them, not to read them.
    pub(in crate::app) async fn withheld(&self, tx: &mut Tx) -> Result<Vec<i32>> {
        Ok(shelf::shelves(&self.bases(tx).await?, &[LessonState::Quarantined]))
    }

    /// The shelves of the projects and the workspace, as far as they are seen.
    async fn bases(&self, tx: &mut Tx) -> Result<Vec<i32>> {
        let mut bases: Vec<i32> = match &self.projects {
            None => {
                let all = store::knowledge::shelves::all(tx).await?;
                all.into_iter().map(|(_, base)| base).collect()
            }
            Some(some) => {
                let some: Vec<ProjectId> = some.iter().copied().collect();
                store::knowledge::shelves::bases(tx, &some).await?.into_values().collect()
            }
        };
        if self.workspace {
            bases.push(shelf::WORKSPACE);
        }
        Ok(bases)
    }
}
