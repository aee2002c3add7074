//! Lessons in claims: what is attached to whom, and that a claim never depends on it.

use hyper::Method;
use muster::{
    domain::{ids::TaskId, knowledge::uplift::is_control},
    supervisor,
};
use serde_json::{Value, json};

use super::{given, learning, lesson, read_lesson, settings, titled};
use crate::{
    planners::asking,
    support::{
        agent::claims,
        fleet::{Fleet, router, text},
        invariants::verify_rested,
        model_stub::{Act, ModelStub},
    },
};

const TITLE: &str = "Port the importer to local time zones";

async fn exposures(fleet: &Fleet) -> i64 {
    sqlx::query_scalar("select count(*) from exposures").fetch_one(&fleet.pool).await.unwrap()
}

#[tokio::test]
async fn a_claim_has_the_lessons_about_its_task_as_a_quotation() {
    let fleet = learning().await;
    let agent = fleet.worker().await;
    let about =
        "The importer reads local time: convert each date before you compare it.\nSee importer.rs.";
    let pitfall = lesson(&fleet, "pitfall", "Dates of the importer are local time", about).await;
    let other = lesson(&fleet, "howto", "Bake bread", "Flour, water, salt and patience.").await;
    titled(&fleet, TITLE).await;
    let held = agent.take().await;
    assert_eq!(given(&held), [pitfall.as_str()], "{:#}", held.claim["lessons"]);
    let lessons = &held.claim["lessons"];
    let pack = text(&lessons["text"]);
    for line in about.lines() {
        assert!(pack.contains(&format!("> {line}")), "{pack}");
    }
    assert_eq!(lessons["control"], false);
    assert!(lessons["tokens"].as_u64().unwrap() <= 2_000 && lessons["lessons"][0]["version"] == 1);
    let shown = read_lesson(&fleet, &pitfall).await;
    assert_eq!((&shown["shown"], shown["last_shown_at"].is_null()), (&json!(1), false));
    assert_eq!(read_lesson(&fleet, &other).await["shown"], 0);
    assert_eq!(exposures(&fleet).await, 1);
    agent.complete(&held).await;
    fleet.round().await;
    let uplift = fleet.admin.get("/v1/knowledge/uplift").await.value(200);
    assert_eq!((&uplift["open"], &uplift["success"]["with"]["tasks"]), (&json!(0), &json!(1)));
    assert_eq!(uplift["success"]["with"]["value"], 1.0);
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_ended_teaches_the_next_claim() {
    let fleet = learning().await;
    let agent = fleet.worker().await;
    titled(&fleet, TITLE).await;
    let first = agent.take().await;
    assert_eq!(first.claim["lessons"], Value::Null, "there is nothing to look for");
    agent.complete(&first).await;
    fleet.round().await;
    titled(&fleet, "Port the importer to other time zones").await;
    let second = agent.take().await;
    assert_eq!(given(&second).len(), 1, "{:#}", second.claim["lessons"]);
    let solved = &second.claim["solved"][0];
    assert_eq!(solved["task_id"], json!(first.task));
    assert!(solved["likeness"].as_f64().unwrap() > 0.45, "{solved}");
}

#[tokio::test]
async fn without_tokens_and_without_lessons_a_claim_has_none() {
    let fleet = learning().await;
    let agent = fleet.worker().await;
    titled(&fleet, TITLE).await;
    let held = agent.take().await;
    assert_eq!((&held.claim["lessons"], &held.claim["solved"]), (&Value::Null, &json!([])));
    lesson(&fleet, "howto", TITLE, "Convert each date.").await;
    settings(&fleet, json!({"lesson_tokens": 0})).await;
    titled(&fleet, TITLE).await;
    assert_eq!(agent.take().await.claim["lessons"], Value::Null);
    settings(&fleet, json!({"lesson_tokens": null})).await;
    titled(&fleet, TITLE).await;
    assert_eq!(given(&agent.take().await).len(), 1);
    let trials: i64 = sqlx::query_scalar("select count(*) from lesson_trials")
        .fetch_one(&fleet.pool)
        .await
        .unwrap();
    assert_eq!(trials, 1);
}

#[tokio::test]
async fn a_small_budget_is_kept() {
    let fleet = learning().await;
    let agent = fleet.worker().await;
    for number in 0..6 {
        let body =
            format!("Importer part {number}. {}", "Convert each local date first. ".repeat(60));
        lesson(&fleet, "howto", &format!("Importer and time zones {number}"), &body).await;
    }
    settings(&fleet, json!({"lesson_tokens": 400})).await;
    titled(&fleet, TITLE).await;
    let held = agent.take().await;
    assert!(held.claim["lessons"]["tokens"].as_u64().unwrap() <= 400);
    assert!(!given(&held).is_empty(), "{:#}", held.claim["lessons"]);
}

#[tokio::test]
async fn the_control_group_gets_nothing_and_is_counted() {
    let fleet = learning().await;
    settings(&fleet, json!({"lesson_control_percent": 50})).await;
    let agent = fleet.worker().await;
    lesson(&fleet, "howto", TITLE, "Convert each date.").await;
    let task = |number: usize| json!({"ref": format!("t{number}"), "title": TITLE});
    fleet.goal((0..24).map(task).collect()).await;
    let held = agent.claim(24).await;
    assert_eq!(held.len(), 24);
    let mut controls = 0;
    for held in &held {
        let task: TaskId = held.task.parse().unwrap();
        let control = is_control(fleet.workspace, task, 50);
        controls += usize::from(control);
        assert_eq!(held.claim["lessons"]["control"], control, "{}", held.task);
        assert_eq!(given(held).is_empty(), control);
        let with: bool = sqlx::query_scalar(
            "select with_lessons from lesson_trials where source_task = $1::uuid",
        )
        .bind(&held.task)
        .fetch_one(&fleet.pool)
        .await
        .unwrap();
        assert_eq!(with, !control);
    }
    assert!((1..24).contains(&controls), "{controls} of 24");
    assert_eq!(exposures(&fleet).await, 24 - controls as i64);
    // The group of a task stays for all its attempts.
    agent.hand_back(&held[0]).await;
    let again = agent.take().await;
    assert_eq!(again.claim["lessons"]["control"], held[0].claim["lessons"]["control"]);
    for held in &held[1..13] {
        agent.complete(held).await;
    }
    fleet.round().await;
    let uplift = fleet.admin.get("/v1/knowledge/uplift").await.value(200);
    let arm = |name: &str| uplift["success"][name]["tasks"].as_i64().unwrap();
    assert_eq!((arm("with") + arm("without"), &uplift["open"]), (12, &json!(12)));
}

#[tokio::test]
async fn a_repeated_claim_is_the_same_and_counted_once() {
    let fleet = learning().await;
    let agent = fleet.worker().await;
    lesson(&fleet, "howto", TITLE, "Convert each date.").await;
    titled(&fleet, TITLE).await;
    let ask = || agent.client.post("/v1/claims", &json!({"max": 1})).idempotency_key("once");
    let first = claims(&ask().await);
    assert_eq!(given(&first[0]).len(), 1);
    let answer = ask().await;
    assert_eq!(answer.header("idempotent-replayed"), "true");
    let again = claims(&answer);
    assert_eq!((&again[0].attempt, &again[0].lease), (&first[0].attempt, &first[0].lease));
    assert_eq!(again[0].claim["lessons"], first[0].claim["lessons"]);
    assert_eq!(exposures(&fleet).await, 1);
    let shown: i64 =
        sqlx::query_scalar("select max(shown) from lessons").fetch_one(&fleet.pool).await.unwrap();
    assert_eq!(shown, 1);
}

#[tokio::test]
async fn lessons_of_another_project_stay_there() {
    let fleet = learning().await;
    let agent = fleet.worker().await;
    let project = async |name: &str| {
        let made = fleet.admin.post("/v1/projects", &json!({"name": name})).await.value(201);
        text(&made["id"])
    };
    let (ours, theirs) = (project("ours").await, project("theirs").await);
    let mut ids = Vec::new();
    for (project, body) in [(&ours, "Convert dates."), (&theirs, "Buy a clock.")] {
        let new = json!({"kind": "howto", "title": TITLE, "body": body, "project_id": project});
        ids.push(text(&fleet.admin.post("/v1/lessons", &new).await.value(201)["id"]));
    }
    for project in ["ours", "theirs"] {
        let tasks = json!([{"ref": "a", "title": TITLE}]);
        fleet.post_goal(json!({"title": project, "project": project, "tasks": tasks})).await;
    }
    for held in agent.claim(2).await {
        let own = usize::from(held.claim["task"]["goal_title"] == "theirs");
        assert_eq!(given(&held), [ids[own].as_str()]);
    }
    titled(&fleet, TITLE).await;
    assert!(given(&agent.take().await).is_empty(), "no project, and nothing of the workspace");
}

#[tokio::test]
async fn a_person_who_takes_a_task_over_gets_lessons_too() {
    let fleet = learning().await;
    let known = lesson(&fleet, "howto", TITLE, "Convert each date.").await;
    let goal = titled(&fleet, TITLE).await;
    let task = fleet.task_id(&goal, "a").await;
    let path = format!("/v1/tasks/{task}/takeover");
    let claim = fleet.admin.post(path, &json!({})).await.value(201);
    assert_eq!(claim["lessons"]["lessons"][0]["id"], json!(known));
    let said = json!({"lease": claim["lease"], "result": 1,
                      "lesson_verdicts": [{"lesson_id": known, "verdict": "unused"}]});
    let path = format!("/v1/attempts/{}/complete", text(&claim["attempt_id"]));
    fleet.admin.post(path, &said).await.expect(200);
    fleet.round().await;
    assert_eq!(read_lesson(&fleet, &known).await["verdicts"]["unused"], 1);
}

#[tokio::test]
async fn the_planner_is_told_what_is_known() {
    let fleet = learning().await;
    fleet.agent("coder", &["rust"], 1).await;
    let plan = json!({"tasks": [{
        "ref": "a", "title": "Write it", "description": "", "needs": [], "parent": null, "capabilities": ["rust"],
        "priority": null, "estimate": null, "criteria": [{"text": "`cargo test` passes", "required": true}],
    }]});
    let stub = ModelStub::play(vec![Act::Say(plan.to_string()); 6]).await;
    let app = asking(&fleet.app, &[stub.address.to_string()]);
    let admin = fleet.admin.to(router(&app));
    let spec = json!({"api": "openai_chat", "url": stub.url(), "model": "a-model", "key": "sk-planner-0123456789",
                      "timeout_seconds": 5, "silence_seconds": 1});
    let set = admin.call(Method::PUT, "/v1/planner").if_match("*");
    set.bytes("application/json", spec.to_string()).await.expect(200);
    let price = json!({"provider": "local", "model": "a-model", "usd_per_million": {"input": "1", "output": "1"}});
    admin.post("/v1/prices", &price).await.expect(201);
    let said = async |title: &str| {
        let before = stub.received().len();
        let goal = json!({"title": title, "brief": "Write it.", "planners": ["llm", "outline"]});
        fleet.poster.to(router(&app)).post("/v1/goals", &goal).await.expect(201);
        for _ in 0..20 {
            if stub.received().len() > before {
                break;
            }
            fleet.pass(1);
            supervisor::round(&app).await.unwrap();
            fleet
                .until("select not exists (select from planning_runs where state = 'running')")
                .await;
        }
        stub.received().last().expect("the model was not asked").body.to_string()
    };
    assert!(!said("Port the importer").await.contains("BEGIN LESSONS"));
    lesson(
        &fleet,
        "pitfall",
        "The importer reads local time",
        "Convert each date of the importer.",
    )
    .await;
    let prompt = said("Port the importer again").await;
    assert!(prompt.contains("BEGIN LESSONS") && prompt.contains("> Convert each date"), "{prompt}");
}
