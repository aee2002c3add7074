//! What runs out of time while nobody serves is over as soon as somebody does, and the asker hears of it.

use serde_json::{Value, json};

use super::{policy, told};
use crate::{
    promises::faults::server::{Server, Settings},
    support::{
        client::Client,
        fleet::{Fleet, text},
        invariants::verify,
        process::PATIENCE,
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_expires_while_the_server_is_down_reaches_the_asker() {
    let fleet = Fleet::on_time().await;
    let agent = fleet.worker().await;
    policy(&fleet, json!({"expires_after_seconds": 1, "on_expiry": "reject"})).await;
    let goal = fleet.lone_task(json!({})).await;
    let mut server = Server::start(Settings {
        database_url: fleet.database.url(),
        listen: "127.0.0.1:0".to_owned(),
        bootstrap_key: fleet.admin_key.clone(),
        more: Vec::new(),
    })
    .await;
    let asked = agent.ask(&agent.take().await, "action").await;
    let kill = async {
        server.kill();
        // By its own clock, the time is over before anybody serves again.
        let over = "select clock_timestamp() > max(expires_at) from approvals";
        let mut passed = false;
        while !passed {
            passed = sqlx::query_scalar(over).fetch_one(&fleet.pool).await.unwrap();
            tokio::task::yield_now().await;
        }
        server.restart().await;
    };
    tokio::time::timeout(PATIENCE, kill).await.expect("the time does not pass");
    let at = Client::at(format!("http://{}", server.address())).with_key(&agent.key);
    let path = format!("/v1/approvals/{}?wait_seconds=30", text(&asked["id"]));
    let heard: Value = tokio::time::timeout(PATIENCE, at.get(path)).await.unwrap().value(200);
    assert_eq!((&heard["state"], &heard["verdict"]), (&json!("expired"), &Value::Null));
    assert_eq!(told(&fleet, &asked).await, ["approval.requested", "approval.expired"]);
    fleet.expect_states(&goal, "a:ready").await;
    verify(&fleet.pool).await;
}
