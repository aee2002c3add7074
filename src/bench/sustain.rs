//! `sustain`: minutes of cycles without a pause, twice.
//!
//! Work is posted meanwhile, whenever there is little left; what that costs is in the throughput.
//! The first run asks what changes over time: throughput, rows that are dead, bytes of write-ahead
//! log per task. The second has a transaction that holds a snapshot for its middle third, as a
//! backup or a forgotten session does: no dead row can be cleared away meanwhile. It asks what that
//! does, and how soon it is over.

use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};

use super::{
    cycling::Cycling,
    error::{BenchError, Result},
    load::{Outcome, Pace, Record, Shared, Window},
    machine::Machine,
    report::{Finding, Grid, figure},
    settings::BenchSettings,
    stage::{Ground, Stage},
    supply::{GOAL_TASKS, Supply},
};

/// Throughput is shown over so many seconds.
const STEP: usize = 10;
/// Recovered is who does so much of the throughput before, on average over [`OVER`] seconds.
const RECOVERED: f64 = 0.9;
const OVER: usize = 5;
/// How often the supply is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How many seconds of work are kept ready.
const READY_SECONDS: f64 = 4.0;

const TABLES: &str = "
    select relname::text, n_live_tup, n_dead_tup from pg_stat_user_tables
    where n_tup_upd + n_tup_del > 0 order by n_dead_tup desc, relname limit 8
";
const WAL: &str = "select (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint";
const HOLD: &str = "begin isolation level repeatable read; select pg_current_snapshot();";

/// What `sustain` came to.
#[derive(Debug, Clone, Serialize)]
pub struct SustainReport {
    /// Without a pause.
    pub plain: Run,
    /// With a snapshot held for the middle third.
    pub held: Run,
    /// Throughput before the snapshot was taken, cycles per second.
    pub held_before: f64,
    /// While it was held.
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
    /// The length of either part, in seconds.
    pub part_seconds: usize,
    /// Write-ahead log per claimed task, in bytes, with that of posting the next ones.
    pub wal_bytes_per_task: Option<f64>,
    /// Dead rows at the end, by table, most first.
    pub tables: Vec<TableRows>,
    /// What the agents saw.
    pub outcome: Outcome,
}

/// Rows of a table, as its statistics say.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct TableRows {
    /// The table.
    #[sqlx(rename = "relname")]
    pub table: String,
    /// Rows in use.
    #[sqlx(rename = "n_live_tup")]
    pub live: i64,
    /// Rows that nobody can see any more, not yet cleared away.
    #[sqlx(rename = "n_dead_tup")]
    pub dead: i64,
}

/// Measures.
///
/// # Errors
/// When something cannot be measured.
pub async fn measure(
    ground: &Ground,
    machine: &mut Machine,
) -> Result<(SustainReport, Vec<Finding>)> {
    let settings = &ground.settings;
    let plain = {
        let stage = ground.stage(None).await?;
        machine.look_at(&stage).await?;
        let run = one(ground, &stage, None).await?;
        stage.stop().await?;
        run
    };
    let third = settings.sustain_seconds as usize / 3;
    let stage = ground.stage(None).await?;
    let database = stage.database.clone().ok_or_else(|| {
        BenchError::Impossible("a snapshot can only be held where the database is known".into())
    })?;
    let held = one(ground, &stage, Some((database, third))).await?;
    stage.stop().await?;
    let seconds = &held.cycles_by_second;
    let before = mean(seconds.get(third / 4..third));
    let report = SustainReport {
        held_before: before,
        held_during: mean(seconds.get(third..2 * third)),
        recovered_after_seconds: recovered(seconds, 2 * third, before),
        plain,
        held,
    };
    let results = report.results();
    Ok((report, results))
}

/// One run; `hold` is where a snapshot is held, and for how many seconds after how many.
async fn one(
    ground: &Ground,
    stage: &Stage,
    hold: Option<(PgConnectOptions, usize)>,
) -> Result<Run> {
    let settings = &ground.settings;
    let mut cycling = Cycling::prepare(ground, stage).await?;
    cycling.stock(settings, 1).await?;
    stage.tidy().await?;
    let mut watch = match &stage.database {
        Some(options) => Some(PgConnection::connect_with(options).await?),
        None => None,
    };
    let wal_before = wal(watch.as_mut()).await?;
    let length = Duration::from_secs(settings.sustain_seconds);
    let window = Window::now(settings.lead_in(), length);
    let record = Record::new(window);
    let (agents, supply) = cycling.parts();
    let working = work(agents, &record);
    let posting = keep_supplied(supply, &record, window);
    let holding = async {
        match hold {
            Some((options, third)) => hold_snapshot(options, window, third).await,
            None => Ok(()),
        }
    };
    tokio::try_join!(working, posting, holding)?;
    let wal_after = wal(watch.as_mut()).await?;
    let outcome = record.borrow().outcome();
    let seconds = full_seconds(record.borrow().seconds(), settings);
    let part_seconds = (seconds.len() / 6).clamp(1, 30);
    let wal_bytes_per_task = match (wal_before, wal_after) {
        (Some(before), Some(after)) => {
            Some((after - before) as f64 / outcome.claimed.max(1) as f64)
        }
        _ => None,
    };
    Ok(Run {
        end_over_start: end_over_start(&seconds, part_seconds),
        cycles_by_second: seconds,
        part_seconds,
        wal_bytes_per_task,
        tables: tables(watch.as_mut()).await?,
        outcome,
    })
}

