//! The risk of an approval is at least its floor, whatever its asker says.

use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held},
    client::{Answer, Client},
    dump::{dump, same},
    fleet::{Fleet, about, text},
    invariants::verify,
};

const DESTRUCTIVE: &str = r"(?i)\b(drop|truncate)\s+table\b";

async fn rule(fleet: &Fleet, document: Value) -> Value {
    fleet.admin.post("/v1/risk-floors", &document).await.value(201)
}

async fn destructive(fleet: &Fleet) -> Value {
    let payload = json!([{"pointer": "/steps", "matches": DESTRUCTIVE}]);
    rule(fleet, json!({"name": "destructive", "risk": "high", "payload": payload})).await
}

/// Ann and Bob must both agree to what is of high risk.
async fn two_for_high(fleet: &Fleet) -> (Client, Client) {
    let policy = json!({
        "name": "two", "match": {"risk_at_least": "high"},
        "stages": [{"approvers": ["ann", "bob"], "quorum": 2}],
    });
    fleet.admin.post("/v1/approval-policies", &policy).await.expect(201);
    (person(fleet, "ann").await, person(fleet, "bob").await)
}

async fn person(fleet: &Fleet, name: &str) -> Client {
    let body = json!({"name": name, "role": "operator", "person": name});
    fleet.client(&text(&fleet.admin.post("/v1/keys", &body).await.value(201)["token"]))
}

async fn ask(agent: &Agent, held: &Held, question: Value) -> Value {
    let mut body = json!({"kind": "action", "title": "may I?"});
    for (name, value) in question.as_object().unwrap() {
        body[name] = value.clone();
    }
    agent.write(held, "approvals", body).await.value(201)
}

/// Asks about a task of its own.
async fn ask_alone(fleet: &Fleet, agent: &Agent, question: Value) -> Value {
    fleet.lone_task(json!({})).await;
    ask(agent, &agent.take().await, question).await
}

fn path(approval: &Value) -> String {
    format!("/v1/approvals/{}", text(&approval["id"]))
}

async fn now(fleet: &Fleet, approval: &Value) -> Value {
    fleet.admin.get(path(approval)).await.value(200)
}

async fn decide(fleet: &Fleet, who: &Client, approval: &Value, said: Value) -> Answer {
    let body = about(&now(fleet, approval).await, said);
    who.post(format!("{}/decide", path(approval)), &body).await
}

fn yes() -> Value {
    json!({"decision": "approve"})
}

/// The risk, and what set its floor.
fn shown(approval: &Value) -> (&str, Option<(&str, &str)>) {
    let floor = &approval["risk_floor"];
    let reason = floor["source"].as_str().zip(floor["name"].as_str());
    (approval["risk"].as_str().unwrap(), reason)
}

