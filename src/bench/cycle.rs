//! `cycle` and `reference`, in turns.
//!
//! A turn is a round of the reference, a round of cycles with one task per claim, and one with ten,
//! on the same PostgreSQL; the ratios are taken within a turn. Tasks are posted between rounds, never
//! during one, and then the tables are vacuumed and analysed on both sides: a round stands for a
//! service that has run for a while, not for the minute before the first autovacuum. Then the rows
//! and the write-ahead log of a round are counted, and latency is measured in an open loop, at a part
//! of the measured throughput. What it costs to capture lessons from finished tasks is measured last, apart.

use serde::Serialize;

use super::{
    capture::{self, CaptureReport},
    cycling::{Cycling, MANY},
    error::Result,
    load::Outcome,
    process::{PerCycle, Processor},
    reference::{Reference, ReferenceReport},
    report::{Figures, Report},
    settings::Scenario,
    stage::{Setup, Stage},
    statistics::Spread,
    table::{Finding, Grid, LATENCY_HEADER, SPREAD_HEADER, figure, latency_row, spread_row},
    writes::{self, Writes},
};
use crate::config::DATABASE;

/// The figures of `cycle`.
#[derive(Debug, Clone, Serialize)]
pub struct CycleReport {
    /// One task per claim.
    pub one: Cycles,
    /// Up to ten tasks per claim.
    pub ten: Cycles,
    /// Rows and write-ahead log per cycle, if the database is known.
    pub writes: Option<Writes>,
    /// The cost of capturing lessons; needs two rounds, and is left out with `--url`.
    pub capture: Option<CaptureReport>,
    /// Ratios to the reference, if that was measured: with one task per claim and with ten.
    #[serde(skip)]
    ratios: Option<[Spread; 2]>,
}

/// Cycles with one number of tasks per claim.
#[derive(Debug, Clone, Serialize)]
pub struct Cycles {
    /// Most tasks per claim.
    pub max: u32,
    /// Throughput of the rounds.
    pub cycles_per_second: Spread,
    /// Processor time per cycle, by round, if it is known.
    pub processor: Vec<PerCycle>,
    /// The rounds in a closed loop.
    pub closed: Vec<Outcome>,
    /// The round in an open loop of [`Cycles::open_rate`].
    pub open: Outcome,
    /// Cycles arriving per second in the open loop.
    pub open_rate: f64,
}

/// Closed rounds with one number of tasks per claim.
#[derive(Debug)]
struct Rounds {
    max: u32,
    outcomes: Vec<Outcome>,
    processor: Vec<PerCycle>,
}

impl Rounds {
    fn new(max: u32) -> Self {
        Self { max, outcomes: Vec::new(), processor: Vec::new() }
    }

    async fn add(&mut self, cycling: &mut Cycling, stage: &Stage) -> Result<()> {
        cycling.stock(stage, self.max).await?;
        let before = stage.processor();
        let outcome = cycling.closed(self.max).await?;
        self.processor.extend(Processor::per(before, stage.processor(), outcome.claimed));
        tracing::info!(max = self.max, rate = outcome.cycles_per_second, "cycles");
        self.outcomes.push(outcome);
        Ok(())
    }

    async fn close(self, cycling: &mut Cycling, setup: &Setup, stage: &Stage) -> Result<Cycles> {
        let Self { max, outcomes, processor } = self;
        let rates = outcomes.iter().map(|outcome| outcome.cycles_per_second);
        let cycles_per_second = Spread::of(rates.collect());
        let percent = f64::from(setup.settings.open_loop_percent);
        let open_rate = cycles_per_second.median * percent / 100.0;
        cycling.stock(stage, max).await?;
        let open = cycling.open(max, open_rate).await?;
        tracing::info!(max, open_rate, claim_p99_ms = open.claim.p99_ms, "open loop");
        Ok(Cycles { max, cycles_per_second, processor, closed: outcomes, open, open_rate })
    }
}

/// Measures `cycle` if it is wanted, in turns with the reference if that is.
pub async fn measure(setup: &Setup, report: &mut Report, with_reference: bool) -> Result<()> {
    let own = match setup.settings.url {
        None => Some(setup.postgres(3, None).await?),
        Some(_) => None,
    };
    let stage = match &own {
        // The path of cycles alone: what is learned from them is measured apart.
        Some(postgres) => {
            setup.stage_with(postgres, DATABASE, &[("MUSTER_CAPTURE", "off")]).await?
        }
        None => setup.stage(None).await?,
    };
    report.machine.look_at(&stage).await?;
    let mut reference = if with_reference { Some(Reference::prepare(&stage).await?) } else { None };
    if setup.settings.wants(Scenario::Cycle) {
        let mut cycle = in_turns(setup, &stage, reference.as_mut()).await?;
        if let Some(reference) = &reference {
            let ratio = |cycles: &Cycles| {
                Spread::ratio(&cycles.cycles_per_second.rounds, &reference.rounds)
            };
            cycle.ratios = Some([ratio(&cycle.one), ratio(&cycle.ten)]);
        }
        // One round says nothing of a ratio.
        if let Some(postgres) = own.as_ref().filter(|_| setup.settings.rounds > 1) {
            cycle.capture = Some(capture::measure(setup, postgres).await?);
        }
        report.add(Scenario::Cycle, &cycle)?;
    } else if let Some(reference) = &mut reference {
        for _ in 0..setup.settings.rounds {
            reference.round(&setup.settings).await?;
        }
    }
    if let Some(reference) = reference {
        report.add(Scenario::Reference, &reference.report())?;
    }
    drop(own);
    stage.stop().await
}

