//! Writing a workspace to a file.

use std::io::Write;

use futures_util::TryStreamExt as _;

use super::{MoveError, tables};
use crate::{
    app::{Error, access::keys::LocalAdmin},
    domain::{
        moving::{FORMAT, FORMAT_VERSION, Header, Tally},
        refusal::Refusal,
    },
    store,
};

impl LocalAdmin<'_> {
    /// Writes the whole workspace to `out`, a line per row, and returns the number of rows. Writes
    /// block: not for a server's requests.
    ///
    /// # Errors
    /// When `out` or the database fails; what was written then is refused by an import.
    pub async fn export_workspace(&self, out: &mut (dyn Write + Send)) -> Result<u64, MoveError> {
        let mut tx = self.app().still(self.workspace()).await?;
        store::moving::prepare(&mut tx).await?;
        let workspace = store::workspaces::settings(&mut tx).await?;
        let gone = || Error::from(Refusal::not_found("workspace"));
        let workspace = workspace.ok_or_else(gone)?;
        let header = Header {
            format: FORMAT.to_owned(),
            format_version: FORMAT_VERSION,
            schema_version: store::schema_version(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            workspace_id: workspace.workspace_id,
            name: workspace.name,
            exported_at: tx.now,
        };
        let mut tally = Tally::new(&tables());
        out.write_all(tally.header(&header).as_bytes())?;
        let shapes = store::moving::shapes(&mut tx).await?;
        for shape in &shapes {
            let mut rows = store::moving::rows(&mut tx, shape);
            while let Some(row) = rows.try_next().await? {
                out.write_all(tally.row(shape.table, &row).as_bytes())?;
            }
        }
        out.write_all(tally.end().as_bytes())?;
        out.flush()?;
        tx.rollback().await?;
        Ok(tally.rows())
    }
}
