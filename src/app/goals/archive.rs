//! Archiving goals that have ended.
//!
//! Work, money and the journal do not know of it: tasks and spend of an archived goal are listed, budgeted and
//! reported as before.

use super::views::{self, Goal};
use crate::{
    app::{
        App, Result,
        caller::{Caller as _, ProjectOperatorCaller},
        unit::locks::lock_goal,
    },
    domain::{
        archive,
        ids::GoalId,
        journal::{Kind, NewRow},
    },
    store,
};

impl App {
    /// Archives a goal that has ended. Archiving it again changes nothing.
    ///
    /// # Errors
    /// `not_found`; `wrong_state` if it has not ended.
    pub async fn archive_goal(&self, caller: &ProjectOperatorCaller, goal: GoalId) -> Result<Goal> {
        self.put_goal(caller, goal, true).await
    }

    /// Puts an archived goal back into the lists. Doing so again changes nothing.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn unarchive_goal(
        &self,
        caller: &ProjectOperatorCaller,
        goal: GoalId,
    ) -> Result<Goal> {
        self.put_goal(caller, goal, false).await
    }

    async fn put_goal(
        &self,
        caller: &ProjectOperatorCaller,
        goal: GoalId,
        archived: bool,
    ) -> Result<Goal> {
        let principal = caller.principal();
        self.see_goal(principal, goal).await?;
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let facts = lock_goal(&mut unit, goal).await?;
        let before = views::read(unit.tx(), goal).await?;
        if before.archived_at.is_some() == archived {
            self.undo(unit).await?;
            return Ok(before);
        }
        let kind = if archived {
            archive::goal(facts.state)?;
            Kind::GoalArchived
        } else {
            Kind::GoalUnarchived
        };
        store::goals::set_archived(unit.tx(), goal, archived).await?;
        let after = views::read(unit.tx(), goal).await?;
        unit.record(NewRow::new(kind).goal(goal).before(&before).after(&after));
        self.commit(unit).await?;
        Ok(after)
    }
}
