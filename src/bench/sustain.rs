//! `sustain`: minutes of cycles without a pause, twice.
//!
//! Tasks are posted during the cycles, whenever few are left; the throughput includes that cost. The
//! first run shows changes over time: throughput, dead rows, bytes of write-ahead log per task. In the
//! second a transaction holds a snapshot for the middle third, as a backup or a forgotten session
//! does, so that no dead row can be removed. It shows the effect on throughput and the time until the
//! throughput is back.

use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::Connection as _;

use super::{
    cycling::Cycling,
    error::Result,
    load::{Outcome, Record, Shared, Window},
    report::{Figures, Report},
    settings::Scenario,
    stage::{Setup, Stage},
    supply::{GOAL_TASKS, Supply},
    table::{Finding, Grid, figure},
    writes::WAL,
};

/// Seconds of one row of the table of throughput.
const STEP: usize = 10;
/// Recovered throughput over that before, on average over [`OVER`] seconds.
const RECOVERED: f64 = 0.9;
const OVER: usize = 5;
/// Pause between two checks of the supply.
const LOOK: Duration = Duration::from_millis(20);
/// Seconds of work that are kept ready.
const READY_SECONDS: f64 = 4.0;

const TABLES: &str = "
    select relname::text, n_live_tup, n_dead_tup from pg_stat_user_tables
    where n_tup_upd + n_tup_del > 0 order by n_dead_tup desc, relname limit 8
";
const HOLD: &str = "begin isolation level repeatable read; select pg_current_snapshot();";

/// The figures of `sustain`.
#[derive(Debug, Clone, Serialize)]
pub struct SustainReport {
    /// The run without a snapshot.
    pub plain: Run,
    /// The run with a snapshot held for the middle third.
    pub held: Run,
    /// Throughput before the snapshot, in cycles per second.
    pub held_before: f64,
    /// Throughput during the snapshot.
    pub held_during: f64,
    /// Seconds from its release until the throughput was 0.9 of that before; null: not in this run.
    pub recovered_after_seconds: Option<usize>,
}

/// One run.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Completed cycles of each second.
    pub cycles_by_second: Vec<u64>,
    /// Throughput of the last part over that of the first.
    pub end_over_start: f64,
    /// Length of both parts, in seconds.
    pub part_seconds: usize,
    /// Write-ahead log per claimed task, in bytes, posting included.
    pub wal_bytes_per_task: f64,
    /// Tables with the most dead rows at the end.
    pub tables: Vec<TableRows>,
    /// The counts of the agents.
    pub outcome: Outcome,
}

/// Rows of a table, from its statistics.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct TableRows {
    /// The table.
    #[sqlx(rename = "relname")]
    pub table: String,
    /// Live rows.
    #[sqlx(rename = "n_live_tup")]
    pub live: i64,
    /// Dead rows, not yet removed by vacuum.
    #[sqlx(rename = "n_dead_tup")]
    pub dead: i64,
}

/// Measures `sustain`.
pub async fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let stage = setup.stage(None).await?;
    report.machine.look_at(&stage).await?;
    let plain = one(setup, &stage, None).await?;
    stage.stop().await?;
    let third = setup.settings.sustain_seconds as usize / 3;
    let stage = setup.stage(None).await?;
    let held = one(setup, &stage, Some(third)).await?;
    stage.stop().await?;
    let seconds = &held.cycles_by_second;
    let before = mean(seconds.get(third / 4..third));
    let measured = SustainReport {
        held_before: before,
        held_during: mean(seconds.get(third..2 * third)),
        recovered_after_seconds: recovered(seconds, 2 * third, before),
        plain,
        held,
    };
    report.add(Scenario::Sustain, &measured)
}

/// One run; with `third` a snapshot is held for so many seconds, after as many.
async fn one(setup: &Setup, stage: &Stage, third: Option<usize>) -> Result<Run> {
    let settings = &setup.settings;
    let mut cycling = Cycling::prepare(setup, stage).await?;
    cycling.stock(stage, 1).await?;
    let mut watch = stage.connect().await?;
    let wal_before: i64 = sqlx::query_scalar(WAL).fetch_one(&mut watch).await?;
    let length = Duration::from_secs(settings.sustain_seconds);
    let window = Window::now(settings.lead_in(), length);
    let record = Record::new(window);
    let working =
        cycling.supplied(&record, async |supply| keep_supplied(supply, &record, window).await);
    tokio::try_join!(working, hold_snapshot(stage, window, third))?;
    let wal_after: i64 = sqlx::query_scalar(WAL).fetch_one(&mut watch).await?;
    let outcome = record.borrow().outcome();
    // Seconds without a completion count too.
    let mut seconds = record.borrow().seconds().to_vec();
    seconds.resize(settings.sustain_seconds as usize, 0);
    let part_seconds = (seconds.len() / 6).clamp(1, 30);
    Ok(Run {
        end_over_start: end_over_start(&seconds, part_seconds),
        cycles_by_second: seconds,
        part_seconds,
        wal_bytes_per_task: (wal_after - wal_before) as f64 / outcome.claimed.max(1) as f64,
        tables: sqlx::query_as(TABLES).fetch_all(&mut watch).await?,
        outcome,
    })
}

