//! Has the database measure tables that have outgrown its statistics, so that it plans for their sizes.
//!
//! Not a duty of a workspace: tables belong to none. The supervisor runs it beside the duties.

use crate::{
    app::{App, Result},
    store,
};

impl App {
    /// Measures the tables; returns their count.
    pub async fn measure_tables(&self) -> Result<u64> {
        let mut tx = self.system().await?;
        let outgrown = store::statistics::outgrown(&mut tx).await?;
        for table in &outgrown {
            store::statistics::measure(&mut tx, table).await?;
        }
        Ok(outgrown.len() as u64)
    }
}
