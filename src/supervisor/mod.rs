//! The supervisor: background steps, and when they run.
//!
//! A step takes no input beyond the workspace and returns how many things it changed
//! ([`crate::app::duties`] says what each does). The supervisor only says when: at a fixed pace, so
//! that a busy service does not make it busier. It remembers nothing, so killing it
//! at any moment loses nothing, and two processes on one database may both run it: every step
//! judges again under locks.
//!
//! Beside an idle fleet it costs next to nothing: one look per round and workspace tells when
//! something is due by the clock, and the steps for which nothing is due have run with that.
//! A step that the database does not answer in time is given up, so a silent connection never stops
//! the supervisor; whole units of work were done, and the next tick goes on.
//!
//! Each step's runs are written down (`GET /v1/supervisor`): at least every few seconds, and
//! whenever a run changed something or failed. A step that fails is logged and tried again at the
//! next tick; the others go on.

use std::{collections::HashMap, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::{
    app::{
        App, Result,
        duties::{Due, record::StepRun},
    },
    clock::Stopwatch,
    domain::{ids::WorkspaceId, words::words},
    shutdown::Shutdown,
};

/// The pace of steps that keep promises about time.
const TICK: Duration = Duration::from_millis(250);
/// How often it is looked for tables that have outgrown their statistics.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// How often new workspaces are looked for.
const WORKSPACES_EVERY: Duration = Duration::from_secs(1);
/// How often a run that changed nothing is written down.
const RECORD_EVERY: Duration = Duration::from_secs(5);

words! {
    /// A background step.
    pub enum Step {
        /// Ends silent attempts, tasks out of time, cancellations whose grace is over.
        Expire => "expire",
        /// Reminds people of approvals, asks others, and ends those that nobody decided in time.
        ExpireApprovals => "expire_approvals",
        /// Offers tasks whose start time or backoff has passed.
        Promote => "promote",
        /// Offers tasks that waited for a budget which has room again.
        Fund => "fund",
        /// Acts by the intervention rules, and closes what is over.
        Intervene => "intervene",
        /// Computes what tasks usually use.
        LearnUsualSpend => "learn_usual_spend",
        /// Ends goals whose last task has ended.
        RollUp => "roll_up",
        /// Forgets answers that can no longer be replayed.
        SweepReplays => "sweep_replays",
        /// Numbers and chains what was audited.
        Seal => "seal",
    }
}

impl Step {
    /// The steps in the order of a round: what one frees the next may use.
    const ROUND: [Self; 9] = [
        Self::Expire,
        Self::ExpireApprovals,
        Self::Promote,
        Self::Fund,
        Self::RollUp,
        Self::Intervene,
        Self::LearnUsualSpend,
        Self::SweepReplays,
        Self::Seal,
    ];

    /// The shortest time between two runs.
    const fn pace(self) -> Duration {
        match self {
            Self::Expire | Self::ExpireApprovals | Self::Promote => Duration::ZERO,
            // Goals end with their last task; this only finds what a hand in the database left.
            Self::RollUp => Duration::from_secs(5),
            Self::SweepReplays | Self::LearnUsualSpend => Duration::from_secs(60),
            // What waits is offered where room appears; this finds what was left over.
            Self::Fund => Duration::from_secs(1),
            // What a rule is about has been so for a while.
            Self::Intervene => Duration::from_secs(1),
            // A second's entries are sealed together; until then nobody can tell them from forged ones.
            Self::Seal => Duration::from_secs(1),
        }
    }

    /// Whether there is something to do for it, as far as one look for all steps can tell.
    const fn is_wanted(self, due: Due) -> bool {
        match self {
            Self::Expire => due.expire,
            Self::ExpireApprovals => due.approvals,
            Self::Promote => due.promote,
            Self::Fund => due.fund,
            Self::Intervene => due.intervene,
            Self::Seal => due.seal,
            Self::RollUp | Self::SweepReplays | Self::LearnUsualSpend => true,
        }
    }

    async fn run(self, app: &App, workspace: WorkspaceId) -> Result<u64> {
        match self {
            Self::Expire => app.expire(workspace).await,
            Self::ExpireApprovals => app.expire_approvals(workspace).await,
            Self::Promote => app.promote(workspace).await,
            Self::RollUp => app.roll_up(workspace).await,
            Self::SweepReplays => app.sweep_replays(workspace).await,
            Self::Fund => app.fund(workspace).await,
            Self::Intervene => app.intervene(workspace).await,
            Self::LearnUsualSpend => app.learn_usual_spend(workspace).await,
            Self::Seal => app.seal_audit(workspace).await,
        }
    }
}

/// Runs every step once for every workspace, whatever its pace: for tests with a clock of their
/// own. Returns how many things changed; sealing what others changed is not counted.
///
/// # Errors
/// What the first failing step failed with.
pub async fn round(app: &App) -> Result<u64> {
    let mut changed = 0;
    for workspace in app.workspaces().await? {
        for step in Step::ROUND {
            let count = step.run(app, workspace).await?;
            changed += if step == Step::Seal { 0 } else { count };
        }
    }
    Ok(changed)
}

/// Starts going round until the stop begins; the step that runs then is finished.
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
        for workspace in rounds.workspaces.clone() {
            rounds.run_all(&app, workspace, &shutdown).await;
        }
        app.pulse().beat();
    }
}

