//! Readiness of the service for requests.

use std::{pin::Pin, time::Duration};

use crate::{
    app::App,
    http::state::{Check, Readiness},
    shutdown::Shutdown,
};

/// Longest silence of a working supervisor.
const SUPERVISOR_SILENT: Duration = Duration::from_secs(30);

/// The checks of `/readyz`.
#[derive(Debug)]
pub struct ServiceReadiness {
    /// The use cases.
    pub app: App,
    /// The state of a stop.
    pub shutdown: Shutdown,
}

impl Readiness for ServiceReadiness {
    fn check(&self) -> Pin<Box<dyn Future<Output = Vec<Check>> + Send + '_>> {
        Box::pin(async {
            let silence = self.app.pulse().silence();
            let mut checks = vec![
                Check::new("accepting", !self.shutdown.is_begun()),
                Check::new("supervisor", silence.is_some_and(|silent| silent < SUPERVISOR_SILENT)),
            ];
            // The query for the migrations also shows that the database answers.
            let migrated = self.app.is_migrated().await;
            checks.push(Check::new("database", migrated.is_ok()));
            checks.push(Check::new("migrations", migrated.unwrap_or(false)));
            checks
        })
    }
}
