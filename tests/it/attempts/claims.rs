//! Claiming: who gets what, in which order, and when.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    agent::{Held, claims},
    fleet::{Fleet, router},
    invariants::verify,
    process::PATIENCE,
};
use muster::domain::access::token::Token;

#[tokio::test]
async fn an_agent_gets_only_what_it_can_do() {
    let fleet = Fleet::start().await;
    fleet
        .goal(json!([
            {"ref": "both", "title": "t", "capabilities": ["rust", "review"], "priority": 9},
            {"ref": "rust", "title": "t", "capabilities": ["rust"], "priority": 8},
            {"ref": "any", "title": "t", "priority": 1},
        ]))
        .await;
    let none = fleet.agent("none", &[], 9).await;
    let rust = fleet.agent("rust", &["rust", "docs"], 9).await;
    let both = fleet.agent("both", &["review", "rust"], 9).await;
    let names =
        |held: Vec<Held>| -> Vec<String> { held.into_iter().map(|held| held.name).collect() };
    assert_eq!(names(none.claim(9).await), ["any"]);
    assert_eq!(names(rust.claim(9).await), ["rust"]);
    assert_eq!(names(both.claim(9).await), ["both"]);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn an_agent_gets_no_more_than_it_has_slots() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("three", &[], 3).await;
    fleet.goal((0..9).map(|n| json!({"ref": n.to_string(), "title": "t"})).collect()).await;
    let held = agent.claim(100).await;
    assert_eq!(held.len(), 3);
    agent.find_nothing().await;
    agent.complete(&held[0]).await;
    assert_eq!(agent.claim(100).await.len(), 1);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_workspace_caps_what_one_agent_claims() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("nine", &[], 9).await;
    let lasting = json!({"ref": "lasting", "title": "t", "lease_seconds": 900, "priority": 9});
    let others = (0..9).map(|n| json!({"ref": n.to_string(), "title": "t"}));
    fleet.goal(std::iter::once(lasting).chain(others).collect()).await;
    let set = async |change: Value| {
        let read = fleet.admin.get("/v1/workspace").await.expect(200);
        fleet.admin.patch("/v1/workspace", &change).if_match(read.header("etag")).await
    };
    let lease = |held: &Held| held.claim["lease_ms"].as_i64().unwrap();

    set(json!({"agent_max_concurrent": 2, "max_lease_seconds": 120})).await.expect(200);
    let held = agent.claim_with(json!({"max": 100})).await;
    assert_eq!(held.iter().map(lease).collect::<Vec<_>>(), [120_000, 60_000]);
    agent.find_nothing().await;
    agent.complete(&held[0]).await;
    let held = agent.claim_with(json!({"max": 100, "lease_seconds": 3600})).await;
    assert_eq!(held.iter().map(lease).collect::<Vec<_>>(), [120_000]);

    // A cap above the agent's own number changes nothing.
    set(json!({"agent_max_concurrent": 100, "max_lease_seconds": null})).await.expect(200);
    let held = agent.claim_with(json!({"max": 100, "lease_seconds": 3600})).await;
    assert_eq!(held.iter().map(lease).collect::<Vec<_>>(), [3_600_000; 7]);
    let bad = set(json!({"agent_max_concurrent": 0, "max_lease_seconds": 3601})).await;
    assert_eq!(bad.problem(422, "invalid"), ["/agent_max_concurrent", "/max_lease_seconds"]);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_waiting_claim_is_answered_when_a_task_appears() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let began = Instant::now();
    let wait = agent.claim_with(json!({"wait_seconds": 60}));
    let post = fleet.lone_task(json!({}));
    let (held, _) = tokio::join!(wait, post);
    assert_eq!(held.len(), 1);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    agent.complete(&held[0]).await;

    // Posted at another process, which cannot hint.
    let other = crate::support::client::Client::of(router(&fleet.another_app().await))
        .with_key(&fleet.admin_key);
    let goal = json!({"title": "g", "tasks": [{"ref": "a", "title": "a"}]});
    let (held, posted) =
        tokio::join!(agent.claim_with(json!({"wait_seconds": 60})), other.post("/v1/goals", &goal));
    posted.expect(201);
    assert_eq!(held.len(), 1);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_waiting_claim_ends_in_time_and_when_the_service_stops() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let began = Instant::now();
    assert!(agent.claim_with(json!({"wait_seconds": 1})).await.is_empty());
    assert!((1..10).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let stop = async { fleet.app.wake().stop_waiting() };
    let (held, ()) = tokio::join!(agent.claim_with(json!({"wait_seconds": 60})), stop);
    assert!(held.is_empty());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

/// Waits until so many claims wait in line.
async fn waiting(fleet: &Fleet, claims: usize) {
    let workspace = Token::parse(&fleet.admin_key).unwrap().workspace();
    let deadline = Instant::now() + PATIENCE;
    while fleet.app.wake().waiting(workspace) != claims {
        assert!(Instant::now() < deadline, "there are never {claims} claims waiting");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn who_waits_longest_is_given_the_next_task() {
    let fleet = Fleet::start().await;
    let mut agents = Vec::new();
    for number in 0..6 {
        agents.push(fleet.agent(&format!("w{number}"), &[], 1).await);
    }
    let order = Mutex::new(Vec::new());
    let claims = agents.into_iter().enumerate().map(async |(place, agent)| {
        waiting(&fleet, place).await;
        assert_eq!(agent.claim_with(json!({"wait_seconds": 60})).await.len(), 1);
        order.lock().unwrap().push(place);
    });
    let post = async {
        for number in 0..2 {
            waiting(&fleet, 6 - 3 * number).await;
            let tasks: Vec<Value> =
                (0..3).map(|n| json!({"ref": n.to_string(), "title": "t"})).collect();
            fleet.goal(json!(tasks)).await;
        }
    };
    tokio::join!(join_all(claims), post);
    let mut order = order.into_inner().unwrap();
    order[..3].sort_unstable();
    assert_eq!(order[..3], [0, 1, 2], "the first three came first");
    verify(&fleet.pool).await;
}

/// The second poll of an agent needs no look at the database, and its answer none either; but a key
/// that is no longer good is refused, whichever process revoked it.
#[tokio::test]
async fn a_waiting_agent_whose_key_is_revoked_is_sent_away() {
    let fleet = Fleet::start().await;
    let (watching, agent) = (fleet.agent("one", &[], 1).await, fleet.agent("two", &[], 1).await);
    let other = crate::support::client::Client::of(router(&fleet.another_app().await))
        .with_key(&fleet.admin_key);
    let wait = json!({"wait_seconds": 60});
    let watch = async { watching.client.post("/v1/claims", &wait).await };
    let revoke = async {
        waiting(&fleet, 1).await;
        assert!(agent.claim_with(json!({"wait_seconds": 1})).await.is_empty());
        // Recognised now: it waits without asking.
        let poll = async { agent.client.post("/v1/claims", &wait).await };
        let revoke = async {
            waiting(&fleet, 2).await;
            let key = other.get("/v1/keys").await.value(200)["items"]
                .as_array()
                .unwrap()
                .iter()
                .find(|key| key["agent_id"] == json!(agent.id))
                .map(|key| key["id"].as_str().unwrap().to_owned())
                .unwrap();
            other.post(format!("/v1/keys/{key}/revoke"), &json!({})).await.expect(200);
        };
        let (poll, ()) = tokio::join!(poll, revoke);
        poll.problem(401, "unauthenticated");
        agent.client.post("/v1/claims", &wait).await.problem(401, "unauthenticated");
        // An agent that is paused meanwhile is told so, too.
        let path = format!("/v1/agents/{}", watching.id);
        let etag = other.get(&path).await.expect(200).etag();
        other.patch(&path, &json!({"state": "paused"})).if_match(&etag).await.expect(200);
    };
    let (watch, ()) = tokio::join!(watch, revoke);
    watch.problem(409, "agent_not_active");
}

#[tokio::test]
async fn a_claim_sent_again_is_answered_again_and_gives_nothing_more() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.goal(json!([{"ref": "a", "title": "t"}, {"ref": "b", "title": "t"}])).await;
    let send = |max: u32, key: &'static str| {
        agent.client.post("/v1/claims", &json!({"max": max})).idempotency_key(key)
    };
    let first = send(1, "one").await;
    let again = send(1, "one").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(first.json::<Value>(), again.json::<Value>());
    send(2, "one").await.problem(422, "idempotency_key_reused");
    let held = claims(&first).remove(0);
    agent.complete(&claims(&again).remove(0)).await;
    assert_eq!(claims(&send(1, "two").await).len(), 1);
    // Nothing found is not remembered: the same request may find something later.
    assert!(claims(&send(1, "three").await).is_empty());
    fleet.lone_task(json!({})).await;
    assert_eq!(claims(&send(1, "three").await).len(), 1);

    let stored: Vec<String> = sqlx::query_scalar(
        "select encode(sealed, 'escape') || ' ' || to_jsonb(replays)::text from replays",
    )
    .fetch_all(&fleet.pool)
    .await
    .unwrap();
    assert_eq!(stored.len(), 3);
    for row in stored {
        for secret in [&held.lease, &held.attempt, &agent.key, "lse_"] {
            assert!(!row.contains(secret), "{secret} rests in the clear");
        }
    }
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn subtasks_sent_again_are_added_once() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    let send = || {
        let body = json!({"tasks": [{"ref": "s", "title": "s"}]});
        agent.write(&held, "subtasks", body).idempotency_key("once")
    };
    let first = send().await.value(201);
    let again = send().await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.value(201), first);
    fleet.expect_states(&goal, "a:parked s:ready").await;
    // The same of a question; and a refused one does not use its key up.
    let held = agent.take().await;
    let ask = |title: &str| {
        let body = json!({"kind": "input", "title": title});
        agent.write(&held, "approvals", body).idempotency_key("question")
    };
    ask(" ").await.problem(422, "invalid");
    // The refused request may still be on its way out of the database: then it is said so.
    let deadline = Instant::now() + PATIENCE;
    let first = loop {
        let answer = ask("why?").await;
        if answer.status != 409 {
            break answer.value(201);
        }
        answer.problem(409, "idempotency_in_progress");
        assert!(Instant::now() < deadline, "it never ends");
    };
    assert_eq!(ask("why?").await.value(201), first);
    assert_eq!(fleet.questions().await.len(), 1);
    verify(&fleet.pool).await;
}

/// A claim whose answer nobody takes must not keep the task: hang-ups in a row would even put it in
/// quarantine. Somebody holds the commit up until the claimer has hung up.
#[tokio::test]
async fn what_a_claimer_that_hung_up_was_given_goes_back() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    for hang_ups in 1..=4 {
        let mut holder = fleet.pool.begin().await.unwrap();
        sqlx::query("select from journal_heads for update").execute(&mut *holder).await.unwrap();
        let claimer = agent.clone();
        let claim = tokio::spawn(async move { claimer.claim(1).await });
        fleet.until_blocked(1).await;
        claim.abort();
        assert!(claim.await.is_err_and(|error| error.is_cancelled()));
        holder.commit().await.unwrap();
        let back = "select count(*) filter (where state = 'released')";
        fleet.until(&format!("{back} = {hang_ups} from attempts")).await;
        // Handed back in a row, the task waits longer each time.
        fleet.after(900).await;
    }
    let held = agent.take().await;
    assert_eq!(held.number, 5);
    agent.complete(&held).await;
    assert_eq!(fleet.task(&goal, "a").await["attempts_used"], 0);
    verify(&fleet.pool).await;
}

