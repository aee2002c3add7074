//! The rows and the write-ahead log of a cycle.
//!
//! Rows are those of `pg_stat_user_tables`. A backend reports them with a delay, at the latest after
//! ten idle seconds, and the journal is sealed behind the cycles. So each count waits until the
//! database has been quiet for longer than that. The figures include the work within these waits: the
//! sealing, the supervisor, autovacuum.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;
use sqlx::{Connection as _, PgConnection};

use super::{
    cycling::Cycling,
    error::Result,
    stage::Stage,
    table::{Finding, Grid, figure},
};

/// Longer than an idle backend keeps counts to itself (`PGSTAT_IDLE_INTERVAL`, ten seconds).
const REPORTED: Duration = Duration::from_secs(11);
/// Inserted rows between two looks at a quiet database, by the supervisor.
const QUIET: i64 = 10;
/// Longest wait for a quiet database.
const QUIET_WITHIN: Duration = Duration::from_secs(120);
/// Pause between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Name beginnings of the tables that record what happened.
const LOGS: [&str; 3] = ["journal", "events", "audit_"];

const ROWS: &str = "
    select relname::text, n_tup_ins, n_tup_upd, n_tup_hot_upd, n_tup_del from pg_stat_user_tables
";
/// Position in the write-ahead log, in bytes.
pub const WAL: &str = "select (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint";

/// Rows and write-ahead log of cycles with one task per claim.
#[derive(Debug, Clone, Serialize)]
pub struct Writes {
    /// Claimed and completed tasks.
    pub cycles: u64,
    /// Write-ahead log per cycle, in bytes.
    pub wal_bytes: f64,
    /// Written rows per cycle, in all tables.
    pub all: Rows,
    /// Written rows per cycle, by table.
    pub tables: BTreeMap<String, Rows>,
}

/// Written rows per cycle.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Rows {
    /// Inserted rows.
    pub inserted: f64,
    /// Updated rows.
    pub updated: f64,
    /// Updated rows that changed no index (HOT), among the updated ones.
    pub hot: f64,
    /// Deleted rows.
    pub deleted: f64,
}

impl Rows {
    fn of(counts: [i64; 4], cycles: u64) -> Self {
        let [inserted, updated, hot, deleted] = counts.map(|rows| rows as f64 / cycles as f64);
        Self { inserted, updated, hot, deleted }
    }

    /// Inserted, updated and deleted rows.
    fn written(&self) -> f64 {
        self.inserted + self.updated + self.deleted
    }

    fn row(&self, name: &str) -> Vec<String> {
        let Self { inserted, updated, hot, deleted } = *self;
        let figures = [inserted, updated, hot, deleted].map(figure);
        std::iter::once(name.to_owned()).chain(figures).collect()
    }
}

type Counts = BTreeMap<String, [i64; 4]>;

/// Counts the writes of one closed round. None if the database is not known.
pub async fn measure(cycling: &mut Cycling, stage: &Stage) -> Result<Option<Writes>> {
    if stage.database.is_none() {
        return Ok(None);
    }
    let mut watch = stage.connect().await?;
    cycling.stock(stage, 1).await?;
    let before = count(&mut watch).await?;
    // No task is claimed before the round, and none is left claimed after it.
    let cycles = cycling.closed(1).await?.claimed;
    let after = count(&mut watch).await?;
    watch.close().await?;
    Ok(Some(Writes::between(&before, &after, cycles.max(1))))
}

/// The counts of all tables and the position in the write-ahead log, when the database is quiet and
/// its counts are complete.
async fn count(watch: &mut PgConnection) -> Result<(Counts, i64)> {
    let deadline = Instant::now() + QUIET_WITHIN;
    let (mut rows, mut quiet_since) = (rows(watch).await?, Instant::now());
    while quiet_since.elapsed() < REPORTED && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
        let now = self::rows(watch).await?;
        let inserted = |rows: &Counts| rows.values().map(|rows| rows[0]).sum::<i64>();
        if inserted(&now) > inserted(&rows) + QUIET {
            quiet_since = Instant::now();
        }
        rows = now;
    }
    Ok((rows, sqlx::query_scalar(WAL).fetch_one(watch).await?))
}

