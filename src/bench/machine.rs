//! What the figures were made on.

use std::path::Path;

use serde::Serialize;
use sqlx::{Connection as _, PgConnection};

use super::{error::Result, stage::Stage};

/// The type of a file system in memory, where waiting for the disk costs nothing.
const TMPFS: i64 = 0x0102_1994;

/// The machine and the programs.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Processors that this process may use.
    pub processors: usize,
    /// Version of muster.
    pub muster: &'static str,
    /// Whether this program was built with optimisation; without, no figure means anything.
    pub optimised: bool,
    /// Version of PostgreSQL, once one was connected to.
    pub postgres: Option<String>,
    /// Whether the data was in memory, where fsync costs nothing: then the figures flatter all.
    pub data_in_memory: Option<bool>,
}

impl Machine {
    /// What is known without a database.
    #[must_use]
    pub fn new() -> Self {
        Self {
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            muster: env!("CARGO_PKG_VERSION"),
            optimised: !cfg!(debug_assertions),
            postgres: None,
            data_in_memory: None,
        }
    }

    /// Looks at the database of a stage, if there is one to look at.
    ///
    /// # Errors
    /// When it fails.
    pub async fn look_at(&mut self, stage: &Stage) -> Result<()> {
        self.data_in_memory = stage.data_dir().and_then(in_memory);
        if let Some(options) = &stage.database {
            let mut connection = PgConnection::connect_with(options).await?;
            let version = sqlx::query_scalar("show server_version");
            self.postgres = Some(version.fetch_one(&mut connection).await?);
            connection.close().await?;
        }
        Ok(())
    }

    /// What spoils the figures.
    #[must_use]
    pub fn warnings(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        if !self.optimised {
            warnings.push(
                "THIS PROGRAM WAS BUILT WITHOUT OPTIMISATION: no figure means anything; use \
                 cargo run --release -- bench",
            );
        }
        if self.data_in_memory == Some(true) {
            warnings.push(
                "the data is in a file system in memory, where waiting for the disk costs \
                 nothing; set TMPDIR to a directory on a disk",
            );
        }
        warnings
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
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
