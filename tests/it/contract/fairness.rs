//! No caller stops the others: each attack at small size, beside an honest caller.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use metrics_exporter_prometheus::PrometheusBuilder;
use muster::{
    app::App,
    domain::cap::{bucket::Quota, pace},
    http::{
        fairness::quotas::Quotas,
        state::{Check, HttpState, Limits, Readiness},
    },
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::support::{
    client::{Answer, Call, Client},
    fleet::Fleet,
    service::Service,
};

const SOON: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Ready;

impl Readiness for Ready {
    fn check(&self) -> Pin<Box<dyn Future<Output = Vec<Check>> + Send + '_>> {
        Box::pin(async { Vec::new() })
    }
}

fn router(app: &App, limits: Limits) -> Router {
    muster::http::router(&HttpState {
        app: Arc::new(app.clone()),
        readiness: Arc::new(Ready),
        metrics: Arc::new(PrometheusBuilder::new().build_recorder().handle()),
        limits: Arc::new(limits),
    })
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(muster::http::serve::serve(listener, router, std::future::pending()));
    address
}

/// A connection on which `head` was sent, and nothing more.
async fn begun(address: SocketAddr, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn status(stream: &mut TcpStream) -> String {
    let mut said = [0; 12];
    let read = stream.read_exact(&mut said);
    tokio::time::timeout(SOON, read).await.expect("an answer").unwrap();
    String::from_utf8_lossy(&said[9..]).into_owned()
}

fn small() -> Limits {
    Limits { in_flight: 8, waiting: 8, body: Duration::from_millis(300), ..Limits::default() }
}

/// Spawns a call and lets it come to rest.
fn waiting(client: &Client, path: &str) -> tokio::task::JoinHandle<Answer> {
    let call = client.get(path);
    tokio::spawn(async move { call.await })
}

/// Sends calls that wait, one after the other, until one is refused a waiting place; the others keep
/// theirs while the set lives.
async fn fill(held: &mut JoinSet<Answer>, call: impl Fn() -> Call) -> Answer {
    let filled = async {
        loop {
            let call = call();
            held.spawn(async move { call.await });
            tokio::task::yield_now().await;
            while let Some(answer) = held.try_join_next() {
                let answer = answer.unwrap();
                // Before the waiting place a call may be refused one of the door's.
                if answer.status == 429 && answer.describe().contains("(`waiting`)") {
                    return answer;
                }
            }
        }
    };
    tokio::time::timeout(SOON, filled).await.expect("a share in time")
}

/// Calls until the answer has this status: what was spawned gets its place at some time.
async fn until(client: &Client, path: &str, wanted: u16) -> Answer {
    let calls = async {
        loop {
            let answer = client.get(path).await;
            if answer.status.as_u16() == wanted {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, calls).await.expect("the status in time")
}

fn head(path: &str, kind: &str, key: &str, length: &str) -> String {
    let key =
        if key.is_empty() { String::new() } else { format!("authorization: Bearer {key}\r\n") };
    format!("POST {path} HTTP/1.1\r\nhost: a\r\n{key}content-type: {kind}\r\n{length}\r\n\r\n")
}

#[tokio::test]
async fn forms_without_a_link_are_answered_before_they_arrive() {
    let service = Service::start().await;
    let address = serve(router(&service.app, small())).await;
    let kind = "application/x-www-form-urlencoded";
    let head = head("/decide/nothing", kind, "", "content-length: 1000");
    // One after the other, all held: more than there are places.
    let mut held = Vec::new();
    for _ in 0..24 {
        let mut stream = begun(address, &head).await;
        assert_eq!(status(&mut stream).await, "404");
        held.push(stream);
    }
}

#[tokio::test]
async fn a_body_without_a_key_is_not_awaited() {
    let service = Service::start().await;
    let address = serve(router(&service.app, small())).await;
    for length in ["content-length: 1000", "transfer-encoding: chunked"] {
        let mut stream = begun(address, &head("/v1/goals", "application/json", "", length)).await;
        assert_eq!(status(&mut stream).await, "401");
    }
}

#[tokio::test]
async fn stalled_bodies_of_one_key_take_no_place_of_others() {
    let service = Service::start().await;
    let other = service.other_workspace().await;
    let limits = Limits { body: Duration::from_secs(3), ..small() };
    let router = router(&service.app, limits);
    let address = serve(router.clone()).await;
    let chunked = "transfer-encoding: chunked";
    let head = head("/v1/heartbeats", "application/json", &service.admin_token, chunked);
    let mut stalled = Vec::new();
    for _ in 0..24 {
        stalled.push(begun(address, &head).await);
    }
    let mut statuses = Vec::new();
    // The share of the key is four of eight; the others are refused at once.
    for stream in stalled.iter_mut().rev().take(20) {
        // A chunk now and then does not help.
        let _ = stream.write_all(b"1\r\n[\r\n").await;
        statuses.push(status(stream).await);
        other.to(router.clone()).get("/v1/whoami").await.expect(200);
        service.admin.to(router.clone()).get("/v1/whoami").await.expect(200);
    }
    assert!(statuses.iter().filter(|status| *status == "429").count() >= 16, "{statuses:?}");
    for stream in stalled.iter_mut().take(4) {
        assert!(["408", "429"].contains(&status(stream).await.as_str()));
    }
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_off() {
    let service = Service::start().await;
    let address = serve(router(&service.app, small())).await;
    let chunked = "transfer-encoding: chunked";
    let head = head("/v1/heartbeats", "application/json", &service.admin_token, chunked);
    let mut stream = begun(address, &head).await;
    let (mut read, mut write) = stream.split();
    let trickle = async {
        while write.write_all(b"1\r\n \r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut said = [0; 12];
    tokio::select! {
        () = trickle => {}
        answer = tokio::time::timeout(SOON, read.read_exact(&mut said)) => {
            answer.expect("an answer").unwrap();
        }
    }
    assert_eq!(&said[9..], b"408");
}

#[tokio::test]
async fn long_polls_of_one_key_leave_room() {
    let service = Service::start().await;
    let other = service.other_workspace().await;
    let router = router(&service.app, small());
    let greedy = service.admin.to(router.clone());
    let newest = greedy.get("/v1/events").await.value(200)["next_after"].clone();
    let path = format!("/v1/events?wait_seconds=60&after={newest}");
    let mut held = JoinSet::new();
    let refused = fill(&mut held, || greedy.get(&*path)).await;
    refused.problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), "1");
    let policy = refused.header("ratelimit-policy");
    assert_eq!(policy, "\"places_of_key\";q=4;qu=\"concurrent-requests\"");
    assert_eq!(refused.header("ratelimit"), "\"places_of_key\";r=0;t=1");
    // Others wait, and the greedy key is answered where it does not wait.
    let honest = other.to(router);
    until(&honest, "/v1/events?wait_seconds=1", 200).await;
    until(&greedy, "/v1/events", 200).await;
}

#[tokio::test]
async fn three_keys_of_a_workspace_on_three_routes_leave_room() {
    let service = Service::start().await;
    let other = service.other_workspace().await;
    let router = router(&service.app, Limits { waiting: 10, ..small() });
    let goal = json!({"title": "g", "tasks": [{"ref": "a", "title": "a", "capabilities": ["x"]}]});
    let goal = service.admin.post("/v1/goals", &goal).await.value(201);
    let goal = format!("/v1/goals/{}", goal["id"].as_str().unwrap());
    let (agent, viewer) = (service.agent("a", &[]).await, service.with_role("viewer").await);
    let version = service.admin.get(&*goal).await.etag();
    let newest = service.admin.get("/v1/events").await.value(200)["next_after"].clone();
    let (agent, viewer) = (agent.client.to(router.clone()), viewer.to(router.clone()));
    let admin = service.admin.to(router.clone());
    let claim = json!({"wait_seconds": 60});
    let events = format!("/v1/events?wait_seconds=60&after={newest}");
    let goal = format!("{goal}?wait_seconds=60");
    let mut held = JoinSet::new();
    fill(&mut held, || agent.post("/v1/claims", &claim)).await;
    fill(&mut held, || viewer.get(&*events)).await;
    fill(&mut held, || admin.get(&*goal).if_none_match(&version)).await;
    // At the door it may meet calls of the same address that are refused a moment later.
    until(&other.to(router), "/v1/events?wait_seconds=1", 200).await;
}

#[tokio::test]
async fn only_who_waits_takes_a_waiting_place() {
    let service = Service::start().await;
    let admin = service.admin.to(router(&service.app, Limits { waiting: 0, ..small() }));
    admin.get("/v1/events").await.expect(200);
    admin.get("/v1/events?wait_seconds=0").await.expect(200);
    admin.get("/v1/events?wait_seconds=1").await.problem(503, "unavailable");
    let agent = service.agent("a", &[]).await.client;
    let agent = agent.to(router(&service.app, Limits { waiting: 0, ..small() }));
    agent.post("/v1/claims", &json!({})).await.expect(204);
    agent.post("/v1/claims", &json!({"wait_seconds": 1})).await.problem(503, "unavailable");
}

fn quotas(per_second: u64) -> Limits {
    let one = Quota::per_second(per_second);
    let quotas = Quotas {
        requests: one,
        spend_entries: one,
        checkpoint_bytes: one,
        tasks: one,
        artifact_bytes: one,
    };
    Limits { quotas, ..Limits::default() }
}

#[tokio::test]
async fn a_key_that_asks_too_often_is_refused_and_no_other() {
    let service = Service::start().await;
    let other = service.other_workspace().await;
    let router = router(&service.app, quotas(1));
    let greedy = service.admin.to(router.clone());
    let first = greedy.get("/v1/whoami").await.value(200);
    let limit = &first["limits"][0];
    assert_eq!((&limit["name"], &limit["limit"]), (&json!("requests"), &json!(5)), "{limit}");
    assert_eq!(limit["remaining"], 4);
    let refused = until(&greedy, "/v1/whoami", 429).await;
    refused.problem(429, "rate_limited");
    assert_eq!(refused.header("ratelimit-policy"), "\"requests\";q=5;w=5");
    assert_eq!(refused.header("ratelimit"), "\"requests\";r=0;t=1");
    assert_eq!(refused.header("retry-after"), "1");
    other.to(router).get("/v1/whoami").await.expect(200);
}

/// A refusal is answered at once, but not thousands a second.
#[tokio::test]
async fn refusals_of_one_key_are_answered_at_a_pace() {
    let service = Service::start().await;
    let other = service.other_workspace().await;
    let router = router(&service.app, quotas(1));
    let address = serve(router.clone()).await;
    let request = format!(
        "GET /v1/whoami HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\r\n",
        service.admin_token
    );
    let began = Instant::now();
    let mut calls = JoinSet::new();
    let turns = 20;
    // The burst of the key; a second more, if the machine is slow; what is refused at once; the turns.
    for _ in 0..5 + 5 + pace::AT_ONCE + turns {
        let request = request.clone();
        calls.spawn(async move { status(&mut begun(address, &request).await).await });
    }
    other.to(router).get("/v1/whoami").await.expect(200);
    let mut refused = 0;
    while let Some(status) = calls.join_next().await {
        refused += u32::from(status.unwrap() == "429");
    }
    let late = refused.saturating_sub(pace::AT_ONCE);
    assert!(late >= turns / 2, "{refused} were refused");
    let least = pace::EVERY * late;
    assert!(began.elapsed() >= least, "{refused} were refused within {:?}", began.elapsed());
}

#[tokio::test]
async fn created_tasks_are_counted_and_a_refusal_writes_nothing() {
    let service = Service::start().await;
    let limits = Limits {
        quotas: Quotas { tasks: Quota::per_second(1), ..Quotas::default() },
        ..Limits::default()
    };
    let admin = service.admin.to(router(&service.app, limits));
    let tasks: Vec<Value> =
        (0..30).map(|n| json!({"ref": format!("t{n}"), "title": "t"})).collect();
    let goal = json!({"title": "g", "tasks": tasks});
    admin.post("/v1/goals", &goal).await.expect(201);
    let refused = admin.post("/v1/goals", &goal).await;
    refused.problem(429, "rate_limited");
    assert_eq!(refused.header("ratelimit-policy"), "\"tasks\";q=5;qu=\"tasks\";w=5");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((10..=26).contains(&wait), "{wait} seconds until the debt is paid");
    let goals = admin.get("/v1/goals").await.value(200);
    assert_eq!(goals["items"].as_array().unwrap().len(), 1);
}

/// A route that reports spend or keeps a checkpoint, and forgets to count it, is a way round the caps.
#[tokio::test]
async fn every_route_that_reports_spend_or_a_checkpoint_counts_it() {
    let service = Service::start().await;
    let agent = service.agent("a", &[]).await.client;
    let amounts = json!({"tokens": 1});
    let entries: Vec<Value> =
        (0..40).map(|n| json!({"key": format!("k{n}"), "amounts": amounts})).collect();
    let attempt = service.admin.get("/v1/whoami").await.value(200)["key_id"].clone();
    let attempt = format!("/v1/attempts/{}", attempt.as_str().unwrap());
    let lease = "lse_aaaaaaaaaaaaaaaaaaaaaaaa";
    let spend = json!({"lease": lease, "spend": {"entries": entries}});
    let checkpoint = json!({"lease": lease, "checkpoint": "x".repeat(400)});
    let own = |body: &Value, more: Value| {
        let mut body = body.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let question = json!({"kind": "input", "title": "?"});
    let subtasks = json!({"tasks": [{"ref": "a", "title": "a"}]});
    let heartbeats = |body: &Value| json!({"heartbeats": [own(body, json!({"attempt_id": attempt.rsplit('/').next()}))]});
    let calls = [
        ("spend_entries", "/heartbeat", spend.clone()),
        ("spend_entries", "/complete", spend.clone()),
        ("spend_entries", "/release", spend.clone()),
        ("spend_entries", "/fail", own(&spend, json!({"class": "permanent"}))),
        ("spend_entries", "/approvals", own(&spend, question.clone())),
        ("spend_entries", "/subtasks", own(&spend, subtasks.clone())),
        ("spend_entries", "/spend", json!({"lease": lease, "entries": entries})),
        ("spend_entries", "heartbeats", heartbeats(&spend)),
        ("checkpoint_bytes", "/heartbeat", checkpoint.clone()),
        ("checkpoint_bytes", "/release", checkpoint.clone()),
        ("checkpoint_bytes", "/approvals", own(&checkpoint, question)),
        ("checkpoint_bytes", "/subtasks", own(&checkpoint, subtasks)),
        ("checkpoint_bytes", "heartbeats", heartbeats(&checkpoint)),
    ];
    for (counted, route, body) in calls {
        let slow = Quota::per_second(2);
        let quotas = match counted {
            "spend_entries" => Quotas { spend_entries: slow, ..Quotas::default() },
            _ => Quotas { checkpoint_bytes: slow, ..Quotas::default() },
        };
        let client = agent.to(router(&service.app, Limits { quotas, ..Limits::default() }));
        let path = match route.strip_prefix('/') {
            Some(_) => format!("{attempt}{route}"),
            None => format!("/v1/{route}"),
        };
        // The first takes what there is and more. Whether the attempt is known does not matter.
        client.post(&path, &body).await;
        client.post(&path, &body).await.problem(429, "rate_limited");
    }
}

#[tokio::test]
async fn failed_keys_are_throttled_and_a_valid_one_works() {
    let service = Service::start().await;
    let router = router(&service.app, Limits::default());
    let wrong = service.admin_token.clone();
    let wrong = format!("{}{}", &wrong[..wrong.len() - 2], "aa");
    let stranger = Client::of(router.clone()).with_key(wrong);
    stranger.get("/v1/whoami").await.problem(401, "unauthenticated");
    let refused = until(&stranger, "/v1/whoami", 429).await;
    refused.problem(429, "rate_limited");
    assert_eq!(refused.header("ratelimit-policy"), "\"failed_keys\";q=50;w=5");
    // Neither a key that was never seen here nor one that was is locked out.
    for _ in 0..2 {
        service.admin.to(router.clone()).get("/v1/whoami").await.expect(200);
    }
    until(&stranger, "/v1/whoami", 429).await;
}

/// Guessing sessions is throttled as guessing keys is.
#[tokio::test]
async fn failed_sessions_are_throttled_and_an_open_one_works() {
    let service = Service::start().await;
    let router = router(&service.app, Limits::default());
    let begun = service.admin.post("/v1/sessions", &json!({})).await.expect(201);
    let good = begun.header("set-cookie").split_once(';').unwrap().0.to_owned();
    let wrong = format!("{}aa", &good[..good.len() - 2]);
    let client = Client::of(router);
    let read = async |cookie: &str| client.get("/v1/sessions").header("cookie", cookie).await;
    read(&wrong).await.problem(401, "unauthenticated");
    let throttled = async {
        while read(&wrong).await.status.as_u16() != 429 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, throttled).await.expect("a throttled address in time");
    for _ in 0..2 {
        read(&good).await.expect(200);
    }
}

#[tokio::test]
async fn heads_without_a_handler_take_no_place_for_long() {
    let service = Service::start().await;
    let address = serve(router(&service.app, small())).await;
    let mut held = Vec::new();
    for method in ["HEAD", "OPTIONS", "TRACE", "ODD"].into_iter().cycle().take(48) {
        let head = format!("{method} /v1/goals HTTP/1.1\r\nhost: a\r\ncontent-length: 99\r\n\r\n");
        let mut stream = begun(address, &head).await;
        let wanted = if method == "HEAD" { "401" } else { "405" };
        assert_eq!(status(&mut stream).await, wanted, "{method}");
        held.push(stream);
    }
    let admin = format!("authorization: Bearer {}", service.admin_token);
    let request = format!("GET /v1/whoami HTTP/1.1\r\nhost: a\r\n{admin}\r\n\r\n");
    assert_eq!(status(&mut begun(address, &request).await).await, "200");
}

#[tokio::test]
async fn lists_queue_and_leave_short_requests_alone() {
    let service = Service::start().await;
    let router = router(&service.app, Limits { lists: 1, ..Limits::default() });
    let viewers: Vec<_> =
        (0..8).map(|_| waiting(&service.admin.to(router.clone()), "/v1/audit")).collect();
    service.admin.to(router).get("/v1/whoami").await.expect(200);
    for viewer in viewers {
        viewer.await.unwrap().expect(200);
    }
}

/// Requests that wait for a lock keep their connections meanwhile. Those of one workspace leave some.
#[tokio::test]
async fn blocked_requests_of_one_workspace_leave_connections() {
    let fleet = Fleet::start().await;
    let stranger = fleet.stranger().await;
    let goal = fleet.goal(json!([{"ref": "a", "title": "a"}])).await;
    let mut lock = fleet.database.pool().await.begin().await.unwrap();
    sqlx::query("select from goals for update").execute(&mut *lock).await.unwrap();
    let mut blocked = JoinSet::new();
    for _ in 0..20 {
        let cancel = fleet.poster.post(format!("/v1/goals/{goal}/cancel"), &json!({}));
        blocked.spawn(async move { cancel.await });
    }
    fleet.until_blocked(2).await;
    let soon = tokio::time::timeout(Duration::from_secs(5), stranger.find_nothing());
    soon.await.expect("a connection for another workspace");
    assert!(blocked.try_join_next().is_none(), "the lock is still held");
    lock.rollback().await.unwrap();
    while let Some(answer) = blocked.join_next().await {
        assert!(answer.unwrap().status.as_u16() < 500);
    }
}
