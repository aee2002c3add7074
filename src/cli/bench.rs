//! `muster bench`: runs the load generator on a thread of its own, and prints the report.

use tokio::{runtime::Builder, sync::oneshot, task::LocalSet};

use super::{failure::Failure, print};
use crate::{
    bench::{
        self,
        fairness::dummy,
        settings::{BenchSettings, Format},
        stage::Starting,
    },
    config::DatabaseConfig,
    shutdown::Shutdown,
};

/// Measures until the end, or until Ctrl-C.
pub async fn run(database: &DatabaseConfig, settings: BenchSettings) -> Result<(), Failure> {
    let database = database.clone();
    let (sender, ended) = oneshot::channel();
    // One thread, so that the load generator takes little from the measured service; its own thread,
    // because processes started from it are killed at its end.
    let thread = std::thread::Builder::new().name("muster-bench".to_owned());
    thread.spawn(move || {
        let _ = sender.send(on_this_thread(settings, database));
    })?;
    ended.await?
}

fn on_this_thread(settings: BenchSettings, database: DatabaseConfig) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    if settings.dummy {
        let connections = settings.fairness_sockets.max(settings.fairness_polls);
        return Ok(runtime.block_on(dummy::run(connections))?);
    }
    let (format, file) = (settings.format, settings.json.clone());
    let report = LocalSet::new().block_on(&runtime, async {
        let shutdown = Shutdown::on_signals()?;
        let starting = Starting::default();
        let stopped = async {
            shutdown.begun().await;
            // The other branch runs on until a started PostgreSQL can be ended.
            tokio::select! {
                _ = starting.lock() => {}
                () = shutdown.forced() => {}
            }
        };
        tokio::select! {
            report = bench::run(settings, database, Starting::clone(&starting)) => Ok(report?),
            // All processes end with the future.
            () = stopped => Err(Failure::from("stopped before everything was measured")),
        }
    })?;
    if let Some(file) = file {
        std::fs::write(&file, serde_json::to_string_pretty(&report)?)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    match format {
        Format::Table => print::text(&report.text()),
        Format::Json => print::json(&report),
    }
}
