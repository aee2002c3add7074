//! The supervisor: background duties and their schedule.
//!
//! A duty takes the workspace as its only input and returns a report
//! ([`crate::app::duties`] implements them). The supervisor decides only when a duty runs: at a
//! fixed interval, so that load on the service does not increase it. It keeps no state, so killing
//! it loses nothing, and several processes may run it on one database: every duty judges again
//! under locks.
//!
//! An idle fleet costs next to nothing: one query per round and workspace finds out what is due by
//! the clock, and duties with nothing due are skipped. A duty whose database call exceeds its time
//! limit is abandoned, so a silent connection never blocks the supervisor; completed transactions
//! stay, and the next tick continues.
//!
//! Runs of each duty are recorded (`GET /v1/supervisor`): every few seconds, and whenever a run
//! changed something or failed. A failed duty is logged and retried at the next tick; the others
//! continue.

use std::{collections::HashMap, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::{
    app::{
        App, Result,
        duties::{DUTIES, Due, Duty, FOLLOWING, Report, record::DutyRun},
    },
    clock::Stopwatch,
    domain::ids::WorkspaceId,
    shutdown::Shutdown,
};

/// Interval of rounds, and of the duties that enforce timeouts.
const TICK: Duration = Duration::from_millis(250);
/// Interval of checking for tables with outdated statistics.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// Interval of counting what workspaces hold.
const USAGE_EVERY: Duration = Duration::from_secs(60);
/// Interval of looking for new workspaces.
const WORKSPACES_EVERY: Duration = Duration::from_secs(1);
/// Interval of trying whether the database can store again.
const STORAGE_EVERY: Duration = Duration::from_secs(2);
/// Interval of measuring how long rows wait for their seal.
const SEALING_EVERY: Duration = Duration::from_secs(5);
/// Interval of recording runs without changes.
const RECORD_EVERY: Duration = Duration::from_secs(5);

/// Runs every duty once for every workspace, whatever its pace: for tests with a clock of their own.
/// Returns the count of changes; what only follows from changes of others, such as seals, is not counted.
///
/// # Errors
/// The first failure of the first duty that failed.
pub async fn round(app: &App) -> Result<u64> {
    let mut changed = 0;
    for workspace in app.workspaces().await? {
        for duty in DUTIES {
            let report = (duty.run)(app, workspace).await?;
            if let Some(error) = report.failure {
                return Err(error);
            }
            changed += if FOLLOWING.contains(&duty.name) { 0 } else { report.did };
        }
    }
    Ok(changed)
}

/// Starts going round until the stop begins; the duty that runs then is finished.
pub fn spawn(app: &App, shutdown: &Shutdown) {
    shutdown.spawn("supervisor", go_round(app.clone(), shutdown.clone()));
}

async fn go_round(app: App, shutdown: Shutdown) {
    let mut rounds = Rounds::default();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.begun() => return,
            _ = tick.tick() => {}
        }
        if let Err(error) = app.in_time(rounds.find_workspaces(&app)).await {
            tracing::warn!(%error, "the supervisor cannot see the workspaces");
            continue;
        }
        rounds.measure_tables(&app).await;
        rounds.check_storage(&app).await;
        rounds.measure_sealing(&app).await;
        rounds.measure_usage(&app).await;
        for workspace in rounds.workspaces.clone() {
            rounds.run_all(&app, workspace, &shutdown).await;
        }
        app.pulse().beat();
    }
}

