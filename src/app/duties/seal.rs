//! Duty `seal`: seals new journal rows, behind their writers; see [`crate::app::journal::seal`].

use std::time::Duration;

use super::{Duty, Report};

/// Rows of one second share a seal; nothing protects them until then.
pub(super) const DUTY: Duty = Duty {
    name: "seal",
    pace: Duration::from_secs(1),
    is_due: |due| due.seal,
    run: |app, workspace| {
        Box::pin(async move {
            let sealed = app.seal_journal(workspace).await?;
            Ok(Report { looked_at: sealed, did: sealed, left: 0, failure: None })
        })
    },
};
