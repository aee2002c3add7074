//! Writes when keys were last used.

use std::time::Duration;

use super::{Duty, Report};
use crate::{
    app::{App, Result},
    domain::{ids::WorkspaceId, settings},
    store,
};

/// The duty.
pub(super) const DUTY: Duty = Duty {
    name: "note_key_use",
    pace: Duration::from_secs(20),
    is_due: |_| true,
    run: |app, workspace| Box::pin(app.note_key_use(workspace)),
};

impl App {
    /// One statement for all keys that this process authenticated since the last run. Counts as
    /// looked at, not as done: a use of a key is no change that anybody waits for.
    async fn note_key_use(&self, workspace: WorkspaceId) -> Result<Report> {
        let used = self.key_uses.take(workspace);
        if used.is_empty() {
            return Ok(Report::default());
        }
        let mut tx = self.reader(workspace).await?;
        let looked_at = store::keys::note_use(&mut tx, &used, settings::USE_EXACT_TO).await?;
        Ok(Report { looked_at, ..Report::default() })
    }
}
