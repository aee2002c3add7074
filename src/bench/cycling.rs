//! Agents in rounds of cycles, in a closed or an open loop, and the supply of their tasks.

use std::time::Duration;

use super::{
    error::Result,
    fleet::{self, Agent, Kind, Registered},
    load::{self, Outcome, Pace, Record, Schedule, Shared, Window},
    schedule,
    settings::BenchSettings,
    stage::{Setup, Stage},
    supply::{GOAL_TASKS, Needs, Supply},
};

/// Tasks per claim in the second kind of round.
pub const MANY: u32 = 10;

/// Assumed throughput of the first round, per second; later the best measured one counts.
const FIRST_RATE: f64 = 4_000.0;
/// Prepared tasks over the expected number.
const SPARE: f64 = 1.5;
/// Seed of the random arrivals, the same in every run.
const SEED: u64 = 20;

/// Agents and the supply of their tasks.
#[derive(Debug)]
pub struct Cycling {
    settings: BenchSettings,
    agents: Vec<Agent>,
    /// The supply; it knows the number of unclaimed tasks after each round.
    pub supply: Supply,
    best: f64,
}

impl Cycling {
    /// Registers and connects the agents of the settings.
    pub async fn prepare(setup: &Setup, stage: &Stage) -> Result<Self> {
        let kind = Kind { name: "cycle", capability: None, max_concurrent: MANY };
        let count = usize::from(setup.settings.connections);
        let registered = fleet::register(setup, stage, kind, count).await?;
        let supply = Supply::new(setup, stage, None, Needs::FirstHalf).await?;
        Self::of(setup, &registered, supply).await
    }

    /// Connects registered agents with a supply of their own.
    pub async fn of(setup: &Setup, registered: &[Registered], supply: Supply) -> Result<Self> {
        let agents = fleet::connect(setup, registered).await?;
        Ok(Self { settings: setup.settings.clone(), agents, supply, best: FIRST_RATE })
    }

    /// Posts enough tasks for a round with `max` tasks per claim, then tidies the tables.
    pub async fn stock(&mut self, stage: &Stage, max: u32) -> Result<()> {
        let seconds = (self.settings.lead_in() + self.settings.round()).as_secs_f64();
        // The end of the round finds claimed tasks at every agent, and half of a goal waits for its
        // other half: both need tasks beyond the used ones.
        let held = self.agents.len() * max as usize;
        let used = self.best * SPARE * seconds;
        self.supply.ensure(used as usize + 2 * held + 2 * GOAL_TASKS).await?;
        stage.tidy().await
    }

    /// Uncounted rounds: the measurement is about tables, plans and caches in use. The reference
    /// warms up while it tries its numbers of connections.
    pub async fn warm_up(&mut self, stage: &Stage) -> Result<()> {
        for max in [1, MANY] {
            self.stock(stage, max).await?;
            self.closed(max).await?;
        }
        Ok(())
    }

    /// Half a second of uncounted cycles.
    pub async fn a_moment(&mut self) -> Result<()> {
        let window = Window::now(Duration::ZERO, Duration::from_millis(500));
        self.run(window, 1, Pace::Closed).await.map(drop)
    }

    /// A round in a closed loop.
    pub async fn closed(&mut self, max: u32) -> Result<Outcome> {
        let window = Window::now(self.settings.lead_in(), self.settings.round());
        let outcome = self.run(window, max, Pace::Closed).await?;
        outcome.warn_unless_clean();
        Ok(outcome)
    }

    /// A round in an open loop of `rate` cycles per second.
    pub async fn open(&mut self, max: u32, rate: f64) -> Result<Outcome> {
        let (lead_in, round) = (self.settings.lead_in(), self.settings.round());
        let arrivals = schedule::random(rate / f64::from(max), lead_in + round, SEED);
        let pace = Pace::Open(Schedule::new(arrivals));
        let outcome = self.run(Window::now(lead_in, round), max, pace).await?;
        outcome.warn_unless_clean();
        Ok(outcome)
    }

    async fn run(&mut self, window: Window, max: u32, pace: Pace) -> Result<Outcome> {
        let record = Record::new(window);
        work(&mut self.agents, max, &pace, &record).await?;
        let outcome = record.borrow().outcome();
        self.supply.used(outcome.claimed);
        self.best = self.best.max(outcome.cycles_per_second);
        Ok(outcome)
    }

    /// A closed loop with one task per claim while `keep_supplied` posts tasks.
    pub async fn supplied(
        &mut self,
        record: &Shared,
        keep_supplied: impl AsyncFnOnce(&mut Supply) -> Result<()>,
    ) -> Result<()> {
        let working = work(&mut self.agents, 1, &Pace::Closed, record);
        tokio::try_join!(working, keep_supplied(&mut self.supply)).map(drop)
    }
}

async fn work(agents: &mut Vec<Agent>, max: u32, pace: &Pace, record: &Shared) -> Result<()> {
    *agents = load::cycles(std::mem::take(agents), max, pace, record).await?;
    Ok(())
}
