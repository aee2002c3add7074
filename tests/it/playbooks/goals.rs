//! Goals whose plan is made of a playbook.

use serde_json::{Value, json};

use super::{RELEASE, store};
use crate::support::{
    dump::{dump, same},
    fleet::Fleet,
    invariants::verify,
};

#[tokio::test]
async fn a_goal_gets_the_tasks_of_its_playbook_and_remembers_it() {
    let fleet = Fleet::start().await;
    store(&fleet, RELEASE).await;
    let goal = json!({"title": "1.2", "brief": "See the tickets.",
        "playbook": {"name": "release", "variables": {"crates": ["a", "b"]}}});
    let preview = fleet.admin.post("/v1/plans/preview", &goal).await.value(200);
    let id = fleet.post_goal(goal).await;
    store(&fleet, &RELEASE.replace("Test {{", "Check {{")).await;
    let read = fleet.read_goal(&id).await;
    assert_eq!((&read["planner"], &read["state"]), (&json!("playbook"), &json!("active")));
    assert_eq!(read["tasks"]["total"], 3);
    assert_eq!(fleet.task(&id, "log").await["title"], "Write the log of 1.2");
    let plan = &fleet.admin.get(format!("/v1/goals/{id}/plans")).await.value(200)["items"][0];
    assert_eq!(plan["tasks"], preview["tasks"]);
    let used = json!({"name": "release", "version": 1, "variables": {"crates": ["a", "b"]}});
    assert_eq!(plan["playbook"], used);
    assert_eq!(preview["playbook"], used);
    // With its version the same goal gets the same plan, without it the latest.
    for (version, title) in [(json!(1), "Test a"), (Value::Null, "Check a")] {
        let used = json!({"name": "release", "version": version, "variables": {"crates": ["a"]}});
        let goal = json!({"title": "again", "planner": "playbook", "playbook": used});
        let id = fleet.post_goal(goal).await;
        assert_eq!(fleet.task(&id, "test-a").await["title"], title);
    }
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_built_in_playbook_is_worked_to_its_end() {
    let fleet = Fleet::start().await;
    let coder = fleet.agent("coder", &["rust"], 1).await;
    let reviewer = fleet.agent("reviewer", &["review"], 1).await;
    let goal = json!({"title": "The import breaks", "brief": "It panics.",
        "playbook": {"name": "fix-a-bug", "variables": {"capability": "rust"}}});
    let id = fleet.post_goal(goal).await;
    for (agent, name) in [(&coder, "reproduce"), (&coder, "fix"), (&reviewer, "review")] {
        assert_eq!(fleet.state(&id, name).await, "ready");
        let held = agent.take().await;
        assert_eq!(held.claim["task"]["ref"], name);
        let evidence: Vec<Value> =
            (1..=3).map(|number| json!({"criterion": number, "text": "seen"})).collect();
        let count = held.claim["task"]["criteria"].as_array().unwrap().len();
        let body = json!({"evidence": evidence[..count], "result": {}});
        agent.write(&held, "complete", body).await.expect(200);
    }
    assert_eq!(fleet.goal_state(&id).await, "verifying");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn playbooks_use_others_of_their_workspace() {
    let fleet = Fleet::start().await;
    store(&fleet, RELEASE).await;
    let outer = "name: outer\ntitle: Outer\nvariables: {crates: {type: list}}\ntasks:\n  - {ref: prepare, title: Prepare}\n  - {ref: one, use: release, version: 1, with: {crates: \"{{ crates }}\"}, needs: [prepare]}\n  - {ref: two, use: fix-a-bug, needs: [one]}\n  - {ref: end, title: End, needs: [one, two]}\n";
    store(&fleet, outer).await;
    let goal = json!({"title": "t", "playbook": {"name": "outer", "variables": {"crates": ["a"]}}});
    let preview = fleet.admin.post("/v1/plans/preview", &goal).await.value(200);
    let refs: Vec<&Value> =
        preview["tasks"].as_array().unwrap().iter().map(|task| &task["ref"]).collect();
    assert_eq!(
        refs,
        ["prepare", "one/log", "one/test-a", "two/reproduce", "two/fix", "two/review", "end"]
    );
    assert_eq!(preview["tasks"][6]["needs"], json!(["one/log", "one/test-a", "two/review"]));
    // What would put a playbook into itself is not stored.
    let circle =
        RELEASE.replace("tasks:\n", "tasks:\n  - {ref: o, use: outer, with: {crates: [x]}}\n");
    let answer = fleet.admin.post("/v1/playbooks", &json!({"source": circle})).await;
    assert!(answer.problem(422, "invalid").contains(&"/source/tasks/0/use".to_owned()));
}

#[tokio::test]
async fn a_wrong_use_is_refused_with_its_place_and_writes_nothing() {
    let fleet = Fleet::start().await;
    store(&fleet, RELEASE).await;
    let before = dump(&fleet.pool).await;
    let refused = async |goal: Value, status: u16, code: &str, places: &[&str]| {
        for path in ["/v1/goals", "/v1/plans/preview"] {
            let answer = fleet.admin.post(path, &goal).await;
            assert_eq!(answer.problem(status, code), places, "{goal}");
        }
    };
    let used = |used: Value| json!({"title": "t", "playbook": used});
    let name = "/playbook/name";
    refused(used(json!({"name": "gone"})), 404, "not_found", &[name]).await;
    refused(used(json!({"name": "release", "version": 9})), 404, "not_found", &[name]).await;
    let missing = used(json!({"name": "release"}));
    refused(missing, 422, "invalid", &["/playbook/variables/crates"]).await;
    let wrong = used(json!({"name": "release", "variables": {"crates": ["a", 5]}}));
    refused(wrong, 422, "invalid", &["/playbook/variables/crates/1"]).await;
    let twice = used(json!({"name": "release", "variables": {"crates": ["a", "a"]}}));
    refused(twice, 422, "invalid", &[name]).await;
    let long = "x".repeat(600);
    let long = used(json!({"name": "release", "variables": {"crates": [long]}}));
    refused(long, 422, "plan_invalid", &[name, name]).await;
    let both = json!({"title": "t", "tasks": [{"ref": "a", "title": "a"}],
        "playbook": {"name": "release", "variables": {"crates": ["a"]}}});
    refused(both, 422, "invalid", &["/tasks"]).await;
    let other = json!({"title": "t", "brief": "- [ ] a", "planner": "outline",
        "playbook": {"name": "release", "variables": {"crates": ["a"]}}});
    refused(other, 422, "invalid", &["/playbook"]).await;
    refused(json!({"title": "t", "planner": "playbook"}), 422, "invalid", &["/playbook"]).await;
    same("a refused goal", &before, &dump(&fleet.pool).await);
}

/// A person approves the plan of a playbook like any other.
#[tokio::test]
async fn the_plan_of_a_playbook_can_wait_for_a_person() {
    let fleet = Fleet::start().await;
    let goal = json!({"title": "t", "approval": {"plan": true}, "playbook": {"name": "research-a-question"}});
    let id = fleet.post_goal(goal).await;
    assert_eq!(fleet.goal_state(&id).await, "proposed");
    let plan = &fleet.admin.get(format!("/v1/goals/{id}/plans")).await.value(200)["items"][0];
    assert_eq!((&plan["state"], &plan["playbook"]["version"]), (&json!("proposed"), &json!(0)));
    assert_eq!(fleet.questions().await.len(), 1);
}