/// Posts a goal whenever few tasks are left.
async fn keep_supplied(supply: &mut Supply, record: &Shared, window: Window) -> Result<()> {
    let mut noted = 0;
    while Instant::now() < window.until {
        let claimed = record.borrow().claimed();
        supply.used(claimed - noted);
        noted = claimed;
        let elapsed = window.start.elapsed().as_secs_f64().max(1.0);
        let enough = claimed as f64 / elapsed * READY_SECONDS + 2.0 * GOAL_TASKS as f64;
        if (supply.left() as f64) < enough {
            supply.post().await?;
        } else {
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}

/// Holds a snapshot for the middle third of the window.
async fn hold_snapshot(stage: &Stage, window: Window, third: Option<usize>) -> Result<()> {
    let Some(third) = third else { return Ok(()) };
    let third = Duration::from_secs(third as u64);
    let mut connection = stage.connect().await?;
    tokio::time::sleep_until((window.from + third).into()).await;
    sqlx::raw_sql(HOLD).execute(&mut connection).await?;
    tracing::info!("a snapshot is held");
    tokio::time::sleep_until((window.from + 2 * third).into()).await;
    sqlx::raw_sql("rollback").execute(&mut connection).await?;
    tracing::info!("the snapshot is released");
    Ok(connection.close().await?)
}

fn mean(seconds: Option<&[u64]>) -> f64 {
    let seconds = seconds.unwrap_or_default();
    seconds.iter().sum::<u64>() as f64 / seconds.len().max(1) as f64
}

fn end_over_start(seconds: &[u64], part: usize) -> f64 {
    let start = mean(seconds.get(..part));
    let end = mean(seconds.get(seconds.len().saturating_sub(part)..));
    if start > 0.0 { end / start } else { 0.0 }
}

/// Seconds from `released` until the throughput is back.
fn recovered(seconds: &[u64], released: usize, before: f64) -> Option<usize> {
    let after = seconds.get(released..)?;
    after.windows(OVER).position(|window| mean(Some(window)) >= RECOVERED * before)
}

/// Mean throughput of each [`STEP`].
fn steps(seconds: &[u64]) -> Vec<f64> {
    seconds.chunks(STEP).map(|chunk| mean(Some(chunk))).collect()
}

impl Figures for SustainReport {
    fn results(&self) -> Vec<Finding> {
        let Run { part_seconds, end_over_start, wal_bytes_per_task, .. } = self.plain;
        let ratio = format!("throughput of the last {part_seconds} s over that of the first");
        let wal = "write-ahead log per task, from its posting to its end";
        let held = "throughput with a held snapshot, over that before";
        let kept = self.held_during / self.held_before.max(1.0);
        let recovery = "from its release until the throughput is 0.9 of that before";
        vec![
            Finding::one("sustain_ratio", ratio, end_over_start, ""),
            Finding::one("sustain_wal", wal, wal_bytes_per_task, "bytes"),
            Finding::one("sustain_held", held, kept, ""),
            match self.recovered_after_seconds {
                Some(seconds) => Finding::one("sustain_recovery", recovery, seconds as f64, "s"),
                None => Finding::never("sustain_recovery", recovery, "s"),
            },
        ]
    }

    fn grids(&self) -> Vec<Grid> {
        let (plain, held) =
            (steps(&self.plain.cycles_by_second), steps(&self.held.cycles_by_second));
        let row = |(number, (plain, held)): (usize, (&f64, &f64))| {
            vec![format!("{} s", number * STEP), figure(*plain), figure(*held)]
        };
        let throughput = Grid::new(
            "Sustain: cycles per second from this second on, with posting of tasks",
            ["from", "plain", "snapshot held for the middle third"],
            plain.iter().zip(&held).enumerate().map(row),
        );
        let tables = |name: &str, run: &Run| {
            let row = |rows: &TableRows| {
                vec![rows.table.clone(), rows.live.to_string(), rows.dead.to_string()]
            };
            let title = format!("Sustain: rows at the end, {name}");
            Grid::new(title, ["table", "live", "dead"], run.tables.iter().map(row))
        };
        vec![throughput, tables("plain", &self.plain), tables("after the snapshot", &self.held)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_counts_from_the_release() {
        // 100 before, 50 while held, and 60, 100, 100 ... after the release at 6.
        let mut seconds = vec![100, 100, 100, 50, 50, 50, 60];
        seconds.extend([100; 8]);
        assert_eq!(recovered(&seconds, 6, 100.0), Some(0), "92 on average");
        seconds[7] = 60;
        assert_eq!(recovered(&seconds, 6, 100.0), Some(1));
        assert_eq!(recovered(&[50; 20], 6, 100.0), None);
        assert_eq!(recovered(&[50; 2], 6, 100.0), None);
    }

    #[test]
    fn the_end_is_compared_with_the_start() {
        assert!((end_over_start(&[100, 100, 7, 90, 80], 2) - 0.85).abs() < 1e-9);
        assert!(end_over_start(&[0, 0], 1).abs() < 1e-9);
    }

    #[test]
    fn steps_are_means() {
        let mut seconds = vec![10; 10];
        seconds.extend([20; 10]);
        assert_eq!(steps(&seconds), [10.0, 20.0]);
    }
}