#[tokio::test]
async fn an_agent_that_states_less_gets_the_deciders_of_the_rule() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let (ann, bob) = two_for_high(&fleet).await;
    let made = destructive(&fleet).await;
    let drop = json!({"steps": [{"sql": "select 1"}, {"sql": ["psql", "DrOp \n Table users"]}]});
    let asked = ask_alone(&fleet, &agent, json!({"risk": "low", "payload": drop})).await;
    let floor = json!({"risk": "high", "source": "rule", "id": made["id"], "name": "destructive"});
    assert_eq!((&asked["risk"], &asked["risk_floor"]), (&json!("high"), &floor));
    assert_eq!((&asked["policy"]["name"], &asked["policy"]["quorum"]), (&json!("two"), &json!(2)));
    decide(&fleet, &fleet.admin, &asked, yes()).await.problem(403, "not_an_approver");
    assert_eq!(decide(&fleet, &ann, &asked, yes()).await.value(200)["state"], "pending");
    let links = format!("{}/links", path(&asked));
    let link = fleet.admin.post(links, &json!({"person": "bob"})).await;
    link.problem(403, "link_refused");
    assert_eq!(decide(&fleet, &bob, &asked, yes()).await.value(200)["state"], "approved");

    // Every reader sees why, and the agent that reads the events learns no pattern.
    let data: Value = sqlx::query_scalar(
        "select data from journal where approval_id = $1::uuid and kind = 'approval.requested'",
    )
    .bind(text(&asked["id"]))
    .fetch_one(&fleet.pool)
    .await
    .unwrap();
    assert_eq!((&data["risk"], &data["risk_floor"]), (&json!("high"), &floor));
    let events = agent.client.get("/v1/events?limit=200").await.value(200).to_string();
    assert!(events.contains("risk_floor.created") && !events.contains("truncate"));

    let harmless = json!({"steps": [{"sql": "select 'dropped' as table"}]});
    let asked = ask_alone(&fleet, &agent, json!({"risk": "low", "payload": harmless})).await;
    assert_eq!((shown(&asked), &asked["policy"]), (("low", None), &Value::Null));
    let more = ask_alone(&fleet, &agent, json!({"risk": "critical", "payload": drop})).await;
    assert_eq!(shown(&more), ("critical", Some(("rule", "destructive"))));
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn an_edit_of_the_payload_finds_its_floor_and_lowers_nothing() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let (ann, bob) = two_for_high(&fleet).await;
    destructive(&fleet).await;
    let drop = json!({"steps": ["drop table users"]});
    let asked = ask_alone(&fleet, &agent, json!({"risk": "low", "payload": {"steps": []}})).await;
    assert_eq!((shown(&asked), &asked["policy"]), (("low", None), &Value::Null));
    // Whoever approves something else than what was asked needs the others for that.
    let edited = json!({"decision": "approve", "payload": drop});
    let before = dump(&fleet.pool).await;
    decide(&fleet, &fleet.admin, &asked, edited.clone()).await.problem(403, "not_an_approver");
    same("a refused edit", &before, &dump(&fleet.pool).await);
    let voted = decide(&fleet, &ann, &asked, edited).await.value(200);
    assert_eq!((&voted["state"], &voted["policy"]["agree"]), (&json!("pending"), &json!(1)));
    assert_eq!(shown(&voted), ("high", Some(("rule", "destructive"))));

    let back = about(&voted, json!({"payload": {"steps": []}}));
    let revised = fleet.admin.post(format!("{}/revise", path(&asked)), &back).await.value(200);
    assert_eq!((&revised["policy"]["name"], &revised["revision"]), (&json!("two"), &json!(3)));
    assert_eq!(shown(&revised), ("high", Some(("rule", "destructive"))), "it never falls");
    assert_eq!(decide(&fleet, &ann, &asked, yes()).await.value(200)["state"], "pending");
    assert_eq!(decide(&fleet, &bob, &asked, yes()).await.value(200)["state"], "approved");
    verify(&fleet.pool).await;
}

