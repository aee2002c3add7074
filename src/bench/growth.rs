//! `growth`: the same work behind a growing number of finished tasks.
//!
//! One service per size, on databases of one PostgreSQL, so that rounds of the sizes can alternate.
//! Agents complete one goal, which is then multiplied ([`multiply`]); open tasks are posted. Claims
//! and pages are measured in an open loop at the same slow rate for every size, before the throughput:
//! a closed round adds tens of thousands of finished tasks, which is another size.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use serde::Serialize;
use sqlx::{Connection as _, PgConnection};

use super::{
    cycling::Cycling,
    error::{BenchError, Result},
    load::Outcome,
    multiply,
    pages::{self, Page},
    report::{Figures, Report},
    settings::{BenchSettings, Scenario},
    stage::{Setup, Stage},
    statistics::Spread,
    supply::GOAL_TASKS,
    table::{Finding, Grid, figure, spread_row},
};
use crate::embedded::EmbeddedPostgres;

/// Cycles arriving per second while claims are measured: few, so that a size keeps its size.
const RATE: f64 = 100.0;
/// Longest time until the goal to be copied is completed.
const COMPLETED_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// The figures of `growth`.
#[derive(Debug, Clone, Serialize)]
pub struct GrowthReport {
    /// Open tasks, the same for each size.
    pub open: u32,
    /// By number of finished tasks.
    pub sizes: Vec<Size>,
}

/// The figures of one size.
#[derive(Debug, Clone, Serialize)]
pub struct Size {
    /// Finished tasks before all measurements.
    pub finished: i64,
    /// Finished tasks before the throughput was measured.
    pub finished_before_cycles: i64,
    /// p50 of claims, open loop, by round, in milliseconds.
    pub claim_p50_ms: Spread,
    /// p99 of claims, open loop, by round, in milliseconds.
    pub claim_p99_ms: Spread,
    /// p50 of each page, by round, in milliseconds.
    pub pages_p50_ms: BTreeMap<&'static str, Spread>,
    /// One closed round of cycles.
    pub cycles: Outcome,
    /// Size of the database on disk, in bytes.
    pub database_bytes: i64,
}

/// A size under measurement.
struct Place {
    stage: Stage,
    cycling: Cycling,
    pages: Vec<Page>,
    finished: i64,
    claims: Vec<Outcome>,
    /// p50 of each page, by round.
    pages_p50: BTreeMap<&'static str, Vec<f64>>,
}

/// Measures `growth`.
pub async fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let settings = &setup.settings;
    let services = u16::try_from(settings.growth_sizes.len()).unwrap_or(u16::MAX);
    let postgres = setup.postgres(services, None).await?;
    let mut places = Vec::new();
    for &size in &settings.growth_sizes {
        places.push(prepare(setup, &postgres, size).await?);
    }
    if let Some(place) = places.first() {
        report.machine.look_at(&place.stage).await?;
    }
    for round in 1..=settings.rounds {
        for place in &mut places {
            let medians = pages::visit(&place.stage, &place.pages, settings.round()).await?;
            for (page, median) in place.pages.iter().zip(medians) {
                place.pages_p50.entry(page.name).or_default().push(median);
            }
            let outcome = place.cycling.open(1, RATE).await?;
            let claim_p50_ms = outcome.claim.p50_ms;
            tracing::info!(round, finished = place.finished, claim_p50_ms, "growth");
            place.claims.push(outcome);
        }
    }
    let mut sizes = Vec::new();
    for place in &mut places {
        sizes.push(place.close(settings).await?);
    }
    drop(postgres);
    for place in places {
        place.stage.stop().await?;
    }
    report.add(Scenario::Growth, &GrowthReport { open: settings.growth_open, sizes })
}

/// A service with `size` finished tasks and the open ones.
async fn prepare(setup: &Setup, postgres: &Rc<EmbeddedPostgres>, size: u32) -> Result<Place> {
    let stage = setup.stage_on(postgres, &format!("muster_{size}")).await?;
    let mut cycling = Cycling::prepare(setup, &stage).await?;
    let mut database = stage.connect().await?;
    complete_one_goal(&mut cycling, &mut database).await?;
    let copies = (size / GOAL_TASKS as u32).saturating_sub(1);
    tracing::info!(size, "multiplying a finished goal");
    multiply::multiply(&mut database, copies).await?;
    let finished = finished(&mut database).await?;
    tracing::info!(finished, open = setup.settings.growth_open, "posting open tasks");
    cycling.supply.ensure(setup.settings.growth_open as usize).await?;
    sealed(&mut database).await?;
    stage.tidy().await?;
    let last_event = pages::last_event(&mut database).await?;
    let pages = pages::find(&stage, last_event).await?;
    database.close().await?;
    let (claims, pages_p50) = (Vec::new(), BTreeMap::new());
    Ok(Place { stage, cycling, pages, finished, claims, pages_p50 })
}

