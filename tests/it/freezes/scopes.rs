//! What each scope is over.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{freeze, freeze_all, lift};
use crate::support::{
    agent::Agent,
    fleet::{Fleet, text},
    invariants::verify,
};

/// Two goals, one of them of a project; a container; a capability; two agents that can do everything.
struct Ground {
    fleet: Fleet,
    one: Agent,
    other: Agent,
    goal: String,
    project: String,
}

const ALL: &str = "box.in box.in.deep built free wanted";

impl Ground {
    async fn new() -> Self {
        let fleet = Fleet::start().await;
        let one = fleet.agent("one", &["rust"], 100).await;
        let other = fleet.agent("other", &["rust"], 100).await;
        let goal = json!({"title": "g", "project": "p", "tasks": [
            {"ref": "box", "title": "t"},
            {"ref": "box.in", "title": "t", "parent": "box"},
            {"ref": "inner", "title": "t", "parent": "box"},
            {"ref": "box.in.deep", "title": "t", "parent": "inner"},
            {"ref": "wanted", "title": "t", "priority": 9},
        ]});
        let goal = fleet.post_goal(goal).await;
        fleet
            .goal(json!([
                {"ref": "free", "title": "t", "priority": 0},
                {"ref": "built", "title": "t", "capabilities": ["rust"], "priority": 8},
            ]))
            .await;
        let project = text(&fleet.read_goal(&goal).await["project_id"]);
        Self { fleet, one, other, goal, project }
    }

    /// What an agent is given, which it gives back.
    async fn given(&self, agent: &Agent) -> String {
        let mut names = BTreeSet::new();
        for held in agent.claim(50).await {
            agent.hand_back(&held).await;
            names.insert(held.name);
        }
        names.into_iter().collect::<Vec<_>>().join(" ")
    }

    /// Holds what `one` and `other` are given under a freeze of each mode, and that lifting ends it.
    async fn expect(&self, scope: Value, one: &str, other: &str) {
        for mode in ["drain", "pause", "stop"] {
            let mut body = scope.clone();
            body["mode"] = json!(mode);
            let set = freeze(&self.fleet, body).await;
            assert_eq!(self.given(&self.one).await, one, "{scope} {mode}");
            assert_eq!(self.given(&self.other).await, other, "{scope} {mode}");
            lift(&self.fleet, &set).await;
            assert_eq!(self.given(&self.one).await, ALL, "{scope} {mode}");
        }
    }
}

#[tokio::test]
async fn each_scope_is_over_what_it_says() {
    let ground = Ground::new().await;
    let Ground { fleet, goal, project, one, .. } = &ground;
    let task = |name: &'static str| async move { fleet.task_id(goal, name).await };
    let on = |scope: &str, id: &str| json!({"scope": scope, "scope_id": id});
    ground.expect(json!({"scope": "workspace"}), "", "").await;
    ground.expect(on("project", project), "built free", "built free").await;
    ground.expect(on("goal", goal), "built free", "built free").await;
    let left = "box.in box.in.deep built free";
    ground.expect(on("task", &task("wanted").await), left, left).await;
    // A container is frozen with everything in it, however deep.
    ground.expect(on("task", &task("box").await), "built free wanted", "built free wanted").await;
    let left = "box.in built free wanted";
    ground.expect(on("task", &task("inner").await), left, left).await;
    ground.expect(on("agent", &one.id), "", ALL).await;
    let left = "box.in box.in.deep free wanted";
    let rust = json!({"scope": "capability", "capability": "rust"});
    ground.expect(rust, left, left).await;
    ground.expect(json!({"scope": "capability", "capability": "go"}), ALL, ALL).await;
    verify(&fleet.pool).await;
}

