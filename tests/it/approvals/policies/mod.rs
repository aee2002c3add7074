//! Approval policies: who decides, how many of them, in which order, and what happens when nobody does.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held},
    client::{Answer, Client},
    dump::{dump, same},
    fleet::{Fleet, about, text},
    invariants::verify,
};

mod expiry;
mod races;
mod restart;
mod simulate;
mod stages;
mod votes;

/// Makes a policy of these settings, else for everything and any operator; returns it.
async fn policy(fleet: &Fleet, settings: Value) -> Value {
    fleet.admin.post("/v1/approval-policies", &spec(settings)).await.value(201)
}

fn spec(settings: Value) -> Value {
    let mut spec = json!({"name": "p", "stages": [{}]});
    for (name, value) in settings.as_object().unwrap() {
        spec[name] = value.clone();
    }
    spec
}

fn mail(name: &str) -> String {
    format!("{name}@example.com")
}

fn mails(names: &[&str]) -> Value {
    names.iter().map(|name| mail(name)).collect()
}

/// An operator's key of a person.
async fn key_of(fleet: &Fleet, name: &str) -> String {
    let body = json!({"name": name, "role": "operator", "person": mail(name)});
    text(&fleet.admin.post("/v1/keys", &body).await.value(201)["token"])
}

/// A service, a worker, and some people with keys.
struct Crowd {
    fleet: Fleet,
    agent: Agent,
    people: BTreeMap<String, Client>,
}

impl Crowd {
    async fn of(names: &[&str]) -> Self {
        let fleet = Fleet::start().await;
        let agent = fleet.worker().await;
        let mut people = BTreeMap::new();
        for name in names {
            let key = key_of(&fleet, name).await;
            people.insert((*name).to_owned(), fleet.client(&key));
        }
        Self { fleet, agent, people }
    }

    /// Asks a question of a kind about a task of its own; returns the approval and what asked.
    async fn ask(&self, kind: &str) -> (Value, Held, String) {
        let goal = self.fleet.lone_task(json!({})).await;
        let held = self.agent.take().await;
        let asked = self.agent.ask(&held, kind).await;
        (asked, held, goal)
    }

    /// Somebody votes on an approval, as it is now.
    async fn vote(&self, who: &str, approval: &Value, said: Value) -> Answer {
        let now = read(&self.fleet, approval).await;
        let path = format!("/v1/approvals/{}/decide", text(&approval["id"]));
        self.people[who].post(path, &about(&now, said)).await
    }

    async fn yes(&self, who: &str, approval: &Value) -> Answer {
        self.vote(who, approval, json!({"decision": "approve"})).await
    }

    async fn no(&self, who: &str, approval: &Value) -> Answer {
        let reason = format!("{who} says no");
        self.vote(who, approval, json!({"decision": "reject", "reason": reason})).await
    }
}

/// An approval as it is now.
async fn read(fleet: &Fleet, approval: &Value) -> Value {
    fleet.admin.get(format!("/v1/approvals/{}", text(&approval["id"]))).await.value(200)
}

