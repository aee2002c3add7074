//! `muster bench`: a load generator that measures the capacity of muster.
//!
//! It starts a PostgreSQL with the settings of production and `muster serve`, each as a process of
//! its own, and runs scenarios over HTTP. Comparisons are made within one run, in alternating rounds,
//! because a machine is never the same twice.
//!
//! - Latency is measured in an open loop: arrivals are fixed in advance ([`schedule`]), and latency
//!   counts from them.
//! - The bench runs on one thread with a small client of its own ([`http`]), because it takes
//!   processor time from the service under measurement; its share is in the report.
//! - It asserts nothing about speed. It prints figures.
//! - All that it started has ended when it ends, also after Ctrl-C or an error.
//!
//! It has its own SQL: it reads the database from outside (statistics, and a table as reference), and
//! must not measure the service with the service's code.

mod api;
mod budget;
mod capture;
mod cycle;
mod cycling;
mod error;
pub(crate) mod fairness;
mod fleet;
mod growth;
mod heartbeat;
mod http;
mod idle;
mod load;
mod machine;
pub mod multiply;
mod pages;
mod process;
mod reference;
pub(crate) mod report;
mod retrieval;
mod schedule;
mod server;
pub(crate) mod settings;
pub(crate) mod stage;
mod statements;
mod statistics;
mod supply;
mod sustain;
mod table;
mod together;
mod writes;

use clap::ValueEnum as _;

use crate::config::DatabaseConfig;
use error::Result;
use report::Report;
use settings::{BenchSettings, Scenario};
use stage::{Setup, Starting};

/// Open files beside those of the connections.
const OTHER_FILES: u64 = 200;

/// Runs the wanted scenarios. It runs on one thread, inside a [`tokio::task::LocalSet`].
///
/// To stop it, lock `starting` and then drop the future, which ends all processes.
pub(crate) async fn run(
    settings: BenchSettings,
    database: DatabaseConfig,
    starting: Starting,
) -> Result<Report> {
    let setup = Setup::new(settings, database, starting);
    let mut report = Report::new(&setup.settings);
    for warning in report.machine.warnings() {
        tracing::warn!("{warning}");
    }
    if setup.settings.url.is_none() && setup.database.url().is_some() {
        tracing::warn!("DATABASE_URL is not used: the bench fills a database of its own");
    }
    if let Err(why) = process::allow_open_files(files(&setup.settings)) {
        tracing::warn!("{why}");
        report.skipped.push(format!("connections above the limit: {why}"));
    }
    for scenario in Scenario::value_variants() {
        if !setup.settings.wants(*scenario) {
            continue;
        }
        if let Some(why) = impossible(&setup, *scenario) {
            report.skipped.push(format!("{scenario:?}: {why}").to_lowercase());
            continue;
        }
        tracing::info!(?scenario, "measuring");
        measure(&setup, *scenario, &mut report).await?;
    }
    Ok(report)
}

/// The number of files open at once.
fn files(settings: &BenchSettings) -> u64 {
    let idle = settings.idle_agents.iter().copied().max().unwrap_or_default();
    let idle = if settings.wants(Scenario::Idle) { idle } else { 0 };
    let attack = settings.fairness_sockets.max(settings.fairness_polls);
    let attack = if settings.wants(Scenario::Fairness) { attack } else { 0 };
    u64::from(idle.max(attack)).max(settings.connections.into()) + OTHER_FILES
}

/// Why a scenario cannot be measured with the given options.
fn impossible(setup: &Setup, scenario: Scenario) -> Option<&'static str> {
    setup.settings.url.as_ref()?;
    let database = setup.database.url().is_some();
    match scenario {
        Scenario::Cycle | Scenario::Idle | Scenario::Heartbeat | Scenario::Budget => None,
        Scenario::Reference | Scenario::Sustain if database => None,
        Scenario::Reference | Scenario::Sustain => Some("it needs --database-url beside --url"),
        Scenario::Growth | Scenario::Fairness | Scenario::Retrieval => {
            Some("it needs services of its own, not that of --url")
        }
    }
}

async fn measure(setup: &Setup, scenario: Scenario, report: &mut Report) -> Result<()> {
    match scenario {
        Scenario::Cycle => {
            let with_reference = setup.settings.wants(Scenario::Reference)
                && impossible(setup, Scenario::Reference).is_none();
            cycle::measure(setup, report, with_reference).await
        }
        // Measured in turns with `cycle`, unless wanted alone.
        Scenario::Reference if setup.settings.wants(Scenario::Cycle) => Ok(()),
        Scenario::Reference => cycle::measure(setup, report, true).await,
        Scenario::Idle => idle::measure(setup, report).await,
        Scenario::Heartbeat => heartbeat::measure(setup, report).await,
        Scenario::Budget => budget::measure(setup, report).await,
        Scenario::Growth => growth::measure(setup, report).await,
        Scenario::Fairness => fairness::measure(setup, report).await,
        Scenario::Sustain => sustain::measure(setup, report).await,
        Scenario::Retrieval => retrieval::measure(setup, report).await,
    }
}
