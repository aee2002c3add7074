//! Whether requests make sense now.

use std::{pin::Pin, time::Duration};

use crate::{
    app::App,
    http::state::{Check, Readiness},
    shutdown::Shutdown,
};

/// A supervisor that was silent for longer is stuck.
const SUPERVISOR_SILENT: Duration = Duration::from_secs(30);

/// Looks at what `/readyz` promises.
#[derive(Debug)]
pub struct ServiceReadiness {
    /// What is served.
    pub app: App,
    /// Says when no more should be sent.
    pub shutdown: Shutdown,
}

impl Readiness for ServiceReadiness {
    fn check(&self) -> Pin<Box<dyn Future<Output = Vec<Check>> + Send + '_>> {
        Box::pin(async {
            let silence = self.app.pulse().silence();
            let mut checks = vec![
                Check::new("accepting", !self.shutdown.is_begun()),
                Check::new(
                    "supervisor",
                    silence.is_some_and(|silence| silence < SUPERVISOR_SILENT),
                ),
            ];
            // The question about the migrations also shows whether the database answers.
            let migrated = self.app.is_migrated().await;
            checks.push(Check::new("database", migrated.is_ok()));
            checks.push(Check::new("migrations", migrated.unwrap_or(false)));
            checks
        })
    }
}
