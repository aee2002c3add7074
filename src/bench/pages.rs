//! What people and scripts look at: lists, first pages and deep ones.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::{
    api,
    error::{BenchError, Result},
    http::Connection,
    schedule,
    stage::Stage,
    statistics::{Latencies, Summary},
};

/// Pages that are asked for per second, of all kinds together.
const RATE: f64 = 60.0;
/// Connections that they are asked for on.
const CONNECTIONS: usize = 4;
/// Items of a page.
const LIMIT: usize = 50;
/// Goals of a page: as many as are finished at the smallest size, so that the pages are alike.
const GOALS: usize = 10;
/// How far down a deep page is: so many pages of the largest size.
const DEEP_PAGES: usize = 40;
/// The largest page.
const LARGEST: usize = 200;
/// Whence the random arrivals come.
const SEED: u64 = 22;

/// One kind of page.
#[derive(Debug, Clone)]
pub struct Page {
    /// What it is.
    pub name: &'static str,
    path: String,
}

/// The latency of one kind of page.
#[derive(Debug, Clone, Serialize)]
pub struct PageLatency {
    /// What it is.
    pub page: &'static str,
    /// From its scheduled arrival to the whole answer.
    pub latency: Summary,
}

#[derive(Deserialize)]
struct Listed {
    next_cursor: Option<String>,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    id: Option<String>,
}

/// The pages that there are, the cursors of the deep ones found by going there.
///
/// # Errors
/// When a page is refused.
pub async fn find(stage: &Stage, last_event: i64) -> Result<Vec<Page>> {
    let mut connection = Connection::open(&stage.target, &stage.key).await?;
    let goal = first_id(&mut connection, "/v1/goals?state=completed&limit=1").await?;
    let tasks = deep(&mut connection, "/v1/tasks").await?;
    let done = deep(&mut connection, "/v1/tasks?state=done").await?;
    let goals = deep(&mut connection, "/v1/goals").await?;
    let limited = |name, path: String, limit: usize| {
        let joint = if path.contains('?') { '&' } else { '?' };
        Page { name, path: format!("{path}{joint}limit={limit}") }
    };
    let page = |name, path| limited(name, path, LIMIT);
    let middle = last_event / 2;
    let pages = vec![
        page("tasks, newest", "/v1/tasks".into()),
        page("tasks, a deep page", tasks),
        page("tasks, ready", "/v1/tasks?state=ready".into()),
        page("tasks, done", "/v1/tasks?state=done".into()),
        page("tasks, done, a deep page", done),
        page("tasks of a finished goal", format!("/v1/tasks?goal_id={goal}")),
        limited("goals, newest", "/v1/goals".into(), GOALS),
        limited("goals, the deepest page", goals, GOALS),
        limited("goals, completed", "/v1/goals?state=completed".into(), GOALS),
        page("events, first", "/v1/events?after=0".into()),
        page("events, from the middle", format!("/v1/events?after={middle}")),
        page("events of a finished goal", format!("/v1/events?goal_id={goal}&after=0")),
    ];
    for page in &pages {
        connection.get(&page.path).await?.accepted(&page.path)?;
    }
    Ok(pages)
}

/// The number of the newest event.
///
/// # Errors
/// When it cannot be read.
pub async fn last_event(database: &mut sqlx::PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("select coalesce(max(last_seq), 0) from event_heads")
        .fetch_one(database)
        .await?)
}

async fn first_id(connection: &mut Connection, path: &str) -> Result<String> {
    let answer = connection.get(path).await?.accepted(path)?;
    let listed: Listed = api::read(&answer.body, path)?;
    let first = listed.items.into_iter().next().and_then(|item| item.id);
    first.ok_or_else(|| BenchError::Impossible(format!("{path} lists nothing")))
}

/// The path of a page far down the list, or of the last one.
async fn deep(connection: &mut Connection, path: &str) -> Result<String> {
    let joint = if path.contains('?') { '&' } else { '?' };
    let mut cursor: Option<String> = None;
    for _ in 0..DEEP_PAGES {
        let at = cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page = format!("{path}{joint}limit={LARGEST}{at}");
        let answer = connection.get(&page).await?.accepted(&page)?;
        let listed: Listed = api::read(&answer.body, &page)?;
        if listed.next_cursor.is_none() {
            break;
        }
        cursor = listed.next_cursor;
    }
    Ok(cursor.map_or_else(|| path.to_owned(), |cursor| format!("{path}{joint}cursor={cursor}")))
}

/// Asks for the pages in turns for `length`, open loop; their latencies in the order of `pages`.
///
/// # Errors
/// When one is refused.
pub async fn visit(stage: &Stage, pages: &[Page], length: Duration) -> Result<Vec<PageLatency>> {
    let arrivals = schedule::random(RATE, length, SEED);
    let latencies = Rc::new(RefCell::new(vec![Latencies::default(); pages.len()]));
    let start = Instant::now();
    let mut visitors = JoinSet::new();
    for number in 0..CONNECTIONS {
        let mine = arrivals.iter().enumerate().skip(number).step_by(CONNECTIONS);
        let mine: Vec<(usize, Duration)> =
            mine.map(|(visit, at)| (visit % pages.len(), *at)).collect();
        let connection = Connection::open(&stage.target, &stage.key).await?;
        visitors.spawn_local(go(connection, pages.to_vec(), mine, start, Rc::clone(&latencies)));
    }
    while let Some(ended) = visitors.join_next().await {
        ended.map_err(|_| BenchError::Impossible("a visitor panicked".into()))??;
    }
    let latencies = latencies.borrow();
    let both = pages.iter().zip(latencies.iter());
    Ok(both.map(|(page, l)| PageLatency { page: page.name, latency: l.summary() }).collect())
}

async fn go(
    mut connection: Connection,
    pages: Vec<Page>,
    visits: Vec<(usize, Duration)>,
    start: Instant,
    latencies: Rc<RefCell<Vec<Latencies>>>,
) -> Result<()> {
    for (page, at) in visits {
        let scheduled = start + at;
        tokio::time::sleep_until(scheduled.into()).await;
        let Some(wanted) = pages.get(page) else { continue };
        connection.get(&wanted.path).await?.accepted(&wanted.path)?;
        if let Some(latencies) = latencies.borrow_mut().get_mut(page) {
            latencies.record_since(scheduled);
        }
    }
    Ok(())
}
