//! Comments on tasks and goals, and their handover with a claim.

mod races;

use serde_json::{Value, json};

use crate::{
    goals::all_pages,
    support::{
        client::Call,
        dump::{dump, same},
        fleet::{Fleet, register, text},
        invariants::verify,
    },
};

fn say(fleet: &Fleet, path: &str, words: &str) -> Call {
    fleet.admin.post(format!("{path}/comments"), &json!({"text": words}))
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|comment| text(&comment["text"])).collect()
}

#[tokio::test]
async fn a_claim_hands_over_what_was_said_newest_last() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.goal(json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}])).await;
    let task = format!("/v1/tasks/{}", fleet.task_id(&goal, "a").await);
    let goal = format!("/v1/goals/{goal}");
    for (path, words) in [(&task, "one"), (&goal, "two"), (&task, "three")] {
        fleet.pass(1);
        say(&fleet, path, words).await.expect(201);
    }
    let held = worker.claim(2).await;
    let (a, b) = (&held[0].claim["comments"], &held[1].claim["comments"]);
    assert_eq!(texts(a), ["one", "two", "three"]);
    assert_eq!(texts(b), ["two"], "those on the goal are for every task of it");
    assert_eq!((&a[0]["task_id"], &a[1]["task_id"]), (&json!(held[0].task), &Value::Null));

    fleet.pass(1);
    let mine = worker.client.post(format!("{task}/comments"), &json!({"text": "four"}));
    let mine = mine.await.value(201);
    assert_eq!(
        (&mine["agent_id"], &mine["attempt_id"]),
        (&json!(worker.id), &json!(held[0].attempt))
    );
    fleet.pass(1);
    let about_goal = worker.client.post(format!("{goal}/comments"), &json!({"text": "five"}));
    assert_eq!(about_goal.await.value(201)["task_id"], Value::Null);
    worker.hand_back(&held[0]).await;
    let again = worker.take().await;
    let told = &again.claim["comments"];
    assert_eq!(texts(told), ["one", "two", "three", "four", "five"]);
    assert_eq!(told[3]["agent_id"], json!(worker.id));

    fleet.lone_task(json!({})).await;
    assert_eq!(worker.take().await.claim["comments"], json!([]));
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_handover_holds_the_latest_within_its_bounds() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let task = format!("/v1/tasks/{}", fleet.task_id(&goal, "a").await);
    for n in 0..25 {
        fleet.pass(1);
        let path = if n % 2 == 0 { task.clone() } else { format!("/v1/goals/{goal}") };
        say(&fleet, &path, &format!("{n}")).await.expect(201);
    }
    let held = worker.take().await;
    let latest: Vec<String> = (5..25).map(|n: i32| n.to_string()).collect();
    assert_eq!(texts(&held.claim["comments"]), latest);
    for size in [9_000, 8_000, 8_000, 300] {
        fleet.pass(1);
        say(&fleet, &task, &"x".repeat(size)).await.expect(201);
    }
    worker.hand_back(&held).await;
    let held = worker.take().await;
    let sizes: Vec<usize> = texts(&held.claim["comments"]).iter().map(String::len).collect();
    assert_eq!(sizes, [8_000, 8_000, 300], "the oldest are left out, together at most 16 KiB");
    // The longest is handed over alone.
    fleet.pass(1);
    say(&fleet, &task, &"ä".repeat(8 * 1024)).await.expect(201);
    worker.hand_back(&held).await;
    assert_eq!(texts(&worker.take().await.claim["comments"]), ["ä".repeat(8 * 1024)]);
}

#[tokio::test]
async fn a_comment_has_text_of_a_bounded_length_without_control_characters() {
    let fleet = Fleet::start().await;
    let goal = fleet.lone_task(json!({})).await;
    let task = format!("/v1/tasks/{}", fleet.task_id(&goal, "a").await);
    let goal = format!("/v1/goals/{goal}");
    let before = dump(&fleet.pool).await;
    for path in [&task, &goal] {
        for words in ["", " \n", "a\u{0}b", "a\u{9b}b", "\u{1b}[2J", &"x".repeat(16 * 1024 + 1)] {
            let refused = say(&fleet, path, words).await;
            assert_eq!(refused.problem(422, "invalid"), ["/text"], "{words:?}");
        }
        let path = format!("{path}/comments");
        for body in [json!({}), json!({"text": 1}), json!({"text": "a", "to": "b"})] {
            fleet.admin.post(&path, &body).await.problem(422, "invalid");
        }
    }
    let nobody = fleet.no_id();
    for path in [format!("/v1/tasks/{nobody}"), format!("/v1/goals/{nobody}")] {
        say(&fleet, &path, "a").await.problem(404, "not_found");
        fleet.admin.get(format!("{path}/comments")).await.problem(404, "not_found");
    }
    fleet.admin.get(format!("/v1/comments/{nobody}")).await.problem(404, "not_found");
    same("refused comments", &before, &dump(&fleet.pool).await);
    say(&fleet, &task, "two\nlines\tand a tab").await.expect(201);
    say(&fleet, &goal, &"x".repeat(16 * 1024)).await.expect(201);
}

