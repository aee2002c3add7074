//! Goals that a model plans: repaired or fallen back in at most three answers, charged, and nothing else
//! stored.

use std::collections::BTreeSet;

use hyper::Method;
use muster::{app::App, supervisor};
use serde_json::{Value, json};

use crate::{
    planners::asking,
    support::{
        client::Client,
        dump::dump,
        fleet::{Fleet, router, text},
        model_stub::{Act, ModelStub},
    },
};

const KEY: &str = "sk-planner-0123456789abcdef";
const APIS: [&str; 3] = ["openai_chat", "openai_responses", "anthropic"];

/// A fleet whose workspace has a model that plays a script.
struct Planned {
    fleet: Fleet,
    app: App,
    stub: ModelStub,
    admin: Client,
}

impl Planned {
    async fn by(api: &str, script: Vec<Act>) -> Self {
        let fleet = Fleet::start().await;
        fleet.agent("coder", &["rust"], 1).await;
        let stub = ModelStub::play(script).await;
        let app = asking(&fleet.app, &[stub.address.to_string()]);
        let admin = fleet.admin.to(router(&app));
        let spec = json!({"api": api, "url": stub.url(), "model": "a-model", "key": KEY,
                          "timeout_seconds": 5, "silence_seconds": 1});
        let set = admin.call(Method::PUT, "/v1/planner").if_match("*");
        set.bytes("application/json", spec.to_string()).await.expect(200);
        let price = json!({"provider": "local", "model": "a-model",
                           "usd_per_million": {"input": "10", "output": "100"}});
        admin.post("/v1/prices", &price).await.expect(201);
        Self { fleet, app, stub, admin }
    }

    /// Posts a goal that the model plans, else `outline`, and has the supervisor work until it is planned.
    async fn goal(&self, mut goal: Value) -> Value {
        goal["planners"] = json!(["llm", "outline"]);
        let poster = self.fleet.poster.to(router(&self.app));
        let id = text(&poster.post("/v1/goals", &goal).await.value(201)["id"]);
        for _ in 0..20 {
            let goal = self.admin.get(format!("/v1/goals/{id}")).await.value(200);
            if goal["state"] != "planning" {
                return goal;
            }
            self.fleet.pass(1);
            supervisor::round(&self.app).await.unwrap();
            // The model is asked in the background.
            let asked = "select not exists (select from planning_runs where state = 'running')";
            self.fleet.until(asked).await;
        }
        panic!("the goal is still being planned");
    }

    /// Posts a goal that the model plans, without another planner.
    async fn posted(&self, more: Value) -> String {
        let mut goal = json!({"title": "Importer", "brief": BRIEF, "planners": ["llm"]});
        for (name, value) in more.as_object().unwrap() {
            goal[name] = value.clone();
        }
        let poster = self.fleet.poster.to(router(&self.app));
        let id = text(&poster.post("/v1/goals", &goal).await.value(201)["id"]);
        self.settle().await;
        assert_eq!(self.read(&id).await["state"], "active");
        id
    }

    /// Has the supervisor work until no planner has its turn.
    async fn settle(&self) {
        let planned = "select not exists (select from planning_runs where state in ('queued', 'waiting', 'running'))";
        for _ in 0..20 {
            if sqlx::query_scalar(planned).fetch_one(&self.fleet.pool).await.unwrap() {
                return;
            }
            self.fleet.pass(1);
            supervisor::round(&self.app).await.unwrap();
            // The model is asked in the background.
            let asked = "select not exists (select from planning_runs where state = 'running')";
            self.fleet.until(asked).await;
        }
        panic!("somebody still plans");
    }

    async fn read(&self, goal: &str) -> Value {
        self.admin.get(format!("/v1/goals/{goal}")).await.value(200)
    }

    /// The planning runs of a goal in their order: `plan llm:planned`.
    async fn turns(&self, goal: &str) -> String {
        let page = self.admin.get(format!("/v1/goals/{goal}/planning?limit=200")).await.value(200);
        let runs = page["items"].as_array().unwrap().iter().rev();
        let turn = |run: &Value| {
            format!("{} {}:{}", text(&run["target"]), text(&run["planner"]), text(&run["state"]))
        };
        runs.map(turn).collect::<Vec<_>>().join(" ")
    }

