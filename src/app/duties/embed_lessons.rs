//! Duty `embed_lessons`: gives lessons their vectors, where the workspace has word vectors or the service an endpoint
//! for embeddings.

use std::time::Duration;

use super::{Duty, Report};
use crate::{
    app::{App, Error, Result},
    domain::ids::WorkspaceId,
};

pub(super) const DUTY: Duty = Duty {
    name: "embed_lessons",
    pace: Duration::from_secs(2),
    is_due: |_| true,
    run: |app, workspace| Box::pin(app.run_embed_lessons(workspace)),
};

impl App {
    async fn run_embed_lessons(&self, workspace: WorkspaceId) -> Result<Report> {
        let embedded = self.embed_lessons(workspace).await?;
        Ok(Report {
            looked_at: embedded.done,
            did: embedded.done,
            left: u64::from(embedded.left),
            failure: embedded.failure.map(Error::Unavailable),
        })
    }
}
