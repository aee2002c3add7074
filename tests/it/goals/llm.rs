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