    async fn refs(&self, goal: &Value) -> BTreeSet<String> {
        let path = format!("/v1/tasks?goal_id={}", text(&goal["id"]));
        let tasks = self.admin.get(path).await.value(200);
        tasks["items"].as_array().unwrap().iter().map(|task| text(&task["ref"])).collect()
    }

    /// Panics unless every sum equals its parts.
    async fn adds_up(&self) {
        let verified = self.admin.get("/v1/verify").await.value(200);
        assert_eq!(verified["holds"], true, "{verified}");
    }

    /// Panics if the key is anywhere.
    async fn hides_the_key(&self, goal: &Value) {
        for (table, rows) in dump(&self.fleet.pool).await {
            assert!(rows.iter().all(|row| !row.contains(KEY)), "{table}");
        }
        let id = text(&goal["id"]);
        for path in [format!("/v1/goals/{id}"), format!("/v1/goals/{id}/plans"), "/v1/audit".into()]
        {
            let shown = self.admin.get(path.as_str()).await.expect(200);
            assert!(!String::from_utf8_lossy(&shown.body).contains(KEY), "{path}");
        }
    }
}

fn task(name: &str, needs: &[&str], capability: &str, usd_micros: Option<i64>) -> Value {
    let estimate = usd_micros.map(|amount| json!([{"unit": "usd_micros", "amount": amount}]));
    json!({"ref": name, "title": format!("Write {name}"), "description": "", "needs": needs, "parent": null,
           "capabilities": [capability], "priority": null, "estimate": estimate,
           "criteria": [{"text": "`cargo test` passes", "required": true}]})
}

fn plan(tasks: &[Value]) -> String {
    json!({"tasks": tasks}).to_string()
}

fn good() -> String {
    plan(&[task("schema", &[], "rust", None), task("api", &["schema"], "rust", None)])
}

const BRIEF: &str = "# Importer\n\nImport things.\n\n- [ ] T001 Read the specification\n";

#[tokio::test]
async fn each_format_plans_a_goal_and_is_charged() {
    for api in APIS {
        let planned = Planned::by(api, vec![Act::Say(good())]).await;
        let goal = planned.goal(json!({"title": "Importer", "brief": BRIEF})).await;
        assert_eq!(
            planned.refs(&goal).await,
            BTreeSet::from(["api".into(), "schema".into()]),
            "{api}"
        );
        // 60 and 40 cached input tokens at 10, and 20 output tokens at 100 dollars per million.
        assert_eq!(goal["spend"]["usd_micros"], 3_000, "{api}");
        assert_eq!(goal["spend"]["input_tokens"], 100, "{api}");
        let [request] = planned.stub.received().try_into().unwrap();
        let asked = request.body.to_string();
        for part in ["Import things.", "BEGIN BRIEF", "`rust`", "T001"] {
            assert!(asked.contains(part), "{api}: {part}");
        }
        planned.hides_the_key(&goal).await;
    }
}

#[tokio::test]
async fn every_bad_answer_is_repaired_or_fallen_back_in_at_most_three() {
    let over_budget = plan(&[task("a", &[], "rust", Some(9_000_000_000))]);
    let circle = plan(&[task("a", &["b"], "rust", None), task("b", &["a"], "rust", None)]);
    let unknown = plan(&[task("a", &[], "rusty", None)]);
    let bad = [
        ("prose", Act::Say("Sure! First I would write the schema.".into())),
        ("cut", Act::Cut("{\"tasks\": [{\"ref\": \"a\", ".into())),
        ("unknown capability", Act::Say(unknown)),
        ("circle", Act::Say(circle)),
        ("over budget", Act::Say(over_budget)),
    ];
    for (what, act) in bad {
        for api in APIS {
            let budget = json!({"limits": [{"unit": "usd_micros", "amount": 50_000_000}]});
            let brief = json!({"title": "Importer", "brief": BRIEF, "budget": budget});
            // Repaired at the last moment.
            let repaired = Planned::by(api, vec![act.clone(), act.clone(), Act::Say(good())]).await;
            let goal = repaired.goal(brief.clone()).await;
            assert!(repaired.refs(&goal).await.contains("schema"), "{api}: {what}");
            assert_eq!(repaired.stub.received().len(), 3, "{api}: {what}");
            assert_eq!(goal["spend"]["usd_micros"], 9_000, "{api}: {what}: each answer is charged");
            // Never repaired: the next planner of the chain.
            let fallen = Planned::by(api, vec![act.clone(); 9]).await;
            let goal = fallen.goal(brief).await;
            assert_eq!(fallen.stub.received().len(), 3, "{api}: {what}");
            assert_eq!(fallen.refs(&goal).await, BTreeSet::from(["T001".into()]), "{api}: {what}");
            assert_eq!(goal["spend"]["usd_micros"], 9_000, "{api}: {what}: each answer is charged");
            fallen.hides_the_key(&goal).await;
        }
    }
}

