//! `idle`: agents that wait for work.
//!
//! Each holds a connection and a claim that waits for a minute and is renewed. The first wait of each
//! has a random length, which spreads the renewals over the minute as in a real fleet. Statements are
//! counted over a whole minute, renewals included. Then a goal of 100 tasks is posted, several times;
//! the latency of each task counts from the start of that request to the answer of its claim.

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
    process::{self, Memory},
    report::{Figures, Report},
    settings::Scenario,
    stage::{STATEMENTS, Setup, Stage},
    statements::{Counted, Counter},
    statistics::{Latencies, Summary},
    supply::{self, Needs},
    table::{Finding, Grid, figure},
};
use crate::entropy::Entropy;

/// The longest wait of a claim.
const WAIT_SECONDS: u32 = 60;
/// Tasks of each posted goal.
const TASKS: usize = 100;
/// Number of posted goals.
const TIMES: usize = 5;
/// Longest time until all tasks are claimed.
const CLAIMED_WITHIN: Duration = Duration::from_secs(30);
/// Pause before the memory of the service is read.
const SETTLE: Duration = Duration::from_secs(5);
/// Seed of the lengths of the first waits.
const SEED: u64 = 21;

/// The figures of `idle`.
#[derive(Debug, Clone, Serialize)]
pub struct IdleReport {
    /// Memory of the service before the first agent connected.
    pub memory_before: Option<Memory>,
    /// The unit of the count at the database.
    pub counted: Option<Counted>,
    /// By number of agents.
    pub fleets: Vec<Fleet>,
}

/// The cost of waiting agents and the latency of their claims.
#[derive(Debug, Clone, Serialize)]
pub struct Fleet {
    /// Number of waiting agents.
    pub agents: u32,
    /// Memory of the service with them.
    pub memory: Option<Memory>,
    /// Resident memory per agent, in KiB.
    pub rss_kib_per_agent: Option<f64>,
    /// Proportional memory per agent, in KiB.
    pub pss_kib_per_agent: Option<f64>,
    /// Statements (or transactions) per second at the database, of all agents together.
    pub statements_per_second: Option<f64>,
    /// Renewed claims per second during the count.
    pub renewals_per_second: f64,
    /// Refused requests.
    pub refused: u64,
    /// From the start of the request that posts the tasks to the answer of each claim.
    pub created_to_claimed: Summary,
    /// Duration of that request.
    pub post: Summary,
}

/// The state shared by the agents and the measurement.
#[derive(Debug, Default)]
struct Board {
    claimed: RefCell<Vec<Instant>>,
    news: Notify,
    renewals: Cell<u64>,
    refused: Cell<u64>,
    completed: Cell<usize>,
    /// Changes when all posted tasks are claimed, on which the agents complete them.
    all_claimed: watch::Sender<u64>,
}

/// Measures `idle`.
pub async fn measure(setup: &Setup, report: &mut Report) -> Result<()> {
    let stage = setup.stage(Some(STATEMENTS)).await?;
    report.machine.look_at(&stage).await?;
    let sizes = &setup.settings.idle_agents;
    let most = sizes.iter().copied().max().unwrap_or_default();
    let kind = Kind { name: "idle", capability: None, max_concurrent: 1 };
    let registered = fleet::register(setup, &stage, kind, most as usize).await?;
    let mut counter = match stage.database {
        Some(_) => Some(Counter::open(&stage).await?),
        None => None,
    };
    stage.tidy().await?;
    tokio::time::sleep(SETTLE).await;
    let memory_before = stage.server_pid().and_then(process::memory);
    let board = Rc::new(Board::default());
    let chance = Entropy::seeded(SEED);
    let mut waiting: JoinSet<Result<()>> = JoinSet::new();
    let mut fleets = Vec::new();
    for &size in sizes {
        let newcomers = registered.get(waiting.len()..size as usize).unwrap_or_default();
        for agent in fleet::connect(setup, newcomers).await? {
            let first = 1 + (chance.jitter() * f64::from(WAIT_SECONDS - 1)) as u32;
            waiting.spawn_local(wait(agent, first, Rc::clone(&board)));
        }
        tracing::info!(agents = size, "waiting");
        tokio::select! {
            fleet = look(setup, &stage, size, memory_before, counter.as_mut(), &board) => fleets.push(fleet?),
            Some(ended) = waiting.join_next() => ended.map_err(BenchError::panicked)??,
        }
    }
    waiting.shutdown().await;
    stage.stop().await?;
    let counted = counter.map(|counter| counter.counted);
    report.add(Scenario::Idle, &IdleReport { memory_before, counted, fleets })
}

