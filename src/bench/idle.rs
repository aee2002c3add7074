//! `idle`: agents that wait for work.
//!
//! Each holds a connection and a claim that waits for a minute and is renewed. The first wait of
//! each has a random length, so that renewals are spread over the minute as those of a real fleet
//! are; statements are counted over a whole minute, renewals included. Then a goal of 100 tasks is
//! posted, several times, and the latency of each task counts from the start of that request to the
//! moment its agent holds the claim.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

use super::{
    api::{self, ClaimTerms},
    error::{BenchError, Result},
    fleet::{self, Agent, Kind},
    http::Connection,
    machine::Machine,
    process::{self, Memory},
    report::{Finding, Grid, figure},
    stage::{Ground, STATEMENTS, Stage},
    statements::{Counted, Counter},
    statistics::{Latencies, Summary},
    supply::{self, Needs},
};
use crate::entropy::Entropy;

/// The longest wait of a claim.
const WAIT_SECONDS: u32 = 60;
/// Tasks that appear at once.
const TASKS: usize = 100;
/// How often they appear.
const TIMES: usize = 5;
/// How long all of them may take to be claimed.
const CLAIMED_WITHIN: Duration = Duration::from_secs(30);
/// How long the service is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(5);
/// Whence the lengths of the first waits come.
const SEED: u64 = 21;

/// What `idle` came to.
#[derive(Debug, Clone, Serialize)]
pub struct IdleReport {
    /// Memory of the service before any of the agents connected.
    pub memory_before: Option<Memory>,
    /// What is counted at the database.
    pub counted: Option<Counted>,
    /// By number of agents.
    pub fleets: Vec<Fleet>,
}

/// What waiting agents cost and how soon they work.
#[derive(Debug, Clone, Serialize)]
pub struct Fleet {
    /// How many wait.
    pub agents: u32,
    /// Memory of the service when they have settled.
    pub memory: Option<Memory>,
    /// Resident memory of each, in KiB.
    pub rss_kib_per_agent: Option<f64>,
    /// Proportional memory of each, in KiB.
    pub pss_kib_per_agent: Option<f64>,
    /// Statements (or transactions) per second at the database, of all together.
    pub statements_per_second: Option<f64>,
    /// Claims that were renewed per second meanwhile.
    pub renewals_per_second: f64,
    /// Requests that were refused.
    pub refused: u64,
    /// From the start of the request that posts 100 tasks to a claim held.
    pub created_to_claimed: Summary,
    /// How long that request itself took.
    pub post: Summary,
}

/// What the agents and the one who measures tell each other.
#[derive(Debug)]
struct Board {
    claimed: RefCell<Vec<Instant>>,
    news: Notify,
    renewals: Cell<u64>,
    refused: Cell<u64>,
    completed: Cell<u64>,
    /// Changes when everything that appeared is claimed: then the agents complete.
    all_claimed: watch::Sender<u64>,
}