/// When each duty of each workspace last ran and was last written down.
#[derive(Debug, Default)]
struct Rounds {
    workspaces: Vec<WorkspaceId>,
    workspaces_read: Option<Stopwatch>,
    measured: Option<Stopwatch>,
    storage_checked: Option<Stopwatch>,
    sealing_measured: Option<Stopwatch>,
    used: Option<Stopwatch>,
    ran: HashMap<(WorkspaceId, &'static str), Stopwatch>,
    /// When its runs were last written down, and the runs since.
    unrecorded: HashMap<(WorkspaceId, &'static str), (Stopwatch, i64)>,
}

impl Rounds {
    async fn find_workspaces(&mut self, app: &App) -> Result<()> {
        if self.workspaces_read.is_none_or(|last| last.elapsed() >= WORKSPACES_EVERY) {
            self.workspaces = app.workspaces().await?;
            self.workspaces_read = Some(Stopwatch::start());
        }
        Ok(())
    }

    /// Not a duty: tables belong to no workspace.
    async fn measure_tables(&mut self, app: &App) {
        if self.measured.is_some_and(|last| last.elapsed() < MEASURE_EVERY) {
            return;
        }
        self.measured = Some(Stopwatch::start());
        if let Err(error) = app.in_time(app.measure_tables()).await {
            tracing::warn!(%error, "the tables cannot be measured; it is tried again");
        }
    }

    /// Not a duty: all workspaces share the disk.
    async fn check_storage(&mut self, app: &App) {
        if !is_due(&mut self.storage_checked, STORAGE_EVERY) {
            return;
        }
        if let Err(error) = app.in_time(app.check_storage()).await {
            tracing::warn!(%error, "the database still cannot store; it is tried again");
        }
    }

    /// Not a duty: the gauges belong to no workspace.
    async fn measure_sealing(&mut self, app: &App) {
        if !is_due(&mut self.sealing_measured, SEALING_EVERY) {
            return;
        }
        if let Err(error) = app.in_time(app.measure_sealing(&self.workspaces)).await {
            tracing::warn!(%error, "the seals cannot be measured; it is tried again");
        }
    }

    /// Not a duty: the metrics compare all workspaces.
    async fn measure_usage(&mut self, app: &App) {
        if !is_due(&mut self.used, USAGE_EVERY) {
            return;
        }
        if let Err(error) = app.in_time(app.measure_usage()).await {
            tracing::warn!(%error, "what workspaces hold cannot be measured; it is tried again");
        }
    }

    async fn run_all(&mut self, app: &App, workspace: WorkspaceId, shutdown: &Shutdown) {
        // A look that fails says nothing: then the duties find out for themselves.
        let due = app.in_time(app.due(workspace)).await.unwrap_or(Due::ALL);
        for duty in DUTIES {
            if shutdown.is_begun() {
                return;
            }
            let last = self.ran.get(&(workspace, duty.name));
            if last.is_none_or(|last| last.elapsed() >= duty.pace) {
                self.run(app, workspace, duty, due).await;
            }
        }
    }

    async fn run(&mut self, app: &App, workspace: WorkspaceId, duty: &Duty, due: Due) {
        let began = Stopwatch::start();
        let (name, key) = (duty.name, (workspace, duty.name));
        self.ran.insert(key, began);
        let report = if (duty.is_due)(&due) {
            let run = app.in_time((duty.run)(app, workspace)).await;
            run.unwrap_or_else(|error| Report { failure: Some(error), ..Report::default() })
        } else {
            Report::default()
        };
        let took = began.elapsed();
        if let Some(error) = &report.failure {
            app.storage().note(error);
            tracing::warn!(%error, duty = name, left = report.left, "a duty failed; it is tried again");
        }
        metrics::histogram!("muster_supervisor_duty_seconds", "duty" => name)
            .record(took.as_secs_f64());
        let before = self.unrecorded.get(&key).copied();
        let runs = before.map_or(0, |(_, runs)| runs) + 1;
        let quiet = report.did == 0 && report.failure.is_none();
        if let Some((since, _)) = before
            && quiet
            && since.elapsed() < RECORD_EVERY
        {
            self.unrecorded.insert(key, (since, runs));
            return;
        }
        self.unrecorded.insert(key, (Stopwatch::start(), 0));
        let recorded = app.in_time(record(app, workspace, name, runs, took, &report)).await;
        if let Err(error) = recorded {
            app.storage().note(&error);
            tracing::warn!(%error, duty = name, "the run of a duty could not be recorded");
        }
    }
}

/// Whether `every` has passed since the last time, which becomes now then.
fn is_due(last: &mut Option<Stopwatch>, every: Duration) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= every);
    if due {
        *last = Some(Stopwatch::start());
    }
    due
}

async fn record(
    app: &App,
    workspace: WorkspaceId,
    duty: &str,
    runs: i64,
    took: Duration,
    report: &Report,
) -> Result<()> {
    let Report { looked_at, did, left, failure } = report;
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let error = failure.as_ref().map(ToString::to_string);
    let run = DutyRun {
        duty,
        runs,
        began_at: app.now().await? - took,
        took_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
        looked_at: count(*looked_at),
        did: count(*did),
        left: count(*left),
        error: error.as_deref(),
    };
    app.record_duty(workspace, &run).await
}
