//! Servers that are asked to stop under load: they say so, finish what they began, and nobody who
//! asks again notices.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use rand::RngExt as _;
use rustix::process::Signal;
use serde_json::json;

use super::{
    load::{Ground, Load, register},
    rounds,
    server::Server,
};
use crate::support::process::PATIENCE;

const TIMEOUT: Duration = Duration::from_secs(20);
const WORKERS: usize = 12;
/// Far below the time that a drain may take at most.
const SOON: Duration = Duration::from_secs(25);

async fn status(address: &str, path: &str) -> Option<u16> {
    let answer = reqwest::get(format!("http://{address}{path}")).await.ok()?;
    Some(answer.status().as_u16())
}

/// Returns when `/readyz` answers this, and nothing but `before` until then.
async fn until_ready_is(address: &str, before: u16, want: u16) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = status(address, "/readyz").await;
        if found == Some(want) {
            return;
        }
        assert_eq!(found, Some(before), "the answer to /readyz");
        assert!(Instant::now() < deadline, "/readyz never answers {want}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_says_so_and_finishes_what_was_begun() {
    let mut ground = Ground::shared().await;
    let mut settings = ground.server(ground.url());
    settings.more = vec![("MUSTER_NOTICE_SECONDS", "5".to_owned())];
    let server = Server::start(settings).await;
    let address = server.address().to_owned();
    let mut load = Load::start(&mut ground, std::slice::from_ref(&address), WORKERS, TIMEOUT).await;
    until_ready_is(&address, 503, 200).await;
    load.answers(100).await;

    // Somebody waits for a minute for something that it can do.
    let idle = register(&load.admin, "idle", &[], TIMEOUT).await;
    let body = json!({"max": 1, "wait_seconds": 60});
    let waits = reqwest::Client::new()
        .post(format!("http://{address}/v1/claims"))
        .bearer_auth(idle.key())
        .json(&body);
    let waits = tokio::spawn(waits.send());
    // Somebody is connected and says nothing.
    let silent = tokio::net::TcpStream::connect(&address).await.unwrap();
    load.answers(20).await;

    let asked = Instant::now();
    server.signal(Signal::TERM);
    until_ready_is(&address, 200, 503).await;
    assert_eq!(status(&address, "/livez").await, Some(200));
    // And goes on answering until the notice is over.
    load.answers(3).await;
    let (settings, ended) = server.ended().await;
    assert!(ended.success(), "{ended}");
    assert!(asked.elapsed() < SOON, "it took {:?}", asked.elapsed());
    let answer = waits.await.unwrap().expect("who waits is answered");
    assert_eq!(answer.status().as_u16(), 204, "to who waits");
    drop(silent);

    let _server = Server::start(settings).await;
    load.finish().await;
}

/// Of two servers one after the other is stopped and started again, over and over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_is_not_noticed() {
    let mut ground = Ground::shared().await;
    let mut servers = Vec::new();
    for _ in 0..2 {
        servers.push(Server::start(ground.server(ground.url())).await);
    }
    let addresses: Vec<String> = servers.iter().map(|s| s.address().to_owned()).collect();
    let mut load = Load::start(&mut ground, &addresses, WORKERS, TIMEOUT).await;
    for _ in 0..rounds(6) {
        load.answers(ground.random.random_range(20..100)).await;
        let server = servers.remove(0);
        server.signal(Signal::TERM);
        let (settings, ended) = server.ended().await;
        assert!(ended.success(), "{ended}");
        servers.push(Server::start(settings).await);
    }
    let noticed = load.admin.noticed.clone();
    let (history, stored) = load.finish().await;
    assert_eq!(noticed.load(Ordering::Relaxed), 0, "answers came too late or only in part");
    let told = history.given();
    let lost: Vec<_> =
        stored.attempts.keys().filter(|id| !told.contains_key(id.as_str())).collect();
    assert!(lost.is_empty(), "claims whose answers got lost: {lost:?}");
}
