//! The reference: what a good queue written by hand does on the same PostgreSQL.
//!
//! One table, a partial index on what is ready, `for update skip locked`, one claim per transaction
//! and one completion per transaction, each a single prepared statement on a connection of its own.
//! No HTTP, no JSON, no keys, no events, no spend. It gets every advantage that it can have without
//! batching: as many connections as serve it best, which is tried out first; fresh statistics and
//! no dead rows before every round; the shortest rows that still are a queue. It is measured on the
//! server that the service uses, with the same settings, so what is acknowledged is on the disk.
//!
//! Its SQL is here and not in the store, because it is what the store is compared with.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use serde::Serialize;
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::task::JoinSet;

use super::{
    error::{BenchError, Result},
    load::Window,
    stage::Stage,
    statistics::Spread,
};

/// The database that it has for itself.
const DATABASE: &str = "muster_bench_reference";
/// How many connections are tried.
const CONNECTIONS: [usize; 6] = [4, 8, 16, 32, 64, 128];
/// How long each is tried, after a lead-in of a quarter.
const TRIAL: Duration = Duration::from_secs(2);
/// What is prepared for the first trial, per second.
const FIRST_RATE: f64 = 8_000.0;

const SCHEMA: &str = "
    drop table if exists jobs;
    create table jobs (
        id         bigint generated always as identity primary key,
        state      text        not null default 'ready',
        priority   smallint    not null default 5,
        payload    jsonb       not null,
        attempt    integer     not null default 0,
        worker     integer,
        started_at timestamptz,
        ended_at   timestamptz,
        result     jsonb
    ) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
    create index jobs_ready on jobs (priority desc, id) where state = 'ready';
";

const FILL: &str = "
    insert into jobs (payload)
    select jsonb_build_object('title', 'Task ' || n, 'description',
        'Read what is there, change what has to be changed, run the tests.')
    from generate_series(1, $1) n
";

const CLAIM: &str = "
    update jobs set state = 'running', attempt = attempt + 1, worker = $1, started_at = now()
    where id = (
        select id from jobs where state = 'ready' order by priority desc, id limit 1
        for update skip locked
    ) returning id, attempt, payload::text
";

const COMPLETE: &str = "
    update jobs set state = 'done', ended_at = now(), result = '{\"summary\": \"done\"}'
    where id = $1 and attempt = $2 and state = 'running'
";

/// What it came to.
#[derive(Debug, Clone, Serialize)]
pub struct ReferenceReport {
    /// The number of connections that served it best.
    pub connections: usize,
    /// Cycles per second by number of connections, as tried.
    pub trials: Vec<Trial>,
    /// Cycles per second of the rounds.
    pub cycles_per_second: Spread,
}

/// One number of connections, tried.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Trial {
    /// The connections.
    pub connections: usize,
    /// What they did.
    pub cycles_per_second: f64,
}

/// The queue.
#[derive(Debug)]
pub struct Reference {
    options: PgConnectOptions,
    connections: usize,
    trials: Vec<Trial>,
    ready: u64,
    best: f64,
    rounds: Vec<f64>,
}

impl Reference {
    /// Makes the table and finds out how many connections serve it best.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prepare(stage: &Stage) -> Result<Self> {
        let options = stage.beside(DATABASE).await?.application_name("muster bench reference");
        let mut admin = PgConnection::connect_with(&options).await?;
        sqlx::raw_sql(SCHEMA).execute(&mut admin).await?;
        let mut reference = Self {
            options,
            connections: 1,
            trials: Vec::new(),
            ready: 0,
            best: FIRST_RATE,
            rounds: Vec::new(),
        };
        for connections in CONNECTIONS {
            reference.connections = connections;
            let cycles_per_second = reference.run(TRIAL / 4, TRIAL).await?;
            tracing::info!(connections, cycles_per_second, "reference tried");
            reference.trials.push(Trial { connections, cycles_per_second });
        }
        let best = reference
            .trials
            .iter()
            .max_by(|one, two| one.cycles_per_second.total_cmp(&two.cycles_per_second));
        reference.connections = best.map_or(1, |best| best.connections);
        Ok(reference)
    }

    /// One round that counts; returns its cycles per second.
    ///
    /// # Errors
    /// When the database fails, or there was not enough prepared.
    pub async fn round(&mut self, lead_in: Duration, length: Duration) -> Result<f64> {
        let rate = self.run(lead_in, length).await?;
        self.rounds.push(rate);
        Ok(rate)
    }

    async fn run(&mut self, lead_in: Duration, length: Duration) -> Result<f64> {
        self.fill((lead_in + length).as_secs_f64()).await?;
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            connections.push(PgConnection::connect_with(&self.options).await?);
        }
        let window = Window::now(lead_in, length);
        let (done, claimed) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let mut workers = JoinSet::new();
        for (number, connection) in connections.into_iter().enumerate() {
            let (done, claimed) = (Rc::clone(&done), Rc::clone(&claimed));
            workers.spawn_local(work(connection, number as i32, window, done, claimed));
        }
        while let Some(ended) = workers.join_next().await {
            ended.map_err(|_| BenchError::Impossible("a worker panicked".into()))??;
        }
        self.ready = self.ready.saturating_sub(claimed.get());
        let rate = window.per_second(done.get());
        self.best = self.best.max(rate);
        Ok(rate)
    }

    /// Makes sure that there is more work than can be done, and that the server knows its tables.
    async fn fill(&mut self, seconds: f64) -> Result<()> {
        let wanted = (self.best * 2.0 * seconds) as u64;
        let missing = wanted.saturating_sub(self.ready);
        self.ready += missing;
        let missing = i64::try_from(missing).unwrap_or(i64::MAX);
        let mut admin = PgConnection::connect_with(&self.options).await?;
        sqlx::query(FILL).bind(missing).execute(&mut admin).await?;
        sqlx::raw_sql("vacuum analyze jobs").execute(&mut admin).await?;
        Ok(admin.close().await?)
    }

    /// What the rounds came to.
    #[must_use]
    pub fn report(self) -> ReferenceReport {
        ReferenceReport {
            connections: self.connections,
            trials: self.trials,
            cycles_per_second: Spread::of(self.rounds),
        }
    }
}

/// One worker. It says so when the work runs out: such a round would flatter the service.
async fn work(
    mut connection: PgConnection,
    number: i32,
    window: Window,
    done: Rc<Cell<u64>>,
    claimed: Rc<Cell<u64>>,
) -> Result<()> {
    while Instant::now() < window.until {
        let claim = sqlx::query_as::<_, (i64, i32, String)>(CLAIM).bind(number);
        let Some((id, attempt, _payload)) = claim.fetch_optional(&mut connection).await? else {
            return Err(BenchError::Impossible("the reference ran out of work".into()));
        };
        claimed.set(claimed.get() + 1);
        let complete = sqlx::query(COMPLETE).bind(id).bind(attempt);
        let changed = complete.execute(&mut connection).await?.rows_affected();
        if changed == 1 && window.holds(Instant::now()) {
            done.set(done.get() + 1);
        }
    }
    Ok(connection.close().await?)
}
