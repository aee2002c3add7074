//! A server that is killed loses nothing that it acknowledged.

use std::time::Duration;

use rand::RngExt as _;

use super::{
    load::{Ground, Load},
    rounds,
    server::Server,
};

const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_at_any_moment_loses_nothing() {
    let mut ground = Ground::shared().await;
    let mut server = Server::start(ground.server(ground.url())).await;
    let addresses = [server.address().to_owned()];
    let mut load = Load::start(&mut ground, &addresses, 12, TIMEOUT).await;
    for _ in 0..rounds(5) {
        load.answers(ground.random.random_range(20..150)).await;
        server.restart().await;
    }
    load.finish().await;
}

/// Two processes on one database. The workers of the one that is killed go to the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_servers_killed_is_made_up_for_by_the_other() {
    let mut ground = Ground::shared().await;
    let mut servers = Vec::new();
    for _ in 0..2 {
        servers.push(Server::start(ground.server(ground.url())).await);
    }
    let addresses: Vec<String> = servers.iter().map(|s| s.address().to_owned()).collect();
    let mut load = Load::start(&mut ground, &addresses, 12, TIMEOUT).await;
    for round in 0..rounds(3) {
        load.answers(ground.random.random_range(20..150)).await;
        let victim = &mut servers[round as usize % 2];
        victim.kill();
        // The other one alone carries everybody.
        load.answers(200).await;
        victim.restart().await;
    }
    load.finish().await;
}
