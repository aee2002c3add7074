//! Retention of lessons: what was put away is deleted when the workspace says so.

use chrono::TimeDelta;

use crate::{
    app::{App, Result, caller::Actor, workspace},
    domain::ids::WorkspaceId,
    store,
};

/// Lessons deleted in one transaction.
const AT_ONCE: usize = 100;

impl App {
    /// Deletes lessons that were put away longer ago than the workspace keeps them. Returns their number, and whether
    /// some may be left.
    pub(in crate::app) async fn prune_lessons(
        &self,
        workspace: WorkspaceId,
    ) -> Result<(u64, bool)> {
        let mut tx = self.reader(workspace).await?;
        let kept = workspace::read(&mut tx).await?.lesson_retention_days;
        drop(tx);
        let Some(days) = kept else { return Ok((0, false)) };
        let kept = TimeDelta::days(days.into());
        self.delete_in_bites(AT_ONCE as u64, || self.prune_some(workspace, kept)).await
    }

    async fn prune_some(&self, workspace: WorkspaceId, kept: TimeDelta) -> Result<u64> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        store::knowledge::cursors::lock(unit.tx()).await?;
        let before = unit.now() - kept;
        let gone = store::knowledge::retention::put_away(unit.tx(), before, AT_ONCE as i64).await?;
        if !gone.is_empty() {
            store::knowledge::index::remove(unit.tx(), &gone).await?;
            store::knowledge::retention::delete(unit.tx(), &gone).await?;
        }
        self.commit(unit).await?;
        Ok(gone.len() as u64)
    }
}
