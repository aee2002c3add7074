//! The reference: a good queue written by hand on the same PostgreSQL.
//!
//! One table, a partial index on the ready rows, `for update skip locked`, one transaction per claim
//! and one per completion, each a single prepared statement on its own connection. No HTTP, no JSON,
//! no keys, no journal, no spend. It has every advantage possible without batching: the best number of
//! connections, found by trial; fresh statistics and no dead rows before every round; the shortest
//! rows of a working queue. It runs on the server of the service, with the same settings, so
//! acknowledged work is on disk.
//!
//! Its SQL is here and not in the store, because the store is compared with it.

use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};

use super::{
    error::{BenchError, Result},
    load::Window,
    settings::BenchSettings,
    stage::Stage,
    statistics::Spread,
    together::together,
};

/// Its own database.
const DATABASE: &str = "muster_bench_reference";
/// Tried numbers of connections.
const CONNECTIONS: [usize; 6] = [4, 8, 16, 32, 64, 128];
/// Length of a trial, after a lead-in of a quarter.
const TRIAL: Duration = Duration::from_secs(2);
/// Assumed throughput of the first trial, per second.
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

/// The figures of the reference.
#[derive(Debug, Clone, Serialize)]
pub struct ReferenceReport {
    /// The best number of connections.
    pub connections: usize,
    /// Throughput by number of connections.
    pub trials: Vec<Trial>,
    /// Throughput of the rounds.
    pub cycles_per_second: Spread,
}

/// The trial of one number of connections.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Trial {
    /// The number of connections.
    pub connections: usize,
    /// Its throughput.
    pub cycles_per_second: f64,
}

/// The queue and its rounds.
#[derive(Debug)]
pub struct Reference {
    options: PgConnectOptions,
    connections: usize,
    trials: Vec<Trial>,
    ready: u64,
    best: f64,
    /// Cycles per second of each round.
    pub rounds: Vec<f64>,
}

impl Reference {
    /// Makes the table and finds the best number of connections.
    pub async fn prepare(stage: &Stage) -> Result<Self> {
        let options = stage.beside(DATABASE).await?.application_name("muster bench reference");
        let mut admin = PgConnection::connect_with(&options).await?;
        sqlx::raw_sql(SCHEMA).execute(&mut admin).await?;
        let (trials, rounds) = (Vec::new(), Vec::new());
        let mut reference =
            Self { options, connections: 1, trials, ready: 0, best: FIRST_RATE, rounds };
        for connections in CONNECTIONS {
            reference.connections = connections;
            let cycles_per_second = reference.run(TRIAL / 4, TRIAL).await?;
            tracing::info!(connections, cycles_per_second, "reference tried");
            reference.trials.push(Trial { connections, cycles_per_second });
        }
        let by_rate =
            |one: &&Trial, two: &&Trial| one.cycles_per_second.total_cmp(&two.cycles_per_second);
        let best = reference.trials.iter().max_by(by_rate);
        reference.connections = best.map_or(1, |best| best.connections);
        Ok(reference)
    }

    /// One counted round.
    ///
    /// # Errors
    /// The prepared rows ran out: such a round would flatter the service.
    pub async fn round(&mut self, settings: &BenchSettings) -> Result<()> {
        let rate = self.run(settings.lead_in(), settings.round()).await?;
        tracing::info!(rate, "reference");
        self.rounds.push(rate);
        Ok(())
    }

    async fn run(&mut self, lead_in: Duration, length: Duration) -> Result<f64> {
        self.fill((lead_in + length).as_secs_f64()).await?;
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            connections.push(PgConnection::connect_with(&self.options).await?);
        }
        let window = Window::now(lead_in, length);
        let workers = (0..).zip(connections).map(|(number, of)| work(of, number, window));
        let (mut claimed, mut done) = (0, 0);
        for (its_claimed, its_done) in together(workers).await? {
            claimed += its_claimed;
            done += its_done;
        }
        self.ready = self.ready.saturating_sub(claimed);
        let rate = window.per_second(done);
        self.best = self.best.max(rate);
        Ok(rate)
    }

    /// Prepares more rows than a round can use, and analyses the table.
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

    /// The figures.
    pub fn report(self) -> ReferenceReport {
        let Self { connections, trials, rounds, .. } = self;
        ReferenceReport { connections, trials, cycles_per_second: Spread::of(rounds) }
    }
}

/// One worker. Returns its claims, and its completions within the window.
async fn work(mut connection: PgConnection, number: i32, window: Window) -> Result<(u64, u64)> {
    let (mut claimed, mut done) = (0, 0);
    while Instant::now() < window.until {
        let claim = sqlx::query_as::<_, (i64, i32, String)>(CLAIM).bind(number);
        let Some((id, attempt, _payload)) = claim.fetch_optional(&mut connection).await? else {
            return Err(BenchError::Impossible("the reference ran out of work".into()));
        };
        claimed += 1;
        let complete = sqlx::query(COMPLETE).bind(id).bind(attempt);
        let changed = complete.execute(&mut connection).await?.rows_affected();
        if changed == 1 && window.holds(Instant::now()) {
            done += 1;
        }
    }
    connection.close().await?;
    Ok((claimed, done))
}