/// When each step of each workspace last ran and was last written down.
#[derive(Debug, Default)]
struct Rounds {
    workspaces: Vec<WorkspaceId>,
    workspaces_read: Option<Stopwatch>,
    measured: Option<Stopwatch>,
    ran: HashMap<(WorkspaceId, Step), Stopwatch>,
    /// When its runs were last written down, and the runs since.
    unrecorded: HashMap<(WorkspaceId, Step), (Stopwatch, i64)>,
}

impl Rounds {
    async fn find_workspaces(&mut self, app: &App) -> Result<()> {
        if self.workspaces_read.is_none_or(|last| last.elapsed() >= WORKSPACES_EVERY) {
            self.workspaces = app.workspaces().await?;
            self.workspaces_read = Some(Stopwatch::start());
        }
        Ok(())
    }

    /// Not a step: tables belong to no workspace.
    async fn measure_tables(&mut self, app: &App) {
        if self.measured.is_some_and(|last| last.elapsed() < MEASURE_EVERY) {
            return;
        }
        self.measured = Some(Stopwatch::start());
        if let Err(error) = app.in_time(app.measure_tables()).await {
            tracing::warn!(%error, "the tables cannot be measured; it is tried again");
        }
    }

    async fn run_all(&mut self, app: &App, workspace: WorkspaceId, shutdown: &Shutdown) {
        // A look that fails says nothing: then the steps find out for themselves.
        let due = app.in_time(app.due(workspace)).await.unwrap_or(Due {
            expire: true,
            promote: true,
            fund: true,
            approvals: true,
            intervene: true,
            seal: true,
        });
        for step in Step::ROUND {
            if shutdown.is_begun() {
                return;
            }
            let last = self.ran.get(&(workspace, step));
            if last.is_none_or(|last| last.elapsed() >= step.pace()) {
                self.run(app, workspace, step, due).await;
            }
        }
    }

    async fn run(&mut self, app: &App, workspace: WorkspaceId, step: Step, due: Due) {
        let began = Stopwatch::start();
        self.ran.insert((workspace, step), began);
        let outcome =
            if step.is_wanted(due) { app.in_time(step.run(app, workspace)).await } else { Ok(0) };
        let took = began.elapsed();
        if let Err(error) = &outcome {
            tracing::warn!(%error, %step, "a step failed; it is tried again");
        }
        metrics::histogram!("muster_supervisor_step_seconds", "step" => step.as_str())
            .record(took.as_secs_f64());
        let key = (workspace, step);
        let before = self.unrecorded.get(&key).copied();
        let runs = before.map_or(0, |(_, runs)| runs) + 1;
        if let Some((since, _)) = before
            && matches!(outcome, Ok(0))
            && since.elapsed() < RECORD_EVERY
        {
            self.unrecorded.insert(key, (since, runs));
            return;
        }
        self.unrecorded.insert(key, (Stopwatch::start(), 0));
        let recorded = app.in_time(record(app, workspace, step, runs, took, outcome)).await;
        if let Err(error) = recorded {
            tracing::warn!(%error, %step, "a step's run could not be written down");
        }
    }
}

async fn record(
    app: &App,
    workspace: WorkspaceId,
    step: Step,
    runs: i64,
    took: Duration,
    outcome: Result<u64>,
) -> Result<()> {
    let error = outcome.as_ref().err().map(ToString::to_string);
    let run = StepRun {
        step: step.as_str(),
        runs,
        began_at: app.now().await? - took,
        took_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
        changed: outcome.map_or(0, |changed| i64::try_from(changed).unwrap_or(i64::MAX)),
        error: error.as_deref(),
    };
    app.record_step(workspace, &run).await
}
