//! Work that runs at the same time on the thread of the bench.

use tokio::task::JoinSet;

use super::error::{BenchError, Result};

/// Runs all at once and returns their results in the order of their ends. The first error ends all.
pub async fn together<T: 'static>(
    works: impl IntoIterator<Item = impl Future<Output = Result<T>> + 'static>,
) -> Result<Vec<T>> {
    let mut running = JoinSet::new();
    for work in works {
        running.spawn_local(work);
    }
    let mut done = Vec::with_capacity(running.len());
    while let Some(ended) = running.join_next().await {
        done.push(ended.map_err(BenchError::panicked)??);
    }
    Ok(done)
}
