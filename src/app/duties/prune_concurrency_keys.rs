//! Duty `prune_concurrency_keys`: deletes concurrency keys that only tasks made, when no open task names them.

use std::time::Duration;

use super::{Duty, Report};
use crate::{
    app::{App, Result},
    domain::ids::WorkspaceId,
};

pub(super) const DUTY: Duty = Duty {
    name: "prune_concurrency_keys",
    pace: Duration::from_secs(600),
    is_due: |_| true,
    run: |app, workspace| Box::pin(app.run_prune_concurrency_keys(workspace)),
};

/// Most transactions of one run.
const TRANSACTIONS: u32 = 10;

impl App {
    async fn run_prune_concurrency_keys(&self, workspace: WorkspaceId) -> Result<Report> {
        let mut pruned = 0;
        for _ in 0..TRANSACTIONS {
            let some = self.prune_concurrency_keys(workspace).await?;
            pruned += some;
            if some == 0 {
                break;
            }
        }
        Ok(Report { looked_at: pruned, did: pruned, left: 0, failure: None })
    }
}
