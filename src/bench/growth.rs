//! `growth`: the same work with ever more of it behind.
//!
//! One service per size, on databases of one PostgreSQL, so that rounds of the sizes can alternate.
//! A goal is worked off by agents and then multiplied ([`multiply`]); open tasks are posted. Claims
//! and pages are measured open loop at the same slow rate for every size, before the throughput: a
//! round of that adds tens of thousands of finished tasks, which is another size.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use serde::Serialize;
use sqlx::{Connection as _, PgConnection};

use super::{
    cycling::Cycling,
    error::{BenchError, Result},
    load::Outcome,
    machine::Machine,
    multiply,
    pages::{self, Page, PageLatency},
    report::{Finding, Grid, figure},
    settings::BenchSettings,
    stage::{Ground, Postgres, Stage},
    statistics::Spread,
    supply::GOAL_TASKS,
};

/// Cycles that arrive per second while claims are measured: few, so that a size stays what it is.
const RATE: f64 = 100.0;
/// How long the goal that is copied may take.
const WORKED_OFF_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// What `growth` came to.
#[derive(Debug, Clone, Serialize)]
pub struct GrowthReport {
    /// Open tasks, the same for each size.
    pub open: u32,
    /// By number of finished tasks.
    pub sizes: Vec<Size>,
}

/// What one size came to.
#[derive(Debug, Clone, Serialize)]
pub struct Size {
    /// Finished tasks before anything was measured.
    pub finished: i64,
    /// Finished tasks before the throughput was measured.
    pub finished_before_cycles: i64,
    /// p50 of claims, open loop, by round, in milliseconds.
    pub claim_p50_ms: Spread,
    /// p99 of claims, open loop, by round, in milliseconds.
    pub claim_p99_ms: Spread,
    /// p50 of each page, by round, in milliseconds.
    pub pages_p50_ms: BTreeMap<&'static str, Spread>,
    /// One round of cycles as fast as it goes.
    pub cycles: Outcome,
    /// What the database takes on the disk, in bytes.
    pub database_bytes: i64,
}

/// A size that is being measured.
struct Place {
    stage: Stage,
    cycling: Cycling,
    pages: Vec<Page>,
    finished: i64,
    claims: Vec<Outcome>,
    visits: Vec<Vec<PageLatency>>,
}

