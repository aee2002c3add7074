//! Goals that are planned by a chain of planners: an agent that hands in its plan, what it is told of errors, the next
//! planner, a person, and servers that end while they plan.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use futures_util::future::{BoxFuture, join_all};
use muster::{
    app::{
        App, Result,
        goals::planning::model::{Asked, Made, ModelPlanner, Thought},
    },
    domain::{
        ids::WorkspaceId,
        plan::{TaskSpec, document},
        planning::Said,
    },
    supervisor,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::support::{
    agent::{Agent, Held},
    client::{Answer, Client},
    fleet::{Fleet, router, text},
    invariants::{verify, verify_rested},
    process::PATIENCE,
};

const LIST: &str = "- [ ] T001 Write the schema\n- [ ] T002 Write the endpoints\n";
const WISH: &str = "Make the importer fast.";

/// Tasks as a planning agent or a model names them: `(ref, needs)`.
fn tasks(tasks: &[(&str, &[&str])]) -> Vec<TaskSpec> {
    let task = |(name, needs): &(&str, &[&str])| {
        json!({"ref": name, "title": format!("Do {name}"), "needs": needs,
               "criteria": [{"text": format!("{name} is done")}]})
    };
    tasks.iter().map(|spec| serde_json::from_value(task(spec)).unwrap()).collect()
}

/// The plan document of these tasks.
fn plan(of: &[(&str, &[&str])]) -> Value {
    document::write(&tasks(of))
}

fn good() -> Value {
    plan(&[("a", &[]), ("b", &["a"])])
}

/// Tasks that need each other in a circle.
fn circle() -> Value {
    plan(&[("a", &["b"]), ("b", &["a"])])
}

async fn planner(fleet: &Fleet) -> Agent {
    fleet.agent("planner", &["plan"], 9).await
}

async fn post(fleet: &Fleet, body: Value) -> String {
    let mut goal = json!({"title": "Fast importer", "brief": WISH});
    for (name, value) in body.as_object().unwrap() {
        goal[name] = value.clone();
    }
    let posted = fleet.poster.post("/v1/goals", &goal).await.value(201);
    assert_eq!((&posted["state"], &posted["tasks"]["total"]), (&json!("planning"), &json!(0)));
    text(&posted["id"])
}

/// The planning runs of a goal in their order: `outline:failed agent:running`.
async fn turns(fleet: &Fleet, goal: &str) -> String {
    let runs = runs(fleet, goal).await;
    let turn = |run: &Value| format!("{}:{}", text(&run["planner"]), text(&run["state"]));
    runs.iter().map(turn).collect::<Vec<_>>().join(" ")
}

async fn runs(fleet: &Fleet, goal: &str) -> Vec<Value> {
    let page = fleet.admin.get(format!("/v1/goals/{goal}/planning?limit=200")).await.value(200);
    page["items"].as_array().unwrap().iter().rev().cloned().collect()
}

async fn plans(fleet: &Fleet, goal: &str) -> Vec<Value> {
    let page = fleet.admin.get(format!("/v1/goals/{goal}/plans")).await.value(200);
    page["items"].as_array().unwrap().clone()
}

/// The states of the goal's own tasks: `a:ready b:waiting`.
async fn own_tasks(fleet: &Fleet, goal: &str) -> String {
    let states: Vec<String> = sqlx::query_scalar(
        "select ref || ':' || state from tasks where goal_id = $1::uuid and purpose is null order by position",
    )
    .bind(goal)
    .fetch_all(&fleet.pool)
    .await
    .unwrap();
    states.join(" ")
}

async fn planning_task(fleet: &Fleet, goal: &str) -> String {
    let found: Vec<String> = sqlx::query_scalar(
        "select task_id::text from tasks where goal_id = $1::uuid and purpose = 'plan' order by position",
    )
    .bind(goal)
    .fetch_all(&fleet.pool)
    .await
    .unwrap();
    found.last().expect("the goal has a planning task").clone()
}

async fn hand_in(agent: &Agent, held: &Held, plan: &Value) -> Value {
    agent.write(held, "complete", json!({"result": plan})).await.value(200)
}

/// The planning task is made, and the agent hands in this plan, which is judged.
async fn agent_plans(fleet: &Fleet, agent: &Agent, plan: &Value) -> Held {
    fleet.round().await;
    let held = agent.take().await;
    hand_in(agent, &held, plan).await;
    fleet.round().await;
    held
}

async fn unplanned(fleet: &Fleet) -> Vec<Value> {
    let page = fleet.admin.get("/v1/attention?kind=unplanned_goal").await.value(200);
    let items = page["items"].as_array().unwrap().clone();
    assert_eq!(page["counts"]["unplanned_goal"], json!(items.len()));
    items
}

async fn continue_with(fleet: &Fleet, goal: &str, body: Value) -> Answer {
    fleet.admin.post(format!("/v1/goals/{goal}/plan"), &body).await
}

/// The kinds of the events about a goal itself, in order.
async fn told(fleet: &Fleet, goal: &str) -> Vec<String> {
    let kinds = "select kind from journal where goal_id = $1::uuid
                 and (kind like 'goal.%' or kind like 'plan.%') order by number";
    sqlx::query_scalar(kinds).bind(goal).fetch_all(&fleet.pool).await.unwrap()
}

#[tokio::test]
async fn a_brief_without_structure_is_planned_by_an_agent() {
    let fleet = Fleet::start().await;
    let (worker, planner) = (fleet.worker().await, planner(&fleet).await);
    let more = json!({"planners": ["outline", "agent"], "priority": 7,
                      "task_defaults": {"max_attempts": 2}, "criteria": [{"text": "it is fast"}]});
    let goal = post(&fleet, more).await;
    assert_eq!(turns(&fleet, &goal).await, "outline:failed agent:waiting");
    let refused = &runs(&fleet, &goal).await[0];
    assert_eq!(refused["findings"][0]["pointer"], "/brief", "{refused:#}");
    assert_eq!(fleet.read_goal(&goal).await["planner"], "agent");

    planner.find_nothing().await;
    fleet.round().await;
    worker.find_nothing().await;
    let held = planner.take().await;
    let task = &held.claim["task"];
    assert_eq!(
        (&task["title"], &task["labels"]),
        (&json!("Plan: Fast importer"), &json!(["plan"]))
    );
    let input = &task["input"];
    assert_eq!((&input["brief"], &input["draft"]), (&json!(WISH), &json!(null)));
    assert_eq!(input["fleet"], json!([{"capability": "plan", "agents": 1, "online": 1}]));
    assert_eq!(input["schema"], *document::schema());
    let answer = hand_in(&planner, &held, &good()).await;
    assert_eq!(answer["task_state"], "reviewing");
    assert!(fleet.questions().await.is_empty(), "people are not asked about the result");
    fleet.round().await;

    let read = fleet.read_goal(&goal).await;
    assert_eq!((&read["state"], &read["planner"]), (&json!("active"), &json!("agent")));
    assert_eq!(own_tasks(&fleet, &goal).await, "a:ready b:waiting");
    assert_eq!(fleet.task(&goal, "a").await["priority"], 7);
    let plans = plans(&fleet, &goal).await;
    assert_eq!((plans.len(), &plans[0]["planner"]), (1, &json!("agent")));
    let last = runs(&fleet, &goal).await.pop().unwrap();
    assert_eq!((&last["state"], &last["plan_id"]), (&json!("planned"), &plans[0]["id"]));
    assert_eq!(last["task_id"], held.task.as_str());
    assert_eq!(
        told(&fleet, &goal).await,
        ["goal.created", "goal.planning", "plan.applied", "goal.active"]
    );
    // The task that made the plan is no work of the goal: it completes without it.
    for _ in 0..2 {
        let evidence = json!({"result": {}, "evidence": [{"criterion": 1, "text": "seen"}]});
        worker.write(&worker.take().await, "complete", evidence).await.expect(200);
    }
    assert_eq!(fleet.goal_state(&goal).await, "verifying");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_plan_comes_back_to_its_agent() {
    let fleet = Fleet::start().await;
    let planner = planner(&fleet).await;
    let goal = post(&fleet, json!({"planner": "agent"})).await;
    let first = agent_plans(&fleet, &planner, &circle()).await;
    let run = runs(&fleet, &goal).await.pop().unwrap();
    assert_eq!(run["state"], "running");
    let findings = run["findings"].to_string();
    assert!(findings.contains("circle") || findings.contains("cycle"), "{run:#}");
    let held = planner.take().await;
    assert_eq!((&held.task, held.number), (&first.task, 2));
    let feedback = held.claim["earlier_attempts"].to_string();
    assert!(feedback.contains("/tasks"), "the agent is told the place: {:#}", held.claim);
    // What it already did does not count as an attempt of the task.
    assert_eq!(
        fleet.admin.get(format!("/v1/tasks/{}", held.task)).await.value(200)["attempts_used"],
        0
    );
    hand_in(&planner, &held, &good()).await;
    fleet.round().await;
    assert_eq!(fleet.goal_state(&goal).await, "active");
    assert_eq!(own_tasks(&fleet, &goal).await, "a:ready b:waiting");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// An agent says only what is to be done, never that it is done.
#[tokio::test]
async fn an_agent_plans_nothing_as_done() {
    let fleet = Fleet::start().await;
    let planner = planner(&fleet).await;
    let goal = post(&fleet, json!({"planner": "agent"})).await;
    let mut done = good();
    done["tasks"][0]["done"] = json!(true);
    agent_plans(&fleet, &planner, &done).await;
    assert_eq!(fleet.goal_state(&goal).await, "planning");
    assert_eq!(turns(&fleet, &goal).await, "agent:running");
    assert!(!runs(&fleet, &goal).await[0]["findings"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn after_three_plans_with_errors_the_next_planner_has_its_turn() {
    let fleet = Fleet::start().await;
    let planner = planner(&fleet).await;
    let goal = post(&fleet, json!({"planners": ["agent", "outline"], "brief": LIST})).await;
    for number in 1..=3 {
        let held = agent_plans(&fleet, &planner, &json!({"tasks": number})).await;
        assert!(held.claim["task"]["input"]["draft"].is_object(), "the outline is a draft");
        assert_eq!(held.number, number);
    }
    planner.find_nothing().await;
    fleet.round().await;
    assert_eq!(turns(&fleet, &goal).await, "agent:failed outline:planned");
    assert_eq!(fleet.read_goal(&goal).await["planner"], "outline");
    assert_eq!(own_tasks(&fleet, &goal).await, "T001:ready T002:waiting");
    // It failed to make a plan; the goal has not failed, and does not fail by it.
    let worker = fleet.worker().await;
    worker.work_off().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    let task = planning_task(&fleet, &goal).await;
    fleet
        .admin
        .post(format!("/v1/tasks/{task}/retry"), &json!({}))
        .await
        .problem(409, "wrong_state");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn an_agent_that_gives_up_hands_on_to_the_next_planner_and_then_to_a_person() {
    let fleet = Fleet::start().await;
    let planner = planner(&fleet).await;
    let goal = post(&fleet, json!({"planners": ["agent", "outline"]})).await;
    fleet.round().await;
    assert!(unplanned(&fleet).await.is_empty());
    planner.fail(&planner.take().await, "permanent").await;
    fleet.round().await;
    fleet.round().await;
    assert_eq!(turns(&fleet, &goal).await, "agent:failed outline:failed");
    assert_eq!(fleet.goal_state(&goal).await, "planning");
    assert_eq!(
        told(&fleet, &goal).await[2..],
        ["goal.planner_failed", "goal.planner_failed"].map(String::from)
    );
    let items = unplanned(&fleet).await;
    let [item] = items.as_slice() else { panic!("{items:#?}") };
    assert_eq!((&item["goal_id"], &item["risk"]), (&json!(goal), &json!("medium")));
    assert!(text(&item["detail"]).contains("`outline`"), "{item:#}");
    assert_eq!(item["action"]["body"], json!({"planners": ["agent"]}));
    verify_rested(&fleet.pool, fleet.now()).await;

    // The action of the item can be sent as it is.
    let action = &item["action"];
    fleet.admin.post(text(&action["path"]), &action["body"]).await.expect(201);
    assert!(unplanned(&fleet).await.is_empty());
    agent_plans(&fleet, &planner, &good()).await;
    assert_eq!(turns(&fleet, &goal).await, "agent:failed outline:failed agent:planned");
    assert_eq!(fleet.goal_state(&goal).await, "active");
    continue_with(&fleet, &goal, json!({"planners": ["agent"]})).await.problem(409, "wrong_state");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn an_agent_that_nobody_is_gives_way_to_the_next_planner() {
    let fleet = Fleet::start().await;
    let goal = post(&fleet, json!({"planners": ["agent", "outline"], "brief": LIST})).await;
    fleet.round().await;
    fleet.after(29 * 60).await;
    assert_eq!(turns(&fleet, &goal).await, "agent:running outline:queued");
    fleet.after(2 * 60).await;
    fleet.round().await;
    assert_eq!(turns(&fleet, &goal).await, "agent:failed outline:planned");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_person_continues_with_tasks_while_an_agent_plans() {
    let fleet = Fleet::start().await;
    let planner = planner(&fleet).await;
    let goal = post(&fleet, json!({"planner": "agent"})).await;
    let add = fleet
        .admin
        .post(format!("/v1/goals/{goal}/tasks"), &json!({"tasks": [{"ref": "x", "title": "x"}]}));
    add.await.problem(409, "wrong_state");
    continue_with(&fleet, &goal, json!({})).await.problem(422, "invalid");
    continue_with(&fleet, &goal, json!({"planners": ["outline"]}))
        .await
        .problem(422, "no_tasks_found");
    let unknown = json!({"tasks": [{"ref": "x", "title": "x", "needs": ["y"]}]});
    continue_with(&fleet, &goal, unknown).await.problem(422, "plan_invalid");
    fleet.round().await;
    let held = planner.take().await;
    let named = json!({"tasks": [{"ref": held.name, "title": "x"}]});
    continue_with(&fleet, &goal, named).await.problem(422, "plan_invalid");
    assert_eq!(turns(&fleet, &goal).await, "agent:running");

    let given =
        json!({"tasks": [{"ref": "x", "title": "x"}, {"ref": "y", "title": "y", "needs": ["x"]}]});
    let path = format!("/v1/goals/{goal}/plan");
    let given = || fleet.admin.post(&path, &given).idempotency_key("once");
    let answer = given().await.expect(201);
    assert_eq!(answer.json::<Value>()["state"], "active");
    assert_eq!(given().await.expect(201).header("idempotent-replayed"), "true");
    assert_eq!(turns(&fleet, &goal).await, "agent:cancelled");
    assert_eq!(planner.beat(&held).await["directive"], "stop");
    // Its plan comes too late, and nobody has to judge it.
    let late = hand_in(&planner, &held, &good()).await;
    assert_eq!(late["task_state"], "done");
    fleet.round().await;
    assert_eq!(own_tasks(&fleet, &goal).await, "x:ready y:waiting");
    assert_eq!(plans(&fleet, &goal).await.len(), 1);
    let reopened = fleet.admin.post(format!("/v1/tasks/{}/reopen", held.task), &json!({})).await;
    reopened.problem(409, "wrong_state");
    fleet.worker().await.work_off().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_planning_goal_is_cancelled_with_its_planning_task() {
    let fleet = Fleet::start().await;
    let planner = planner(&fleet).await;
    for claimed in [false, true] {
        let goal = post(&fleet, json!({"planners": ["agent", "outline"], "brief": LIST})).await;
        fleet.round().await;
        let held = if claimed { Some(planner.take().await) } else { None };
        fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
        assert_eq!(turns(&fleet, &goal).await, "agent:cancelled outline:cancelled");
        if let Some(held) = held {
            assert_eq!(planner.beat(&held).await["directive"], "stop");
            planner.release(&held).await;
        }
        fleet.round().await;
        let task = planning_task(&fleet, &goal).await;
        let task = fleet.admin.get(format!("/v1/tasks/{task}")).await.value(200);
        assert_eq!(task["state"], "cancelled");
        assert!(plans(&fleet, &goal).await.is_empty());
        continue_with(&fleet, &goal, json!({"planners": ["agent"]}))
            .await
            .problem(409, "goal_ended");
    }
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// Cancelled before any server took the run: there is no planning task.
#[tokio::test]
async fn a_goal_that_nobody_plans_yet_is_cancelled() {
    let fleet = Fleet::start().await;
    let goal = post(&fleet, json!({"planner": "agent"})).await;
    fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    fleet.round().await;
    assert_eq!(turns(&fleet, &goal).await, "agent:cancelled");
    assert_eq!(fleet.read_goal(&goal).await["tasks"]["total"], 0);
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn the_plan_of_an_agent_waits_for_its_approval() {
    let fleet = Fleet::start().await;
    let planner = planner(&fleet).await;
    let goal = post(&fleet, json!({"planner": "agent", "approval": {"plan": true}})).await;
    agent_plans(&fleet, &planner, &good()).await;
    assert_eq!(fleet.goal_state(&goal).await, "proposed");
    assert_eq!(turns(&fleet, &goal).await, "agent:planned");
    let question = fleet.question().await;
    assert_eq!(question["kind"], "plan");
    verify_rested(&fleet.pool, fleet.now()).await;
    // An edit of the plan cannot take the name of the task that made it.
    let id = text(&question["id"]);
    let name: String = sqlx::query_scalar("select ref from tasks where purpose = 'plan'")
        .fetch_one(&fleet.pool)
        .await
        .unwrap();
    let edit = json!({"payload": [{"ref": name, "title": "x"}], "payload_sha256": question["payload_sha256"]});
    let refused = fleet.admin.post(format!("/v1/approvals/{id}/revise"), &edit).await;
    assert_eq!(refused.problem(422, "plan_invalid"), ["/payload/0/ref"]);
    fleet.decide(json!({"decision": "approve"})).await;
    assert_eq!(own_tasks(&fleet, &goal).await, "a:ready b:waiting");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// What the planning agent spends is spend of the goal, and comes out of what was set aside for it.
#[tokio::test]
async fn planning_spends_from_the_budget_of_the_goal() {
    let fleet = Fleet::start().await;
    let planner = planner(&fleet).await;
    let limit = |amount| json!([{"unit": "credits", "amount": amount}]);
    let of_all = json!({"node": "workspace", "budget": {"limits": limit(1_000)}});
    fleet.admin.post("/v1/budgets", &of_all).await.expect(201);
    let budget = json!({"limits": limit(600), "allocated": true});
    let goal = post(&fleet, json!({"planner": "agent", "budget": budget})).await;
    let second = json!({"title": "t", "planner": "agent", "brief": WISH, "budget": budget});
    fleet.poster.post("/v1/goals", &second).await.problem(409, "budget_exhausted");
    fleet.round().await;
    let held = planner.take().await;
    let spend = json!({"entries": [{"key": "a", "amounts": {"credits": 70}}]});
    planner.write(&held, "complete", json!({"result": good(), "spend": spend})).await.expect(200);
    fleet.round().await;
    assert_eq!(fleet.read_goal(&goal).await["spend"]["credits"], 70);
    assert_eq!(fleet.goal_state(&goal).await, "active");
    verify_rested(&fleet.pool, fleet.now()).await;
    fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_poster_waits_for_the_plan() {
    let fleet = Fleet::start().await;
    let planner = planner(&fleet).await;
    let body = json!({"title": "g", "brief": WISH, "planner": "agent"});
    let began = Instant::now();
    let unplanned = fleet.poster.post("/v1/goals?wait_seconds=1", &body).await.value(201);
    assert_eq!(unplanned["state"], "planning");
    assert!(began.elapsed().as_secs() >= 1);
    fleet
        .admin
        .post(format!("/v1/goals/{}/cancel", text(&unplanned["id"])), &json!({}))
        .await
        .expect(200);

    let posted = async { fleet.poster.post("/v1/goals?wait_seconds=30", &body).await.value(201) };
    let planned = async {
        fleet.until("select exists (select from planning_runs where state = 'waiting')").await;
        agent_plans(&fleet, &planner, &good()).await;
    };
    let (posted, ()) = tokio::join!(posted, planned);
    assert_eq!((&posted["state"], &posted["tasks"]["open"]), (&json!("active"), &json!(2)));

    // The planner could take its tasks, too.
    let path = format!("/v1/goals/{}/cancel", text(&posted["id"]));
    fleet.admin.post(path, &json!({})).await.expect(200);

    // A person has to decide: there is nothing more to wait for.
    let posted = async { fleet.poster.post("/v1/goals?wait_seconds=30", &body).await.value(201) };
    let failed = async {
        fleet.until("select exists (select from planning_runs where state = 'waiting')").await;
        fleet.round().await;
        planner.fail(&planner.take().await, "permanent").await;
        fleet.round().await;
    };
    let began = Instant::now();
    let (posted, ()) = tokio::join!(posted, failed);
    assert_eq!(posted["state"], "planning");
    assert!(began.elapsed().as_secs() < 20);
    // Without anybody to wait for, nothing is waited for.
    let listed = json!({"title": "g", "brief": LIST});
    fleet.poster.post("/v1/goals?wait_seconds=30", &listed).await.expect(201);
    fleet.poster.post("/v1/goals?wait_seconds=61", &listed).await.problem(422, "invalid");
}

#[tokio::test]
async fn a_chain_is_refused_where_it_makes_no_sense() {
    let fleet = Fleet::start().await;
    let refuse = async |body: Value| {
        let mut goal = json!({"title": "g", "brief": LIST});
        for (name, value) in body.as_object().unwrap() {
            goal[name] = value.clone();
        }
        fleet.poster.post("/v1/goals", &goal).await.problem(422, "invalid")
    };
    assert_eq!(refuse(json!({"planners": ["agent", "agent"]})).await, ["/planners/1"]);
    assert_eq!(refuse(json!({"planners": ["agent"], "planner": "agent"})).await, ["/planner"]);
    assert_eq!(refuse(json!({"planners": ["agent", "tasks"]})).await, ["/tasks"]);
    assert_eq!(
        refuse(json!({"planners": ["agent"], "tasks": [{"ref": "a", "title": "a"}]})).await,
        ["/tasks"]
    );
    // Without a model on this server, and with what to set.
    let unset = json!({"title": "g", "brief": LIST, "planners": ["outline", "llm"]});
    let refused = fleet.poster.post("/v1/goals", &unset).await;
    assert_eq!(refused.problem(422, "invalid"), ["/planners/1"]);
    assert!(refused.describe().contains("MUSTER_PLANNER_URL"), "{}", refused.describe());
    assert_eq!(refuse(json!({"planner": "llm"})).await, ["/planner"]);
    let count: i64 =
        sqlx::query_scalar("select count(*) from goals").fetch_one(&fleet.pool).await.unwrap();
    assert_eq!(count, 0);

    // A preview calls nobody.
    let preview = async |planners: Value| {
        let body = json!({"brief": LIST, "planners": planners});
        fleet.poster.post("/v1/plans/preview", &body).await
    };
    assert_eq!(preview(json!(["agent"])).await.problem(422, "invalid"), ["/planners"]);
    let shown = preview(json!(["agent", "outline"])).await.value(200);
    assert_eq!((&shown["planner"], &shown["task_count"]), (&json!("outline"), &json!(2)));
}

#[tokio::test]
async fn a_chain_that_plans_within_the_request_says_what_was_tried() {
    let fleet = Fleet::start().await;
    let body = json!({"title": "g", "brief": WISH, "planners": ["outline", "tasks", "agent"],
                      "tasks": [{"ref": "a", "title": "a"}]});
    let posted = fleet.poster.post("/v1/goals", &body).await.value(201);
    assert_eq!((&posted["state"], &posted["planner"]), (&json!("active"), &json!("tasks")));
    let goal = text(&posted["id"]);
    assert_eq!(turns(&fleet, &goal).await, "outline:failed tasks:planned agent:skipped");
    let simple = fleet.goal(json!([{"ref": "a", "title": "a"}])).await;
    assert_eq!(turns(&fleet, &simple).await, "");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// Two servers, each with its rounds, and one plan.
#[tokio::test]
async fn many_servers_plan_once() {
    let fleet = Fleet::start().await;
    let others = [fleet.another_app().await, fleet.another_app().await, fleet.another_app().await];
    let rounds = async || {
        let all = others.iter().chain([&fleet.app]).map(supervisor::round);
        for round in join_all(all).await {
            round.unwrap();
        }
    };
    for _ in 0..5 {
        let goal = post(&fleet, json!({"planners": ["agent", "outline"], "brief": LIST})).await;
        rounds().await;
        let task = planning_task(&fleet, &goal).await;
        assert_eq!(fleet.read_goal(&goal).await["tasks"]["total"], 1);
        fleet.admin.post(format!("/v1/tasks/{task}/cancel"), &json!({})).await.expect(200);
        rounds().await;
        rounds().await;
        assert_eq!(turns(&fleet, &goal).await, "agent:failed outline:planned");
        assert_eq!(plans(&fleet, &goal).await.len(), 1);
        assert_eq!(own_tasks(&fleet, &goal).await, "T001:ready T002:waiting");
    }
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// A model that answers when it is let.
#[derive(Debug, Clone)]
struct Stub {
    asked: Arc<AtomicUsize>,
    answers: Arc<Semaphore>,
    tasks: Option<Vec<TaskSpec>>,
}

impl Stub {
    fn new(tasks: Option<Vec<TaskSpec>>) -> Self {
        Self { asked: Arc::default(), answers: Arc::new(Semaphore::new(0)), tasks }
    }

    async fn until_asked(&self, times: usize) {
        until("the model is asked", || self.asked.load(Ordering::SeqCst) >= times).await;
    }
}

impl ModelPlanner for Stub {
    fn lack<'a>(&'a self, _: &'a App, _: WorkspaceId) -> BoxFuture<'a, Result<Option<String>>> {
        Box::pin(async { Ok(None) })
    }

    fn plan<'a>(&'a self, _: &'a App, asked: &'a Asked) -> BoxFuture<'a, Thought> {
        Box::pin(async move {
            assert!(!asked.title.is_empty());
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.answers.acquire().await.unwrap().forget();
            let said = Said::failed("the model does not answer");
            let tasks = self.tasks.clone().map(Made::Tasks);
            tasks.map_or(Thought::nothing(said), Thought::made)
        })
    }
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::task::yield_now().await;
    }
}

/// A server that asks this model, and a client of it.
fn server(fleet: &Fleet, app: App, model: &Stub) -> (App, Client) {
    let app = app.with_model(Arc::new(model.clone()));
    let client = fleet.poster.to(router(&app));
    (app, client)
}

async fn post_to(client: &Client, planners: Value) -> String {
    let body = json!({"title": "Fast importer", "brief": LIST, "planners": planners});
    text(&client.post("/v1/goals", &body).await.value(201)["id"])
}

#[tokio::test]
async fn nothing_is_held_while_a_model_thinks() {
    let fleet = Fleet::start().await;
    let model = Stub::new(Some(tasks(&[("a", &[]), ("b", &["a"])])));
    let (app, client) = server(&fleet, fleet.app.clone(), &model);
    let goal = post_to(&client, json!(["llm", "outline"])).await;
    supervisor::round(&app).await.unwrap();
    model.until_asked(1).await;
    let idle = || fleet.pool.num_idle() == fleet.pool.size() as usize;
    until("every connection is idle", idle).await;
    // The supervisor and everybody else go on.
    supervisor::round(&app).await.unwrap();
    fleet.worker().await.find_nothing().await;
    assert_eq!(turns(&fleet, &goal).await, "llm:running outline:queued");
    model.answers.add_permits(1);
    fleet.until("select exists (select from goals where state = 'active')").await;
    assert_eq!(turns(&fleet, &goal).await, "llm:planned outline:skipped");
    assert_eq!(model.asked.load(Ordering::SeqCst), 1);
    assert_eq!(own_tasks(&fleet, &goal).await, "a:ready b:waiting");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_a_model_cannot_plan_the_next_planner_plans() {
    let fleet = Fleet::start().await;
    for (model, finds) in
        [(Stub::new(None), false), (Stub::new(Some(tasks(&[("a", &["a"])]))), true)]
    {
        let (app, client) = server(&fleet, fleet.app.clone(), &model);
        let goal = post_to(&client, json!(["llm", "outline"])).await;
        model.answers.add_permits(1);
        supervisor::round(&app).await.unwrap();
        let failed = format!(
            "select exists (select from planning_runs where goal_id = '{goal}' and state = 'failed')"
        );
        fleet.until(&failed).await;
        let run = &runs(&fleet, &goal).await[0];
        assert!(run["error"].is_string());
        assert_eq!(!run["findings"].as_array().unwrap().is_empty(), finds, "{run:#}");
        supervisor::round(&app).await.unwrap();
        assert_eq!(turns(&fleet, &goal).await, "llm:failed outline:planned");
    }
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// A server that is silent for longer than it may hold a run is taken for killed. What it says afterwards is dropped.
#[tokio::test]
async fn a_run_of_a_server_that_is_gone_goes_on_once() {
    let fleet = Fleet::start().await;
    let (gone, here) =
        (Stub::new(Some(tasks(&[("late", &[])]))), Stub::new(Some(tasks(&[("a", &[])]))));
    let (first, client) = server(&fleet, fleet.app.clone(), &gone);
    let (second, _) = server(&fleet, fleet.another_app().await, &here);
    let goal = post_to(&client, json!(["llm"])).await;
    supervisor::round(&first).await.unwrap();
    gone.until_asked(1).await;
    fleet.pass(59);
    supervisor::round(&second).await.unwrap();
    assert_eq!(here.asked.load(Ordering::SeqCst), 0, "it is still held");
    fleet.pass(2);
    let all = join_all([&second, &second].map(supervisor::round)).await;
    for round in all {
        round.unwrap();
    }
    here.until_asked(1).await;
    assert_eq!(runs(&fleet, &goal).await[0]["attempts"], 2);
    // The server that was taken for gone answers first, and nothing comes of it.
    gone.answers.add_permits(1);
    until("its answer is taken", || gone.answers.available_permits() == 0).await;
    here.answers.add_permits(1);
    fleet.until("select exists (select from goals where state = 'active')").await;
    assert_eq!(own_tasks(&fleet, &goal).await, "a:ready");
    assert_eq!(plans(&fleet, &goal).await.len(), 1);
    assert_eq!((here.asked.load(Ordering::SeqCst), gone.asked.load(Ordering::SeqCst)), (1, 1));
    verify(&fleet.pool).await;
}

/// A plan that ends every server that makes it does not do so forever.
#[tokio::test]
async fn a_run_that_is_lost_three_times_fails() {
    let fleet = Fleet::start().await;
    let model = Stub::new(None);
    let (app, client) = server(&fleet, fleet.app.clone(), &model);
    let goal = post_to(&client, json!(["llm", "outline"])).await;
    for taken in 1..=3 {
        supervisor::round(&app).await.unwrap();
        model.until_asked(taken).await;
        fleet.pass(61);
    }
    supervisor::round(&app).await.unwrap();
    supervisor::round(&app).await.unwrap();
    assert_eq!(turns(&fleet, &goal).await, "llm:failed outline:planned");
    assert_eq!(model.asked.load(Ordering::SeqCst), 3);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn no_model_is_asked_under_a_freeze() {
    let fleet = Fleet::start().await;
    let model = Stub::new(Some(tasks(&[("a", &[])])));
    let (app, client) = server(&fleet, fleet.app.clone(), &model);
    let freeze = json!({"scope": "workspace", "mode": "drain", "reason": "a drill"});
    let freeze = fleet.admin.post("/v1/freezes", &freeze).await.value(201);
    let goal = post_to(&client, json!(["llm"])).await;
    supervisor::round(&app).await.unwrap();
    assert_eq!(turns(&fleet, &goal).await, "llm:waiting");
    let lift = format!("/v1/freezes/{}/lift", text(&freeze["id"]));
    fleet.admin.post(lift, &json!({"reason": "it is over"})).await.expect(200);
    supervisor::round(&app).await.unwrap();
    model.until_asked(1).await;
    model.answers.add_permits(1);
    fleet.until("select exists (select from goals where state = 'active')").await;
}

#[tokio::test]
async fn a_model_that_thinks_about_a_cancelled_goal_plans_nothing() {
    let fleet = Fleet::start().await;
    let model = Stub::new(Some(tasks(&[("a", &[])])));
    let (app, client) = server(&fleet, fleet.app.clone(), &model);
    let goal = post_to(&client, json!(["llm"])).await;
    supervisor::round(&app).await.unwrap();
    model.until_asked(1).await;
    fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    model.answers.add_permits(1);
    until("its answer is taken", || model.answers.available_permits() == 0).await;
    supervisor::round(&app).await.unwrap();
    assert_eq!(turns(&fleet, &goal).await, "llm:cancelled");
    assert_eq!(fleet.read_goal(&goal).await["tasks"]["total"], 0);
    verify_rested(&fleet.pool, fleet.now()).await;
}
