//! Duty `learn_routes`: counts how attempts of agents ended, and makes what is believed of the agents anew.
//!
//! Every process runs it for itself, because beliefs are kept in memory; the journal is read by one of them only.

use std::time::Duration;

use super::{Duty, Report};
use crate::{
    app::{App, Result},
    domain::ids::WorkspaceId,
};

pub(super) const DUTY: Duty = Duty {
    name: "learn_routes",
    pace: Duration::from_secs(2),
    is_due: |_| true,
    run: |app, workspace| Box::pin(app.run_learn_routes(workspace)),
};

impl App {
    async fn run_learn_routes(&self, workspace: WorkspaceId) -> Result<Report> {
        let counted = self.learn_routes(workspace).await?;
        Ok(Report { looked_at: counted, did: counted, left: 0, failure: None })
    }
}
