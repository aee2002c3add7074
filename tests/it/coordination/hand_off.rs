//! Hand-offs: who gets the task, what the next holder is told, and that nothing is lost or doubled on the way.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::future::join_all;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use super::most_at_once;
use crate::support::{
    agent::{Agent, Held},
    dump::{dump, same},
    fleet::{Fleet, router, seed, serve, text},
    invariants::verify,
    process::PATIENCE,
};

fn to_agent(agent: &Agent) -> Value {
    json!({"to": {"agent_id": agent.id}, "note": "the tests still fail"})
}

fn to_capability(capability: &str) -> Value {
    json!({"to": {"capability": capability}, "note": "the tests still fail"})
}

async fn events(fleet: &Fleet, kind: &str) -> Vec<Value> {
    let events = fleet.admin.get(format!("/v1/events?kind={kind}")).await.value(200);
    events["items"].as_array().unwrap().clone()
}

/// Two agents that can do everything, and a task that the first one holds.
async fn two(settings: Value) -> (Fleet, Agent, Agent, Held) {
    let fleet = Fleet::start().await;
    let (one, other) = (fleet.agent("one", &[], 10).await, fleet.agent("other", &[], 10).await);
    fleet.lone_task(settings).await;
    let held = one.take().await;
    (fleet, one, other, held)
}