#[tokio::test]
async fn a_server_that_fails_leaves_the_goal_to_the_next_planner() {
    let other = ModelStub::play([Act::Say(good())]).await;
    let failures = [
        ("refusal", vec![Act::Refuse("I cannot help with that".into())], 1, 3_000),
        ("hang", vec![Act::Hang], 1, 0),
        ("redirect", vec![Act::Redirect(other.url())], 1, 0),
        ("endless", vec![Act::Endless], 1, 0),
        ("HTML", vec![Act::Raw(200, "text/html", "<p>hello</p>".into())], 1, 0),
        (
            "key echoed",
            vec![Act::Fault(401, "authentication_error", format!("bad key {KEY}"))],
            1,
            0,
        ),
        ("500 for ever", vec![Act::Fault(500, "api_error", format!("oh {KEY}")); 9], 4, 0),
    ];
    for (what, script, calls, money) in failures {
        for api in APIS {
            let planned = Planned::by(api, script.clone()).await;
            let goal = planned.goal(json!({"title": "Importer", "brief": BRIEF})).await;
            assert_eq!(planned.stub.received().len(), calls, "{api}: {what}");
            assert_eq!(planned.refs(&goal).await, BTreeSet::from(["T001".into()]), "{api}: {what}");
            let charged = goal["spend"]["usd_micros"].as_i64().unwrap_or(0);
            assert_eq!(charged, money, "{api}: {what}");
            planned.hides_the_key(&goal).await;
        }
    }
    assert!(other.received().is_empty(), "the key went elsewhere");
}

/// The model is given the open tasks and told of the others. What it says wrongly is repaired, each answer is charged,
/// and what it does not speak of stays.
#[tokio::test]
async fn a_goal_is_planned_anew_by_each_format() {
    let wrong =
        plan(&[task("schema", &["api"], "rust", None), task("api", &["schema"], "rust", None)]);
    let new =
        plan(&[task("api", &["schema"], "rust", None), task("stream", &["schema"], "rust", None)]);
    for api in APIS {
        let script = vec![Act::Say(good()), Act::Say(wrong.clone()), Act::Say(new.clone())];
        let planned = Planned::by(api, script).await;
        let fleet = &planned.fleet;
        let goal = planned.posted(json!({"criteria": [{"text": "it is fast"}]})).await;
        let worker = fleet.agent("worker", &["rust"], 1).await;
        let held = worker.take().await;
        let evidence = json!({"result": {}, "evidence": [{"criterion": 1, "text": "seen"}]});
        worker.write(&held, "complete", evidence).await.expect(200);
        let id = fleet.task_id(&goal, "api").await;

        let body =
            json!({"planners": ["llm"], "brief": "Stream the files.", "reason": "they are large"});
        let answer = planned.admin.post(format!("/v1/goals/{goal}/replan"), &body).await.value(200);
        assert_eq!(answer["outcome"], "planning", "{api}");
        planned.settle().await;
        assert_eq!(planned.turns(&goal).await, "plan llm:planned replan llm:planned", "{api}");
        fleet.expect_states(&goal, "schema:done api:ready stream:ready").await;
        assert_eq!(fleet.task_id(&goal, "api").await, id, "{api}");

        let shown = planned.read(&goal).await;
        assert_eq!(
            (&shown["brief"], &shown["state"]),
            (&json!("Stream the files."), &json!("active"))
        );
        assert_eq!(shown["criteria"][0]["text"], "it is fast", "a model says nothing about it");
        assert_eq!(shown["spend"]["usd_micros"], 9_000, "{api}: three answers");
        let plans = planned.admin.get(format!("/v1/goals/{goal}/plans")).await.value(200);
        let version = &plans["items"][0];
        assert_eq!(
            (&version["number"], &version["base"], &version["planner"], &version["reason"]),
            (&json!(2), &json!(1), &json!("llm"), &json!("they are large")),
            "{api}"
        );
        assert_eq!(version["diff"]["add"][0]["ref"], "stream", "{api}");

        let [_, first, second] = planned.stub.received().try_into().unwrap();
        let asked = first.body.to_string();
        for part in ["Stream the files.", "they are large", "Write api", "Write schema"] {
            assert!(asked.contains(part), "{api}: {part}");
        }
        assert!(!asked.contains("Import things."), "{api}: the brief before is gone");
        assert!(second.body.to_string().contains("cycle"), "{api}: the circle is told");
        planned.adds_up().await;
        planned.hides_the_key(&shown).await;
    }
}

