//! Moving a whole workspace to another server: as one file, written by an export and stored by an
//! import.
//!
//! **What moves** is everything of the workspace but [`store::moving::STAYING`]: sessions, secrets of
//! others and the record of the supervisor. Ids stay the same, so keys, links, leases and
//! stored answers are valid on the new server, and the journal is the same chain. Running attempts go
//! on there as if the service had been restarted: their leases end when they would have ended.
//!
//! **Consistent.** An export is one read-only snapshot, exact beside running traffic. It blocks no
//! writer and holds one row in memory.
//!
//! **All or nothing.** An import reads the whole file before it writes, and stores it in one
//! transaction with all constraints and triggers in force. Before the commit it reads every row back
//! and compares it with its line, so what is committed exports as the same lines.
//!
//! **Never over anything.** A workspace that exists is only compared: the same rows are a success,
//! another row is refused with its table and key. An import leaves no row in the journal, because the
//! copy would then differ from its file.
//!
//! Two servers with the same workspace do not know of each other. Which one goes on is up to the
//! operator.

use crate::{
    app::Error,
    domain::{ids::WorkspaceId, moving::FileError},
    store,
};

pub mod export;
pub mod import;
mod lines;

/// Why a workspace was not exported or imported. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The file is not whole, or another version wrote it.
    #[error("{0}; nothing was changed")]
    File(#[from] FileError),
    /// The file cannot be read or written.
    #[error("the file cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// The workspace exists with other rows.
    #[error(
        "workspace {0} exists on this server and is not the same, so nothing was changed. The first \
         difference: {1}"
    )]
    Differs(WorkspaceId, String),
    /// The database refused a row of the file.
    #[error("a row of `{0}` is refused, so nothing was changed: {1}")]
    Row(String, String),
    /// The rows were stored otherwise than the file has them.
    #[error(
        "the rows would be stored otherwise than the file has them, so nothing was changed. The first \
         difference: {0}"
    )]
    Unfaithful(String),
    /// The database failed.
    #[error(transparent)]
    App(#[from] Error),
}

impl From<sqlx::Error> for MoveError {
    fn from(error: sqlx::Error) -> Self {
        Self::App(error.into())
    }
}

/// The tables that move, in the order of the file.
fn tables() -> Vec<&'static str> {
    store::moving::moved().collect()
}
