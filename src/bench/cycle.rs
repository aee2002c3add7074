//! `cycle` and `reference`, in turns.
//!
//! Each turn is a round of the reference, of cycles with one task per claim, and of cycles with ten,
//! on the same PostgreSQL; the ratios are taken within a turn. Work is posted between rounds, never
//! during one, and then the tables are vacuumed and analysed on both sides: a round is about a
//! service that has run for a while, not about the minute before autovacuum first comes by.
//! Afterwards latency is measured open loop, at a part of the throughput that was found.

use serde::Serialize;

use super::{
    cycling::Cycling,
    error::Result,
    load::Outcome,
    machine::Machine,
    process::{PerCycle, Processor},
    reference::{Reference, ReferenceReport},
    report::{Finding, Grid, LATENCY_HEADER, figure, latency_cells, spread_cells},
    settings::Scenario,
    stage::{Ground, Stage},
    statistics::{Spread, Summary},
};

/// Tasks of one claim in the second kind of round.
pub(super) const MANY: u32 = 10;

/// What `cycle` came to.
#[derive(Debug, Clone, Serialize)]
pub struct CycleReport {
    /// One task per claim.
    pub one: Cycles,
    /// Up to ten tasks per claim.
    pub ten: Cycles,
}

/// Cycles with one number of tasks per claim.
#[derive(Debug, Clone, Serialize)]
pub struct Cycles {
    /// Tasks of one claim.
    pub max: u32,
    /// Throughput of the rounds.
    pub cycles_per_second: Spread,
    /// Processor time of one cycle, by round, where it can be seen.
    pub processor: Vec<PerCycle>,
    /// The rounds, closed loop.
    pub closed: Vec<Outcome>,
    /// Open loop, at [`Cycles::open_rate`].
    pub open: Outcome,
    /// Cycles that arrived per second in the open loop.
    pub open_rate: f64,
}

/// Closed rounds of one kind, as they come in.
#[derive(Debug, Default)]
struct Rounds {
    outcomes: Vec<Outcome>,
    processor: Vec<PerCycle>,
}

impl Rounds {
    async fn add(
        &mut self,
        cycling: &mut Cycling,
        ground: &Ground,
        stage: &Stage,
        max: u32,
    ) -> Result<f64> {
        let look = || Processor::used(stage.server_pid()?, stage.postgres_pid()?);
        cycling.stock(&ground.settings, max).await?;
        stage.tidy().await?;
        let before = look();
        let outcome = cycling.closed(&ground.settings, max).await?;
        if let (Some(before), Some(after)) = (before, look()) {
            self.processor.push(after.per(&before, outcome.claimed));
        }
        let rate = outcome.cycles_per_second;
        self.outcomes.push(outcome);
        Ok(rate)
    }

    fn rates(&self) -> Vec<f64> {
        self.outcomes.iter().map(|outcome| outcome.cycles_per_second).collect()
    }

    async fn close(
        self,
        cycling: &mut Cycling,
        ground: &Ground,
        stage: &Stage,
        max: u32,
    ) -> Result<Cycles> {
        let settings = &ground.settings;
        let cycles_per_second = Spread::of(self.rates());
        let open_rate = cycles_per_second.median * f64::from(settings.open_loop_percent) / 100.0;
        cycling.stock(settings, max).await?;
        stage.tidy().await?;
        let open = cycling.open(settings, max, open_rate).await?;
        tracing::info!(max, open_rate, claim_p99_ms = open.claim.p99_ms, "open loop");
        Ok(Cycles {
            max,
            cycles_per_second,
            processor: self.processor,
            closed: self.outcomes,
            open,
            open_rate,
        })
    }
}

/// What the two scenarios came to.
#[derive(Debug, Default)]
pub struct Measured {
    /// `cycle`.
    pub cycle: Option<CycleReport>,
    /// `reference`.
    pub reference: Option<ReferenceReport>,
    /// Their results.
    pub results: Vec<Finding>,
}

/// Measures those of the two that are wanted.
///
/// # Errors
/// When one of them cannot be measured.
pub async fn measure(
    ground: &Ground,
    machine: &mut Machine,
    with_reference: bool,
) -> Result<Measured> {
    let stage = ground.stage(None).await?;
    machine.look_at(&stage).await?;
    let measured = in_turns(ground, &stage, with_reference).await?;
    stage.stop().await?;
    Ok(measured)
}

async fn in_turns(ground: &Ground, stage: &Stage, with_reference: bool) -> Result<Measured> {
    let settings = &ground.settings;
    let mut reference = if with_reference { Some(Reference::prepare(stage).await?) } else { None };
    let mut cycling = match settings.wants(Scenario::Cycle) {
        true => Some(Cycling::prepare(ground, stage).await?),
        false => None,
    };
    if let Some(cycling) = &mut cycling {
        cycling.warm_up(ground, stage).await?;
    }
    let (mut one, mut ten) = (Rounds::default(), Rounds::default());
    for round in 1..=settings.rounds {
        if let Some(reference) = &mut reference {
            let rate = reference.round(settings.lead_in(), settings.round()).await?;
            tracing::info!(round, rate, "reference");
        }
        if let Some(cycling) = &mut cycling {
            let rate = one.add(cycling, ground, stage, 1).await?;
            tracing::info!(round, rate, "cycle, one task per claim");
            let rate = ten.add(cycling, ground, stage, MANY).await?;
            tracing::info!(round, rate, "cycle, ten tasks per claim");
        }
    }
    let reference = reference.map(Reference::report);
    let cycle = match &mut cycling {
        Some(cycling) => Some(CycleReport {
            one: one.close(cycling, ground, stage, 1).await?,
            ten: ten.close(cycling, ground, stage, MANY).await?,
        }),
        None => None,
    };
    let results = results(cycle.as_ref(), reference.as_ref());
    Ok(Measured { cycle, reference, results })
}

