//! Updates the database's statistics of tables that have outgrown them, so that query plans fit the
//! sizes.
//!
//! Not a [`Duty`](super::Duty), because tables belong to no workspace. The supervisor runs it
//! beside the duties.

use crate::{
    app::{App, Result},
    store,
};

impl App {
    /// Analyzes outgrown tables; returns their number.
    pub async fn measure_tables(&self) -> Result<u64> {
        let mut tx = self.system().await?;
        let outgrown = store::statistics::outgrown(&mut tx).await?;
        for table in &outgrown {
            store::statistics::measure(&mut tx, table).await?;
        }
        Ok(outgrown.len() as u64)
    }
}