/// An admin who decides because nobody else can does not escape by an edit.
#[tokio::test]
async fn the_last_resort_ends_where_an_edit_finds_other_deciders() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let policy = json!({"name": "two", "match": {"risk_at_least": "high"},
                        "stages": [{"approvers": ["ann", "bob"], "quorum": 2}]});
    fleet.admin.post("/v1/approval-policies", &policy).await.expect(201);
    destructive(&fleet).await;
    let goal = json!({"title": "g", "tasks": [{"ref": "a", "title": "a"}]});
    fleet.admin.post("/v1/goals", &goal).await.expect(201);
    let asked = ask(&agent, &agent.take().await, json!({"payload": {"steps": []}})).await;
    let alone = json!({"decision": "approve", "nobody_else": true});
    let mut edited = alone.clone();
    edited["payload"] = json!({"steps": ["truncate table users"]});
    let answer = decide(&fleet, &fleet.admin, &asked, edited).await;
    answer.problem(403, "separation_of_duties");
    let decided = decide(&fleet, &fleet.admin, &asked, alone).await.value(200);
    assert_eq!((&decided["state"], &decided["risk"]), (&json!("approved"), &json!("medium")));
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn the_floor_of_a_task_holds_for_what_is_asked_about_it_and_inside_it() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "box", "title": "box", "risk": "critical"},
            {"ref": "in", "title": "in", "parent": "box", "risk": "low"},
            {"ref": "out", "title": "out", "risk": "high", "needs": ["box"]},
        ]))
        .await;
    let inside = fleet.task_id(&goal, "in").await;
    let task = fleet.admin.get(format!("/v1/tasks/{inside}")).await.value(200);
    assert_eq!(task["risk"], "critical");
    let held = agent.take().await;
    assert_eq!((&*held.name, &held.task), ("in", &inside));
    let asked = ask(&agent, &held, json!({"kind": "input", "risk": "low"})).await;
    assert_eq!(shown(&asked), ("critical", Some(("task", "in"))));
    assert_eq!(asked["risk_floor"]["id"], json!(inside));
    fleet.decide(json!({"decision": "decline"})).await;
    agent.complete(&agent.take().await).await;

    // An agent cannot leave a floor by a subtask that it describes itself.
    let held = agent.take().await;
    assert_eq!(held.name, "out");
    let subtasks = json!([{"ref": "s", "title": "s", "risk": "low"},
                          {"ref": "deep", "title": "deep", "parent": "s"}]);
    agent.subtasks(&held, subtasks).await;
    let held = agent.take().await;
    assert_eq!(held.name, "deep");
    let asked = ask(&agent, &held, json!({"risk": "low"})).await;
    assert_eq!(shown(&asked), ("high", Some(("task", "deep"))));
    let none = fleet.lone_task(json!({})).await;
    let none = fleet.task_id(&none, "a").await;
    assert_eq!(fleet.admin.get(format!("/v1/tasks/{none}")).await.value(200)["risk"], Value::Null);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn what_no_agent_asks_has_floors_too() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("able", &["deploy"], 10).await;
    let project = fleet.admin.post("/v1/projects", &json!({"name": "shop"})).await.value(201);
    rule(&fleet, json!({"name": "deploys", "risk": "high", "capability": "deploy"})).await;
    rule(&fleet, json!({"name": "raises", "risk": "critical", "kind": "budget"})).await;
    rule(&fleet, json!({"name": "shop", "risk": "critical", "project_id": project["id"]})).await;
    let mut asked = Vec::new();

    // The tasks of a brief have the floor of the goal's defaults.
    let plan = json!({"title": "g", "brief": "- [ ] one\n- [ ] two", "approval": {"plan": true},
                      "task_defaults": {"risk": "high"}});
    fleet.post_goal(plan).await;
    asked.push(fleet.question().await);
    let floor = &asked[0]["risk_floor"];
    assert_eq!((&floor["source"], &floor["id"]), (&json!("task"), &Value::Null));
    fleet.decide(yes()).await;
    while let Some(held) = agent.claim(1).await.pop() {
        let task = fleet.admin.get(format!("/v1/tasks/{}", held.task)).await.value(200);
        assert_eq!(task["risk"], "high");
        agent.complete(&held).await;
    }
    let plan = json!({"title": "g", "approval": {"plan": true}, "tasks": [
        {"ref": "a", "title": "a"}, {"ref": "b", "title": "b", "capabilities": ["deploy"]}]});
    fleet.post_goal(plan).await;
    asked.push(fleet.question().await);
    fleet.decide(json!({"decision": "reject", "reason": "no"})).await;

    let points = json!({"start": true, "result": true});
    fleet.lone_task(json!({"approval": points, "risk": "high"})).await;
    asked.push(fleet.question().await);
    fleet.decide(yes()).await;
    agent.complete(&agent.take().await).await;
    asked.push(fleet.question().await);
    fleet.decide(json!({"decision": "reject", "reason": "no"})).await;
    fleet.after(600).await;
    agent.complete(&agent.take().await).await;
    fleet.decide(yes()).await;

    fleet
        .post_goal(json!({"title": "g", "project": "shop",
            "tasks": [{"ref": "a", "title": "a", "approval": {"start": true}}]}))
        .await;
    asked.push(fleet.question().await);
    fleet.decide(json!({"decision": "reject", "reason": "no"})).await;

    let budget = json!({"node": "workspace", "budget": {
        "limits": [{"unit": "usd_micros", "amount": 10, "period": "lifetime"}],
        "on_exhausted": "park_and_ask"}});
    fleet.admin.post("/v1/budgets", &budget).await.expect(201);
    fleet.lone_task(json!({"estimate": {"usd_micros": 60}})).await;
    agent.find_nothing().await;
    asked.push(fleet.question().await);
    let seen: Vec<_> = asked.iter().map(|one| (text(&one["kind"]), shown(one))).collect();
    let seen: Vec<_> = seen.iter().map(|(kind, shown)| (kind.as_str(), *shown)).collect();
    assert_eq!(seen[0].1.0, "high");
    assert_eq!(
        seen[1..],
        [
            ("plan", ("high", Some(("rule", "deploys")))),
            ("start", ("high", Some(("task", "a")))),
            ("result", ("high", Some(("task", "a")))),
            ("start", ("critical", Some(("rule", "shop")))),
            ("budget", ("critical", Some(("rule", "raises")))),
        ]
    );
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn the_question_of_an_intervention_rule_has_a_floor() {
    let fleet = Fleet::start().await;
    rule(&fleet, json!({"name": "deploys", "risk": "high", "capability": "deploy"})).await;
    let ask = json!({"name": "ask", "when": {"risky_capability": {"capabilities": ["deploy"]}},
                     "then": {"ask": {"risk": "low"}}});
    fleet.admin.post("/v1/rules", &ask).await.expect(201);
    fleet.lone_task(json!({"capabilities": ["deploy"]})).await;
    fleet.round().await;
    assert_eq!(shown(&fleet.question().await), ("high", Some(("rule", "deploys"))));
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn admins_make_and_delete_rules_and_what_is_asked_keeps_its_floor() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let before = ask_alone(&fleet, &agent, json!({"risk": "low"})).await;
    let document = json!({"name": "all", "risk": "high"});
    let post = || fleet.admin.post("/v1/risk-floors", &document).idempotency_key("once");
    let made = post().await.value(201);
    assert_eq!(post().await.value(201), made, "the same request again");
    fleet.admin.post("/v1/risk-floors", &document).await.problem(409, "already_exists");
    let list = fleet.admin.get("/v1/risk-floors").await.value(200);
    assert_eq!(list["items"], json!([made]));
    let at = format!("/v1/risk-floors/{}", text(&made["id"]));
    assert_eq!(fleet.admin.get(&at).await.value(200), made);
    let after = ask_alone(&fleet, &agent, json!({"risk": "low"})).await;

    for role in ["operator", "viewer", "submitter"] {
        let client = fleet.client(&fleet.key(role).await);
        client
            .post("/v1/risk-floors", &json!({"name": role, "risk": "low"}))
            .await
            .problem(403, "forbidden");
        client.call(Method::DELETE, &at).await.problem(403, "forbidden");
        let read = client.get("/v1/risk-floors").await;
        assert_eq!(read.status.as_u16(), if role == "submitter" { 403 } else { 200 }, "{role}");
    }
    agent.client.get("/v1/risk-floors").await.problem(403, "forbidden");
    let stranger = fleet.other_workspace().await;
    stranger.get(&at).await.problem(404, "not_found");
    stranger.call(Method::DELETE, &at).await.problem(404, "not_found");

    fleet.admin.call(Method::DELETE, &at).await.expect(204);
    fleet.admin.call(Method::DELETE, &at).await.problem(404, "not_found");
    fleet.admin.get(&at).await.problem(404, "not_found");
    assert_eq!(shown(&now(&fleet, &before).await), ("low", None));
    assert_eq!(shown(&now(&fleet, &after).await), ("high", Some(("rule", "all"))));
    let free = ask_alone(&fleet, &agent, json!({"risk": "low"})).await;
    assert_eq!(shown(&free), ("low", None));
    let rows: Vec<(String, bool, bool)> = sqlx::query_as(
        "select kind, before_sha256 is not null, after_sha256 is not null from journal
         where kind like 'risk_floor.%' order by number",
    )
    .fetch_all(&fleet.pool)
    .await
    .unwrap();
    let row = |kind: &str, before, after| (kind.to_owned(), before, after);
    assert_eq!(
        rows,
        [row("risk_floor.created", false, true), row("risk_floor.deleted", true, false)]
    );
    let lowered = sqlx::query("update approvals set risk = 'medium' where risk_floor is not null")
        .execute(&fleet.pool)
        .await
        .expect_err("no statement puts an approval below its floor");
    assert!(lowered.to_string().contains("approvals_risk_at_least_floor"), "{lowered}");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_rule_that_makes_no_sense_is_refused_and_nothing_is_stored() {
    let fleet = Fleet::start().await;
    let before = dump(&fleet.pool).await;
    for (condition, pointers) in [
        (json!({"pointer": "x", "equals": 1}), &["/payload/0/pointer"][..]),
        (json!({"pointer": "/x", "matches": "("}), &["/payload/0/matches"]),
        (json!({"pointer": "/x", "matches": "(?:a{500}){500}"}), &["/payload/0/matches"]),
        (json!({"pointer": "/x"}), &["/payload/0"]),
    ] {
        let body = json!({"name": "n", "risk": "high", "payload": [condition]});
        let answer = fleet.admin.post("/v1/risk-floors", &body).await;
        assert_eq!(answer.problem(422, "invalid"), pointers, "{body}");
    }
    for body in
        [json!({"name": "n", "risk": "huge"}), json!({"name": "n", "risk": "low", "kinds": []})]
    {
        fleet.admin.post("/v1/risk-floors", &body).await.problem(422, "invalid");
    }
    let nowhere = json!({"name": "n", "risk": "high", "project_id": fleet.no_id()});
    fleet.admin.post("/v1/risk-floors", &nowhere).await.problem(404, "not_found");
    same("refused rules", &before, &dump(&fleet.pool).await);
    for number in 0..100 {
        rule(&fleet, json!({"name": number.to_string(), "risk": "low"})).await;
    }
    let one_more = json!({"name": "more", "risk": "low"});
    fleet.admin.post("/v1/risk-floors", &one_more).await.problem(422, "invalid");
}

/// An agent chooses the payload, so it must not choose how long the search takes.
#[tokio::test]
async fn a_huge_payload_against_many_rules_is_asked_soon_and_found_at_its_end() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let payload = json!([{"pointer": "", "matches": "(a|aa|a?)*(a*)*b$"}]);
    for number in 0..20 {
        let name = format!("slow {number}");
        rule(&fleet, json!({"name": name, "risk": "critical", "payload": payload})).await;
    }
    let payload = json!([{"pointer": "", "matches": DESTRUCTIVE}]);
    rule(&fleet, json!({"name": "found", "risk": "high", "payload": payload})).await;
    let steps = format!("{} drop table users", "a".repeat(250 * 1024));
    let begin = Instant::now();
    let asked =
        ask_alone(&fleet, &agent, json!({"risk": "low", "payload": {"s": [[steps]]}})).await;
    let took = begin.elapsed();
    assert_eq!(shown(&asked), ("high", Some(("rule", "found"))));
    println!("twenty slow patterns on 250 KiB: {took:?}");
    assert!(took < Duration::from_secs(30), "it took {took:?}");
}

#[tokio::test]
async fn a_simulation_shows_the_floors_of_the_past() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let ann = person(&fleet, "ann").await;
    rule(&fleet, json!({"name": "actions", "risk": "high", "kind": "action"})).await;
    let asked = ask_alone(&fleet, &agent, json!({"risk": "low"})).await;
    assert_eq!(decide(&fleet, &ann, &asked, yes()).await.value(200)["state"], "approved");
    let policy = json!({"name": "two", "match": {"risk_at_least": "high"},
                        "stages": [{"approvers": ["ann", "bob"], "quorum": 2}]});
    let policy = fleet.admin.post("/v1/approval-policies", &policy).await.value(201);
    let simulate = format!("/v1/approval-policies/{}/simulate", text(&policy["id"]));
    let told = fleet.admin.post(simulate, &json!({})).await.value(200);
    assert_eq!((&told["matched"], &told["too_few"]), (&json!(1), &json!(1)));
    assert_eq!(shown(&told["examples"][0]), ("high", Some(("rule", "actions"))));
}
