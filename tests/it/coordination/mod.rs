//! Coordination: concurrency keys, and resources that tasks touch.

mod ends;
mod hand_off;
mod keys;
mod messages;
mod overlap;
mod races;
mod resources;

use sqlx::{PgPool, Row as _};
use std::collections::HashSet;

/// The most tasks that ran at the same time. The journal numbers what happened in the order of commits, so this misses
/// nothing, however short it was.
pub async fn most_at_once(pool: &PgPool) -> usize {
    let rows = sqlx::query(
        "select kind, task_id::text from journal
         where task_id is not null and kind in ('task.running', 'task.waiting', 'task.ready', 'task.parked',
             'task.reviewing', 'task.done', 'task.failed', 'task.cancelled')
         order by number",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut running: HashSet<String> = HashSet::new();
    let mut most = 0;
    for row in rows {
        let (kind, task): (String, String) = (row.get(0), row.get(1));
        if kind == "task.running" {
            running.insert(task);
        } else {
            running.remove(&task);
        }
        most = most.max(running.len());
    }
    most
}
