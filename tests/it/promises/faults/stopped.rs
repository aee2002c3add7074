//! A worker that is stopped past its lease and continued: it is told, and changes nothing.

use std::{path::Path, sync::Arc, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::sync::watch;

use super::{
    client::Client,
    history::Recorder,
    load::{Ground, agent, all_ended, post},
    server::Server,
    worker::{self, Wish},
};
use crate::support::{
    invariants::verify,
    process::{Helper, say, this_binary, wait_until},
    scratch_dir,
};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Where the stopped worker works: address, key, attempt and lease; and the file that lets it write
/// again.
const WORKPLACE: &str = "MUSTER_TEST_STOPPED_WORKER";

/// The worker that is stopped; does nothing in an ordinary run. When it is continued it goes on as
/// if nothing had happened.
#[test]
fn helper() {
    let Some(place) = std::env::var_os(WORKPLACE) else { return };
    let place = place.to_str().unwrap().to_owned();
    let [address, key, attempt, lease, go_on] =
        place.split(' ').collect::<Vec<_>>().try_into().expect("five words");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let http = reqwest::Client::new();
    let write = |verb: &str, more: serde_json::Value| {
        let mut body = more;
        body["lease"] = json!(lease);
        let url = format!("http://{address}/v1/attempts/{attempt}/{verb}");
        let request = http.post(url).bearer_auth(key).json(&body);
        let answer = runtime.block_on(async {
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let body: serde_json::Value = answer.json().await.unwrap();
            format!("{status} {} {}", body["code"], body["late"])
        });
        say(&answer);
    };
    write("heartbeat", json!({"checkpoint": 1}));
    // Stopped here: a request that was on its way already might be answered from before the stop.
    wait_until("it may go on", || Path::new(go_on).exists());
    write("heartbeat", json!({"checkpoint": 2}));
    write("spend", json!({"entries": [{"key": "late", "amounts": {"credits": 5}}]}));
    write("complete", json!({"result": 2}));
    write("fail", json!({"class": "transient"}));
    write("release", json!({}));
}

fn is_stopped(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
}

fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

async fn a_stopped_worker_is_refused(completed_meanwhile: bool) {
    let ground = Ground::shared().await;
    let server = Server::start(ground.server(ground.url())).await;
    let addresses = [server.address().to_owned()];
    let recorder = Arc::new(Recorder::default());
    let answered = Arc::new(watch::channel(0).0);
    let admin = Client::new(&addresses, &ground.key, TIMEOUT, Arc::clone(&recorder), answered);
    let task = json!({"title": "goal", "tasks": [{"ref": "a", "title": "t"}]});
    post(&admin, "goal", &task).await;
    let slow = agent(&admin, "slow", TIMEOUT).await;
    let other = agent(&admin, "other", TIMEOUT).await;

    let wish = Wish { lease_seconds: 3, ..Wish::one() };
    let lost = worker::claim(&slow, wish).await.pop().unwrap();
    let mut command = this_binary("promises::faults::stopped::helper");
    let dir = scratch_dir();
    let go_on = dir.path().join("go-on");
    let place = [&addresses[0], slow.key(), &lost.given.attempt, &lost.lease].join(" ");
    let place = format!("{place} {}", go_on.display());
    command.env(WORKPLACE, place);
    let mut helper = Helper::start(command);
    assert_eq!(helper.hear().unwrap(), "200 null null");
    let pid = helper.pid();
    send(pid, Signal::STOP);
    wait_until("the worker stands still", || is_stopped(pid));

    let wish = Wish { wait_seconds: 30, lease_seconds: 60, ..Wish::one() };
    let held = worker::claim(&other, wish).await.pop().expect("nobody is given the task");
    assert_eq!((held.given.number, &held.given.task), (2, &lost.given.task));
    if completed_meanwhile {
        assert!(worker::complete(&other, &held, 7).await);
    }
    std::fs::write(&go_on, "").unwrap();
    send(pid, Signal::CONT);
    let refused = "409 \"lease_lost\" null";
    assert_eq!(helper.hear().unwrap(), refused, "a heartbeat");
    assert_eq!(helper.hear().unwrap(), "200 null true", "spend is late, and never refused");
    for write in ["complete", "fail", "release"] {
        assert_eq!(helper.hear().unwrap(), refused, "{write}");
    }
    if !completed_meanwhile {
        assert!(worker::complete(&other, &held, 7).await);
    }
    all_ended(&ground.pool).await;
    let (result, checkpoint): (i64, i64) = sqlx::query_as(
        "select (select r.result::bigint from tasks t
                 join attempt_results r on r.attempt_id = t.current_attempt_id),
                (select checkpoint::bigint from attempt_progress)",
    )
    .fetch_one(&ground.pool)
    .await
    .unwrap();
    assert_eq!((result, checkpoint), (7, 1));
    verify(&ground.pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_stopped_past_its_lease_is_refused_while_another_works() {
    a_stopped_worker_is_refused(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_stopped_past_its_lease_is_refused_when_another_has_finished() {
    a_stopped_worker_is_refused(true).await;
}
