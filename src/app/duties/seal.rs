//! Seals rows of the journal behind their writers: see [`crate::app::journal::seal`].

use std::time::Duration;

use super::{Duty, Report};

/// The duty. Rows of one second share a seal; until then nothing protects them.
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