/// Measures.
///
/// # Errors
/// When something cannot be measured.
pub async fn measure(ground: &Ground, machine: &mut Machine) -> Result<(IdleReport, Vec<Finding>)> {
    let stage = ground.stage(Some(STATEMENTS)).await?;
    machine.look_at(&stage).await?;
    let sizes = &ground.settings.idle_agents;
    let most = sizes.iter().copied().max().unwrap_or_default();
    let kind = Kind { name: "idle", capability: None, max_concurrent: 1 };
    let registered = fleet::register(ground, &stage, kind, most as usize).await?;
    let mut counter = match stage.database {
        Some(_) => Some(Counter::open(&stage).await?),
        None => None,
    };
    stage.tidy().await?;
    tokio::time::sleep(SETTLE).await;
    let memory_before = stage.server_pid().and_then(process::memory);
    let board = Rc::new(Board {
        claimed: RefCell::default(),
        news: Notify::new(),
        renewals: Cell::new(0),
        refused: Cell::new(0),
        completed: Cell::new(0),
        all_claimed: watch::Sender::new(0),
    });
    let chance = Entropy::seeded(SEED);
    let mut waiting: JoinSet<Result<()>> = JoinSet::new();
    let mut fleets = Vec::new();
    for &size in sizes {
        let newcomers = registered.get(waiting.len()..size as usize).unwrap_or_default();
        for agent in fleet::connect(ground, newcomers).await? {
            let first = 1 + (chance.jitter() * f64::from(WAIT_SECONDS - 1)) as u32;
            waiting.spawn_local(wait(agent, first, Rc::clone(&board)));
        }
        tracing::info!(agents = size, "waiting");
        tokio::select! {
            fleet = look(ground, &stage, size, memory_before, counter.as_mut(), &board) => fleets.push(fleet?),
            Some(ended) = waiting.join_next() => {
                ended.map_err(|_| BenchError::Impossible("an agent panicked".into()))??;
            }
        }
    }
    waiting.shutdown().await;
    let report =
        IdleReport { memory_before, counted: counter.map(|counter| counter.counted), fleets };
    stage.stop().await?;
    let results = report.results();
    Ok((report, results))
}

/// The life of one agent.
async fn wait(mut agent: Agent, first: u32, board: Rc<Board>) -> Result<()> {
    let mut terms = ClaimTerms { max: 1, wait_seconds: first, lease_seconds: 60 };
    let mut all_claimed = board.all_claimed.subscribe();
    loop {
        let answer = agent.claim(terms).await?;
        terms.wait_seconds = WAIT_SECONDS;
        if !answer.status.is_success() {
            board.refused.set(board.refused.get() + 1);
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        }
        let Some(lease) = api::claimed(&answer)?.pop() else {
            board.renewals.set(board.renewals.get() + 1);
            continue;
        };
        all_claimed.mark_unchanged();
        board.claimed.borrow_mut().push(Instant::now());
        board.news.notify_one();
        // Its end must not disturb those that are still to be claimed.
        let _ = all_claimed.changed().await;
        agent.say(&lease, "complete", lease.complete()).await?;
        board.completed.set(board.completed.get() + 1);
        board.news.notify_one();
    }
}

async fn look(
    ground: &Ground,
    stage: &Stage,
    agents: u32,
    before: Option<Memory>,
    counter: Option<&mut Counter>,
    board: &Board,
) -> Result<Fleet> {
    tokio::time::sleep(SETTLE).await;
    let renewals = board.renewals.get();
    let began = Instant::now();
    let statements_per_second = count(counter, ground.settings.idle_seconds).await?;
    let renewals_per_second =
        (board.renewals.get() - renewals) as f64 / began.elapsed().as_secs_f64();
    let memory = stage.server_pid().and_then(process::memory);
    let each = |of: fn(&Memory) -> u64| {
        let grown = of(&memory?) as f64 - of(&before?) as f64;
        Some(grown / f64::from(agents))
    };
    let (created_to_claimed, post) = appear(ground, stage, agents, board).await?;
    tracing::info!(agents, ?statements_per_second, p99_ms = created_to_claimed.p99_ms, "idle");
    Ok(Fleet {
        agents,
        memory,
        rss_kib_per_agent: each(|memory| memory.rss_kib),
        pss_kib_per_agent: each(|memory| memory.pss_kib),
        statements_per_second,
        renewals_per_second,
        refused: board.refused.get(),
        created_to_claimed,
        post,
    })
}

async fn count(counter: Option<&mut Counter>, seconds: u64) -> Result<Option<f64>> {
    let length = Duration::from_secs(seconds);
    let Some(counter) = counter else {
        tokio::time::sleep(length).await;
        return Ok(None);
    };
    let (began, before) = (Instant::now(), counter.count().await?);
    tokio::time::sleep(length).await;
    let asked = counter.count().await? - before;
    Ok(Some(asked as f64 / began.elapsed().as_secs_f64()))
}

