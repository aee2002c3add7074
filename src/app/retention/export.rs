//! Exports of goals before they are pruned.
//!
//! An export is NDJSON: a first line about the export, then one line per row of every table of the catalogue
//! that has rows of the goal, those first that others refer to. The journal of the goal is not part of it: it
//! stays.
//!
//! A goal is exported from a snapshot, without a lock, and the file is on the disk before the transaction of
//! the deletion begins: a slow disk stops nobody. That transaction deletes the goal only if its rows have
//! the versions that were exported. Late spend in between thus leads to another export by the next run.

use std::{fmt, io, sync::Arc};

use futures_util::TryStreamExt as _;
use serde_json::json;

use crate::{
    app::{App, Error, Result},
    domain::ids::{GoalId, WorkspaceId},
    store,
};

/// Bytes that are written at once.
const CHUNK: usize = 256 * 1024;
/// Time limit of a statement that reads rows, in milliseconds; it includes the writing.
const READ_WITHIN: i64 = 600_000;

/// Where exported goals are kept.
pub trait GoalFiles: fmt::Debug + Send + Sync {
    /// Begins a file for a goal, which replaces an earlier one of the same goal when it is kept.
    ///
    /// # Errors
    /// When it cannot be made.
    fn begin(&self, workspace: WorkspaceId, goal: GoalId) -> io::Result<Box<dyn GoalFile>>;
}

/// A file in the making. Dropped, it leaves nothing behind.
pub trait GoalFile: Send {
    /// Appends bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Puts the whole file in its place, on the disk.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn keep(self: Box<Self>) -> io::Result<()>;
}

impl App {
    /// The same app with a place for goals that are pruned.
    #[must_use]
    pub fn with_goal_files(self, files: Arc<dyn GoalFiles>) -> Self {
        Self { goal_files: Some(files), ..self }
    }

    /// Exports a goal. Returns the versions of its rows.
    ///
    /// # Errors
    /// `unavailable` if the file cannot be written.
    pub(super) async fn export_goal(
        &self,
        workspace: WorkspaceId,
        goal: GoalId,
        files: &Arc<dyn GoalFiles>,
    ) -> Result<Vec<String>> {
        let mut tx = self.still(workspace).await?;
        store::verify::limit_statements(&mut tx, READ_WITHIN).await?;
        let owned = store::retention::owned(&mut tx, &[goal]).await?;
        let versions = store::retention::versions(&mut tx, &owned).await?;
        let files = Arc::clone(files);
        let mut file = on_disk(move || files.begin(workspace, goal)).await?;
        let head = json!({"goal_export": {"format": 1, "workspace_id": workspace, "goal_id": goal,
                                          "exported_at": tx.now}});
        let mut text = format!("{head}\n");
        for table in store::retention::goal_tables().rev() {
            let mut rows = store::retention::rows(&mut tx, &owned, table);
            while let Some(row) = rows.try_next().await? {
                text.push_str(&format!("{{\"table\":\"{}\",\"row\":{row}}}\n", table.name));
                if text.len() >= CHUNK {
                    file = append(file, std::mem::take(&mut text)).await?;
                }
            }
        }
        tx.rollback().await?;
        let file = append(file, text).await?;
        on_disk(move || file.keep()).await?;
        Ok(versions)
    }
}

async fn append(mut file: Box<dyn GoalFile>, text: String) -> Result<Box<dyn GoalFile>> {
    on_disk(move || file.write(text.as_bytes()).map(|()| file)).await
}

/// Runs blocking work apart from requests.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    let failed = |error: &dyn fmt::Display| {
        Error::Unavailable(format!("a goal that is to be pruned cannot be exported: {error}"))
    };
    done.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
}
