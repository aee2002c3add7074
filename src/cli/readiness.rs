//! Whether requests make sense now.

use std::pin::Pin;

use crate::{
    app::App,
    http::health::{Check, Readiness},
    shutdown::Shutdown,
    supervisor::Pulse,
};

/// Looks at what `/readyz` promises.
#[derive(Debug)]
pub struct ServiceReadiness {
    /// What is served.
    pub app: App,
    /// Says whether the supervisor goes round.
    pub supervisor: Pulse,
    /// Says when no more should be sent.
    pub shutdown: Shutdown,
}

impl Readiness for ServiceReadiness {
    fn check(&self) -> Pin<Box<dyn Future<Output = Vec<Check>> + Send + '_>> {
        Box::pin(async {
            let mut checks = vec![
                Check::new("accepting", !self.shutdown.is_begun()),
                Check::new("supervisor", self.supervisor.beats()),
            ];
            // The question about the migrations also shows whether the database answers.
            let migrated = self.app.is_migrated().await;
            checks.push(Check::new("database", migrated.is_ok()));
            checks.push(Check::new("migrations", migrated.unwrap_or(false)));
            checks
        })
    }
}
