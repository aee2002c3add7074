//! The background steps: when they run.

use crate::{app::App, shutdown::Shutdown};

/// Starts the background steps; they end soon after the stop begins.
pub fn spawn(app: &App, shutdown: &Shutdown) {
    let app = app.clone();
    shutdown.spawn_until_begun("supervisor", async move {
        loop {
            app.pulse().beat();
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    });
}
