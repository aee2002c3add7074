//! Tells the metrics how near the fullest workspace is to each cap.
//!
//! Not a [`Duty`](super::Duty), because it compares workspaces: no label may name one.

use crate::{
    app::{App, Result, caps},
    domain::{cap::workspace::Holding, words::Words as _},
};

impl App {
    /// Counts what every workspace holds; returns the number of workspaces.
    pub async fn measure_usage(&self) -> Result<u64> {
        let workspaces = self.workspaces().await?;
        let mut fullest = vec![0.0_f64; Holding::ALL.len()];
        for workspace in &workspaces {
            let uses = caps::uses(&mut self.reader(*workspace).await?, &self.caps).await?;
            for (of, most) in uses.iter().zip(&mut fullest) {
                *most = most.max(of.used as f64 / of.limit.max(1) as f64);
            }
        }
        for (name, most) in Holding::ALL.iter().zip(fullest) {
            metrics::gauge!("muster_workspace_fullest_ratio", "name" => name.as_str()).set(most);
        }
        Ok(workspaces.len() as u64)
    }
}
