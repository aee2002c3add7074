//! Agents that go round: claim, report spend, complete, as fast as they can or at a given rate.

use std::time::Duration;

use super::{
    cycle::MANY,
    error::Result,
    fleet::{self, Agent, Kind, Registered},
    load::{self, Outcome, Pace, Record, Schedule, Window},
    schedule,
    settings::BenchSettings,
    stage::{Ground, Stage},
    supply::{GOAL_TASKS, Needs, Supply},
};

/// What is prepared for the first round, per second; after that what was seen decides.
const FIRST_RATE: f64 = 4_000.0;
/// How much more is prepared than was ever used.
const SPARE: f64 = 1.5;
/// Whence the random arrivals come; the same in every run.
const SEED: u64 = 20;

/// The agents, their work, and what they did so far.
#[derive(Debug)]
pub struct Cycling {
    agents: Vec<Agent>,
    supply: Supply,
    best: f64,
}

impl Cycling {
    /// Registers and connects the agents of the settings.
    ///
    /// # Errors
    /// When the service refuses one.
    pub async fn prepare(ground: &Ground, stage: &Stage) -> Result<Self> {
        let kind = Kind { name: "cycle", capability: None, max_concurrent: MANY };
        let count = usize::from(ground.settings.connections);
        let registered = fleet::register(ground, stage, kind, count).await?;
        let supply = Supply::new(ground, stage, None, Needs::FirstHalf).await?;
        Self::of(ground, &registered, supply).await
    }

    /// Connects agents that were registered, for work of their own.
    ///
    /// # Errors
    /// When the service cannot be reached.
    pub async fn of(ground: &Ground, registered: &[Registered], supply: Supply) -> Result<Self> {
        let agents = fleet::connect(ground, registered).await?;
        Ok(Self { agents, supply, best: FIRST_RATE })
    }

    /// Posts what a round with `max` tasks per claim can use up.
    ///
    /// # Errors
    /// When a goal is refused.
    pub async fn stock(&mut self, settings: &BenchSettings, max: u32) -> Result<()> {
        let seconds = (settings.lead_in() + settings.round()).as_secs_f64();
        // What the agents hold at the end is claimed too. Half of a goal waits for the other half,
        // so more has to be there than is used.
        let held = self.agents.len() * max as usize;
        let used = self.best * SPARE * seconds;
        self.supply.ensure(used as usize + 2 * held + 2 * GOAL_TASKS).await
    }

    /// Rounds that are not counted: the reference has warmed up while it looked for its best number of
    /// connections, and what is measured here are tables, plans and caches in use, not new ones.
    pub async fn warm_up(&mut self, ground: &Ground, stage: &Stage) -> Result<()> {
        for max in [1, MANY] {
            self.stock(&ground.settings, max).await?;
            stage.tidy().await?;
            self.closed(&ground.settings, max).await?;
        }
        Ok(())
    }

    /// The agents and the supply, for whoever has another idea of a round.
    pub fn parts(&mut self) -> (&mut Vec<Agent>, &mut Supply) {
        (&mut self.agents, &mut self.supply)
    }

    /// Lets the agents work for a moment of which nothing is counted.
    ///
    /// # Errors
    /// When a connection fails.
    pub async fn a_moment(&mut self) -> Result<()> {
        let window = Window::now(Duration::ZERO, Duration::from_millis(500));
        self.run(window, 1, Pace::Closed).await?;
        Ok(())
    }

    /// One round.
    async fn run(&mut self, window: Window, max: u32, pace: Pace) -> Result<Outcome> {
        let record = Record::new(window);
        let agents = std::mem::take(&mut self.agents);
        self.agents = load::cycles(agents, max, &pace, &record).await?;
        let outcome = record.borrow().outcome();
        self.supply.used(outcome.claimed);
        self.best = self.best.max(outcome.cycles_per_second);
        Ok(outcome)
    }

    /// A round as fast as it goes.
    ///
    /// # Errors
    /// When a connection fails.
    pub async fn closed(&mut self, settings: &BenchSettings, max: u32) -> Result<Outcome> {
        let window = Window::now(settings.lead_in(), settings.round());
        let outcome = self.run(window, max, Pace::Closed).await?;
        outcome.warn_unless_clean();
        Ok(outcome)
    }

    /// A round with `rate` cycles per second.
    ///
    /// # Errors
    /// When a connection fails.
    pub async fn open(&mut self, settings: &BenchSettings, max: u32, rate: f64) -> Result<Outcome> {
        let length = settings.lead_in() + settings.round();
        let arrivals = schedule::random(rate / f64::from(max), length, SEED);
        let window = Window::now(settings.lead_in(), settings.round());
        let outcome = self.run(window, max, Pace::Open(Schedule::new(arrivals))).await?;
        outcome.warn_unless_clean();
        Ok(outcome)
    }
}
