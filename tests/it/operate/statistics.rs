//! What the planner knows of the tables' sizes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{fleet::Fleet, process::PATIENCE};

/// On a fresh database every plan is one for empty tables, until these are measured.
#[tokio::test]
async fn tables_that_have_outgrown_their_statistics_are_measured() {
    let fleet = Fleet::start().await;
    let tasks: Vec<Value> =
        (0..2_000).map(|n| json!({"ref": n.to_string(), "title": "t"})).collect();
    fleet.goal(json!(tasks)).await;
    let known = || async {
        sqlx::query_scalar::<_, f32>("select reltuples from pg_class where relname = 'tasks'")
            .fetch_one(&fleet.pool)
            .await
            .unwrap()
    };
    assert!(known().await < 1_000.0, "nobody has measured yet");
    let deadline = Instant::now() + PATIENCE;
    // The server tells what was written a moment later.
    while known().await < 2_000.0 {
        fleet.app.measure_tables().await.unwrap();
        assert!(Instant::now() < deadline, "{} tasks are known", known().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Once is enough, however often somebody looks.
    assert_eq!(fleet.app.measure_tables().await.unwrap(), 0);
}
