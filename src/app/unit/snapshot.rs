//! Read-only transactions with a stable view: for reports, dry runs, attention and checks.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::{
    app::{App, Error, Result},
    domain::ids::WorkspaceId,
    store::{self, SystemTx, Tx},
};

/// A stable view of the database for one report. Few exist at a time, because each reads much.
pub(in crate::app) struct Moment {
    /// The read-only transaction; its instant is its start.
    pub tx: Tx,
    _place: OwnedSemaphorePermit,
}

impl App {
    /// A stable view of a workspace. Waits while the maximum number is in use.
    ///
    /// # Errors
    /// `unavailable` if the database cannot be reached, or the service is stopping.
    pub(in crate::app) async fn moment(&self, workspace: WorkspaceId) -> Result<Moment> {
        let place = Arc::clone(&self.reports).acquire_owned().await;
        let place = place.map_err(|error| Error::Unavailable(error.to_string()))?;
        let mut system: SystemTx = self.pool.begin().await?.into();
        store::reports::begin(&mut system).await?;
        let now = self.clock.or(store::verify::moment(&mut system).await?);
        Ok(Moment { tx: system.within(workspace, now), _place: place })
    }

    /// A stable view of a workspace for a check that reads all of it, on one core of the database.
    pub(in crate::app) async fn still(&self, workspace: WorkspaceId) -> Result<Tx> {
        let mut system: SystemTx = self.pool.begin().await?.into();
        store::verify::hold_still(&mut system).await?;
        let now = self.clock.or(store::verify::moment(&mut system).await?);
        Ok(system.within(workspace, now))
    }
}
