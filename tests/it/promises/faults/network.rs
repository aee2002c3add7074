//! The network between the workers and the server: slow, cut, and silent in the middle of it.

use std::time::Duration;

use rand::RngExt as _;

use super::{
    load::{Ground, Load},
    relay::{Language, Relay, Upstream},
    rounds,
    server::Server,
};

const WORKERS: usize = 12;
/// Workers that take a request for lost soon, because here many are.
const TIMEOUT: Duration = Duration::from_secs(3);

async fn behind_a_relay(ground: &mut Ground) -> (Relay, Server, Load) {
    let server = Server::start(ground.server(ground.url())).await;
    let upstream = Upstream::Tcp(server.address().to_owned());
    let relay = Relay::start(upstream, Language::Plain).await;
    let addresses = [relay.address.to_string()];
    let load = Load::start(ground, &addresses, WORKERS, TIMEOUT).await;
    (relay, server, load)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_cut_off_in_the_middle_of_anything_lose_nothing() {
    let mut ground = Ground::shared().await;
    let (relay, _server, mut load) = behind_a_relay(&mut ground).await;
    let mut cut = 0;
    for _ in 0..rounds(8) {
        relay.delay(Duration::from_millis(ground.random.random_range(1..40)));
        load.answers(ground.random.random_range(10..60)).await;
        cut += relay.cut_all();
    }
    println!("{cut} connections were cut");
    assert!(cut > 10, "nothing was tested");
    relay.delay(Duration::ZERO);
    load.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_whose_connections_go_silent_lose_nothing() {
    let mut ground = Ground::shared().await;
    let (relay, _server, mut load) = behind_a_relay(&mut ground).await;
    let mut silent = 0;
    for _ in 0..rounds(3) {
        load.answers(ground.random.random_range(30..100)).await;
        silent += relay.swallow_all();
    }
    println!("{silent} connections went silent");
    assert!(silent > 3, "nothing was tested");
    load.finish().await;
}