/// The loop of one agent.
async fn wait(mut agent: Agent, first: u32, board: Rc<Board>) -> Result<()> {
    let mut terms = ClaimTerms { max: 1, wait_seconds: first, lease_seconds: 60 };
    let mut all_claimed = board.all_claimed.subscribe();
    loop {
        let answer = agent.claim(terms).await?;
        terms.wait_seconds = WAIT_SECONDS;
        if !answer.status.is_success() {
            board.refused.update(|refused| refused + 1);
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        }
        let Some(lease) = api::claimed(&answer)?.pop() else {
            board.renewals.update(|renewals| renewals + 1);
            continue;
        };
        all_claimed.mark_unchanged();
        board.claimed.borrow_mut().push(Instant::now());
        board.news.notify_one();
        // A completion must not disturb the claims still to come.
        let _ = all_claimed.changed().await;
        agent.say(&lease, "complete", lease.complete()).await?;
        board.completed.update(|completed| completed + 1);
        board.news.notify_one();
    }
}

async fn look(
    setup: &Setup,
    stage: &Stage,
    agents: u32,
    before: Option<Memory>,
    counter: Option<&mut Counter>,
    board: &Board,
) -> Result<Fleet> {
    tokio::time::sleep(SETTLE).await;
    let renewals = board.renewals.get();
    let began = Instant::now();
    let statements_per_second = count(counter, setup.settings.idle_seconds).await?;
    let renewals_per_second =
        (board.renewals.get() - renewals) as f64 / began.elapsed().as_secs_f64();
    let memory = stage.server_pid().and_then(process::memory);
    let each = |of: fn(&Memory) -> u64| {
        let grown = of(&memory?) as f64 - of(&before?) as f64;
        Some(grown / f64::from(agents))
    };
    let (created_to_claimed, post) = appear(setup, stage, agents, board).await?;
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
    setup: &Setup,
    stage: &Stage,
    agents: u32,
    board: &Board,
) -> Result<(Summary, Summary)> {
    let tasks = TASKS.min(agents as usize);
    let goal = supply::goal(&setup.run, None, tasks, Needs::Nothing);
    let mut connection = Connection::open(&stage.target, &stage.key).await?;
    let (mut latencies, mut posts) = (Latencies::default(), Latencies::default());
    for _ in 0..TIMES {
        board.claimed.borrow_mut().clear();
        board.completed.set(0);
        let sent = Instant::now();
        connection.create("/v1/goals", &goal).await?;
        posts.record_since(sent);
        until(board, "claimed", || board.claimed.borrow().len() >= tasks).await?;
        for claimed in board.claimed.borrow().iter() {
            latencies.record(*claimed - sent);
        }
        board.all_claimed.send_modify(|times| *times += 1);
        until(board, "completed", || board.completed.get() >= tasks).await?;
        // Until the agents wait again.
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

impl Figures for IdleReport {
    fn results(&self) -> Vec<Finding> {
        let unit = match self.counted {
            Some(Counted::Transactions) => "transactions/s",
            Some(Counted::Statements) | None => "statements/s",
        };
        let of = |fleet: &Fleet| {
            let agents = fleet.agents;
            let one = |name, what: &str, value, unit| {
                let name = format!("idle_{agents}_{name}");
                Finding::one(&name, format!("{what}, {agents} waiting agents"), value, unit)
            };
            let memory = "memory of the service per agent";
            let p99 = fleet.created_to_claimed.p99_ms;
            [
                fleet.rss_kib_per_agent.map(|kib| one("kib", memory, kib, "KiB")),
                fleet
                    .statements_per_second
                    .map(|rate| one("statements", "load of the database", rate, unit)),
                Some(one("claimed_p99", "p99 from post to claim", p99, "ms")),
            ]
        };
        self.fleets.iter().flat_map(of).flatten().collect()
    }

    fn grids(&self) -> Vec<Grid> {
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
            Some(Counted::Statements) => "statements of pg_stat_statements",
            Some(Counted::Transactions) => "transactions, without pg_stat_statements",
            None => "the database is not known",
        };
        let (claimed, posted) = ("claimed p50 ms", "post p50 ms");
        let (rss, pss) = ("RSS KiB each", "PSS KiB each");
        let header =
            ["agents", rss, pss, "asked/s", "renewed/s", claimed, "p99 ms", posted, "refused"];
        let title =
            format!("Idle: waiting agents ({counted}); {TASKS} tasks are posted, {TIMES} times");
        vec![Grid::new(title, header, self.fleets.iter().map(row))]
    }
}
