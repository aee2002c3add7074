//! Goals and tasks that exist once.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{
    fleet::{Fleet, router, text},
    invariants::verify,
};

fn goal(key: Value) -> Value {
    json!({"title": "g", "dedup": key, "tasks": [{"ref": "a", "title": "a"}]})
}

#[tokio::test]
async fn a_goal_is_posted_once_while_it_is_open() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let new = goal(json!({"key": "build-red"}));
    let first = fleet.poster.post("/v1/goals", &new).await.value(201);
    assert_eq!(first["deduplicated"], false);
    let again = fleet.admin.post("/v1/goals", &new).await.value(200);
    assert_eq!((&again["id"], &again["deduplicated"]), (&first["id"], &json!(true)));
    // Elsewhere the key is another one.
    let mut elsewhere = new.clone();
    elsewhere["project"] = json!("ci");
    let other = fleet.poster.post("/v1/goals", &elsewhere).await.value(201);
    assert_ne!(other["id"], first["id"]);
    assert_eq!(agent.work_off().await.len(), 2);
    let next = fleet.poster.post("/v1/goals", &new).await.value(201);
    assert_ne!(next["id"], first["id"]);
    let again = fleet.poster.post("/v1/goals", &new).await.value(200);
    assert_eq!(again["id"], next["id"]);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_key_is_held_for_its_time_whatever_becomes_of_the_goal() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let new = goal(json!({"key": "daily", "for_seconds": 600}));
    let first = fleet.poster.post("/v1/goals", &new).await.value(201);
    agent.work_off().await;
    fleet.pass(599);
    let again = fleet.poster.post("/v1/goals", &new).await.value(200);
    assert_eq!((&again["id"], &again["state"]), (&first["id"], &json!("completed")));
    fleet.pass(1);
    fleet.poster.post("/v1/goals", &new).await.expect(201);
    let both = goal(json!({"key": "x", "while": "open", "for_seconds": 1}));
    let both = fleet.poster.post("/v1/goals", &both).await;
    assert_eq!(both.problem(422, "invalid"), ["/dedup/for_seconds"]);
}

