//! `muster bench`: runs the load generator on a thread of its own, and prints what it saw.

use clap::Args;
use tokio::{runtime::Builder, sync::oneshot, task::LocalSet};

use super::{Failure, print};
use crate::{
    bench::{
        self,
        report::Report,
        settings::{BenchSettings, Format},
        stage::Starting,
    },
    config::DatabaseConfig,
    shutdown::Shutdown,
};

#[derive(Debug, Args)]
pub struct BenchConfig {
    #[command(flatten)]
    settings: BenchSettings,
}

/// Measures until it is done, or until Ctrl-C.
pub async fn run(database: &DatabaseConfig, config: BenchConfig) -> Result<(), Failure> {
    let (database, settings) = (database.clone(), config.settings);
    let (sender, ended) = oneshot::channel();
    // One thread, so that the load generator takes as little as it can from what it measures; and
    // its own, because what is started from it is killed when it ends.
    let thread = std::thread::Builder::new().name("muster-bench".to_owned());
    thread.spawn(move || {
        let _ = sender.send(on_this_thread(settings, database));
    })?;
    ended.await?
}

fn on_this_thread(settings: BenchSettings, database: DatabaseConfig) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (format, file) = (settings.format, settings.json.clone());
    let report = LocalSet::new().block_on(&runtime, async {
        let shutdown = Shutdown::on_signals()?;
        let starting = Starting::default();
        let stopped = async {
            shutdown.begun().await;
            // The other branch goes on meanwhile, until what it is starting can be ended.
            tokio::select! {
                _ = starting.lock() => {}
                () = shutdown.forced() => {}
            }
        };
        tokio::select! {
            report = bench::run(settings, database, Starting::clone(&starting)) => Ok(report?),
            // What was started ends with the future.
            () = stopped => Err(Failure::from("stopped before everything was measured")),
        }
    })?;
    if let Some(file) = file {
        write(&report, &file)?;
    }
    match format {
        Format::Table => print::text(&report.text()),
        Format::Json => print::json(&report),
    }
}

fn write(report: &Report, file: &std::path::Path) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(report)?;
    std::fs::write(file, json)
        .map_err(|error| format!("cannot write {}: {error}", file.display()).into())
}