/// Posts tasks, several times, and waits until they are claimed.
async fn appear(
    ground: &Ground,
    stage: &Stage,
    agents: u32,
    board: &Board,
) -> Result<(Summary, Summary)> {
    let tasks = TASKS.min(agents as usize);
    let goal = supply::goal(&ground.run, None, tasks, Needs::Nothing).to_string();
    let mut connection = Connection::open(&stage.target, &stage.key).await?;
    let (mut latencies, mut posts) = (Latencies::default(), Latencies::default());
    for _ in 0..TIMES {
        board.claimed.borrow_mut().clear();
        board.completed.set(0);
        let sent = Instant::now();
        connection.post("/v1/goals", goal.clone()).await?.accepted("POST /v1/goals")?;
        posts.record_since(sent);
        until(board, "claimed", || board.claimed.borrow().len() >= tasks).await?;
        for claimed in board.claimed.borrow().iter() {
            latencies.record(*claimed - sent);
        }
        board.all_claimed.send_modify(|times| *times += 1);
        until(board, "completed", || board.completed.get() >= tasks as u64).await?;
        // The agents that worked wait again.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok((latencies.summary(), posts.summary()))
}

async fn until(board: &Board, what: &str, reached: impl Fn() -> bool) -> Result<()> {
    let waiting = async {
        while !reached() {
            board.news.notified().await;
        }
    };
    tokio::time::timeout(CLAIMED_WITHIN, waiting).await.map_err(|_| {
        let seconds = CLAIMED_WITHIN.as_secs();
        BenchError::Impossible(format!("idle: not all tasks were {what} within {seconds} s"))
    })
}

impl IdleReport {
    fn results(&self) -> Vec<Finding> {
        let mut results = Vec::new();
        let unit = match self.counted {
            Some(Counted::Transactions) => "transactions/s",
            Some(Counted::Statements) | None => "statements/s",
        };
        for fleet in &self.fleets {
            let agents = fleet.agents;
            let name = |what: &str| format!("idle_{agents}_{what}");
            if let Some(kib) = fleet.rss_kib_per_agent {
                let what = format!("memory of the service per waiting agent, {agents} agents");
                results.push(Finding::one(&name("kib"), what, kib, "KiB"));
            }
            if let Some(rate) = fleet.statements_per_second {
                let what = format!("asked of the database by {agents} waiting agents in all");
                results.push(Finding::one(&name("statements"), what, rate, unit));
            }
            let what = format!("p99 from create to claimed, {agents} agents");
            let p99 = fleet.created_to_claimed.p99_ms;
            results.push(Finding::one(&name("claimed_p99"), what, p99, "ms"));
        }
        results
    }

    /// As tables.
    #[must_use]
    pub fn grids(&self) -> Vec<Grid> {
        let cell = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), figure);
        let row = |fleet: &Fleet| {
            vec![
                fleet.agents.to_string(),
                cell(fleet.rss_kib_per_agent),
                cell(fleet.pss_kib_per_agent),
                cell(fleet.statements_per_second),
                figure(fleet.renewals_per_second),
                figure(fleet.created_to_claimed.p50_ms),
                figure(fleet.created_to_claimed.p99_ms),
                figure(fleet.post.p50_ms),
                fleet.refused.to_string(),
            ]
        };
        let counted = match self.counted {
            Some(Counted::Statements) => "statements by pg_stat_statements",
            Some(Counted::Transactions) => "no pg_stat_statements here, so transactions",
            None => "the database is not known",
        };
        vec![Grid {
            title: format!(
                "Idle: agents that wait ({counted}); {TASKS} tasks appear, {TIMES} times"
            ),
            header: vec![
                "agents",
                "RSS KiB each",
                "PSS KiB each",
                "asked/s",
                "renewed/s",
                "claimed p50 ms",
                "p99 ms",
                "post p50 ms",
                "refused",
            ],
            rows: self.fleets.iter().map(row).collect(),
        }]
    }
}
