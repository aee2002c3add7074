//! Goals: one that is due goes with everything of it, and nothing else does.

use serde_json::json;

use super::{DAY, id, keep, prunable, prune, rows, worked_off};
use crate::{
    promises::verify::place::busy,
    support::{
        dump::dump,
        fleet::{Fleet, text},
        invariants::verify,
    },
};

/// Everything that a goal can have: plans, tasks, attempts, spend, questions, votes, evidence, budgets, freezes.
async fn rich(fleet: &Fleet) -> Vec<String> {
    let agent = fleet.agent("rich", &["rust"], 10).await;
    let limits = |amount: i64| json!({"limits": [{"unit": "usd_micros", "amount": amount}]});
    let whole = json!({"node": "workspace", "budget": limits(1_000_000)});
    fleet.admin.post("/v1/budgets", &whole).await.expect(201);
    let goal = fleet
        .post_goal(json!({
            "title": "rich", "project": "p", "metadata": {"ticket": 1},
            "budget": {"limits": [{"unit": "usd_micros", "amount": 50_000}], "allocated": true},
            "tasks": [
                {"ref": "a", "title": "a", "capabilities": ["rust"], "criteria": [{"text": "green"}],
                 "approval": {"result": true}, "budget": limits(40_000),
                 "estimate": {"usd_micros": 100}},
                {"ref": "box", "title": "box", "needs": ["a"]},
                {"ref": "in", "title": "in", "parent": "box", "approval": {"start": true}},
            ],
        }))
        .await;
    let held = agent.take().await;
    let mut ids = vec![goal.clone(), held.task.clone(), held.attempt.clone()];
    let beat = json!({"progress": {"percent": 10}, "checkpoint": {"at": 1}});
    agent.write(&held, "heartbeat", beat).await.expect(200);
    let stop = json!({"scope": "goal", "scope_id": goal, "mode": "stop", "reason": "drill"});
    let freeze = fleet.admin.post("/v1/freezes", &stop).await.value(201);
    let lift = format!("/v1/freezes/{}/lift", id(&freeze));
    fleet.admin.post(lift, &json!({"reason": "over"})).await.expect(200);
    fleet.after(7_200).await;
    let held = agent.take().await;
    ids.push(held.attempt.clone());
    let usage = json!({"entries": [{"key": "k", "usage": {"provider": "openai", "model": "gpt-4o",
        "convention": "openai", "tokens": {"prompt_tokens": 1000, "completion_tokens": 10}}}]});
    agent.write(&held, "spend", usage).await.expect(200);
    let evidence =
        json!({"evidence": [{"criterion": 1, "text": "see the log"}], "result": {"x": 1}});
    agent.write(&held, "complete", evidence).await.value(200);
    for _ in 0..2 {
        let question = fleet.question().await;
        ids.push(id(&question));
        let link = format!("/v1/approvals/{}/links", id(&question));
        fleet.admin.post(link, &json!({"person": "ada"})).await.expect(201);
        fleet.decide(json!({"decision": "approve"})).await;
    }
    let held = agent.take().await;
    ids.push(held.attempt.clone());
    agent.complete(&held).await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    fleet.round().await;
    ids
}

#[tokio::test]
async fn a_goal_goes_with_everything_of_it_and_nothing_else_does() {
    let fleet = Fleet::start().await;
    let other = fleet.other_workspace().await;
    let tasks = json!({"title": "theirs", "tasks": [{"ref": "a", "title": "a"}]});
    let theirs = text(&other.post("/v1/goals", &tasks).await.value(201)["id"]);
    other.post(format!("/v1/goals/{theirs}/cancel"), &json!({})).await.expect(200);
    let ids = rich(&fleet).await;
    fleet.after(40 * DAY).await;
    let agent = fleet.worker().await;
    let (young, _) = worked_off(&fleet, &agent, "young").await;
    let open = fleet.goal(json!([{"ref": "a", "title": "a"}])).await;
    fleet.round().await;

    keep(&fleet.admin, Some(30), None).await;
    let before = dump(&fleet.pool).await;
    let would = prunable(&fleet).await;
    let still = dump(&fleet.pool).await;
    assert!(before == still, "a dry run deletes nothing");
    assert!(would.dry_run && would.goals == 1 && would.held.is_empty(), "{would:#?}");
    assert!(would.tables.iter().all(|table| table.bytes.is_some_and(|bytes| bytes > 0)));
    let went = prune(&fleet).await;
    assert_eq!((went.goals, rows(&went), went.left), (1, rows(&would), 0));
    for table in [
        "approval_links",
        "attempt_results",
        "attempt_progress",
        "evidence",
        "model_calls",
        "freeze_stops",
        "budget_windows",
        "allocations",
        "reservations",
        "spend_entries",
    ] {
        assert!(rows(&went).contains_key(table), "the goal had no {table}: {went:#?}");
    }

    let after = dump(&fleet.pool).await;
    let workspaces = fleet.app.workspaces().await.unwrap();
    let workspace = workspaces.iter().find(|id| **id != fleet.workspace).unwrap().to_string();
    for (table, rows) in &after {
        if table != "journal" && table != "freezes" {
            let left = rows.iter().find(|row| ids.iter().any(|id| row.contains(id)));
            assert!(left.is_none(), "{table} still has {left:?}");
        }
        // Every other row is as it was.
        let of_other = |row: &&String| row.contains(&workspace);
        let (was, is): (Vec<_>, Vec<_>) = (
            before[table].iter().filter(of_other).collect(),
            rows.iter().filter(of_other).collect(),
        );
        assert_eq!(was, is, "another workspace: {table}");
    }
    for goal in [&young, &open] {
        fleet.read_goal(goal).await;
    }
    other.get(format!("/v1/goals/{theirs}")).await.expect(200);
    fleet.admin.get(format!("/v1/tasks/{}", ids[1])).await.problem(404, "not_found");
    verify(&fleet.pool).await;
    let again = prune(&fleet).await;
    assert_eq!((again.goals, again.tables.len()), (0, 0));
}

#[tokio::test]
async fn a_busy_workspace_is_pruned_beside_its_work() {
    let fleet = busy().await;
    keep(&fleet.admin, Some(1), Some(1)).await;
    fleet.after(3 * DAY).await;
    prune(&fleet).await;
    fleet.round().await;
    // One goes on, and one is proposed.
    assert_eq!(super::count(&fleet, "select count(*) from goals").await, 2);
    verify(&fleet.pool).await;
}
