//! Deleting one goal: who may, what refuses it, what is left, and races.

use axum::http::Method;
use futures_util::future::join;
use serde_json::{Value, json};

use super::{DAY, count, spend, worked_off};
use crate::support::{
    client::{Call, Client},
    dump::{dump, same},
    fleet::{Fleet, text},
    invariants::verify,
};

fn delete(client: &Client, goal: &str) -> Call {
    client.call(Method::DELETE, format!("/v1/goals/{goal}")).if_match("*")
}

/// What reports and budgets show; without what names goals and tasks.
async fn sums(fleet: &Fleet) -> Vec<Value> {
    let mut sums = Vec::new();
    for path in [
        "/v1/reports/spend?group_by=agent",
        "/v1/reports/spend?group_by=project",
        "/v1/reports/spend?group_by=model",
        "/v1/budgets?node=workspace",
        "/v1/budgets?node=project",
        "/v1/projects",
        "/v1/agents",
    ] {
        sums.push(fleet.admin.get(path).await.value(200));
    }
    sums
}

#[tokio::test]
async fn a_deleted_goal_leaves_its_journal_and_its_spend() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let limits = json!({"limits": [{"unit": "usd_micros", "amount": 100, "period": "month"},
                                   {"unit": "attempts", "amount": 100}]});
    let budget = json!({"node": "workspace", "budget": limits});
    fleet.admin.post("/v1/budgets", &budget).await.expect(201);
    let new = json!({
        "title": "gone", "project": "p", "budget": {"limits": [{"unit": "usd_micros", "amount": 50}]},
        "tasks": [{"ref": "a", "title": "a", "criteria": [{"text": "green", "required": false}]},
                  {"ref": "b", "title": "b", "needs": ["a"]}],
    });
    let goal = fleet.post_goal(new).await;
    let project = text(&fleet.read_goal(&goal).await["project_id"]);
    let budget = json!({"node": "project", "node_id": project, "budget": limits});
    fleet.admin.post("/v1/budgets", &budget).await.expect(201);
    let comment = json!({"text": "hm"});
    fleet.admin.post(format!("/v1/goals/{goal}/comments"), &comment).await.expect(201);
    for (key, model) in [("one", "x"), ("two", "y")] {
        let held = agent.take().await;
        spend(&agent, &held, key, model, json!({"usd_micros": 10})).await;
        agent.complete(&held).await;
    }
    let (other, _) = worked_off(&fleet, &agent, "stays").await;
    fleet.round().await;
    let before = sums(&fleet).await;
    let path = format!("/v1/goals/{goal}");
    let gone = fleet.admin.call(Method::DELETE, &path);
    gone.await.problem(428, "precondition_required");
    let gone = fleet.admin.call(Method::DELETE, &path).if_match("\"v99\"");
    gone.await.problem(412, "precondition_failed");
    delete(&fleet.admin, &goal).await.expect(204);

    assert_eq!(sums(&fleet).await, before);
    fleet.admin.get(&path).await.problem(404, "not_found");
    delete(&fleet.admin, &goal).await.problem(404, "not_found");
    let events = fleet.admin.get(format!("/v1/events?goal_id={goal}&limit=200")).await.value(200);
    let events = events["items"].as_array().unwrap();
    let kinds: Vec<String> = events.iter().map(|event| text(&event["kind"])).collect();
    assert_eq!((&*kinds[0], kinds.last().unwrap().as_str()), ("goal.created", "goal.deleted"));
    assert_eq!(events.last().unwrap()["data"]["title"], "gone");
    for table in [
        "select count(*) from comments",
        "select count(*) from criteria",
        "select count(*) from dependencies",
        "select count(*) from budgets where node = 'goal'",
    ] {
        assert_eq!(count(&fleet, table).await, 0, "{table}");
    }
    fleet.read_goal(&other).await;
    verify(&fleet.pool).await;
    // Nothing else counts it twice when the rest is pruned.
    super::keep(&fleet.admin, Some(1), None).await;
    fleet.pass(3 * DAY);
    super::prune(&fleet).await;
    assert_eq!(count(&fleet, "select count(*) from goals").await, 0);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn what_is_alive_is_not_deleted() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({"lease_seconds": 3600})).await;
    let refused = async |says: &str| {
        let before = dump(&fleet.pool).await;
        let answer = delete(&fleet.admin, &goal).await;
        answer.problem(409, "wrong_state");
        let detail = text(&answer.json::<Value>()["detail"]);
        assert!(detail.contains(says), "{detail}");
        same("a refused deletion", &before, &dump(&fleet.pool).await);
    };
    refused("active").await;
    let held = agent.take().await;
    fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    refused("asked to stop").await;
    agent.release(&held).await;
    let freeze = json!({"scope": "goal", "scope_id": goal, "mode": "drain"});
    let freeze = text(&fleet.admin.post("/v1/freezes", &freeze).await.value(201)["id"]);
    refused("freeze").await;
    fleet.admin.post(format!("/v1/freezes/{freeze}/lift"), &json!({})).await.expect(200);

    for role in ["operator", "submitter", "viewer"] {
        let client = fleet.client(&fleet.key(role).await);
        delete(&client, &goal).await.problem(403, "forbidden");
    }
    delete(&agent.client, &goal).await.problem(403, "forbidden");
    delete(&fleet.other_workspace().await, &goal).await.problem(404, "not_found");
    delete(&fleet.admin, &goal).await.expect(204);
    verify(&fleet.pool).await;
}

/// Whatever comes first, a goal is deleted as a whole after its end, and nothing is written to it afterwards.
#[tokio::test]
async fn a_goal_is_deleted_as_a_whole_or_not_at_all() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let (mut deleted, mut spent) = (0, 0);
    for turn in 0..64 {
        let goal = fleet.lone_task(json!({})).await;
        let held = agent.take().await;
        let late = turn % 4 == 3;
        if late {
            agent.complete(&held).await;
        }
        let other = async {
            match turn % 4 {
                0 => agent.write(&held, "complete", json!({})).await,
                1 => fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await,
                2 => {
                    fleet
                        .admin
                        .post(format!("/v1/goals/{goal}/comments"), &json!({"text": "hm"}))
                        .await
                }
                _ => agent.write(&held, "spend", json!({"totals": {"x": 1}})).await,
            }
        };
        let (other, gone) = join(other, async { delete(&fleet.admin, &goal).await }).await;
        spent += i64::from(late && other.status == 200);
        if gone.status == 204 {
            deleted += 1;
            assert!(other.status.is_success() || other.status == 404, "{}", other.describe());
        } else {
            gone.problem(409, "wrong_state");
            assert!(other.status.is_success(), "{}", other.describe());
        }
    }
    println!("{deleted} were deleted");
    assert!(deleted >= 16, "those that had ended");
    let stored = "select (coalesce((select sum(amount) from spend_entries where unit = 'x'), 0)
                        + coalesce((select sum(amount) from folded_spend where unit = 'x'), 0))::bigint";
    assert_eq!(count(&fleet, stored).await, spent, "accepted spend is never lost");
    let orphans = "select count(*) from comments c where not exists (
                       select from goals g where g.goal_id = c.goal_id)";
    assert_eq!(count(&fleet, orphans).await, 0);
    verify(&fleet.pool).await;
}