#[tokio::test]
async fn an_agent_comments_on_what_it_is_running() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let idle = fleet.agent("idle", &["other"], 1).await;
    let goal = fleet.goal(json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}])).await;
    let elsewhere = fleet.lone_task(json!({"capabilities": ["other"]})).await;
    let held = worker.take().await;
    let words = json!({"text": "hm"});
    let other = fleet.task_id(&goal, "b").await;
    let (task, goal) = (format!("/v1/tasks/{}", held.task), format!("/v1/goals/{goal}"));
    let refused = [
        (&worker, format!("/v1/tasks/{other}")),
        (&worker, format!("/v1/goals/{elsewhere}")),
        (&idle, task.clone()),
        (&idle, goal.clone()),
    ];
    let before = dump(&fleet.pool).await;
    for (agent, path) in &refused {
        let answer = agent.client.post(format!("{path}/comments"), &words).await;
        answer.problem(403, "not_your_attempt");
        agent.client.get(format!("{path}/comments")).await.expect(200);
    }
    same("refused comments", &before, &dump(&fleet.pool).await);
    for path in [&task, &goal] {
        worker.client.post(format!("{path}/comments"), &words).await.expect(201);
    }
    worker.ask(&held, "input").await;
    for path in [&task, &goal] {
        let parked = worker.client.post(format!("{path}/comments"), &words).await;
        parked.problem(403, "not_your_attempt");
    }
}

/// A key that sees only its own attempts comments all the same.
#[tokio::test]
async fn the_least_of_agents_comments_on_its_own_task() {
    let fleet = Fleet::start().await;
    let new = json!({"name": "least", "scope": {"access": "own_attempts"}});
    let least = register(&fleet.poster, new).await;
    fleet.lone_task(json!({})).await;
    let held = least.take().await;
    let path = format!("/v1/tasks/{}/comments", held.task);
    least.client.post(&path, &json!({"text": "done soon"})).await.expect(201);
    least.client.get(&path).await.problem(403, "forbidden");
}

#[tokio::test]
async fn people_comment_by_their_roles_and_only_in_their_workspace() {
    let fleet = Fleet::start().await;
    let words = json!({"text": "hm"});
    let submitter = fleet.client(&fleet.key("submitter").await);
    let new = json!({"title": "mine", "tasks": [{"ref": "a", "title": "a"}]});
    let mine = text(&submitter.post("/v1/goals", &new).await.value(201)["id"]);
    let theirs = fleet.lone_task(json!({})).await;
    let operator = fleet.client(&fleet.key("operator").await);
    let viewer = fleet.client(&fleet.key("viewer").await);
    let other = fleet.other_workspace().await;
    for (goal, status) in [(&mine, 201), (&theirs, 403)] {
        let task = fleet.task_id(goal, "a").await;
        for path in [format!("/v1/goals/{goal}/comments"), format!("/v1/tasks/{task}/comments")] {
            submitter.post(&path, &words).await.expect(status);
            operator.post(&path, &words).await.expect(201);
            viewer.post(&path, &words).await.problem(403, "forbidden");
            let seen = viewer.get(&path).await.value(200);
            let id = text(&seen["items"][0]["id"]);
            viewer.get(format!("/v1/comments/{id}")).await.expect(200);
            other.post(&path, &words).await.problem(404, "not_found");
            other.get(&path).await.problem(404, "not_found");
            other.get(format!("/v1/comments/{id}")).await.problem(404, "not_found");
        }
    }
    // What has ended is looked back on.
    let path = format!("/v1/goals/{theirs}");
    fleet.admin.post(format!("{path}/cancel"), &json!({})).await.expect(200);
    say(&fleet, &path, "a pity").await.expect(201);
}

#[tokio::test]
async fn comments_are_paged_repeatable_and_recorded() {
    let fleet = Fleet::start().await;
    let goal = fleet.lone_task(json!({})).await;
    let task = fleet.task_id(&goal, "a").await;
    let path = format!("/v1/tasks/{task}/comments");
    let version = fleet.task(&goal, "a").await["version"].clone();
    let mut written = Vec::new();
    for n in 0..7 {
        fleet.pass(1);
        let words = json!({"text": format!("{n} {}", "long ".repeat(100))});
        let call = || fleet.admin.post(&path, &words).idempotency_key(&format!("key-{n}"));
        let made = call().await.expect(201);
        let again = call().await.expect(201);
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!((again.header("location"), &again.body), (made.header("location"), &made.body));
        written.insert(0, text(&made.json::<Value>()["id"]));
        fleet.admin.get(made.header("location")).await.expect(200);
    }
    assert_eq!(all_pages(&fleet.admin, &format!("{path}?limit=3")).await, written);
    assert!(all_pages(&fleet.admin, &format!("/v1/goals/{goal}/comments")).await.is_empty());
    assert_eq!(fleet.task(&goal, "a").await["version"], version, "a comment is no edit");

    let events = fleet.admin.get("/v1/events?kind=comment.created").await.value(200);
    let events = events["items"].as_array().unwrap();
    assert_eq!(events.len(), 7);
    assert_eq!(events[6]["data"]["comment_id"], json!(written[0]));
    assert_eq!((&events[6]["task_id"], &events[6]["goal_id"]), (&json!(task), &json!(goal)));
    assert_eq!(text(&events[6]["data"]["text"]).chars().count(), 300);
    verify(&fleet.pool).await;
}