fn results(cycle: Option<&CycleReport>, reference: Option<&ReferenceReport>) -> Vec<Finding> {
    let mut results = Vec::new();
    if let (Some(cycle), Some(reference)) = (cycle, reference) {
        let theirs = &reference.cycles_per_second.rounds;
        for (name, cycles) in [("ratio_one", &cycle.one), ("ratio_ten", &cycle.ten)] {
            let ratio = Spread::ratio(&cycles.cycles_per_second.rounds, theirs);
            let what = format!("cycle over reference, {}", per_claim(cycles.max));
            results.push(Finding::spread(name, what, &ratio, ""));
        }
    }
    if let Some(cycle) = cycle {
        let Cycles { open, open_rate, .. } = &cycle.one;
        let what = format!("p99 of claim, open loop at {} cycles/s", figure(*open_rate));
        results.push(Finding::one("claim_p99", what, open.claim.p99_ms, "ms"));
        let closed = cycle.one.closed.iter().map(|outcome| outcome.claim.p99_ms).collect();
        let what = "p99 of claim, closed loop (mostly waiting for its turn)";
        results.push(Finding::spread("claim_p99_closed", what, &Spread::of(closed), "ms"));
    }
    results
}

fn per_claim(max: u32) -> String {
    if max == 1 { "one task per claim".into() } else { format!("up to {max} tasks per claim") }
}

impl CycleReport {
    /// As tables.
    #[must_use]
    pub fn grids(&self) -> Vec<Grid> {
        let all = [&self.one, &self.ten];
        let mut rows = Vec::new();
        for cycles in all {
            let mut row = vec![format!("cycle, {}", per_claim(cycles.max))];
            row.extend(spread_cells(&cycles.cycles_per_second));
            let each = |of: fn(&PerCycle) -> f64| {
                figure(Spread::of(cycles.processor.iter().map(of).collect()).median)
            };
            row.extend([each(|p| p.server_us), each(|p| p.database_us), each(|p| p.bench_us)]);
            rows.push(row);
        }
        let throughput = Grid {
            title: "Cycles per second; processor time per cycle".into(),
            header: vec!["", "median", "min", "max", "server us", "database us", "bench us"],
            rows,
        };
        let mut grids = vec![throughput];
        for cycles in all {
            grids.push(cycles.closed_latency());
            grids.push(cycles.open_latency());
        }
        grids
    }
}

impl Cycles {
    fn closed_latency(&self) -> Grid {
        // One round stands for all: percentiles of percentiles mean nothing.
        let middle = self.closed.iter().min_by(|one, two| {
            let far = |outcome: &Outcome| {
                (outcome.cycles_per_second - self.cycles_per_second.median).abs()
            };
            far(one).total_cmp(&far(two))
        });
        let title = format!(
            "Closed loop, {}: latency of the middle round, waiting for its turn included",
            per_claim(self.max)
        );
        latency_grid(title, middle)
    }

    fn open_latency(&self) -> Grid {
        let title = format!(
            "Open loop at {} cycles/s, {}: latency of claims from their scheduled arrival",
            figure(self.open_rate),
            per_claim(self.max)
        );
        latency_grid(title, Some(&self.open))
    }
}

fn latency_grid(title: String, outcome: Option<&Outcome>) -> Grid {
    let Some(outcome) = outcome else { return Grid::default() };
    let row = |(name, summary): (&str, &Summary)| {
        let mut row = vec![name.to_owned()];
        row.extend(latency_cells(summary));
        row
    };
    let parts = [
        ("claim", &outcome.claim),
        ("spend", &outcome.spend),
        ("complete", &outcome.complete),
        ("whole cycle", &outcome.cycle),
    ];
    let rows = parts.into_iter().map(row).collect();
    Grid { title, header: LATENCY_HEADER.to_vec(), rows }
}

impl ReferenceReport {
    /// As tables.
    #[must_use]
    pub fn grids(&self) -> Vec<Grid> {
        let mut row = vec![format!("{} connections", self.connections)];
        row.extend(spread_cells(&self.cycles_per_second));
        let trials = self
            .trials
            .iter()
            .map(|trial| vec![trial.connections.to_string(), figure(trial.cycles_per_second)]);
        vec![
            Grid {
                title: "Reference: claims and completions per second, a transaction each".into(),
                header: vec!["", "median", "min", "max"],
                rows: vec![row],
            },
            Grid {
                title: "Reference by number of connections, tried once".into(),
                header: vec!["connections", "cycles/s"],
                rows: trials.collect(),
            },
        ]
    }
}
