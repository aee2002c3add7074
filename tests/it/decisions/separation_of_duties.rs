//! Separation of duties: whoever wants something, has it done or wrote it does not decide about it.

use serde_json::{Value, json};

use crate::support::{
    agent::Agent,
    client::Client,
    dump::{dump, same},
    fleet::{Fleet, about, register, text},
    invariants::verify,
};

/// An operator, who is this person when one is given.
async fn operator(fleet: &Fleet, person: Option<&str>) -> Client {
    let mut new = json!({"name": "somebody", "role": "operator"});
    if let Some(person) = person {
        new["person"] = json!(person);
    }
    let made = fleet.admin.post("/v1/keys", &new).await.value(201);
    assert_eq!(made["key"]["person"], json!(person.map(str::to_lowercase)));
    fleet.admin.with_key(text(&made["token"]))
}

async fn refused(fleet: &Fleet, who: &Client, question: &Value, decision: &Value) {
    let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
    let before = dump(&fleet.pool).await;
    let answer = who.post(path, &about(question, decision.clone())).await;
    answer.problem(403, "separation_of_duties");
    same("a refused decision", &before, &dump(&fleet.pool).await);
}

async fn agent_of(by: &Client, owner: Option<&str>) -> Agent {
    let mut new = json!({"name": format!("agent of {owner:?}"), "max_concurrent": 9});
    if let Some(owner) = owner {
        new["owner"] = json!(owner);
    }
    register(by, new).await
}

async fn rename(fleet: &Fleet, agent: &Agent, owner: &str) {
    let path = format!("/v1/agents/{}", agent.id);
    let etag = fleet.admin.get(&path).await.etag();
    let edit = fleet.admin.patch(&path, &json!({"owner": owner}));
    assert_eq!(edit.if_match(&etag).await.value(200)["owner"], owner);
}

fn approve() -> Value {
    json!({"decision": "approve"})
}

#[tokio::test]
async fn nobody_in_the_chain_decides_and_somebody_else_does() {
    let fleet = Fleet::start().await;
    // Not made by the admin, who could not decide then.
    let role = muster::domain::access::role::Role::Operator;
    let key = fleet.key_of(role, Some("Pat@example.com")).await;
    let poster = fleet.client(&key);
    let pats_other_key = operator(&fleet, Some("pat@example.com")).await;
    let alice = operator(&fleet, Some("alice@example.com")).await;
    let bob = operator(&fleet, Some("bob@example.com")).await;
    let olga = operator(&fleet, Some("olga@example.com")).await;
    let goal = json!({
        "title": "goal", "approval": {"plan": true},
        "on_behalf_of": ["Alice@example.com", "bob@example.com"],
        "tasks": [{"ref": "a", "title": "a",
                   "approval": {"start": true, "result": true}}],
    });
    let posted = poster.post("/v1/goals", &goal).await.value(201);
    assert_eq!(posted["on_behalf_of"], json!(["alice@example.com", "bob@example.com"]));
    let agent = agent_of(&fleet.poster, Some("olga@example.com")).await;

    // The plan, the start, what the agent asks, and its result.
    for step in ["plan", "start", "action", "result"] {
        match step {
            "action" => {
                let held = agent.take().await;
                agent.ask(&held, "action").await;
            }
            "result" => {
                let held = agent.take().await;
                agent.complete(&held).await;
            }
            _ => {}
        }
        let question = fleet.question().await;
        assert_eq!(question["kind"], step);
        for who in [&poster, &pats_other_key, &alice, &bob] {
            refused(&fleet, who, &question, &approve()).await;
            let reject = json!({"decision": "reject", "reason": "no"});
            refused(&fleet, who, &question, &reject).await;
        }
        if ["action", "result"].contains(&step) {
            refused(&fleet, &olga, &question, &approve()).await;
        }
        // Renaming the owner afterwards opens nothing.
        rename(&fleet, &agent, "nobody").await;
        if ["action", "result"].contains(&step) {
            refused(&fleet, &olga, &question, &approve()).await;
        }
        rename(&fleet, &agent, "olga@example.com").await;
        let decided = fleet.decide(approve()).await;
        assert_eq!(decided["state"], "approved");
        assert_eq!(decided["decided_by_person"], Value::Null);
    }
    let goal = text(&posted["id"]);
    fleet.expect_states(&goal, "a:done").await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn whoever_registered_an_agent_without_owner_stands_in_for_one() {
    let fleet = Fleet::start().await;
    let nobody = operator(&fleet, None).await;
    let agent = agent_of(&nobody, None).await;
    let carol = operator(&fleet, Some("carol")).await;
    let carols = agent_of(&carol, Some("carol")).await;
    let own = operator(&fleet, Some("carol")).await;
    for (agent, owners) in [(&agent, vec![&nobody]), (&carols, vec![&carol, &own])] {
        fleet.lone_task(json!({})).await;
        let held = agent.take().await;
        agent.ask(&held, "input").await;
        let question = fleet.question().await;
        let answer = json!({"decision": "answer", "answer": 1});
        for owner in owners {
            refused(&fleet, owner, &question, &answer).await;
        }
        let another = operator(&fleet, Some("dora")).await;
        let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
        let decided = another.post(path, &about(&question, answer)).await.value(200);
        assert_eq!(decided["decided_by_person"], "dora");
    }
}

#[tokio::test]
async fn an_agent_that_worked_on_it_before_counts_and_a_subtasks_author_too() {
    let fleet = Fleet::start().await;
    let first = agent_of(&fleet.poster, Some("first")).await;
    let goal = fleet.lone_task(json!({})).await;
    let held = first.take().await;
    let subtasks = json!([{"ref": "b", "title": "b", "approval": {"start": true}}]);
    first.subtasks(&held, subtasks).await;
    let question = fleet.question().await;
    assert_eq!(question["kind"], "start");
    refused(&fleet, &operator(&fleet, Some("first")).await, &question, &approve()).await;
    fleet.decide(approve()).await;
    fleet.expect_states(&goal, "a:parked b:ready").await;
}

#[tokio::test]
async fn names_have_one_spelling_and_agents_keys_none() {
    let fleet = Fleet::start().await;
    for person in ["", "a b", "\u{430}lice", "x".repeat(201).as_str()] {
        let new = json!({"name": "k", "role": "operator", "person": person});
        fleet.admin.post("/v1/keys", &new).await.problem(422, "invalid");
    }
    let many: Vec<String> = (0..11).map(|n| format!("p{n}")).collect();
    let goal = json!({"title": "g", "tasks": [{"ref": "a", "title": "a"}], "on_behalf_of": many});
    fleet.admin.post("/v1/goals", &goal).await.problem(422, "invalid");
    let me = operator(&fleet, Some("Me")).await.get("/v1/whoami").await.value(200);
    assert_eq!(me["person"], "me");
}