async fn rows(watch: &mut PgConnection) -> Result<Counts> {
    let rows: Vec<(String, i64, i64, i64, i64)> = sqlx::query_as(ROWS).fetch_all(watch).await?;
    let counts =
        |(name, inserted, updated, hot, deleted)| (name, [inserted, updated, hot, deleted]);
    Ok(rows.into_iter().map(counts).collect())
}

impl Writes {
    fn between(before: &(Counts, i64), after: &(Counts, i64), cycles: u64) -> Self {
        let grown = |(name, after): (&String, &[i64; 4])| {
            let before = before.0.get(name).copied().unwrap_or_default();
            (name.clone(), std::array::from_fn(|at| after[at] - before[at]))
        };
        let grown: Counts = after.0.iter().map(grown).collect();
        let all = std::array::from_fn(|at| grown.values().map(|rows| rows[at]).sum());
        let written = grown.into_iter().filter(|(_, rows)| rows.iter().any(|rows| *rows > 0));
        Self {
            cycles,
            wal_bytes: (after.1 - before.1) as f64 / cycles as f64,
            all: Rows::of(all, cycles),
            tables: written.map(|(name, rows)| (name, Rows::of(rows, cycles))).collect(),
        }
    }

    /// The results.
    pub fn results(&self) -> Vec<Finding> {
        let is_log = |name: &str| LOGS.iter().any(|log| name.starts_with(log));
        let logs: Vec<_> = self.tables.iter().filter(|(name, _)| is_log(name)).collect();
        let names: Vec<&str> = logs.iter().map(|(name, _)| name.as_str()).collect();
        let inserted = logs.iter().map(|(_, rows)| rows.inserted).sum();
        let what = format!("rows inserted per cycle into {}", names.join(", "));
        vec![
            Finding::one("rows", "rows written per cycle, all tables", self.all.written(), ""),
            Finding::one("journal_rows", what, inserted, ""),
            Finding::one("wal", "write-ahead log per cycle", self.wal_bytes / 1024.0, "KiB"),
        ]
    }

    /// As a table.
    pub fn grid(&self) -> Grid {
        let mut tables: Vec<_> = self.tables.iter().collect();
        tables.sort_by(|(_, one), (_, two)| two.written().total_cmp(&one.written()));
        let rows = tables.into_iter().map(|(name, rows)| rows.row(name));
        let title = format!(
            "Rows written per cycle, one task per claim, over {} cycles; write-ahead log {} bytes \
             per cycle",
            figure(self.cycles as f64),
            figure(self.wal_bytes)
        );
        let header = ["table", "inserted", "updated", "of these HOT", "deleted"];
        Grid::new(title, header, rows.chain([self.all.row("all")]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_rows_between_two_counts_are_shared_out() {
        let counts = |tasks, journal, wal| {
            let tables = [("tasks", [9, tasks, tasks / 2, 0]), ("journal", [journal, 0, 0, 0])];
            let tables = tables.map(|(name, rows)| (name.to_owned(), rows));
            (Counts::from_iter(tables.into_iter().chain([("goals".to_owned(), [1; 4])])), wal)
        };
        let writes = Writes::between(&counts(100, 7, 5000), &counts(140, 57, 25_000), 10);
        assert_eq!(writes.wal_bytes, 2000.0);
        assert_eq!(writes.all.written(), 9.0);
        let tables: Vec<&str> = writes.tables.keys().map(String::as_str).collect();
        assert_eq!(tables, ["journal", "tasks"], "no row of goals was written");
        assert_eq!((writes.tables["tasks"].updated, writes.tables["tasks"].hot), (4.0, 2.0));
        let journal = &writes.results()[1];
        assert_eq!(journal.what, "rows inserted per cycle into journal");
        assert_eq!(journal.value, Some(5.0));
    }
}