async fn finished(database: &mut PgConnection) -> Result<i64> {
    let count = sqlx::query_scalar("select coalesce(sum(tasks_done), 0)::bigint from goals");
    Ok(count.fetch_one(database).await?)
}

/// Waits until the service has sealed the rows of the copies: no part of what is measured.
async fn sealed(database: &mut PgConnection) -> Result<()> {
    let sealed = "select not exists (select from journal_heads h join journal_chains c
        using (workspace_id) where h.last_number > c.sealed_to)";
    while !sqlx::query_scalar::<_, bool>(sealed).fetch_one(&mut *database).await? {
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Lets the agents complete a goal.
async fn complete_one_goal(cycling: &mut Cycling, database: &mut PgConnection) -> Result<()> {
    cycling.supply.post().await?;
    let working = async {
        while cycling.supply.left() > 0 {
            cycling.a_moment().await?;
        }
        loop {
            let completed = "select exists (select from goals where state = 'completed')";
            if sqlx::query_scalar(completed).fetch_one(&mut *database).await? {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let late = |_| BenchError::Impossible("a goal was not completed in time".into());
    tokio::time::timeout(COMPLETED_WITHIN, working).await.map_err(late)?
}

impl Place {
    async fn close(&mut self, settings: &BenchSettings) -> Result<Size> {
        let mut database = self.stage.connect().await?;
        let finished_before_cycles = finished(&mut database).await?;
        self.cycling.supply.ensure(settings.growth_open as usize).await?;
        self.stage.tidy().await?;
        let cycles = self.cycling.closed(1).await?;
        tracing::info!(self.finished, cycles.cycles_per_second, "growth, cycles");
        let size = sqlx::query_scalar("select pg_database_size(current_database())");
        let database_bytes = size.fetch_one(&mut database).await?;
        database.close().await?;
        let pages = std::mem::take(&mut self.pages_p50).into_iter();
        let of = |value: fn(&Outcome) -> f64| Spread::of(self.claims.iter().map(value).collect());
        Ok(Size {
            finished: self.finished,
            finished_before_cycles,
            claim_p50_ms: of(|outcome| outcome.claim.p50_ms),
            claim_p99_ms: of(|outcome| outcome.claim.p99_ms),
            pages_p50_ms: pages.map(|(page, rounds)| (page, Spread::of(rounds))).collect(),
            cycles,
            database_bytes,
        })
    }
}

impl Figures for GrowthReport {
    /// The ratios of the largest size to the smallest.
    fn results(&self) -> Vec<Finding> {
        let (Some(small), Some(large)) = (self.sizes.first(), self.sizes.last()) else {
            return Vec::new();
        };
        let [most, least] = [large, small].map(|size| figure(size.finished as f64));
        let over = |what: &str| format!("{what}, {most} over {least} finished");
        let ratio = |name: &str, what: &str, large: &Spread, small: &Spread| {
            Finding::spread(name, over(what), &Spread::ratio(&large.rounds, &small.rounds), "")
        };
        let rates = [large, small].map(|size| size.cycles.cycles_per_second);
        let throughput = rates[0] / rates[1].max(1.0);
        let mut results = vec![
            ratio("growth_claim_p50", "p50 of claim", &large.claim_p50_ms, &small.claim_p50_ms),
            Finding::one("growth_cycles", over("throughput of cycle"), throughput, ""),
        ];
        let pages = small.pages_p50_ms.iter().zip(large.pages_p50_ms.values());
        results.extend(pages.map(|((page, small), large)| {
            ratio(&format!("growth_page_p50: {page}"), &format!("p50 of {page}"), large, small)
        }));
        results
    }

    fn grids(&self) -> Vec<Grid> {
        let work = |size: &Size| {
            let (finished, later) = (size.finished as f64, size.finished_before_cycles as f64);
            let (p50, p99) = (size.claim_p50_ms.median, size.claim_p99_ms.median);
            let mib = size.database_bytes as f64 / f64::from(1 << 20);
            [finished, p50, p99, size.cycles.cycles_per_second, later, mib].map(figure).to_vec()
        };
        let visited = self.sizes.iter().flat_map(|size| {
            size.pages_p50_ms.iter().map(|(page, p50)| {
                let mut row = spread_row(*page, p50);
                row.insert(1, figure(size.finished as f64));
                row
            })
        });
        let mut pages: Vec<Vec<String>> = visited.collect();
        pages.sort_by(|one, two| one[0].cmp(&two[0]));
        let open = figure(f64::from(self.open));
        vec![
            Grid::new(
                format!(
                    "Growth: {open} open tasks; claims open loop at {RATE}/s, medians of the rounds"
                ),
                ["finished", "claim p50 ms", "p99 ms", "cycles/s", "with finished", "database MiB"],
                self.sizes.iter().map(work),
            ),
            Grid::new(
                "Growth: p50 of pages of 50, of goals 10, open loop, in ms (there is no text search)",
                ["page", "finished", "median", "min", "max"],
                pages,
            ),
        ]
    }
}