/// The kinds of the events about an approval, in order.
async fn told(fleet: &Fleet, approval: &Value) -> Vec<String> {
    sqlx::query_scalar("select kind from journal where approval_id = $1::uuid order by number")
        .bind(text(&approval["id"]))
        .fetch_all(&fleet.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_policy_is_made_edited_and_retired_by_administrators() {
    let fleet = Fleet::start().await;
    let given = spec(json!({
        "name": "two", "priority": 3, "match": {"kinds": ["action"], "risk_at_least": "high"},
        "stages": [{"approvers": mails(&["ann", "bob"]), "quorum": 2}],
        "expires_after_seconds": 60, "on_expiry": "escalate", "escalation_ends": "reject",
        "escalation": [{"approvers": mails(&["cid"]), "expires_after_seconds": 30}],
        "delegations": [{"delegator": mail("ann"), "delegate": mail("dan"),
                         "until": "2027-01-01T00:00:00Z"}],
    }));
    let post = || fleet.admin.post("/v1/approval-policies", &given).idempotency_key("once");
    let made = post().await.value(201);
    assert_eq!(post().await.value(201), made, "the same request again");
    for (name, value) in given.as_object().unwrap() {
        match name.as_str() {
            "match" | "escalation" | "delegations" => {}
            _ => assert_eq!(&made["spec"][name], value, "{name}"),
        }
    }
    assert_eq!((&made["version"], &made["retired_at"]), (&json!(1), &Value::Null));
    let path = format!("/v1/approval-policies/{}", text(&made["id"]));
    fleet.admin.post("/v1/approval-policies", &given).await.problem(409, "already_exists");

    let mut edited = made["spec"].clone();
    edited["veto"] = json!(true);
    let put = |body: &Value| fleet.admin.call(axum::http::Method::PUT, &path).json(body);
    put(&edited).await.problem(428, "precondition_required");
    put(&edited).if_match("\"v7\"").await.problem(412, "precondition_failed");
    let after = put(&edited).if_match("\"v1\"").await.value(200);
    assert_eq!((&after["version"], &after["spec"]["veto"]), (&json!(2), &json!(true)));
    let same = put(&edited).if_match("\"v2\"").await.value(200);
    assert_eq!(same["version"], 2, "nothing was changed");
    assert_eq!(fleet.admin.get(&path).await.value(200), after);

    let retire = || fleet.admin.call(axum::http::Method::DELETE, &path).if_match("*");
    let retired = retire().await.value(200);
    assert!(!retired["retired_at"].is_null());
    assert_eq!(retire().await.value(200), retired);
    put(&edited).if_match("*").await.problem(412, "precondition_failed");
    // The name is free again.
    let again = fleet.admin.post("/v1/approval-policies", &given).await.value(201);
    let list = fleet.admin.get("/v1/approval-policies?retired=false").await.value(200);
    assert_eq!(list["items"], json!([again]));
    let all = fleet.admin.get("/v1/approval-policies").await.value(200);
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    let kinds: Vec<String> =
        sqlx::query_scalar("select kind from journal where kind like 'policy.%' order by number")
            .fetch_all(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(kinds, ["policy.created", "policy.updated", "policy.retired", "policy.created"]);
}

#[tokio::test]
async fn a_policy_that_makes_no_sense_is_refused_and_nothing_is_stored() {
    let fleet = Fleet::start().await;
    let before = dump(&fleet.pool).await;
    for (settings, pointers) in [
        (json!({"stages": []}), &["/stages"][..]),
        (json!({"stages": [{"approvers": mails(&["ann"]), "quorum": 2}]}), &["/stages/0/quorum"]),
        (json!({"on_expiry": "reject"}), &["/expires_after_seconds"]),
        (json!({"expires_after_seconds": 9, "on_expiry": "default"}), &["/default"]),
    ] {
        let answer = fleet.admin.post("/v1/approval-policies", &spec(settings.clone())).await;
        assert_eq!(answer.problem(422, "invalid"), pointers, "{settings}");
    }
    let nowhere = json!({"match": {"project_id": fleet.no_id()}});
    let answer = fleet.admin.post("/v1/approval-policies", &spec(nowhere)).await;
    answer.problem(404, "not_found");
    same("refused policies", &before, &dump(&fleet.pool).await);
}

/// What is asked is looked at in every way that a policy can match.
#[tokio::test]
async fn what_is_asked_finds_its_policy() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("able", &["deploy", "rust"], 10).await;
    let project = fleet.admin.post("/v1/projects", &json!({"name": "shop"})).await.value(201);
    for (name, priority, wanted) in [
        ("rest", 0, json!({})),
        ("actions", 1, json!({"kinds": ["action"]})),
        ("deploys", 2, json!({"capabilities": ["deploy"]})),
        ("risky", 3, json!({"risk_at_least": "high"})),
        ("shop", 4, json!({"project_id": project["id"]})),
        ("dear", 5, json!({"cost_at_least": {"unit": "usd_micros", "amount": 1000}})),
    ] {
        policy(&fleet, json!({"name": name, "priority": priority, "match": wanted})).await;
    }
    let deploy = json!({"capabilities": ["deploy"]});
    let dear = json!({"capabilities": ["deploy"], "estimate": {"usd_micros": 1000}});
    let shop = json!("shop");
    for (task, project, question, found) in [
        (json!({}), None, json!({"kind": "input"}), "rest"),
        (json!({}), None, json!({"kind": "action"}), "actions"),
        (deploy.clone(), None, json!({"kind": "action"}), "deploys"),
        (deploy.clone(), None, json!({"kind": "input", "risk": "critical"}), "risky"),
        (deploy, Some(&shop), json!({"kind": "action", "risk": "high"}), "shop"),
        (dear, Some(&shop), json!({"kind": "action"}), "dear"),
    ] {
        let mut task = task;
        (task["ref"], task["title"]) = (json!("a"), json!("a"));
        let mut goal = json!({"title": "g", "tasks": [task]});
        if let Some(project) = project {
            goal["project"] = project.clone();
        }
        fleet.post_goal(goal).await;
        let held = agent.take().await;
        let mut question = question;
        question["title"] = json!("may I?");
        let asked = agent.write(&held, "approvals", question.clone()).await.value(201);
        assert_eq!(asked["policy"]["name"], found, "{question}");
    }
    // A plan requires and costs what its tasks do.
    for (estimate, found) in [(499, "deploys"), (500, "dear")] {
        let task = |name| {
            json!({"ref": name, "title": "t", "capabilities": ["rust", "deploy"],
                                 "estimate": {"usd_micros": estimate}})
        };
        let goal = json!({"title": "g", "approval": {"plan": true},
                          "tasks": [task("a"), task("b"), {"ref": "c", "title": "c"}]});
        let goal = fleet.post_goal(goal).await;
        let asked = fleet.admin.get(format!("/v1/approvals?goal_id={goal}")).await.value(200);
        assert_eq!(asked["items"][0]["policy"]["name"], found);
    }
    verify(&fleet.pool).await;
}

/// What was asked goes on by the words that were there then.
#[tokio::test]
async fn a_policy_is_frozen_with_what_is_asked() {
    let crowd = Crowd::of(&["ann", "bob"]).await;
    let fleet = &crowd.fleet;
    let stages = json!([{"approvers": mails(&["ann"])}]);
    let made = policy(fleet, json!({"stages": stages})).await;
    let (asked, ..) = crowd.ask("action").await;
    let path = format!("/v1/approval-policies/{}", text(&made["id"]));
    let other = spec(json!({"stages": [{"approvers": mails(&["bob"])}]}));
    fleet.admin.call(axum::http::Method::PUT, &path).json(&other).if_match("*").await.expect(200);
    crowd.yes("bob", &asked).await.problem(403, "not_an_approver");
    fleet.admin.call(axum::http::Method::DELETE, &path).if_match("*").await.expect(200);
    crowd.yes("bob", &asked).await.problem(403, "not_an_approver");
    let standing = read(fleet, &asked).await["policy"].clone();
    assert_eq!((&standing["version"], &standing["approvers"]), (&json!(1), &mails(&["ann"])));
    assert_eq!(crowd.yes("ann", &asked).await.value(200)["state"], "approved");
    let (free, ..) = crowd.ask("action").await;
    assert_eq!(free["policy"], Value::Null);
    assert_eq!(crowd.yes("bob", &free).await.value(200)["state"], "approved");
    verify(&fleet.pool).await;
}
