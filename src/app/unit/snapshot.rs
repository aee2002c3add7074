//! Read-only transactions with a stable view: for reports, dry runs, attention and checks.

use crate::{
    app::{App, Result},
    domain::ids::WorkspaceId,
    store::{self, SystemTx, Tx},
};

impl App {
    /// A stable view of a workspace for one report; its instant is its start. Waits while the maximum number
    /// is in use, because each reads much.
    ///
    /// # Errors
    /// `unavailable` if the database cannot be reached, or the service is stopping.
    pub(in crate::app) async fn moment(&self, workspace: WorkspaceId) -> Result<Tx> {
        let turn = self.reports.take(workspace).await;
        let mut system: SystemTx = self.pool.begin().await?.into();
        store::reports::begin(&mut system).await?;
        let now = self.clock.or(store::verify::moment(&mut system).await?);
        Ok(system.on_turn(turn, now))
    }

    /// A stable view of a workspace for a check that reads all of it, on one core of the database.
    pub(in crate::app) async fn still(&self, workspace: WorkspaceId) -> Result<Tx> {
        let mut system: SystemTx = self.pool.begin().await?.into();
        store::verify::hold_still(&mut system).await?;
        let now = self.clock.or(store::verify::moment(&mut system).await?);
        Ok(system.within(workspace, now))
    }
}