/// Measures.
///
/// # Errors
/// When something cannot be measured.
pub async fn measure(
    ground: &Ground,
    machine: &mut Machine,
) -> Result<(GrowthReport, Vec<Finding>)> {
    let settings = &ground.settings;
    let services = u16::try_from(settings.growth_sizes.len()).unwrap_or(u16::MAX);
    let postgres = Rc::new(ground.postgres(services, None).await?);
    let mut places = Vec::new();
    for &size in &settings.growth_sizes {
        places.push(prepare(ground, &postgres, size).await?);
    }
    if let Some(place) = places.first() {
        machine.look_at(&place.stage).await?;
    }
    for round in 1..=settings.rounds {
        for place in &mut places {
            place.pages_and_claims(settings).await?;
            let claim = place.claims.last().map(|outcome| outcome.claim.p50_ms);
            tracing::info!(round, finished = place.finished, claim_p50_ms = claim, "growth");
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
    let report = GrowthReport { open: settings.growth_open, sizes };
    let results = report.results();
    Ok((report, results))
}

/// A service with `size` finished tasks and the open ones.
async fn prepare(ground: &Ground, postgres: &Rc<Postgres>, size: u32) -> Result<Place> {
    let stage = ground.stage_on(postgres, &format!("muster_{size}")).await?;
    let mut cycling = Cycling::prepare(ground, &stage).await?;
    let mut database = connect(&stage).await?;
    work_off_one_goal(&mut cycling, &mut database).await?;
    let copies = (size / GOAL_TASKS as u32).saturating_sub(1);
    tracing::info!(size, "multiplying a finished goal");
    multiply::multiply(&mut database, copies).await?;
    let finished = finished(&mut database).await?;
    tracing::info!(finished, open = ground.settings.growth_open, "posting open tasks");
    cycling.parts().1.ensure(ground.settings.growth_open as usize).await?;
    stage.tidy().await?;
    let last_event = pages::last_event(&mut database).await?;
    let pages = pages::find(&stage, last_event).await?;
    database.close().await?;
    Ok(Place { stage, cycling, pages, finished, claims: Vec::new(), visits: Vec::new() })
}

async fn connect(stage: &Stage) -> Result<PgConnection> {
    let unknown = || BenchError::Impossible("the database is not known".into());
    Ok(PgConnection::connect_with(stage.database.as_ref().ok_or_else(unknown)?).await?)
}

async fn finished(database: &mut PgConnection) -> Result<i64> {
    let count = sqlx::query_scalar("select coalesce(sum(tasks_done), 0)::bigint from goals");
    Ok(count.fetch_one(database).await?)
}

/// Lets the agents complete a goal, as they would any other.
async fn work_off_one_goal(cycling: &mut Cycling, database: &mut PgConnection) -> Result<()> {
    cycling.parts().1.post().await?;
    let working = async {
        while cycling.parts().1.left() > 0 {
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
    tokio::time::timeout(WORKED_OFF_WITHIN, working).await.map_err(late)?
}

impl Place {
    async fn pages_and_claims(&mut self, settings: &BenchSettings) -> Result<()> {
        self.visits.push(pages::visit(&self.stage, &self.pages, settings.round()).await?);
        self.claims.push(self.cycling.open(settings, 1, RATE).await?);
        Ok(())
    }

    async fn close(&mut self, settings: &BenchSettings) -> Result<Size> {
        let mut database = connect(&self.stage).await?;
        let finished_before_cycles = finished(&mut database).await?;
        self.cycling.parts().1.ensure(settings.growth_open as usize).await?;
        self.stage.tidy().await?;
        let cycles = self.cycling.closed(settings, 1).await?;
        tracing::info!(self.finished, cycles.cycles_per_second, "growth, cycles");
        let size = sqlx::query_scalar("select pg_database_size(current_database())");
        let database_bytes = size.fetch_one(&mut database).await?;
        database.close().await?;
        let of = |value: fn(&Outcome) -> f64| Spread::of(self.claims.iter().map(value).collect());
        Ok(Size {
            finished: self.finished,
            finished_before_cycles,
            claim_p50_ms: of(|outcome| outcome.claim.p50_ms),
            claim_p99_ms: of(|outcome| outcome.claim.p99_ms),
            pages_p50_ms: self.pages_p50(),
            cycles,
            database_bytes,
        })
    }

    fn pages_p50(&self) -> BTreeMap<&'static str, Spread> {
        let mut rounds: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
        for visit in self.visits.iter().flatten() {
            rounds.entry(visit.page).or_default().push(visit.latency.p50_ms);
        }
        rounds.into_iter().map(|(page, rounds)| (page, Spread::of(rounds))).collect()
    }
}

impl GrowthReport {
    /// The ratios of the largest size to the smallest.
    fn results(&self) -> Vec<Finding> {
        let (Some(small), Some(large)) = (self.sizes.first(), self.sizes.last()) else {
            return Vec::new();
        };
        let sizes = format!(
            "{} over {} finished",
            figure(large.finished as f64),
            figure(small.finished as f64)
        );
        let ratio = |of: fn(&Size) -> &Spread| Spread::ratio(&of(large).rounds, &of(small).rounds);
        let mut results = vec![
            Finding::spread(
                "growth_claim_p50",
                format!("p50 of claim, {sizes}"),
                &ratio(|size| &size.claim_p50_ms),
                "",
            ),
            Finding::one(
                "growth_cycles",
                format!("throughput of cycle, {sizes}"),
                large.cycles.cycles_per_second / small.cycles.cycles_per_second.max(1.0),
                "",
            ),
        ];
        for (page, theirs) in &small.pages_p50_ms {
            let Some(mine) = large.pages_p50_ms.get(page) else { continue };
            let ratio = Spread::ratio(&mine.rounds, &theirs.rounds);
            let name = format!("growth_page_p50: {page}");
            results.push(Finding::spread(&name, format!("p50 of {page}, {sizes}"), &ratio, ""));
        }
        results
    }

    /// As tables.
    #[must_use]
    pub fn grids(&self) -> Vec<Grid> {
        let work = |size: &Size| {
            vec![
                figure(size.finished as f64),
                figure(size.claim_p50_ms.median),
                figure(size.claim_p99_ms.median),
                figure(size.cycles.cycles_per_second),
                figure(size.finished_before_cycles as f64),
                figure(size.database_bytes as f64 / f64::from(1 << 20)),
            ]
        };
        let visited = self.sizes.iter().flat_map(|size| {
            size.pages_p50_ms.iter().map(|(page, p50)| {
                vec![
                    (*page).to_owned(),
                    figure(size.finished as f64),
                    figure(p50.median),
                    figure(p50.min),
                    figure(p50.max),
                ]
            })
        });
        let mut pages: Vec<Vec<String>> = visited.collect();
        pages.sort_by(|one, two| one[0].cmp(&two[0]));
        vec![
            Grid {
                title: format!(
                    "Growth: {} open tasks; claims open loop at {RATE}/s, medians of the rounds",
                    figure(f64::from(self.open))
                ),
                header: vec![
                    "finished",
                    "claim p50 ms",
                    "p99 ms",
                    "cycles/s",
                    "with finished",
                    "database MiB",
                ],
                rows: self.sizes.iter().map(work).collect(),
            },
            Grid {
                title: "Growth: p50 of pages of 50, of goals 10, open loop, in ms (there is no text search)"
                    .into(),
                header: vec!["page", "finished", "median", "min", "max"],
                rows: pages,
            },
        ]
    }
}