/// A batch of claims commits what its first search gave. If a further search fails, the agents that were served get
/// their claims: their leases would be known to nobody.
#[tokio::test]
async fn a_search_that_fails_takes_no_claim_of_the_same_batch_away() {
    let fleet = Fleet::start().await;
    let keyed = |n: usize| json!({"ref": format!("k{n}"), "title": "keyed", "priority": 9, "concurrency_keys": ["k"]});
    let free = |n: usize| json!({"ref": format!("f{n}"), "title": "free"});
    fleet.goal((0..100).map(keyed).chain((0..20).map(free)).collect()).await;
    sqlx::query("update concurrency_keys set most = 4").execute(&fleet.pool).await.unwrap();
    // A further search finds the free ones only, and is the victim of a deadlock.
    let victim = "create function deadlock() returns trigger language plpgsql as $$ begin
            if exists (select from task_texts where task_id = new.task_id and title = 'free') then
                raise exception 'deadlock detected' using errcode = '40P01';
            end if;
            return new;
        end $$;
        create trigger deadlock before insert on attempts for each row execute function deadlock()";
    sqlx::raw_sql(victim).execute(&fleet.pool).await.unwrap();
    let mut agents = Vec::new();
    for n in 0..16 {
        agents.push(fleet.agent(&format!("agent {n}"), &[], 1).await);
    }
    let calls = agents.iter().map(|agent| agent.client.post("/v1/claims", &json!({})));
    let answers = join_all(calls.map(IntoFuture::into_future)).await;
    let given = answers.iter().filter(|answer| answer.status == 200).flat_map(claims);
    let mut given: Vec<String> = given.map(|held| held.attempt).collect();
    let mut running: Vec<String> =
        sqlx::query_scalar("select attempt_id::text from attempts where state = 'running'")
            .fetch_all(&fleet.pool)
            .await
            .unwrap();
    given.sort_unstable();
    running.sort_unstable();
    assert_eq!(running.len(), 4);
    assert_eq!(given, running, "an attempt runs that nobody knows of");
}