async fn work(agents: &mut Vec<super::fleet::Agent>, record: &Shared) -> Result<()> {
    let taken = std::mem::take(agents);
    *agents = super::load::cycles(taken, 1, &Pace::Closed, record).await?;
    Ok(())
}

/// Posts a goal whenever there is little work left.
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
async fn hold_snapshot(options: PgConnectOptions, window: Window, third: usize) -> Result<()> {
    let third = Duration::from_secs(third as u64);
    let mut connection = PgConnection::connect_with(&options).await?;
    tokio::time::sleep_until((window.from + third).into()).await;
    sqlx::raw_sql(HOLD).execute(&mut connection).await?;
    tracing::info!("a snapshot is held");
    tokio::time::sleep_until((window.from + 2 * third).into()).await;
    sqlx::raw_sql("rollback").execute(&mut connection).await?;
    tracing::info!("the snapshot is released");
    Ok(connection.close().await?)
}

async fn wal(watch: Option<&mut PgConnection>) -> Result<Option<i64>> {
    let Some(connection) = watch else { return Ok(None) };
    Ok(Some(sqlx::query_scalar(WAL).fetch_one(connection).await?))
}

async fn tables(watch: Option<&mut PgConnection>) -> Result<Vec<TableRows>> {
    let Some(connection) = watch else { return Ok(Vec::new()) };
    Ok(sqlx::query_as(TABLES).fetch_all(connection).await?)
}

/// A second in which nothing was completed at the end is one all the same.
fn full_seconds(seconds: &[u64], settings: &BenchSettings) -> Vec<u64> {
    let mut seconds = seconds.to_vec();
    seconds.resize(settings.sustain_seconds as usize, 0);
    seconds
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

/// How many seconds after `released` the throughput is back.
fn recovered(seconds: &[u64], released: usize, before: f64) -> Option<usize> {
    let after = seconds.get(released..)?;
    after.windows(OVER).position(|window| mean(Some(window)) >= RECOVERED * before)
}

/// Throughput in steps, for people.
fn steps(seconds: &[u64]) -> Vec<f64> {
    seconds.chunks(STEP).map(|chunk| mean(Some(chunk))).collect()
}

impl SustainReport {
    fn results(&self) -> Vec<Finding> {
        let part = self.plain.part_seconds;
        let what = format!("throughput of the last {part} s over that of the first");
        let mut results = vec![Finding::one("sustain_ratio", what, self.plain.end_over_start, "")];
        if let Some(bytes) = self.plain.wal_bytes_per_task {
            let what = "write-ahead log per task, from its posting to its end";
            results.push(Finding::one("sustain_wal", what, bytes, "bytes"));
        }
        let kept = self.held_during / self.held_before.max(1.0);
        let what = "throughput while a snapshot is held, over that before";
        results.push(Finding::one("sustain_held", what, kept, ""));
        let what = "from its release until the throughput is 0.9 of that before";
        results.push(match self.recovered_after_seconds {
            Some(seconds) => Finding::one("sustain_recovery", what, seconds as f64, "s"),
            None => Finding::never("sustain_recovery", what, "s"),
        });
        results
    }

    /// As tables.
    #[must_use]
    pub fn grids(&self) -> Vec<Grid> {
        let (plain, held) =
            (steps(&self.plain.cycles_by_second), steps(&self.held.cycles_by_second));
        let row = |(number, (plain, held)): (usize, (&f64, &f64))| {
            vec![format!("{} s", number * STEP), figure(*plain), figure(*held)]
        };
        let throughput = Grid {
            title: "Sustain: cycles per second from this second on, work posted meanwhile".into(),
            header: vec!["from", "plain", "snapshot held for the middle third"],
            rows: plain.iter().zip(&held).enumerate().map(row).collect(),
        };
        let tables = |name: &str, run: &Run| Grid {
            title: format!("Sustain: rows at the end, {name}"),
            header: vec!["table", "live", "dead"],
            rows: run
                .tables
                .iter()
                .map(|rows| vec![rows.table.clone(), rows.live.to_string(), rows.dead.to_string()])
                .collect(),
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
