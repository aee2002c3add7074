//! Readiness of the service for requests.

use std::{pin::Pin, time::Duration};

use tokio::sync::Mutex;

use crate::{
    app::{App, Stopwatch},
    http::state::{Check, Readiness},
    shutdown::Shutdown,
};

/// Longest silence of a working supervisor.
const SUPERVISOR_SILENT: Duration = Duration::from_secs(30);

/// Requests within this time share one look at the database: `/readyz` takes no place, and any number of
/// checks must cost the database next to nothing.
const SHARED: Duration = Duration::from_millis(200);

/// The checks of `/readyz`.
#[derive(Debug)]
pub struct ServiceReadiness {
    app: App,
    shutdown: Shutdown,
    last: Mutex<Option<(Stopwatch, Migrated)>>,
}

/// Whether the database answered, and whether its schema is current.
#[derive(Debug, Clone, Copy)]
struct Migrated {
    answered: bool,
    current: bool,
}

impl ServiceReadiness {
    /// The checks of a service.
    pub fn new(app: App, shutdown: Shutdown) -> Self {
        Self { app, shutdown, last: Mutex::default() }
    }

    /// The query for the migrations also shows that the database answers.
    async fn migrated(&self) -> Migrated {
        let mut last = self.last.lock().await;
        if let Some((at, migrated)) = *last
            && at.elapsed() < SHARED
        {
            return migrated;
        }
        let found = self.app.is_migrated().await;
        let migrated = Migrated { answered: found.is_ok(), current: found.unwrap_or(false) };
        *last = Some((Stopwatch::start(), migrated));
        migrated
    }
}

impl Readiness for ServiceReadiness {
    fn check(&self) -> Pin<Box<dyn Future<Output = Vec<Check>> + Send + '_>> {
        Box::pin(async {
            let silence = self.app.pulse().silence();
            let mut checks = vec![
                Check::new("accepting", !self.shutdown.is_begun()),
                Check::new("supervisor", silence.is_some_and(|silent| silent < SUPERVISOR_SILENT)),
            ];
            let migrated = self.migrated().await;
            checks.push(Check::new("database", migrated.answered));
            checks.push(Check::new("migrations", migrated.current));
            checks.push(Check::new("storage", !self.app.storage().is_failing()));
            checks
        })
    }
}