#[tokio::test]
async fn the_named_agent_gets_the_task_with_note_and_checkpoint() {
    let (fleet, one, other, held) = two(json!({"max_attempts": 1})).await;
    let third = fleet.agent("third", &[], 10).await;
    let mut baton = to_agent(&other);
    baton["checkpoint"] = json!({"branch": "orders"});
    baton["spend"] = json!({"totals": {"usd_micros": 7}});
    let answer = one.write(&held, "hand-off", baton).await.value(201);
    assert_eq!(
        (&answer["attempt_state"], &answer["task_state"]),
        (&json!("released"), &json!("ready"))
    );
    assert_eq!((&answer["task_id"], &answer["hand_offs_left"]), (&json!(held.task), &json!(9)));
    let shown = fleet.admin.get(format!("/v1/tasks/{}", held.task)).await.value(200);
    assert_eq!(shown["assigned_agent_id"], json!(other.id));
    assert_eq!(
        (&shown["offer_until"], &shown["attempts_used"]),
        (&answer["offer_until"], &json!(0))
    );
    assert_eq!(shown["spend"]["usd_micros"], 7);
    one.write(&held, "heartbeat", json!({})).await.problem(409, "lease_lost");
    one.write(&held, "complete", json!({})).await.problem(409, "lease_lost");
    one.find_nothing().await;
    third.find_nothing().await;
    verify(&fleet.pool).await;

    let next = other.take().await;
    assert_eq!((&next.task, next.number), (&held.task, 2));
    let told = &next.claim["handed_over"];
    assert_eq!(told["note"], "the tests still fail");
    assert_eq!((&told["agent_id"], &told["attempt_id"]), (&json!(one.id), &json!(held.attempt)));
    assert_eq!(told["to"], json!({"agent_id": other.id}));
    assert_eq!(next.claim["checkpoint"], json!({"branch": "orders"}));
    assert_eq!(next.claim["earlier_attempts"][0]["message"], "the tests still fail");
    let [event] = events(&fleet, "task.handed_over").await.try_into().unwrap();
    assert_eq!(
        (&event["task_id"], &event["attempt_id"]),
        (&json!(held.task), &json!(held.attempt))
    );
    assert_eq!(event["data"]["to"], json!({"agent_id": other.id}));

    // What the next attempt leaves behind is open to everybody, and no hand-off any more.
    other.hand_back(&next).await;
    let last = one.take().await;
    assert_eq!(last.claim["handed_over"], Value::Null);
    one.complete(&last).await;
    let shown = fleet.admin.get(format!("/v1/tasks/{}", held.task)).await.value(200);
    assert_eq!((&shown["offer_until"], &shown["assigned_agent_id"]), (&Value::Null, &Value::Null));
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_capability_is_needed_besides_those_of_the_task() {
    let fleet = Fleet::start().await;
    let one = fleet.agent("one", &["rust", "review"], 10).await;
    let plain = fleet.agent("plain", &["rust"], 10).await;
    let odd = fleet.agent("odd", &["review"], 10).await;
    let able = fleet.agent("able", &["review", "rust", "x"], 10).await;
    fleet.lone_task(json!({"capabilities": ["rust"]})).await;
    let held = one.take().await;
    one.write(&held, "hand-off", to_capability("review")).await.expect(201);
    // Not the holder either, though it has both.
    for agent in [&one, &plain, &odd] {
        agent.find_nothing().await;
    }
    let shown = fleet.admin.get(format!("/v1/tasks/{}", held.task)).await.value(200);
    assert_eq!(shown["offered_capability"], "review");
    assert_eq!(shown["capabilities"], json!(["rust"]), "what it requires stays");
    verify(&fleet.pool).await;
    let next = able.take().await;
    assert_eq!(next.claim["handed_over"]["to"], json!({"capability": "review"}));
    // A later attempt needs only what the task requires.
    able.hand_back(&next).await;
    plain.complete(&plain.take().await).await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn an_offer_that_nobody_takes_ends() {
    for capability in [false, true] {
        let (fleet, one, other, held) = two(json!({})).await;
        let able = fleet.agent("able", &["review"], 1).await;
        let mut baton = if capability { to_capability("review") } else { to_agent(&able) };
        baton["offer_seconds"] = json!(30);
        one.write(&held, "hand-off", baton).await.expect(201);
        fleet.after(29).await;
        other.find_nothing().await;
        one.find_nothing().await;
        fleet.after(2).await;
        let [event] = events(&fleet, "task.offer_ended").await.try_into().unwrap();
        assert_eq!(event["task_id"], json!(held.task));
        verify(&fleet.pool).await;
        fleet.round().await;
        assert_eq!(events(&fleet, "task.offer_ended").await.len(), 1);
        let next = one.take().await;
        assert_eq!(next.claim["handed_over"]["note"], "the tests still fail");
        one.complete(&next).await;
        verify(&fleet.pool).await;
    }
}

/// Ten minutes unless it is said otherwise; and the offer of an attempt that began is over, whatever comes later.
#[tokio::test]
async fn a_taken_offer_does_not_end_later() {
    let (fleet, one, other, held) = two(json!({})).await;
    one.write(&held, "hand-off", to_agent(&other)).await.expect(201);
    fleet.after(598).await;
    one.find_nothing().await;
    let next = other.take().await;
    let path = format!("/v1/tasks/{}/reassign", held.task);
    let to = json!({"agent_id": one.id, "reason": "it knows the code"});
    fleet.admin.post(&path, &to).await.expect(200);
    fleet.after(30).await;
    other.find_nothing().await;
    other.write(&next, "heartbeat", json!({})).await.problem(409, "lease_lost");
    one.complete(&one.take().await).await;
    assert!(events(&fleet, "task.offer_ended").await.is_empty());
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn operators_and_retired_agents_end_an_offer() {
    let (fleet, one, other, held) = two(json!({})).await;
    one.write(&held, "hand-off", to_agent(&other)).await.expect(201);
    let path = format!("/v1/agents/{}", other.id);
    let retire = fleet.admin.call(reqwest::Method::PATCH, &path).if_match("*");
    retire.bytes("application/json", r#"{"state": "retired"}"#).await.expect(200);
    verify(&fleet.pool).await;
    let held = one.take().await;
    fleet.agent("able", &["review"], 1).await;
    one.write(&held, "hand-off", to_capability("review")).await.expect(201);
    let reassign = format!("/v1/tasks/{}/reassign", held.task);
    fleet.admin.post(&reassign, &json!({"agent_id": one.id})).await.expect(200);
    let held = one.take().await;
    one.write(&held, "hand-off", to_capability("review")).await.expect(201);
    // A person takes it over, and hands it over in turn.
    let takeover = format!("/v1/tasks/{}/takeover", held.task);
    let claim = fleet.admin.post(&takeover, &json!({})).await.value(201);
    assert_eq!(claim["handed_over"]["agent_id"], json!(one.id));
    let mut baton = to_agent(&one);
    baton["lease"] = claim["lease"].clone();
    let path = format!("/v1/attempts/{}/hand-off", text(&claim["attempt_id"]));
    fleet.admin.post(&path, &baton).await.expect(201);
    let next = one.take().await;
    assert_eq!(next.claim["handed_over"]["agent_id"], Value::Null);
    one.complete(&next).await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn what_nobody_could_take_is_refused_and_the_attempt_goes_on() {
    let fleet = Fleet::start().await;
    let one = fleet.agent("one", &["rust", "alone"], 10).await;
    let plain = fleet.agent("plain", &["docs"], 10).await;
    let gone = fleet.agent("gone", &["rust", "late"], 10).await;
    let path = format!("/v1/agents/{}", gone.id);
    let retire = fleet.admin.call(reqwest::Method::PATCH, &path).if_match("*");
    retire.bytes("application/json", r#"{"state": "retired"}"#).await.expect(200);
    let stranger = fleet.stranger().await;
    fleet.lone_task(json!({"capabilities": ["rust"]})).await;
    let held = one.take().await;
    let before = dump(&fleet.pool).await;
    let baton = |to: Value| json!({"to": to, "note": "n"});
    for (body, place) in [
        (baton(json!({})), "/to"),
        (baton(json!({"agent_id": plain.id, "capability": "rust"})), "/to"),
        (baton(json!({"agent_id": fleet.no_id()})), "/to/agent_id"),
        (baton(json!({"agent_id": stranger.id})), "/to/agent_id"),
        (baton(json!({"agent_id": one.id})), "/to/agent_id"),
        (baton(json!({"agent_id": plain.id})), "/to/agent_id"),
        (baton(json!({"agent_id": gone.id})), "/to/agent_id"),
        (baton(json!({"capability": "docs"})), "/to/capability"),
        (baton(json!({"capability": "late"})), "/to/capability"),
        (baton(json!({"capability": "alone"})), "/to/capability"),
        (baton(json!({"capability": "Not one"})), "/to/capability"),
        (baton(json!({"capability": "x".repeat(65)})), "/to/capability"),
        (json!({"to": {"capability": "rust"}, "note": " "}), "/note"),
        (json!({"to": {"capability": "rust"}, "note": "x".repeat(16 * 1024 + 1)}), "/note"),
        (json!({"to": {"capability": "rust"}, "note": "a\u{0}b"}), "/note"),
        (json!({"to": {"capability": "rust"}, "note": "n", "offer_seconds": 0}), "/offer_seconds"),
        (
            json!({"to": {"capability": "rust"}, "note": "n", "offer_seconds": 86_401}),
            "/offer_seconds",
        ),
        (
            json!({"to": {"capability": "rust"}, "note": "n", "checkpoint": "x".repeat(257 * 1024)}),
            "/checkpoint",
        ),
    ] {
        let answer = one.write(&held, "hand-off", body.clone()).await;
        assert_eq!(answer.problem(422, "invalid"), [place], "{}", answer.describe());
    }
    for body in [json!({}), json!({"to": "docs", "note": "n"}), json!({"to": null, "note": "n"})] {
        one.write(&held, "hand-off", body).await.problem(422, "invalid");
    }
    let good = baton(json!({"capability": "rust"}));
    plain.write(&held, "hand-off", good.clone()).await.problem(403, "not_your_attempt");
    stranger.write(&held, "hand-off", good.clone()).await.problem(404, "not_found");
    let wrong = Held { lease: "lse_wrong".into(), ..held.clone() };
    one.write(&wrong, "hand-off", good).await.problem(409, "lease_lost");
    same("refused hand-offs", &before, &dump(&fleet.pool).await);
    one.complete(&held).await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_lost_answer_is_repeated_and_a_lost_lease_is_not() {
    let (fleet, one, other, held) = two(json!({})).await;
    let call = || one.write(&held, "hand-off", to_agent(&other)).idempotency_key("baton");
    let first = call().await.expect(201);
    let again = call().await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(first.body, again.body);
    let changed = one.write(&held, "hand-off", to_capability("x")).idempotency_key("baton");
    changed.await.problem(422, "idempotency_key_reused");
    one.write(&held, "hand-off", to_agent(&other)).await.problem(409, "lease_lost");
    let next = other.take().await;
    assert_eq!(call().await.expect(201).body, first.body);
    // Expired in the meantime: the sweep has it, and its holder hands over nothing.
    fleet.after(3_600).await;
    other.write(&next, "hand-off", to_agent(&one)).await.problem(409, "lease_lost");
    assert_eq!(events(&fleet, "task.handed_over").await.len(), 1);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_task_is_handed_over_ten_times_at_most() {
    let (fleet, one, other, mut held) = two(json!({"max_attempts": 1})).await;
    let agents = [&one, &other];
    for n in 0..10 {
        let (from, to) = (agents[n % 2], agents[(n + 1) % 2]);
        let answer = from.write(&held, "hand-off", to_agent(to)).await.value(201);
        assert_eq!(answer["hand_offs_left"], 9 - n);
        held = to.take().await;
    }
    let refused = one.write(&held, "hand-off", to_agent(&other)).await;
    refused.problem(409, "wrong_state");
    assert!(text(&refused.json::<Value>()["detail"]).contains("10"));
    one.complete(&held).await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn nothing_is_handed_over_while_it_is_cancelled_or_stopped() {
    let (fleet, one, other, held) = two(json!({})).await;
    let path = format!("/v1/tasks/{}/cancel", held.task);
    fleet.admin.post(path, &json!({})).await.expect(200);
    one.write(&held, "hand-off", to_agent(&other)).await.problem(409, "task_ended");
    one.release(&held).await;
    fleet.lone_task(json!({})).await;
    let held = one.take().await;
    let stop = json!({"scope": "task", "scope_id": held.task, "mode": "stop", "reason": "r"});
    fleet.admin.post("/v1/freezes", &stop).await.expect(201);
    let answer = one.write(&held, "hand-off", to_agent(&other)).await;
    assert_eq!(answer.status, 409, "{}", answer.describe());
    assert!(events(&fleet, "task.handed_over").await.is_empty());
    verify(&fleet.pool).await;
}

/// A claim of the named agent that waits is called at once; of others nobody gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixty_four_that_wait_the_named_agent_gets_it() {
    let fleet = Fleet::on_time().await;
    let base = fleet.listen().await;
    let one = fleet.agent("one", &[], 1).await.at(&base);
    fleet.lone_task(json!({})).await;
    let mut held = one.take().await;
    let mut agents = Vec::new();
    for n in 0..64 {
        agents.push(fleet.agent(&format!("agent {n}"), &[], 1).await.at(&base));
    }
    for named in [5, 63, 20] {
        let waiting = agents.iter().map(|agent| {
            let agent = agent.clone();
            tokio::spawn(async move { agent.claim_with(json!({"wait_seconds": 2})).await })
        });
        let waiting: Vec<_> = waiting.collect();
        let body = held.with(to_agent(&agents[named]));
        let path = format!("/v1/attempts/{}/hand-off", held.attempt);
        // Whoever has it hands it over: first the first agent, then the one before.
        let holder =
            if held.number == 1 { &one } else { &agents[[5, 63][held.number as usize - 2]] };
        holder.client.post(path, &body).await.expect(201);
        let got: Vec<Vec<Held>> = join_all(waiting).await.into_iter().map(Result::unwrap).collect();
        for (n, got) in got.iter().enumerate() {
            assert_eq!(got.len(), usize::from(n == named), "agent {n}");
        }
        held = got[named][0].clone();
    }
    assert_eq!(most_at_once(&fleet.pool).await, 1);
    verify(&fleet.pool).await;
}

/// Tasks that touch one path go from hand to hand among many claimers: never two at once, and none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_touches_one_path_never_runs_twice_on_its_way() {
    let fleet = Fleet::on_time().await;
    let mut random = StdRng::seed_from_u64(seed());
    let bases = [fleet.listen().await, serve(router(&fleet.another_app().await)).await];
    let tasks: Value = (0..40)
        .map(|n| json!({"ref": n.to_string(), "title": "t", "touches": [{"resource": "src/a"}]}))
        .collect();
    fleet.goal(tasks).await;
    let mut agents = Vec::new();
    for n in 0..64 {
        let able: &[&str] = if n % 2 == 0 { &["even"] } else { &[] };
        agents.push(fleet.agent(&format!("agent {n}"), able, 4).await.at(&bases[n % 2]));
    }
    let agents = Arc::new(agents);
    let over = Arc::new(AtomicBool::new(false));
    let workers = (0..agents.len()).map(|n| {
        let (agents, over) = (Arc::clone(&agents), Arc::clone(&over));
        let mut random = StdRng::seed_from_u64(random.random());
        tokio::spawn(async move {
            let agent = &agents[n];
            while !over.load(Ordering::Relaxed) {
                for held in agent.claim_with(json!({"max": 2, "wait_seconds": 1})).await {
                    let other = &agents[random.random_range(0..agents.len())];
                    let (verb, mut body) = match random.random_range(0..6) {
                        0 => ("hand-off", to_agent(other)),
                        1 => ("hand-off", to_capability("even")),
                        _ => ("complete", json!({})),
                    };
                    if verb == "hand-off" {
                        body["offer_seconds"] = json!(1);
                    }
                    let answer = agent.write(&held, verb, body).await;
                    if !answer.status.is_success() {
                        // To itself, or for the eleventh time.
                        assert!(
                            answer.status == 422 || answer.status == 409,
                            "{}",
                            answer.describe()
                        );
                        agent.write(&held, "complete", json!({})).await.expect(200);
                    }
                }
            }
        })
    });
    let workers: Vec<_> = workers.collect();
    let done = async {
        let open = "select count(*) from tasks where ended_at is null";
        while sqlx::query_scalar::<_, i64>(open).fetch_one(&fleet.pool).await.unwrap() > 0 {
            fleet.round().await;
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, done).await.expect("work is left and nobody gets it");
    over.store(true, Ordering::Relaxed);
    for worker in join_all(workers).await {
        worker.unwrap();
    }
    assert_eq!(most_at_once(&fleet.pool).await, 1);
    verify(&fleet.pool).await;
}