/// A stop ends what is under it and nothing else.
#[tokio::test]
async fn a_stop_ends_nothing_beside_its_scope() {
    let ground = Ground::new().await;
    let Ground { fleet, one, other, goal, project } = &ground;
    let inner = fleet.task_id(goal, "inner").await;
    let on = |scope: &str, id: &str| json!({"scope": scope, "scope_id": id, "mode": "stop"});
    for (body, expected) in [
        (on("project", project), "box.in box.in.deep wanted"),
        (on("task", &inner), "box.in.deep"),
        (json!({"scope": "capability", "capability": "rust", "mode": "stop"}), "built"),
        (on("agent", &other.id), ""),
        (on("agent", &one.id), ALL),
    ] {
        let held = one.claim(50).await;
        assert_eq!(held.len(), 5);
        let set = freeze(fleet, body.clone()).await;
        let mut ended = BTreeSet::new();
        for held in &held {
            let answer = one.write(held, "heartbeat", json!({})).await;
            if answer.status != 200 {
                answer.problem(409, "lease_lost");
                ended.insert(held.name.clone());
                continue;
            }
            assert_eq!(answer.json::<Value>()["freeze"], Value::Null, "{body}");
            one.hand_back(held).await;
        }
        let ended: Vec<String> = ended.into_iter().collect();
        assert_eq!(ended.join(" "), expected, "{body}");
        assert_eq!(set["stopped_attempts"], ended.len());
        verify(&fleet.pool).await;
        lift(fleet, &set).await;
    }
}

#[tokio::test]
async fn lifting_one_leaves_the_others() {
    let ground = Ground::new().await;
    let Ground { fleet, one, goal, .. } = &ground;
    let wanted = fleet.task_id(goal, "wanted").await;
    let held = one.take().await;
    assert_eq!(held.name, "wanted");
    let all = freeze_all(fleet, "drain").await;
    let of_goal = freeze(fleet, json!({"scope": "goal", "scope_id": goal, "mode": "pause"})).await;
    let twice = freeze(fleet, json!({"scope": "goal", "scope_id": goal, "mode": "pause"})).await;
    // The strongest counts; of equally strong ones the latest is told.
    let beat = one.beat(&held).await;
    assert_eq!((&beat["directive"], &beat["freeze"]["id"]), (&json!("pause"), &twice["id"]));
    lift(fleet, &twice).await;
    assert_eq!(one.beat(&held).await["freeze"]["id"], of_goal["id"]);
    lift(fleet, &of_goal).await;
    let beat = one.beat(&held).await;
    assert_eq!((&beat["directive"], &beat["freeze"]["id"]), (&json!("continue"), &all["id"]));
    one.find_nothing().await;
    let of_task = json!({"scope": "task", "scope_id": wanted, "mode": "stop"});
    let of_task = freeze(fleet, of_task).await;
    assert_eq!(of_task["stopped"][0]["attempt_id"], held.attempt);
    lift(fleet, &all).await;
    assert_eq!(ground.given(one).await, "box.in box.in.deep built free");
    lift(fleet, &of_task).await;
    assert_eq!(ground.given(one).await, ALL);
    verify(&fleet.pool).await;
}

/// Thousands of frozen tasks at the front hold nobody up.
#[tokio::test]
async fn what_is_frozen_blocks_nothing_behind_it() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let many: Value =
        (0..3000).map(|n| json!({"ref": n.to_string(), "title": "t", "priority": 9})).collect();
    let goal = fleet.goal(many).await;
    let free = fleet.goal(json!([{"ref": "behind", "title": "t", "priority": 0}])).await;
    freeze(&fleet, json!({"scope": "goal", "scope_id": goal, "mode": "drain"})).await;
    assert_eq!(agent.take().await.name, "behind");
    agent.find_nothing().await;
    fleet.expect_states(&free, "behind:running").await;
}

/// A freeze of one workspace is none of another's business.
#[tokio::test]
async fn another_workspace_goes_on() {
    let fleet = Fleet::start().await;
    let stranger = fleet.stranger().await;
    freeze_all(&fleet, "stop").await;
    assert_eq!(stranger.client.get("/v1/freezes").await.value(200)["items"], json!([]));
    let admin = fleet.other_workspace().await;
    let agent = crate::support::fleet::register(&admin, json!({"name": "a"})).await;
    let goal = json!({"title": "g", "tasks": [{"ref": "a", "title": "a"}]});
    admin.post("/v1/goals", &goal).await.expect(201);
    let held = agent.take().await;
    assert_eq!(agent.beat(&held).await["freeze"], Value::Null);
}
