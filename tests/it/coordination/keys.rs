//! Concurrency keys: who may run, and what operators see and change.

use axum::http::Method;
use muster::store::attempts::waiting::ready_sets;
use serde_json::{Value, json};

use crate::support::{
    agent::Held,
    fleet::{Fleet, text},
    invariants::verify,
};

fn tasks(count: usize, key: &str) -> Value {
    (0..count)
        .map(|n| json!({"ref": n.to_string(), "title": "t", "concurrency_keys": [key]}))
        .collect()
}

async fn only_key(fleet: &Fleet) -> Value {
    let page = fleet.admin.get("/v1/concurrency-keys").await.value(200);
    let [only] = page["items"].as_array().unwrap().as_slice() else { panic!("{page:#}") };
    only.clone()
}

/// A merge queue needs no preparation: the first task that names a key creates it, with one grant.
#[tokio::test]
async fn the_first_task_that_names_a_key_creates_it_for_one_at_a_time() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.goal(tasks(3, "merge")).await;
    let held = agent.claim(10).await;
    assert_eq!(held.len(), 1, "one batch gave out more than the key has");
    agent.find_nothing().await;
    let key = only_key(&fleet).await;
    assert_eq!(
        (&key["name"], &key["most"], &key["held"], &key["waiting"], &key["project_id"]),
        (&json!("merge"), &json!(1), &json!(1), &json!(2), &Value::Null)
    );
    assert_eq!(key["holders"][0]["attempt_id"], held[0].attempt.as_str());
    assert_eq!(key["holders"][0]["agent_id"], agent.id.as_str());
    let task = fleet.task(&goal, "0").await;
    assert_eq!(task["concurrency_keys"], json!(["merge"]));
    let attempt = fleet.admin.get(format!("/v1/attempts/{}", held[0].attempt)).await.value(200);
    assert_eq!(attempt["concurrency_keys"], json!(["merge"]));
    agent.complete(&held[0]).await;
    let attempt = fleet.admin.get(format!("/v1/attempts/{}", held[0].attempt)).await.value(200);
    assert_eq!(attempt["concurrency_keys"], json!([]));
    assert_eq!(agent.work_off().await, ["1", "2"]);
    verify(&fleet.pool).await;
}

/// Of many claims in one batch each gets what there is, though the first tasks of the queue are of one key.
#[tokio::test]
async fn one_batch_searches_past_what_it_may_not_start() {
    let fleet = Fleet::start().await;
    fleet.goal(tasks(100, "merge")).await;
    fleet.pass(1);
    let free: Value = (0..7).map(|n| json!({"ref": n.to_string(), "title": "free"})).collect();
    fleet.goal(free).await;
    let mut agents = Vec::new();
    for n in 0..8 {
        agents.push(fleet.agent(&format!("agent {n}"), &[], 1).await);
    }
    let claims = futures_util::future::join_all(agents.iter().map(|agent| agent.claim(1))).await;
    assert!(claims.iter().all(|held| held.len() == 1), "{claims:#?}");
    verify(&fleet.pool).await;
}

/// What stands behind tasks of a full key is found.
#[tokio::test]
async fn a_full_key_hides_nothing_behind_it() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    // In one goal: between goals the free ones would have turns of their own.
    let mut all = tasks(100, "merge");
    let all = all.as_array_mut().unwrap();
    for task in all.iter_mut() {
        task["priority"] = json!(9);
    }
    all.extend((0..5).map(|n| json!({"ref": format!("free {n}"), "title": "free"})));
    fleet.goal(json!(all)).await;
    // The first batch finds tasks of the key only, and gets what it has; the next leaves them out.
    let held = agent.claim(6).await;
    assert_eq!((held.len(), held[0].claim["task"]["title"].as_str()), (1, Some("t")));
    let free = agent.claim(6).await;
    assert_eq!(free.len(), 5, "tasks without a key were not found behind those with one");
    assert!(free.iter().all(|held| held.claim["task"]["title"] == "free"));
    verify(&fleet.pool).await;
}

