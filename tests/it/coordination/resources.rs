//! Resources: which tasks run beside each other, and what a running attempt takes and gives up.

use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held},
    fleet::{Fleet, text},
    invariants::verify,
};

/// One task of a goal of its own; in this project, if any.
async fn task(fleet: &Fleet, project: Option<&str>, touches: Value) {
    let task = json!({"ref": "a", "title": "a", "touches": touches});
    fleet.post_goal(json!({"title": "g", "project": project, "tasks": [task]})).await;
}

#[tokio::test]
async fn conflicting_tasks_are_not_handed_out_together() {
    for (first, second, together) in [
        (json!([{"resource": "src/api/**"}]), json!([{"resource": "src/api/users.rs"}]), false),
        (json!([{"resource": "src/api/**"}]), json!([{"resource": "src/app/**"}]), true),
        // A directory stands for what is beneath it.
        (json!([{"resource": "src/api"}]), json!([{"resource": "src/*/users.rs"}]), false),
        (json!([{"resource": "**/*.rs"}]), json!([{"resource": "src/api"}]), false),
        (json!([{"resource": "branch:main"}]), json!([{"resource": "branch:main"}]), false),
        (
            json!([{"resource": "docs/**", "mode": "shared"}]),
            json!([{"resource": "docs/a.md", "mode": "shared"}]),
            true,
        ),
        (
            json!([{"resource": "docs/**", "mode": "shared"}]),
            json!([{"resource": "docs/a.md", "mode": "exclusive"}]),
            false,
        ),
    ] {
        // In one batch, and one after the other.
        for max in [2, 1] {
            let fleet = Fleet::start().await;
            let agent = fleet.worker().await;
            task(&fleet, None, first.clone()).await;
            fleet.pass(1);
            task(&fleet, None, second.clone()).await;
            let mut held = agent.claim(max).await;
            held.extend(agent.claim(max).await);
            assert_eq!(held.len(), 1 + usize::from(together), "{first} beside {second}");
            for held in &held {
                agent.complete(held).await;
            }
            assert_eq!(agent.work_off().await.len(), 1 - usize::from(together));
            verify(&fleet.pool).await;
        }
    }
}

#[tokio::test]
async fn resources_of_other_projects_do_not_conflict() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    for project in [Some("p"), Some("q"), None] {
        task(&fleet, project, json!([{"resource": "src/**"}])).await;
        task(&fleet, project, json!([{"resource": "src/main.rs"}])).await;
    }
    assert_eq!(agent.claim(10).await.len(), 3, "one of each project, and one without");
    verify(&fleet.pool).await;
}

async fn two(fleet: &Fleet) -> ((Agent, Held), (Agent, Held)) {
    let (one, other) = (fleet.agent("one", &[], 10).await, fleet.agent("other", &[], 10).await);
    fleet.goal(json!([{"ref": "a", "title": "a"}, {"ref": "b", "title": "b"}])).await;
    let (a, b) = (one.take().await, other.take().await);
    ((one, a), (other, b))
}

#[tokio::test]
async fn a_running_attempt_takes_and_gives_up_resources() {
    let fleet = Fleet::start().await;
    let ((one, a), (other, b)) = two(&fleet).await;
    let take = json!({"take": [{"resource": "src/**"}, {"resource": "doc", "mode": "shared"}]});
    let answer = one.write(&a, "resources", take.clone()).await.value(200);
    let held =
        json!([{"resource": "doc", "mode": "shared"}, {"resource": "src/**", "mode": "exclusive"}]);
    assert_eq!((&answer["resources"], &answer["task_id"]), (&held, &json!(a.task)));
    // The same again changes nothing, and leaves no row of the journal.
    let changed = "select count(*) from journal where kind = 'attempt.resources_changed'";
    let changed =
        || async { sqlx::query_scalar::<_, i64>(changed).fetch_one(&fleet.pool).await.unwrap() };
    assert_eq!(changed().await, 1);
    assert_eq!(one.write(&a, "resources", take).await.value(200)["resources"], held);
    assert_eq!(changed().await, 1);
    let shown = fleet.admin.get(format!("/v1/attempts/{}", a.attempt)).await.value(200);
    assert_eq!(shown["resources"], held);
    // All or nothing, and the refusal says who.
    let refused = other
        .write(
            &b,
            "resources",
            json!({"take": [{"resource": "free"}, {"resource": "src/main.rs"}]}),
        )
        .await;
    refused.problem(409, "resource_held");
    let problem: Value = refused.json();
    assert_eq!(problem["retryable"], true);
    let detail = text(&problem["detail"]);
    for part in [&a.attempt, &one.id, &a.task, &"src/**".to_owned()] {
        assert!(detail.contains(part.as_str()), "{detail}");
    }
    let shown = fleet.admin.get(format!("/v1/attempts/{}", b.attempt)).await.value(200);
    assert_eq!(shown["resources"], json!([]));
    // Shared with who shares, until one wants it alone.
    let share = json!({"take": [{"resource": "doc/a", "mode": "shared"}]});
    other.write(&b, "resources", share).await.expect(200);
    let alone = json!({"take": [{"resource": "doc"}]});
    one.write(&a, "resources", alone.clone()).await.problem(409, "resource_held");
    other.write(&b, "resources", json!({"release": ["doc/a", "never held"]})).await.expect(200);
    one.write(&a, "resources", alone).await.expect(200);
    // One request can exchange.
    one.write(&a, "resources", json!({"release": ["src/**"], "take": [{"resource": "lib"}]}))
        .await
        .expect(200);
    other.write(&b, "resources", json!({"take": [{"resource": "src/main.rs"}]})).await.expect(200);
    verify(&fleet.pool).await;
}

