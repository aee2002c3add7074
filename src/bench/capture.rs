//! The cost of capturing lessons, as a part of `cycle`.
//!
//! Two services on one PostgreSQL run the same cycles in turns: one captures what its tasks teach, the other does not
//! (`MUSTER_CAPTURE`). The ratio of a pair of rounds is what the duty costs the cycles. Then nobody claims, and the
//! service captures what is left: its processor time, rows and write-ahead log in that time are those of the duty alone.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use serde::Serialize;
use sqlx::{Connection as _, PgConnection};

use super::{
    cycling::Cycling,
    error::Result,
    process::{PerCycle, Processor},
    stage::{Setup, Stage},
    statistics::Spread,
    table::{Finding, Grid, SPREAD_HEADER, figure, spread_row},
    writes::WAL,
};
use crate::embedded::EmbeddedPostgres;

/// Longest wait for what is left to be captured.
const LEFT_WITHIN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(500);
/// Longer than an idle backend keeps its counts of rows to itself.
const REPORTED: Duration = Duration::from_secs(11);

const CAPTURED: &str = "select count(*) from lessons";
const LEFT: &str = "select exists (select from journal_heads h
    left join knowledge_cursors c using (workspace_id)
    where h.last_number > coalesce(c.number, 0))";
/// Rows written in the tables of lessons and their index.
const ROWS: &str = "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint
    from pg_stat_user_tables
    where relname in ('knowledge_cursors', 'shelves', 'lessons', 'lesson_versions', 'lesson_bands',
                      'lesson_links', 'docs', 'postings', 'terms', 'word_grams', 'lesson_trials')";

/// What the duty that captures lessons costs.
#[derive(Debug, Clone, Serialize)]
pub struct CaptureReport {
    /// Cycles per second with it over those without it, by round.
    pub ratio: Spread,
    /// Lessons captured while the cycles ran.
    pub captured_in_rounds: i64,
    /// Completed cycles of the service that captures.
    pub completed: u64,
    /// The duty alone, per captured completion; `None`: nothing was left after the rounds.
    pub alone: Option<Alone>,
}

/// The duty alone, per completion.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Alone {
    /// Number of captured completions.
    pub captured: i64,
    /// Processor time, if it is known.
    pub processor: Option<PerCycle>,
    /// Written rows of lessons and their index.
    pub rows: f64,
    /// Write-ahead log in bytes.
    pub wal_bytes: f64,
}

/// Measures rounds in turns. The service without the duty is first in each pair.
pub async fn measure(setup: &Setup, postgres: &Rc<EmbeddedPostgres>) -> Result<CaptureReport> {
    let off = setup.stage_with(postgres, "muster_uncaptured", &[("MUSTER_CAPTURE", "off")]).await?;
    let on = setup.stage_with(postgres, "muster_captured", &[("MUSTER_CAPTURE", "on")]).await?;
    let (mut without, mut with) =
        (Cycling::prepare(setup, &off).await?, Cycling::prepare(setup, &on).await?);
    let (mut rates_without, mut rates_with) = (Vec::new(), Vec::new());
    let mut completed = 0;
    for round in 1..=setup.settings.rounds {
        without.stock(&off, 1).await?;
        rates_without.push(without.closed(1).await?.cycles_per_second);
        with.stock(&on, 1).await?;
        let outcome = with.closed(1).await?;
        completed += outcome.claimed;
        rates_with.push(outcome.cycles_per_second);
        tracing::info!(round, with = outcome.cycles_per_second, "capture");
    }
    let mut database = on.connect().await?;
    let captured_in_rounds = sqlx::query_scalar(CAPTURED).fetch_one(&mut database).await?;
    let alone = alone(&on, &mut database).await?;
    database.close().await?;
    on.stop().await?;
    off.stop().await?;
    let ratio = Spread::ratio(&rates_with, &rates_without);
    Ok(CaptureReport { ratio, captured_in_rounds, completed, alone })
}

struct Counts {
    captured: i64,
    rows: i64,
    wal: i64,
    processor: Option<Processor>,
}

async fn counts(stage: &Stage, database: &mut PgConnection) -> Result<Counts> {
    let processor = stage.processor();
    let captured = sqlx::query_scalar(CAPTURED).fetch_one(&mut *database).await?;
    let rows = sqlx::query_scalar(ROWS).fetch_one(&mut *database).await?;
    let wal = sqlx::query_scalar(WAL).fetch_one(database).await?;
    Ok(Counts { captured, rows, wal, processor })
}

/// Lets the duty go on alone.
async fn alone(stage: &Stage, database: &mut PgConnection) -> Result<Option<Alone>> {
    let before = counts(stage, database).await?;
    let deadline = Instant::now() + LEFT_WITHIN;
    while Instant::now() < deadline
        && sqlx::query_scalar::<_, bool>(LEFT).fetch_one(&mut *database).await?
    {
        tokio::time::sleep(LOOK).await;
    }
    let after = counts(stage, database).await?;
    let captured = after.captured - before.captured;
    if captured <= 0 {
        return Ok(None);
    }
    tokio::time::sleep(REPORTED).await;
    let rows = counts(stage, database).await?.rows;
    let each = |before: i64, after: i64| (after - before) as f64 / captured as f64;
    Ok(Some(Alone {
        captured,
        processor: Processor::per(before.processor, after.processor, captured.unsigned_abs()),
        rows: each(before.rows, rows),
        wal_bytes: each(before.wal, after.wal),
    }))
}

impl CaptureReport {
    /// The results.
    pub fn results(&self) -> Vec<Finding> {
        let what = "cycles with the capture of lessons over those without";
        let mut results = vec![Finding::spread("capture_ratio", what, &self.ratio, "")];
        if let Some(alone) = &self.alone {
            let what = "rows written per captured completion";
            results.push(Finding::one("capture_rows", what, alone.rows, ""));
            let what = "write-ahead log per captured completion";
            results.push(Finding::one("capture_wal", what, alone.wal_bytes / 1024.0, "KiB"));
            if let Some(PerCycle { server_us, database_us, .. }) = alone.processor {
                let what = "processor time per captured completion";
                let both = server_us + database_us;
                results.push(Finding::one("capture_processor", what, both, "us"));
            }
        }
        results
    }

    /// As tables.
    pub fn grids(&self) -> Vec<Grid> {
        let title = format!(
            "Capture of lessons: {} of {} completions were captured while the cycles ran",
            self.captured_in_rounds, self.completed
        );
        let ratio = spread_row("cycles with it over those without", &self.ratio);
        let mut grids = vec![Grid::new(title, SPREAD_HEADER, [ratio])];
        if let Some(alone) = &self.alone {
            let title = format!("The duty alone, per completion, over {}", alone.captured);
            let time = |of: fn(&PerCycle) -> f64| {
                alone.processor.as_ref().map_or_else(|| "-".to_owned(), |one| figure(of(one)))
            };
            let (server, database) = (time(|one| one.server_us), time(|one| one.database_us));
            let row = vec![server, database, figure(alone.rows), figure(alone.wal_bytes)];
            let header = ["server us", "database us", "rows", "bytes of WAL"];
            grids.push(Grid::new(title, header, [row]));
        }
        grids
    }
}
