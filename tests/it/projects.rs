//! Projects.

use std::collections::HashSet;

use futures_util::future::join_all;
use muster::{
    domain::ids::ProjectId,
    store::{self, SystemTx},
};
use serde_json::{Value, json};

use crate::support::service::Service;

#[tokio::test]
async fn a_project_is_made_read_and_edited() {
    let service = Service::start().await;
    let answer = service.admin.post("/v1/projects", &json!({"name": "importer"})).await.expect(201);
    let made: Value = answer.json();
    let path = answer.header("location").to_owned();
    assert_eq!(made["spend"], json!({}));
    assert_eq!(service.admin.get(&path).await.value(200), made);

    let etag = answer.etag();
    let edit = json!({"description": "reads sheets"});
    let edited = service.admin.patch(&path, &edit).if_match(&etag).await.expect(200);
    assert_ne!(edited.etag(), etag);
    assert_eq!(edited.json::<Value>()["name"], "importer", "what is left out stays");

    let stale = service.admin.patch(&path, &json!({"name": "x"})).if_match(&etag).await;
    stale.problem(412, "precondition_failed");
    service.admin.patch(&path, &json!({"name": "x"})).await.problem(428, "precondition_required");
    let same = service.admin.patch(&path, &edit).if_match("*").await.expect(200);
    assert_eq!(same.etag(), edited.etag(), "an edit that changes nothing is no new version");
}

#[tokio::test]
async fn names_are_unique() {
    let service = Service::start().await;
    service.admin.post("/v1/projects", &json!({"name": "one"})).await.expect(201);
    let other = service.admin.post("/v1/projects", &json!({"name": "two"})).await.expect(201);
    let again = service.admin.post("/v1/projects", &json!({"name": "one"})).await;
    again.problem(409, "already_exists");
    let path = other.header("location");
    let renamed = service.admin.patch(path, &json!({"name": "one"})).if_match("*").await;
    renamed.problem(409, "already_exists");
    let found = service.admin.get("/v1/projects?name=one").await.value(200);
    assert_eq!(found["items"].as_array().unwrap().len(), 1);

    // Nothing is unique across workspaces.
    let stranger = service.other_workspace().await;
    stranger.get(path).await.problem(404, "not_found");
    stranger.post("/v1/projects", &json!({"name": "one"})).await.expect(201);
}

#[tokio::test]
async fn what_makes_no_project_is_said_in_one_answer() {
    let service = Service::start().await;
    let body = json!({"name": "a\nb", "description": "x".repeat(20_000)});
    let pointers = service.admin.post("/v1/projects", &body).await.problem(422, "invalid");
    assert_eq!(pointers, ["/name", "/description"]);
}

#[tokio::test]
async fn goals_that_name_the_same_new_project_at_once_share_it() {
    let service = Service::start().await;
    let pool = service.app.pool();
    let ensure = || async {
        let now = service.clock.now();
        let id = service.app.entropy().id(now);
        let mut tx = SystemTx::from(pool.begin().await.unwrap()).within(service.workspace, now);
        let found: ProjectId =
            store::projects::ensure_by_name(&mut tx, id, "shared").await.unwrap();
        tx.commit().await.unwrap();
        (found, found == id)
    };
    let outcomes = join_all((0..4).map(|_| ensure())).await;
    let ids: HashSet<ProjectId> = outcomes.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(outcomes.iter().filter(|(_, made)| *made).count(), 1);
}
