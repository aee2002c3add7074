//! `muster bench`: a load generator that says what muster carries.
//!
//! It starts a PostgreSQL with the settings of production and `muster serve`, each as a process of
//! its own, and works through scenarios over HTTP. What can be said only in comparison is compared
//! in the same run, in alternating rounds: the machine is never the same twice.
//!
//! - Latency is measured open loop: the arrivals are fixed before ([`schedule`]), and latency
//!   counts from them.
//! - The bench runs on one thread with a client of its own ([`http`]), since what it uses of the
//!   processors is taken from what it measures; how much that is stands in the report.
//! - It asserts nothing about speed. It prints what it saw.
//! - Whatever it started has ended when it ends, also after Ctrl-C or an error.
//!
//! Why it has SQL of its own: it looks at the database from outside (its statistics, a table of its
//! own as reference), and must not measure the service with the service's code.

pub mod api;
pub mod budget;
pub mod cycle;
pub mod cycling;
pub mod error;
pub mod fleet;
pub mod growth;
pub mod heartbeat;
pub mod http;
pub mod idle;
pub mod load;
pub mod machine;
pub mod multiply;
pub mod pages;
pub mod process;
pub mod reference;
pub mod report;
pub mod schedule;
pub mod server;
pub mod settings;
pub mod stage;
pub mod statements;
pub mod statistics;
pub mod supply;
pub mod sustain;

use crate::config::DatabaseConfig;
use error::Result;
use report::Report;
use settings::{BenchSettings, Scenario};
use stage::{Ground, Starting};

/// Open files beside those of the largest number of connections.
const OTHER_FILES: u64 = 200;

/// Measures what is asked for. Runs on one thread, inside a [`tokio::task::LocalSet`].
///
/// To stop it, take `starting` and then drop the future: everything ends with it.
///
/// # Errors
/// When something cannot be started or measured; what was started has ended then.
pub async fn run(
    settings: BenchSettings,
    database: DatabaseConfig,
    starting: Starting,
) -> Result<Report> {
    let ground = Ground::new(settings, database, starting);
    let mut report = Report::new(&ground.settings);
    for warning in report.machine.warnings() {
        tracing::warn!("{warning}");
    }
    if ground.settings.url.is_none() && ground.database.url().is_some() {
        tracing::warn!("DATABASE_URL is not used: the bench fills a database of its own");
    }
    if let Err(why) = process::allow_open_files(files(&ground.settings)) {
        tracing::warn!("{why}");
        report.skipped.push(format!("connections that are too many: {why}"));
    }
    for scenario in Scenario::ALL {
        if !ground.settings.wants(scenario) {
            continue;
        }
        if let Some(why) = impossible(&ground, scenario) {
            report.skipped.push(format!("{scenario:?}: {why}").to_lowercase());
            continue;
        }
        tracing::info!(?scenario, "measuring");
        measure(&ground, scenario, &mut report).await?;
    }
    Ok(report)
}

/// How many files may have to be open at once.
fn files(settings: &BenchSettings) -> u64 {
    let idle = settings.idle_agents.iter().copied().max().unwrap_or_default();
    let idle = if settings.wants(Scenario::Idle) { idle } else { 0 };
    u64::from(idle).max(settings.connections.into()) + OTHER_FILES
}

/// Why a scenario cannot be measured with what was given.
fn impossible(ground: &Ground, scenario: Scenario) -> Option<&'static str> {
    ground.settings.url.as_ref()?;
    let database = ground.database.url().is_some();
    match scenario {
        Scenario::Cycle | Scenario::Idle | Scenario::Heartbeat | Scenario::Budget => None,
        Scenario::Reference | Scenario::Sustain if database => None,
        Scenario::Reference | Scenario::Sustain => Some("it needs --database-url beside --url"),
        Scenario::Growth => Some("it needs services of its own, so it is not for --url"),
    }
}

async fn measure(ground: &Ground, scenario: Scenario, report: &mut Report) -> Result<()> {
    let machine = &mut report.machine;
    let results = match scenario {
        Scenario::Cycle => {
            let with_reference = ground.settings.wants(Scenario::Reference)
                && impossible(ground, Scenario::Reference).is_none();
            let measured = cycle::measure(ground, machine, with_reference).await?;
            (report.cycle, report.reference) = (measured.cycle, measured.reference);
            measured.results
        }
        // In turns with `cycle`, unless it is wanted alone.
        Scenario::Reference if ground.settings.wants(Scenario::Cycle) => return Ok(()),
        Scenario::Reference => {
            let measured = cycle::measure(ground, machine, true).await?;
            report.reference = measured.reference;
            measured.results
        }
        Scenario::Idle => {
            let (idle, results) = idle::measure(ground, machine).await?;
            report.idle = Some(idle);
            results
        }
        Scenario::Heartbeat => {
            let (heartbeat, results) = heartbeat::measure(ground, machine).await?;
            report.heartbeat = Some(heartbeat);
            results
        }
        Scenario::Budget => {
            let (budget, results) = budget::measure(ground, machine).await?;
            report.budget = Some(budget);
            results
        }
        Scenario::Growth => {
            let (growth, results) = growth::measure(ground, machine).await?;
            report.growth = Some(growth);
            results
        }
        Scenario::Sustain => {
            let (sustain, results) = sustain::measure(ground, machine).await?;
            report.sustain = Some(sustain);
            results
        }
    };
    report.results.extend(results);
    Ok(())
}