#[tokio::test]
async fn of_goals_posted_at_once_on_two_servers_one_is_created() {
    let fleet = Fleet::start().await;
    let other = router(&fleet.another_app().await);
    for round in 0..5 {
        let mut posts = JoinSet::new();
        for n in 0..12 {
            let client = match n % 2 {
                0 => fleet.poster.clone(),
                _ => fleet.poster.to(other.clone()),
            };
            let new = goal(json!({"key": format!("race-{round}")}));
            posts.spawn(async move {
                let answer = client.post("/v1/goals", &new).await;
                let status = answer.status.as_u16();
                (status, text(&answer.value(status)["id"]))
            });
        }
        let answers = posts.join_all().await;
        assert_eq!(answers.iter().filter(|(status, _)| *status == 201).count(), 1);
        assert!(answers.iter().all(|(status, id)| *status <= 201 && *id == answers[0].1));
    }
    let goals: i64 =
        sqlx::query_scalar("select count(*) from goals").fetch_one(&fleet.pool).await.unwrap();
    assert_eq!(goals, 5);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_refused_goal_holds_no_key() {
    let fleet = Fleet::start().await;
    let mut new = goal(json!({"key": "k"}));
    new["tasks"] = json!([{"ref": "a", "title": "a", "needs": ["b"]}]);
    fleet.poster.post("/v1/goals", &new).await.expect(422);
    fleet.poster.post("/v1/goals", &goal(json!({"key": "k"}))).await.expect(201);
}

#[tokio::test]
async fn an_added_task_whose_key_is_held_is_the_one_that_exists() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let keyed = |name: &str| json!({"ref": name, "title": name, "dedup": {"key": "flaky"}});
    let goal = fleet.goal(json!([keyed("a")])).await;
    let path = format!("/v1/goals/{goal}/tasks");
    let more = json!({"tasks": [keyed("b"), {"ref": "c", "title": "c", "needs": ["b"]}]});
    let added = fleet.poster.post(&path, &more).await.value(201);
    let a = fleet.task_id(&goal, "a").await;
    assert_eq!(added["tasks"][0]["task_id"], json!(a));
    assert_eq!(
        (&added["tasks"][0]["ref"], &added["tasks"][0]["deduplicated"]),
        (&json!("b"), &json!(true))
    );
    assert_eq!(added["tasks"][1]["deduplicated"], false);
    fleet.expect_states(&goal, "a:ready c:waiting").await;
    assert_eq!(fleet.task(&goal, "c").await["needs"][0]["ref"], "a");
    // One key twice is a mistake, also while the key is held.
    let twice = json!({"tasks": [keyed("x"), keyed("y")]});
    let twice = fleet.poster.post(&path, &twice).await;
    assert_eq!(twice.problem(422, "plan_invalid"), ["/tasks/1/dedup/key"]);
    agent.complete(&agent.take().await).await;
    let twice = json!({"tasks": [keyed("x"), keyed("y")]});
    let twice = fleet.poster.post(&path, &twice).await;
    assert_eq!(twice.problem(422, "plan_invalid"), ["/tasks/1/dedup/key"]);
    let added = fleet.poster.post(&path, &json!({"tasks": [keyed("b")]})).await.value(201);
    assert_eq!(added["tasks"][0]["deduplicated"], false);
    fleet.expect_states(&goal, "a:done c:ready b:ready").await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn agents_report_and_divide_what_exists_once() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let key = json!({"key": "index"});
    let goal = fleet
        .post_goal(json!({"title": "g", "discovered": "accept", "tasks": [
            {"ref": "a", "title": "a", "priority": 9},
            {"ref": "b", "title": "b", "dedup": key},
        ]}))
        .await;
    let b = fleet.task_id(&goal, "b").await;
    let held = agent.take().await;
    let report = json!({"tasks": [{"ref": "found", "title": "other words", "dedup": key}]});
    let answer = agent.write(&held, "discovered", report).await.value(201);
    assert_eq!(answer["tasks"][0]["outcome"], "duplicate");
    assert_eq!(answer["tasks"][0]["task_id"], json!(b));
    let only = json!({"tasks": [{"ref": "s", "title": "s", "dedup": key}]});
    agent.write(&held, "subtasks", only).await.problem(409, "already_exists");
    let asked = json!({"tasks": [{"ref": "s", "title": "s", "dedup": key},
                                 {"ref": "t", "title": "t"}]});
    let answer = agent.write(&held, "subtasks", asked).await.value(201);
    assert_eq!(answer["subtasks"][0]["task_id"], json!(b));
    assert_eq!(answer["subtasks"][1]["deduplicated"], false);
    fleet.expect_states(&goal, "a:parked b:ready t:ready").await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_key_is_held_for_its_time_also_when_the_goal_is_deleted() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let timed = goal(json!({"key": "daily", "for_seconds": 86_400}));
    let open = goal(json!({"key": "open"}));
    let mut left = goal(json!({"key": "left", "for_seconds": 86_400}));
    left["project"] = json!("ci");
    let mut goals = Vec::new();
    for new in [&timed, &open, &left] {
        goals.push(text(&fleet.poster.post("/v1/goals", new).await.value(201)["id"]));
    }
    // A goal that left its project holds nothing there, now and when it is deleted.
    let moved = json!({"project": "elsewhere"});
    let moved = fleet.admin.patch(format!("/v1/goals/{}", goals[2]), &moved).if_match("*").await;
    moved.expect(200);
    agent.work_off().await;
    fleet.round().await;
    for id in &goals {
        let call = fleet.admin.call(axum::http::Method::DELETE, format!("/v1/goals/{id}"));
        call.if_match("*").await.expect(204);
    }
    let refused = fleet.poster.post("/v1/goals", &timed).await;
    refused.problem(409, "already_exists");
    assert!(refused.describe().contains(&goals[0]), "{}", refused.describe());
    for new in [&open, &left] {
        fleet.poster.post("/v1/goals", new).await.expect(201);
    }
    agent.work_off().await;
    fleet.after(86_400).await;
    let keys: Vec<String> =
        sqlx::query_scalar("select key from dedup_keys").fetch_all(&fleet.pool).await.unwrap();
    assert_eq!(keys, ["open"], "what is over is swept");
    fleet.poster.post("/v1/goals", &timed).await.expect(201);
    verify(&fleet.pool).await;
}