/// The goal goes on with the plan that it has.
#[tokio::test]
async fn a_model_that_makes_no_new_plan_changes_nothing() {
    let other = ModelStub::play([Act::Say(good())]).await;
    let failures = [
        ("prose", vec![Act::Say("I would begin with the schema.".into()); 9], 3, 12_000),
        ("refusal", vec![Act::Refuse("I cannot help with that".into())], 1, 6_000),
        ("redirect", vec![Act::Redirect(other.url())], 1, 3_000),
        (
            "key echoed",
            vec![Act::Fault(401, "authentication_error", format!("bad key {KEY}"))],
            1,
            3_000,
        ),
    ];
    for (what, script, calls, money) in failures {
        let planned = Planned::by("openai_chat", vec![Act::Say(good())]).await;
        let goal = planned.posted(json!({})).await;
        planned.stub.then(script);
        let body = json!({"planners": ["llm"], "brief": "Stream the files."});
        planned.admin.post(format!("/v1/goals/{goal}/replan"), &body).await.expect(200);
        planned.settle().await;
        assert_eq!(planned.turns(&goal).await, "plan llm:planned replan llm:failed", "{what}");
        planned.fleet.expect_states(&goal, "schema:ready api:waiting").await;
        let shown = planned.read(&goal).await;
        assert_eq!((&shown["brief"], &shown["state"]), (&json!(BRIEF), &json!("active")), "{what}");
        assert_eq!(shown["spend"]["usd_micros"], money, "{what}");
        assert_eq!(planned.stub.received().len(), 1 + calls, "{what}");
        let plans = planned.admin.get(format!("/v1/goals/{goal}/plans")).await.value(200);
        assert_eq!(plans["items"].as_array().unwrap().len(), 1, "{what}");
        planned.adds_up().await;
        planned.hides_the_key(&shown).await;
    }
    assert!(other.received().is_empty(), "the key went elsewhere");
}

/// What was too large twice is divided by the model that planned the goal; one part is as large as the whole, so that
/// answer is repaired.
#[tokio::test]
async fn a_task_that_is_too_large_is_divided_by_the_model() {
    let whole = plan(&[task("whole", &[], "rust", None), task("after", &["whole"], "rust", None)]);
    let one = plan(&[task("p", &[], "rust", None)]);
    let parts = plan(&[task("p", &[], "rust", None), task("q", &["p"], "rust", None)]);
    for api in APIS {
        let script = vec![Act::Say(whole.clone()), Act::Say(one.clone()), Act::Say(parts.clone())];
        let planned = Planned::by(api, script).await;
        let fleet = &planned.fleet;
        let goal = planned.posted(json!({})).await;
        let worker = fleet.agent("worker", &["rust"], 1).await;
        for _ in 0..2 {
            worker.fail(&worker.take().await, "too_large").await;
            fleet.pass(5);
            supervisor::round(&planned.app).await.unwrap();
        }
        planned.settle().await;
        assert_eq!(planned.turns(&goal).await, "plan llm:planned parts llm:planned", "{api}");
        let check = "whole:running after:waiting p:ready q:waiting whole-check:waiting";
        fleet.expect_states(&goal, check).await;
        let [_, first, second] = planned.stub.received().try_into().unwrap();
        let asked = first.body.to_string();
        assert!(asked.contains("Write whole") && asked.contains("cargo test"), "{api}: {asked}");
        assert!(second.body.to_string().contains("at least two tasks"), "{api}");
        let shown = planned.read(&goal).await;
        assert_eq!(shown["spend"]["usd_micros"], 9_000, "{api}: three answers");
        planned.adds_up().await;
        planned.hides_the_key(&shown).await;
    }
}