async fn in_turns(
    setup: &Setup,
    stage: &Stage,
    mut reference: Option<&mut Reference>,
) -> Result<CycleReport> {
    let mut cycling = Cycling::prepare(setup, stage).await?;
    cycling.warm_up(stage).await?;
    let (mut one, mut ten) = (Rounds::new(1), Rounds::new(MANY));
    for _ in 0..setup.settings.rounds {
        if let Some(reference) = &mut reference {
            reference.round(&setup.settings).await?;
        }
        one.add(&mut cycling, stage).await?;
        ten.add(&mut cycling, stage).await?;
    }
    Ok(CycleReport {
        writes: writes::measure(&mut cycling, stage).await?,
        one: one.close(&mut cycling, setup, stage).await?,
        ten: ten.close(&mut cycling, setup, stage).await?,
        capture: None,
        ratios: None,
    })
}

impl Figures for CycleReport {
    fn results(&self) -> Vec<Finding> {
        let mut results = Vec::new();
        let kinds = [("ratio_one", &self.one), ("ratio_ten", &self.ten)];
        for ((name, cycles), ratio) in kinds.into_iter().zip(self.ratios.iter().flatten()) {
            let what = format!("cycle over reference, {}", cycles.per_claim());
            results.push(Finding::spread(name, what, ratio, ""));
        }
        let Cycles { open, open_rate, closed, .. } = &self.one;
        let what = format!("p99 of claim, open loop at {} cycles/s", figure(*open_rate));
        results.push(Finding::one("claim_p99", what, open.claim.p99_ms, "ms"));
        let closed = closed.iter().map(|outcome| outcome.claim.p99_ms).collect();
        let what = "p99 of claim, closed loop (mostly queueing)";
        results.push(Finding::spread("claim_p99_closed", what, &Spread::of(closed), "ms"));
        results.extend(self.writes.iter().flat_map(Writes::results));
        results.extend(self.capture.iter().flat_map(CaptureReport::results));
        results
    }

    fn grids(&self) -> Vec<Grid> {
        let all = [&self.one, &self.ten];
        let throughput = Grid::new(
            "Cycles per second; processor time per cycle",
            ["", "median", "min", "max", "server us", "database us", "bench us"],
            all.map(Cycles::throughput),
        );
        let latencies =
            all.into_iter().flat_map(|cycles| [cycles.closed_grid(), cycles.open_grid()]);
        let writes = self.writes.iter().map(Writes::grid);
        let capture = self.capture.iter().flat_map(CaptureReport::grids);
        std::iter::once(throughput).chain(latencies).chain(writes).chain(capture).collect()
    }
}

impl Cycles {
    fn per_claim(&self) -> String {
        match self.max {
            1 => "one task per claim".into(),
            max => format!("up to {max} tasks per claim"),
        }
    }

    fn throughput(&self) -> Vec<String> {
        let each = |of: fn(&PerCycle) -> f64| {
            figure(Spread::of(self.processor.iter().map(of).collect()).median)
        };
        let mut row = spread_row(format!("cycle, {}", self.per_claim()), &self.cycles_per_second);
        row.extend([each(|p| p.server_us), each(|p| p.database_us), each(|p| p.bench_us)]);
        row
    }

    fn closed_grid(&self) -> Grid {
        // One round stands for all: percentiles of percentiles mean nothing.
        let median = self.cycles_per_second.median;
        let distance = |outcome: &&Outcome| (outcome.cycles_per_second - median).abs();
        let middle = self.closed.iter().min_by(|one, two| distance(one).total_cmp(&distance(two)));
        let title = format!(
            "Closed loop, {}: latency of the middle round, queueing included",
            self.per_claim()
        );
        latency_grid(title, middle)
    }

    fn open_grid(&self) -> Grid {
        let title = format!(
            "Open loop at {} cycles/s, {}: latency of claims from their scheduled arrival",
            figure(self.open_rate),
            self.per_claim()
        );
        latency_grid(title, Some(&self.open))
    }
}

fn latency_grid(title: String, outcome: Option<&Outcome>) -> Grid {
    let rows = outcome.into_iter().flat_map(|outcome| {
        [
            latency_row("claim", &outcome.claim),
            latency_row("spend", &outcome.spend),
            latency_row("complete", &outcome.complete),
            latency_row("whole cycle", &outcome.cycle),
        ]
    });
    Grid::new(title, LATENCY_HEADER, rows)
}

impl Figures for ReferenceReport {
    fn results(&self) -> Vec<Finding> {
        Vec::new()
    }

    fn grids(&self) -> Vec<Grid> {
        let row = spread_row(format!("{} connections", self.connections), &self.cycles_per_second);
        let trials = self
            .trials
            .iter()
            .map(|trial| vec![trial.connections.to_string(), figure(trial.cycles_per_second)]);
        vec![
            Grid::new(
                "Reference: claims and completions per second, a transaction each",
                SPREAD_HEADER,
                [row],
            ),
            Grid::new(
                "Reference by number of connections, one trial each",
                ["connections", "cycles/s"],
                trials,
            ),
        ]
    }
}
