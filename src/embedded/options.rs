//! The options of a private PostgreSQL.

use std::path::PathBuf;

use etcetera::BaseStrategy;

use super::error::EmbeddedError;

/// The data after the end of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lifetime {
    /// The data stays for the next start.
    #[default]
    Kept,
    /// The whole data directory is removed. The server still runs with the settings of
    /// [`Kept`](Self::Kept); only `initdb` does not wait for the disk.
    Ephemeral,
}

/// The options of a private PostgreSQL.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// The data directory, created if it is missing (`--data-dir`, `MUSTER_DATA_DIR`).
    pub data_dir: PathBuf,
    /// The directory of `initdb` and `postgres` (`MUSTER_PG_BIN`); without it they are searched.
    pub bin_dir: Option<PathBuf>,
    /// Most connections of muster.
    pub max_connections: u16,
    /// The data after the end of the server.
    pub lifetime: Lifetime,
    /// A library that the server loads at its start, such as `pg_stat_statements`.
    pub preload: Option<&'static str>,
}

impl EmbeddedOptions {
    /// The usual options for data in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            bin_dir: None,
            max_connections: 50,
            lifetime: Lifetime::Kept,
            preload: None,
        }
    }
}

/// The default data directory: the platform's place for the data of a user
/// (`~/.local/share/muster`, `~/Library/Application Support/muster`), as root `/var/lib/muster`.
///
/// # Errors
/// There is no home directory.
pub fn default_data_dir() -> Result<PathBuf, EmbeddedError> {
    if rustix::process::geteuid().is_root() {
        // Not below /root, which is closed to the account of the server.
        return Ok(PathBuf::from("/var/lib/muster"));
    }
    match etcetera::base_strategy::choose_native_strategy() {
        Ok(strategy) => Ok(strategy.data_dir().join("muster")),
        Err(_) => EmbeddedError::unusable(
            "there is no home directory to keep data in; set HOME, or choose a --data-dir",
        ),
    }
}