/// Without parts the task waits for a person.
#[tokio::test]
async fn a_task_that_the_model_does_not_divide_waits_for_a_person() {
    let whole = plan(&[task("whole", &[], "rust", None)]);
    let planned = Planned::by("anthropic", vec![Act::Say(whole)]).await;
    let fleet = &planned.fleet;
    let goal = planned.posted(json!({})).await;
    planned.stub.then([Act::Fault(401, "authentication_error", format!("bad key {KEY}"))]);
    let worker = fleet.agent("worker", &["rust"], 1).await;
    for _ in 0..2 {
        worker.fail(&worker.take().await, "too_large").await;
        fleet.pass(5);
        supervisor::round(&planned.app).await.unwrap();
    }
    planned.settle().await;
    assert_eq!(planned.turns(&goal).await, "plan llm:planned parts llm:failed");
    fleet.expect_states(&goal, "whole:parked").await;
    let page = planned.admin.get("/v1/attention?kind=oversized_task").await.value(200);
    assert_eq!(page["counts"]["oversized_task"], 1);
    planned.hides_the_key(&planned.read(&goal).await).await;
}

#[tokio::test]
async fn calls_after_429_are_counted_apart_from_answers() {
    let script = vec![
        Act::Limited("0"),
        Act::Say("prose".into()),
        Act::Fault(500, "api_error", "Sorry".into()),
        Act::Limited("0"),
        Act::Say("prose".into()),
        Act::Say(good()),
    ];
    let planned = Planned::by("openai_chat", script).await;
    let goal = planned.goal(json!({"title": "Importer", "brief": BRIEF})).await;
    assert!(planned.refs(&goal).await.contains("schema"));
    assert_eq!(planned.stub.received().len(), 6);
    assert_eq!(goal["spend"]["usd_micros"], 9_000, "three answers");
}

#[tokio::test]
async fn a_used_up_budget_asks_no_model_and_sums_stay_true() {
    let planned = Planned::by("anthropic", vec![Act::Say("prose".into()), Act::Say(good())]).await;
    // One answer costs 3,000.
    let budget = json!({"limits": [{"unit": "usd_micros", "amount": 2_000}]});
    let brief = json!({"title": "Importer", "brief": BRIEF, "budget": budget, "project": "p"});
    let goal = planned.goal(brief).await;
    assert_eq!(planned.stub.received().len(), 1, "the budget was used up after the first");
    assert_eq!(planned.refs(&goal).await, BTreeSet::from(["T001".into()]));
    assert_eq!(goal["spend"]["usd_micros"], 3_000, "spend is never clipped");
    let project =
        planned.admin.get(format!("/v1/projects/{}", text(&goal["project_id"]))).await.value(200);
    assert_eq!(project["spend"]["usd_micros"], 3_000);
    let report = planned.admin.get("/v1/reports/spend?group_by=goal").await.value(200);
    assert!(report.to_string().contains("3000"), "{report}");
    planned.adds_up().await;

    // A limit that is set later, another project, and what is left of a pruned goal count it too.
    let (admin, id) = (&planned.admin, text(&goal["id"]));
    let budget = json!({"node": "project", "node_id": goal["project_id"],
                        "budget": {"limits": [{"unit": "usd_micros", "amount": 1_000_000}]}});
    admin.post("/v1/budgets", &budget).await.expect(201);
    planned.adds_up().await;
    let project = json!({"project": "q"});
    admin.patch(format!("/v1/goals/{id}"), &project).if_match("*").await.expect(200);
    planned.adds_up().await;
    let before = admin.get("/v1/reports/spend?group_by=project").await.value(200);
    admin.post(format!("/v1/goals/{id}/cancel"), &json!({})).await.expect(200);
    let retention = json!({"goal_retention_days": 1});
    admin.patch("/v1/workspace", &retention).if_match("*").await.expect(200);
    planned.fleet.pass(3 * 86_400);
    planned.fleet.round().await;
    admin.get(format!("/v1/goals/{id}")).await.problem(404, "not_found");
    let after = admin.get("/v1/reports/spend?group_by=project").await.value(200);
    assert_eq!(after["items"], before["items"]);
    planned.adds_up().await;
}
