//! The lists that people and scripts read: first pages and deep ones.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{
    error::{BenchError, Result},
    http::Connection,
    schedule,
    stage::Stage,
    statistics::Latencies,
    together::together,
};

/// Requested pages per second, of all kinds together.
const RATE: f64 = 60.0;
/// Connections for the pages.
const CONNECTIONS: usize = 4;
/// Items of a page.
const LIMIT: usize = 50;
/// Goals of a page: the number of finished ones at the smallest size, so that all pages are alike.
const GOALS: usize = 10;
/// Depth of a deep page, in pages of the largest size.
const DEEP_PAGES: usize = 40;
/// Items of the largest page.
const LARGEST: usize = 200;
/// Seed of the random arrivals.
const SEED: u64 = 22;

/// One kind of page.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its name.
    pub name: &'static str,
    path: String,
}

/// All pages; the cursors of the deep ones are found by paging.
pub async fn find(stage: &Stage, last_event: i64) -> Result<Vec<Page>> {
    let mut connection = Connection::open(&stage.target, &stage.key).await?;
    let completed = "/v1/goals?state=completed&limit=1";
    let goals = connection.read(completed).await?;
    let nothing = || BenchError::Impossible(format!("{completed} lists nothing"));
    let goal = goals["items"][0]["id"].as_str().ok_or_else(nothing)?;
    let tasks = deep(&mut connection, "/v1/tasks?").await?;
    let done = deep(&mut connection, "/v1/tasks?state=done&").await?;
    let goals = deep(&mut connection, "/v1/goals?").await?;
    let middle = last_event / 2;
    let pages = [
        ("tasks, newest", "/v1/tasks?".into(), LIMIT),
        ("tasks, a deep page", tasks, LIMIT),
        ("tasks, ready", "/v1/tasks?state=ready&".into(), LIMIT),
        ("tasks, done", "/v1/tasks?state=done&".into(), LIMIT),
        ("tasks, done, a deep page", done, LIMIT),
        ("tasks of a finished goal", format!("/v1/tasks?goal_id={goal}&"), LIMIT),
        ("goals, newest", "/v1/goals?".into(), GOALS),
        ("goals, the deepest page", goals, GOALS),
        ("goals, completed", "/v1/goals?state=completed&".into(), GOALS),
        ("events, first", "/v1/events?after=0&".into(), LIMIT),
        ("events, from the middle", format!("/v1/events?after={middle}&"), LIMIT),
        ("events of a finished goal", format!("/v1/events?goal_id={goal}&after=0&"), LIMIT),
    ];
    let page = |(name, path, limit)| Page { name, path: format!("{path}limit={limit}") };
    let pages = pages.map(page).to_vec();
    for page in &pages {
        connection.read(&page.path).await?;
    }
    Ok(pages)
}

/// The number of the newest event.
pub async fn last_event(database: &mut sqlx::PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("select coalesce(max(last_number), 0) from journal_heads")
        .fetch_one(database)
        .await?)
}

/// The path of a deep page of the list, or of its last one. Ends as `path` does: ready for `limit`.
async fn deep(connection: &mut Connection, path: &str) -> Result<String> {
    let mut deepest = path.to_owned();
    for _ in 0..DEEP_PAGES {
        let page = connection.read(&format!("{deepest}limit={LARGEST}")).await?;
        let Value::String(cursor) = &page["next_cursor"] else { break };
        deepest = format!("{path}cursor={cursor}&");
    }
    Ok(deepest)
}

/// Requests the pages in turns for `length`, in an open loop. Returns the median latency of each, from
/// the scheduled arrival to the end of the answer, in milliseconds.
pub async fn visit(stage: &Stage, pages: &[Page], length: Duration) -> Result<Vec<f64>> {
    let arrivals = schedule::random(RATE, length, SEED);
    let start = Instant::now();
    let mut visitors = Vec::new();
    for number in 0..CONNECTIONS {
        let mine = arrivals.iter().enumerate().skip(number).step_by(CONNECTIONS);
        let mine = mine.map(|(visit, at)| (visit % pages.len(), start + *at)).collect();
        let connection = Connection::open(&stage.target, &stage.key).await?;
        visitors.push(go(connection, pages.to_vec(), mine));
    }
    let mut latencies = vec![Latencies::default(); pages.len()];
    for (page, latency) in together(visitors).await?.into_iter().flatten() {
        latencies[page].record(latency);
    }
    Ok(latencies.iter().map(|latencies| latencies.summary().p50_ms).collect())
}

async fn go(
    mut connection: Connection,
    pages: Vec<Page>,
    visits: Vec<(usize, Instant)>,
) -> Result<Vec<(usize, Duration)>> {
    let mut latencies = Vec::with_capacity(visits.len());
    for (page, scheduled) in visits {
        tokio::time::sleep_until(scheduled.into()).await;
        let path = &pages[page].path;
        connection.get(path).await?.accepted(path)?;
        latencies.push((page, scheduled.elapsed()));
    }
    Ok(latencies)
}