/// A task that waits for a resource is handed out when it is given up.
#[tokio::test]
async fn what_is_given_up_lets_others_start() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    task(&fleet, None, json!([{"resource": "src/**"}])).await;
    fleet.pass(1);
    task(&fleet, None, json!([{"resource": "src/main.rs"}])).await;
    let held = agent.take().await;
    agent.find_nothing().await;
    agent.write(&held, "resources", json!({"release": ["src/**"]})).await.expect(200);
    let next = agent.take().await;
    agent
        .write(&held, "resources", json!({"take": [{"resource": "src/**"}]}))
        .await
        .problem(409, "resource_held");
    agent.complete(&next).await;
    agent.write(&held, "resources", json!({"take": [{"resource": "src/**"}]})).await.expect(200);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn only_the_holder_of_the_lease_changes_resources() {
    let fleet = Fleet::start().await;
    let ((one, a), (other, b)) = two(&fleet).await;
    let take = json!({"take": [{"resource": "x"}]});
    other.write(&a, "resources", take.clone()).await.problem(403, "not_your_attempt");
    let wrong = Held { lease: b.lease.clone(), ..a.clone() };
    one.write(&wrong, "resources", take.clone()).await.problem(409, "lease_lost");
    one.complete(&a).await;
    one.write(&a, "resources", take).await.problem(409, "lease_lost");
    for (body, place) in [
        (json!({}), ""),
        (json!({"take": [{"resource": "a//b"}]}), "/take/0/resource"),
        (json!({"take": [{"resource": "a"}], "release": ["a"]}), "/take/0/resource"),
    ] {
        let at = other.write(&b, "resources", body).await.problem(422, "invalid");
        assert_eq!(at, [place]);
    }
    let many = |from: usize| -> Value {
        (from..from + 64).map(|n| json!({"resource": n.to_string()})).collect()
    };
    other.write(&b, "resources", json!({"take": many(0)})).await.expect(200);
    other.write(&b, "resources", json!({"take": many(64)})).await.expect(200);
    let one_more = json!({"take": [{"resource": "one more"}]});
    assert_eq!(other.write(&b, "resources", one_more).await.problem(422, "invalid"), ["/take"]);
    verify(&fleet.pool).await;
}

/// What is held is read under a lock that all share, so there is an end to it. Tasks start all the same.
#[tokio::test]
async fn no_attempt_takes_more_where_very_many_are_held() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    for _ in 0..2 {
        task(&fleet, None, json!([])).await;
    }
    let (held, other) = (agent.take().await, agent.take().await);
    sqlx::query(
        "insert into resource_grants (workspace_id, scope_id, attempt_id, resource, mode, granted_at)
         select $1, $1, $2::text::uuid, 'held/' || n, 'exclusive', now()
         from generate_series(1, 10000) n",
    )
    .bind(fleet.workspace.0)
    .bind(&other.attempt)
    .execute(&fleet.pool)
    .await
    .unwrap();
    let take = json!({"take": [{"resource": "free"}]});
    agent.write(&held, "resources", take).await.problem(409, "workspace_full");
    task(&fleet, None, json!([{"resource": "free"}])).await;
    assert_eq!(agent.claim(1).await.len(), 1);
}