/// A goal whose tasks wait for a full key keeps no turn from another goal.
#[tokio::test]
async fn a_full_key_hides_no_other_goal() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.goal(tasks(100, "merge")).await;
    fleet.pass(1);
    let free: Value = (0..5).map(|n| json!({"ref": n.to_string(), "title": "free"})).collect();
    fleet.goal(free).await;
    let titles = |held: Vec<Held>| {
        let mut titles: Vec<String> =
            held.iter().map(|held| text(&held.claim["task"]["title"])).collect();
        titles.sort_unstable();
        titles
    };
    // The goals take turns, and of the three tasks with the key one gets it.
    assert_eq!(titles(agent.claim(6).await), ["free", "free", "free", "t"]);
    assert_eq!(titles(agent.claim(6).await), ["free", "free"]);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn an_operator_changes_how_many_run() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let new = json!({"name": "gpu", "most": 2});
    let made = fleet.admin.post("/v1/concurrency-keys", &new).await.expect(201);
    let key: Value = made.json();
    let path = format!("/v1/concurrency-keys/{}", text(&key["id"]));
    assert_eq!(made.header("location"), path);
    fleet.admin.post("/v1/concurrency-keys", &new).await.problem(409, "already_exists");
    fleet.goal(tasks(9, "gpu")).await;
    let mut held = agent.claim(10).await;
    assert_eq!(held.len(), 2);
    let more = fleet.admin.patch(&path, &json!({"most": 5})).if_match(&made.etag()).await;
    assert_eq!(more.expect(200).json::<Value>()["most"], 5);
    fleet
        .admin
        .patch(&path, &json!({"most": 6}))
        .if_match(&made.etag())
        .await
        .problem(412, "precondition_failed");
    held.extend(agent.claim(10).await);
    assert_eq!(held.len(), 5);
    // A lower number ends nothing, and lets nothing start.
    fleet.admin.patch(&path, &json!({"most": 1})).if_match("*").await.expect(200);
    verify(&fleet.pool).await;
    for held in &held[..4] {
        agent.complete(held).await;
        agent.find_nothing().await;
    }
    agent.complete(&held[4]).await;
    assert_eq!(agent.claim(10).await.len(), 1);
    fleet.admin.patch(&path, &json!({"most": 0})).if_match("*").await.problem(422, "invalid");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_key_that_open_tasks_name_is_not_deleted() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.goal(tasks(1, "merge")).await;
    let path = format!("/v1/concurrency-keys/{}", text(&only_key(&fleet).await["id"]));
    let delete = || fleet.admin.call(Method::DELETE, &path).if_match("*");
    delete().await.problem(409, "wrong_state");
    agent.complete(&agent.take().await).await;
    delete().await.expect(204);
    fleet.admin.get(&path).await.problem(404, "not_found");
    fleet.goal(tasks(1, "merge")).await;
    assert_ne!(format!("/v1/concurrency-keys/{}", text(&only_key(&fleet).await["id"])), path);
    verify(&fleet.pool).await;
}

/// A project's key is that of its goals; others mean the workspace's.
#[tokio::test]
async fn a_key_of_a_project_counts_only_there() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let project = fleet.admin.post("/v1/projects", &json!({"name": "p"})).await.value(201);
    let new = json!({"name": "merge", "project_id": project["id"], "most": 2});
    fleet.admin.post("/v1/concurrency-keys", &new).await.expect(201);
    fleet.goal(tasks(3, "merge")).await;
    let inside = json!({"title": "g", "project": "p", "tasks": tasks(3, "merge")});
    fleet.post_goal(inside).await;
    let held = agent.claim(10).await;
    assert_eq!(held.len(), 3, "two of the project, and one beside");
    let list = |query: &str| fleet.admin.get(format!("/v1/concurrency-keys{query}"));
    let count = |page: Value| page["items"].as_array().unwrap().len();
    assert_eq!(count(list("?name=merge").await.value(200)), 2);
    let of_project = format!("?project_id={}", text(&project["id"]));
    assert_eq!(count(list(&of_project).await.value(200)), 1);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn bad_names_and_containers_are_refused_at_their_places() {
    let fleet = Fleet::start().await;
    let post =
        |tasks: Value| fleet.poster.post("/v1/goals", &json!({"title": "g", "tasks": tasks}));
    let bad = json!([{"ref": "a", "title": "a", "concurrency_keys": ["", "b", "b"],
                      "touches": [{"resource": "src/../x"}]}]);
    let at = post(bad).await.problem(422, "plan_invalid");
    for place in [
        "/tasks/0/concurrency_keys/0",
        "/tasks/0/concurrency_keys/2",
        "/tasks/0/touches/0/resource",
    ] {
        assert!(at.iter().any(|at| at == place), "{place}: {at:?}");
    }
    let container = json!([{"ref": "a", "title": "a", "concurrency_keys": ["k"]},
                           {"ref": "b", "title": "b", "parent": "a"}]);
    let at = post(container).await.problem(422, "plan_invalid");
    assert_eq!(at, ["/tasks/0/concurrency_keys"]);
    let none = fleet.admin.get("/v1/concurrency-keys").await.value(200);
    assert_eq!(none["items"], json!([]), "what was refused created a key");
}

/// Of tasks behind one gate as many are counted for waiting claims as would get grants.
#[tokio::test]
async fn waiting_claims_are_called_for_as_many_as_may_start() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let ready = async || {
        let sets = ready_sets(&mut fleet.tx().await, 64).await.unwrap();
        sets.iter().map(|set| set.count).sum::<i64>()
    };
    let new = json!({"name": "gpu", "most": 3});
    fleet.admin.post("/v1/concurrency-keys", &new).await.expect(201);
    fleet.goal(tasks(9, "gpu")).await;
    assert_eq!(ready().await, 3);
    let held = agent.claim(2).await;
    assert_eq!((held.len(), ready().await), (2, 1));
    let touching = |resource: &str, mode: &str| -> Value {
        let touches = json!([{"resource": resource, "mode": mode}]);
        (0..4).map(|n| json!({"ref": n.to_string(), "title": "t", "touches": touches})).collect()
    };
    fleet.goal(touching("src/main.rs", "exclusive")).await;
    assert_eq!(ready().await, 1 + 1, "of those that touch a path alone more than one may start");
    fleet.goal(touching("docs/**", "shared")).await;
    assert_eq!(ready().await, 1 + 1 + 4, "of those that share a path all may start");
    agent.complete(&held[0]).await;
    assert_eq!(ready().await, 2 + 1 + 4);
    let freeze = json!({"scope": "workspace", "mode": "drain", "reason": "r"});
    fleet.admin.post("/v1/freezes", &freeze).await.expect(201);
    assert_eq!(ready().await, 0);
}

