//! Who reads explanations, and that they cost the claim nothing.

use serde_json::json;

use crate::support::{
    fleet::{Fleet, text},
    invariants::verify,
};

#[tokio::test]
async fn what_belongs_to_another_workspace_is_not_found() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let task = fleet.task_id(&goal, "a").await;
    let other = fleet.other_workspace().await;
    let paths = [format!("/v1/tasks/{task}/explain"), format!("/v1/agents/{}/explain", agent.id)];
    for path in &paths {
        other.get(path).await.problem(404, "not_found");
        agent.client.get(path).await.expect(200);
        fleet.client(&fleet.key("viewer").await).get(path).await.expect(200);
    }
    for path in ["/v1/tasks/no/explain".to_owned(), format!("/v1/agents/{}/explain", fleet.no_id())]
    {
        fleet.admin.get(path).await.problem(404, "not_found");
    }
}

/// A key of one project sees its tasks, and of those ahead only the number.
#[tokio::test]
async fn a_key_of_a_project_learns_nothing_of_others() {
    let fleet = Fleet::start().await;
    fleet.worker().await;
    let in_project = |name: &str| {
        json!({"title": format!("secret of {name}"), "project": name,
        "tasks": [{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}]})
    };
    let own = fleet.post_goal(in_project("own")).await;
    fleet.pass(1);
    let other = fleet.post_goal(in_project("other")).await;
    let project = text(&fleet.read_goal(&own).await["project_id"]);
    let key = json!({"name": "k", "role": "viewer", "scope": {"projects": [project]}});
    let key = fleet.admin.post("/v1/keys", &key).await.value(201);
    let client = fleet.client(&text(&key["token"]));
    let path = |task: String| format!("/v1/tasks/{task}/explain");
    let found = client.get(path(fleet.task_id(&own, "b").await)).await.value(200);
    assert!(!found.to_string().contains("secret of other"), "{found:#}");
    client.get(path(fleet.task_id(&other, "a").await)).await.problem(404, "not_found");
}

/// A claim that runs at the same time finds everything: nothing is locked.
#[tokio::test]
async fn explaining_changes_nothing() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.goal(json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}])).await;
    let task = fleet.task_id(&goal, "b").await;
    let rows = "select (select count(*) from journal) + (select count(*) from goal_turns)";
    let before: i64 = sqlx::query_scalar(rows).fetch_one(&fleet.pool).await.unwrap();
    let path = format!("/v1/tasks/{task}/explain");
    let first = fleet.admin.get(&path).await.value(200);
    assert_eq!(fleet.admin.get(&path).await.value(200), first);
    let after: i64 = sqlx::query_scalar(rows).fetch_one(&fleet.pool).await.unwrap();
    assert_eq!(after, before);
    let (claimed, _) = tokio::join!(agent.claim(2), fleet.admin.get(&path).into_future());
    assert_eq!(claimed.len(), 2);
    verify(&fleet.pool).await;
}
