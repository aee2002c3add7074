//! The database that fails: sessions that are ended, a server that is restarted at once, and a
//! network in between that is slow, cuts and goes silent.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{
    load::{Ground, Load},
    relay::{Relay, Side, Statements, Then, Trap},
    rounds,
    server::Server,
};
use crate::support::scratch_dir;
use muster::embedded::{EmbeddedOptions, EmbeddedPostgres};
use rand::{RngExt as _, rngs::StdRng};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::PgPool;

const TIMEOUT: Duration = Duration::from_secs(10);
const WORKERS: usize = 12;
/// What is common happens within this time.
const SOON: Duration = Duration::from_secs(3);

/// Ends every session of the server; returns how many there were.
async fn terminate(pool: &PgPool) -> usize {
    let ended: Vec<bool> = sqlx::query_scalar(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()
           and application_name = 'muster'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    ended.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_ended_are_made_up_for() {
    let mut ground = Ground::shared().await;
    let server = Server::start(ground.server(ground.url())).await;
    let addresses = [server.address().to_owned()];
    let mut load = Load::start(&mut ground, &addresses, WORKERS, TIMEOUT).await;
    let mut ended = 0;
    for _ in 0..rounds(10) {
        load.answers(ground.random.random_range(10..60)).await;
        ended += terminate(&ground.pool).await;
    }
    println!("{ended} sessions were ended");
    assert!(ended > 10, "nothing was tested");
    load.finish().await;
}

async fn postgres(data_dir: PathBuf) -> EmbeddedPostgres {
    let mut options = EmbeddedOptions::new(data_dir);
    options.bin_dir = std::env::var_os("MUSTER_PG_BIN").map(PathBuf::from);
    EmbeddedPostgres::start(options).await.unwrap()
}

/// What `pg_ctl stop -m immediate` does: no goodbye, no checkpoint; the next start recovers.
async fn stop_immediately(postgres: EmbeddedPostgres) {
    let pid = Pid::from_raw(postgres.pid().cast_signed()).unwrap();
    kill_process(pid, Signal::QUIT).unwrap();
    postgres.ended().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_restarted_at_once_is_gone_on_with() {
    let dir = scratch_dir();
    let data_dir = dir.path().join("data");
    let mut database = postgres(data_dir.clone()).await;
    database.ensure_database("muster").await.unwrap();
    let mut ground = Ground::on(database.connect_options("muster"));
    let server = Server::start(ground.server(database.url("muster"))).await;
    let addresses = [server.address().to_owned()];
    let mut load = Load::start(&mut ground, &addresses, WORKERS, TIMEOUT).await;
    for _ in 0..rounds(3) {
        load.answers(ground.random.random_range(50..200)).await;
        stop_immediately(database).await;
        database = postgres(data_dir.clone()).await;
    }
    load.answers(100).await;
    load.finish().await;
    drop(server);
    ground.pool.close().await;
    database.stop().await.unwrap();
}

/// A server whose way to the database leads through a relay.
async fn behind_a_relay(
    ground: &mut Ground,
    more: &[(&'static str, &str)],
) -> (Relay, Server, Load) {
    let relay = Relay::to_database(&ground.options).await;
    let mut settings = ground.server(relay.database_url(&ground.options));
    settings.more = more.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let server = Server::start(settings).await;
    let addresses = [server.address().to_owned()];
    let load = Load::start(ground, &addresses, WORKERS, TIMEOUT).await;
    (relay, server, load)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_way_to_the_database_that_breaks_loses_nothing() {
    let mut ground = Ground::shared().await;
    let (relay, _server, mut load) = behind_a_relay(&mut ground, &[]).await;
    let mut cut = 0;
    for _ in 0..rounds(6) {
        relay.delay(Duration::from_millis(ground.random.random_range(1..20)));
        load.answers(ground.random.random_range(10..60)).await;
        cut += relay.cut_all();
    }
    relay.delay(Duration::ZERO);
    println!("{cut} connections were cut");
    assert!(cut > 5, "nothing was tested");
    load.finish().await;
}

/// The statements of some writing transaction that is made again and again under this load.
async fn some_writes(load: &mut Load, relay: &Relay, random: &mut StdRng) -> Statements {
    let mut counts: BTreeMap<Statements, u32> = BTreeMap::new();
    for _ in 0..500 {
        load.answers(20).await;
        let writes = relay.transactions().into_iter().filter(|t| t.committed());
        for write in writes.filter(|t| t.statements.len() > 5) {
            *counts.entry(write.statements).or_default() += 1;
        }
        // What is made half as often as the most common one will come again soon.
        let most = counts.values().copied().max().unwrap_or_default().max(6);
        let often: Vec<&Statements> = counts
            .iter()
            .filter(|(_, count)| **count * 2 >= most)
            .map(|(write, _)| write)
            .collect();
        if !often.is_empty() {
            return often[random.random_range(0..often.len())].clone();
        }
    }
    panic!("no transaction is made often");
}

/// Sets the trap that `trap` makes of the statements of some writing transaction, and returns when
/// it has closed. What a fleet does changes: a trap that is not met soon is set elsewhere.
async fn trap_some_writes(
    load: &mut Load,
    relay: &mut Relay,
    random: &mut StdRng,
    trap: impl Fn(Statements, &mut StdRng) -> Trap,
) {
    for _ in 0..20 {
        let writes = some_writes(load, relay, random).await;
        relay.set(Some(trap(writes, random)));
        if tokio::time::timeout(SOON, relay.sprung()).await.is_ok() {
            return;
        }
    }
    panic!("no trap is ever met");
}

/// The worst moments: before the `COMMIT` of a transaction goes out, and before its answer is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_around_a_commit_loses_nothing() {
    let mut ground = Ground::shared().await;
    let (mut relay, _server, mut load) = behind_a_relay(&mut ground, &[]).await;
    for round in 0..rounds(10) {
        let side = if round % 2 == 0 { Side::Before } else { Side::After };
        let trap = |at, _: &mut StdRng| Trap { at, side, then: Then::Cut };
        trap_some_writes(&mut load, &mut relay, &mut ground.random, trap).await;
    }
    load.finish().await;
}

/// The connections stay open and nothing comes any more, in the middle of a transaction that holds
/// locks, and on all of them at once: the server gives them up by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_silent_is_given_up() {
    let mut ground = Ground::shared().await;
    let patience = [("MUSTER_REQUEST_TIMEOUT_SECONDS", "2")];
    let (mut relay, _server, mut load) = behind_a_relay(&mut ground, &patience).await;
    for _ in 0..rounds(3) {
        let trap = |mut at: Statements, random: &mut StdRng| {
            at.truncate(random.random_range(3..at.len()));
            Trap { at, side: Side::After, then: Then::Swallow }
        };
        trap_some_writes(&mut load, &mut relay, &mut ground.random, trap).await;
    }
    println!("{} connections go silent", relay.swallow_all());
    load.answers(200).await;
    load.finish().await;
}