async fn names(fleet: &Fleet) -> Vec<String> {
    let page = fleet.admin.get("/v1/concurrency-keys?limit=200").await.value(200);
    let mut names: Vec<String> =
        page["items"].as_array().unwrap().iter().map(|key| text(&key["name"])).collect();
    names.sort_unstable();
    names
}

/// A fleet that names its keys after branches does not fill the workspace for good.
#[tokio::test]
async fn a_key_of_tasks_goes_with_them_and_comes_back_with_them() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.admin.post("/v1/concurrency-keys", &json!({"name": "created"})).await.expect(201);
    let keys = json!(["branch", "created", "edited"]);
    let task = json!({"ref": "a", "title": "a", "concurrency_keys": keys, "max_attempts": 1});
    let goal = fleet.goal(json!([task])).await;
    let page = fleet.admin.get("/v1/concurrency-keys?name=edited").await.value(200);
    let key = &page["items"][0];
    assert_eq!((&key["kept"], &key["version"]), (&json!(false), &json!(1)));
    let path = format!("/v1/concurrency-keys/{}", text(&key["id"]));
    // The same number: an operator says that it stays.
    let key = fleet.admin.patch(&path, &json!({"most": 1})).if_match("*").await.value(200);
    assert_eq!((&key["kept"], &key["version"]), (&json!(true), &json!(2)));
    agent.fail(&agent.take().await, "permanent").await;
    assert_eq!(fleet.state(&goal, "a").await, "failed");
    fleet.goal(tasks(1, "open")).await;
    fleet.round().await;
    assert_eq!(names(&fleet).await, ["branch", "created", "edited", "open"], "too early");
    fleet.after(3700).await;
    assert_eq!(names(&fleet).await, ["created", "edited", "open"]);
    let task = fleet.task(&goal, "a").await;
    assert_eq!(task["concurrency_keys"], keys, "the task has forgotten what it named");
    let path = format!("/v1/tasks/{}/retry", text(&task["id"]));
    fleet.admin.post(path, &json!({})).await.value(200);
    assert_eq!(names(&fleet).await, ["branch", "created", "edited", "open"], "it has no bound");
    assert_eq!(fleet.task(&goal, "a").await["concurrency_keys"], keys);
    verify(&fleet.pool).await;
}

/// One agent cannot use up the keys of the workspace.
#[tokio::test]
async fn an_agent_names_few_new_keys() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.goal(tasks(1, "known")).await;
    let held = agent.take().await;
    let subtasks = |new: usize| -> Value {
        let subtask = |n| json!({"ref": format!("s{n}"), "title": "s", "concurrency_keys": ["known", format!("new {n}")]});
        json!({"tasks": (0..new).map(subtask).collect::<Value>()})
    };
    let at = agent.write(&held, "subtasks", subtasks(6)).await.problem(422, "invalid");
    assert_eq!(at, ["/tasks/4/concurrency_keys/1", "/tasks/5/concurrency_keys/1"]);
    assert_eq!(names(&fleet).await, ["known"]);
    agent.write(&held, "subtasks", subtasks(4)).await.value(201);
    assert_eq!(names(&fleet).await, ["known", "new 0", "new 1", "new 2", "new 3"]);
}

/// Plans with the same new keys, stored at once: each task has all of its keys.
#[tokio::test]
async fn many_plans_with_the_same_new_keys_are_stored_beside_each_other() {
    let fleet = Fleet::start().await;
    let plan: Value = (0..20)
        .map(|n| {
            let keys: Vec<String> =
                (0..16).map(|key| format!("{}", (n * 16 + key) % 100)).collect();
            json!({"ref": n.to_string(), "title": "t", "concurrency_keys": keys})
        })
        .collect();
    let goal = json!({"title": "g", "tasks": plan});
    let posts = (0..8).map(|_| async { fleet.poster.post("/v1/goals", &goal).await.expect(201) });
    futures_util::future::join_all(posts).await;
    assert_eq!(names(&fleet).await.len(), 100);
    let links: i64 = sqlx::query_scalar("select count(*) from task_concurrency_keys")
        .fetch_one(&fleet.pool)
        .await
        .unwrap();
    assert_eq!(links, 8 * 20 * 16);
    verify(&fleet.pool).await;
}
