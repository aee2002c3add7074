//! The machine and the programs of a run.

use std::path::Path;

use serde::Serialize;
use sqlx::Connection as _;

use super::{error::Result, stage::Stage};

/// The type of a file system in memory, on which fsync costs nothing.
const TMPFS: i64 = 0x0102_1994;

/// The machine and the programs.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Processors that this process may use.
    pub processors: usize,
    /// Version of muster.
    pub muster: &'static str,
    /// Whether this program was built with optimisation; no figure counts without it.
    pub optimised: bool,
    /// Version of PostgreSQL, known after the first connection.
    pub postgres: Option<String>,
    /// Whether the data is in memory; fsync then costs nothing, and all figures are too good.
    pub data_in_memory: Option<bool>,
}

impl Default for Machine {
    /// The figures that need no database.
    fn default() -> Self {
        Self {
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            muster: env!("CARGO_PKG_VERSION"),
            optimised: !cfg!(debug_assertions),
            postgres: None,
            data_in_memory: None,
        }
    }
}

impl Machine {
    /// Adds the figures of the database, if it is known.
    pub async fn look_at(&mut self, stage: &Stage) -> Result<()> {
        self.data_in_memory = stage.data_dir().and_then(in_memory);
        if stage.database.is_some() {
            let mut connection = stage.connect().await?;
            let version = sqlx::query_scalar("show server_version");
            self.postgres = Some(version.fetch_one(&mut connection).await?);
            connection.close().await?;
        }
        Ok(())
    }

    /// The reasons to distrust the figures.
    pub fn warnings(&self) -> Vec<&'static str> {
        let unoptimised = "THIS PROGRAM WAS BUILT WITHOUT OPTIMISATION: no figure counts; use \
                           cargo run --release -- bench";
        let in_memory = "the data is in a file system in memory, where fsync costs nothing; set \
                         TMPDIR to a directory on a disk";
        let spoiled =
            [(!self.optimised, unoptimised), (self.data_in_memory == Some(true), in_memory)];
        spoiled.into_iter().filter(|(spoils, _)| *spoils).map(|(_, warning)| warning).collect()
    }
}

#[cfg(target_os = "linux")]
fn in_memory(path: &Path) -> Option<bool> {
    let found = rustix::fs::statfs(path).ok()?;
    Some(found.f_type == TMPFS)
}

#[cfg(not(target_os = "linux"))]
fn in_memory(_: &Path) -> Option<bool> {
    None
}
