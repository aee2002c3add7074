//! Objects within the scope of a key.
//!
//! An object of a project that the key does not see is not found, as if it did not exist. A key
//! without projects in its scope costs no query here.

use crate::{
    app::{App, Result, caller::Principal},
    domain::{
        ids::{ApprovalId, GoalId, ProjectId, TaskId},
        refusal::Refusal,
    },
    store::{self, Tx},
};

/// Finds the project `project` only if the principal sees it.
pub(in crate::app) fn see_project(principal: &Principal, project: ProjectId) -> Result<()> {
    if principal.scope.sees(Some(project)) {
        return Ok(());
    }
    Err(Refusal::not_found("project").into())
}

/// Whether the principal sees a goal; true for an unknown goal if the principal sees all.
pub(in crate::app) async fn sees_goal(
    tx: &mut Tx,
    principal: &Principal,
    goal: GoalId,
) -> Result<bool> {
    if principal.scope.projects.is_none() {
        return Ok(true);
    }
    let project = store::goals::project_of(tx, goal).await?;
    Ok(project.is_some_and(|project| principal.scope.sees(project)))
}

impl App {
    /// Refuses a goal that the principal does not see.
    ///
    /// # Errors
    /// `not_found`.
    pub(in crate::app) async fn see_goal(&self, principal: &Principal, goal: GoalId) -> Result<()> {
        if principal.scope.projects.is_none() {
            return Ok(());
        }
        let mut tx = self.reader(principal.workspace).await?;
        if sees_goal(&mut tx, principal, goal).await? {
            return Ok(());
        }
        Err(Refusal::not_found("goal").into())
    }

    /// Refuses a task that the principal does not see.
    ///
    /// # Errors
    /// `not_found`.
    pub(in crate::app) async fn see_task(&self, principal: &Principal, task: TaskId) -> Result<()> {
        if principal.scope.projects.is_none() {
            return Ok(());
        }
        let mut tx = self.reader(principal.workspace).await?;
        if let Some(goal) = store::tasks::goal_of(&mut tx, task).await?
            && sees_goal(&mut tx, principal, goal).await?
        {
            return Ok(());
        }
        Err(Refusal::not_found("task").into())
    }

    /// Refuses an approval that the principal does not see.
    ///
    /// # Errors
    /// `not_found`.
    pub(in crate::app) async fn see_approval(
        &self,
        principal: &Principal,
        approval: ApprovalId,
    ) -> Result<()> {
        if principal.scope.projects.is_none() {
            return Ok(());
        }
        let mut tx = self.reader(principal.workspace).await?;
        if let Some(about) = store::approvals::about(&mut tx, approval).await?
            && sees_goal(&mut tx, principal, about.goal_id).await?
        {
            return Ok(());
        }
        Err(Refusal::not_found("approval").into())
    }
}
