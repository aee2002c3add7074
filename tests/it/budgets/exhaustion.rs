//! What becomes of tasks that a budget cannot pay for, and who may change that.

use serde_json::json;

use super::{change, events, holds, limit, of, tasks};
use crate::support::{
    fleet::{Fleet, about, text},
    invariants::verify,
};

fn raised(amount: i64) -> serde_json::Value {
    json!({"limits": [{"unit": "usd_micros", "amount": amount}], "reason": "agreed"})
}

/// People are asked once, whatever the number of tasks; approving raises the limit by what was shown,
/// and what waits goes on in the same transaction.
#[tokio::test]
async fn people_are_asked_once_and_approving_moves_everything_on() {
    let fleet = Fleet::start().await;
    let budget = limit(&fleet, "workspace", None, of("usd_micros", 100)).await;
    let goal = fleet.goal(tasks(4, &json!({"usd_micros": 60}))).await;
    let agent = fleet.worker().await;
    let held = agent.claim(4).await;
    assert_eq!(held.len(), 1);
    // Forty are left and might become a hundred: nobody is asked yet.
    fleet.round().await;
    assert!(fleet.questions().await.is_empty());
    let spend = json!({"entries": [{"key": "a", "amounts": {"usd_micros": 60}}]});
    agent.write(&held[0], "complete", json!({"spend": spend})).await.expect(200);
    assert!(agent.claim(4).await.is_empty());
    fleet.round().await;
    assert!(agent.claim(4).await.is_empty());
    fleet.expect_states(&goal, "t0:done t1:parked t2:parked t3:parked").await;
    // They were refused while something was set aside that might have come back; now nothing can.
    let question = fleet.question().await;
    assert_eq!(question["kind"], "budget");
    fleet.decide(json!({"decision": "approve"})).await;
    let (settled, reserved, _) = holds(&fleet, &budget).await;
    assert_eq!((settled, reserved), (60, 0));
    assert_eq!(agent.claim(4).await.len(), 1);
    assert_eq!(events(&fleet, "budget.updated").await.len(), 1);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn rejecting_a_raise_cancels_what_waits() {
    let fleet = Fleet::start().await;
    limit(&fleet, "workspace", None, of("usd_micros", 10)).await;
    let goal = fleet.goal(tasks(2, &json!({"usd_micros": 60}))).await;
    let agent = fleet.worker().await;
    assert!(agent.claim(4).await.is_empty());
    fleet.decide(json!({"decision": "reject", "reason": "too dear"})).await;
    fleet.expect_states(&goal, "t0:cancelled t1:cancelled").await;
    assert_eq!(fleet.goal_state(&goal).await, "cancelled");
    verify(&fleet.pool).await;
}

/// How far a limit is raised can be edited, and nothing else of the question.
#[tokio::test]
async fn a_raise_is_approved_in_the_form_that_a_person_gave_it() {
    let fleet = Fleet::start().await;
    let budget = limit(&fleet, "workspace", None, of("usd_micros", 10)).await;
    fleet.goal(tasks(2, &json!({"usd_micros": 60}))).await;
    let agent = fleet.worker().await;
    assert!(agent.claim(4).await.is_empty());
    let path = format!("/v1/approvals/{}", text(&fleet.question().await["id"]));
    let question = fleet.admin.get(&path).await.value(200);
    let edited = |proposed: serde_json::Value| {
        let mut payload = question["payload"].clone();
        payload["proposed"] = proposed;
        payload
    };
    let mut other = edited(json!(500));
    other["short"]["unit"] = json!("attempts");
    for (payload, pointer) in [
        (edited(json!(10)), "/payload/proposed"),
        (edited(json!("500")), "/payload/proposed"),
        (other, "/payload"),
    ] {
        let body = about(&question, json!({"payload": payload}));
        let answer = fleet.admin.post(format!("{path}/revise"), &body).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{body}");
    }
    fleet.decide(json!({"decision": "approve", "payload": edited(json!(130))})).await;
    let read = fleet.admin.get(format!("/v1/budgets/{budget}")).await.value(200);
    assert_eq!(read["limits"][0]["amount"], 130, "{read}");
    assert_eq!(agent.claim(4).await.len(), 2);
    verify(&fleet.pool).await;
}

/// Raising, and giving back what was set aside, both offer what waits, in its old order; claims take
/// no more of it than there is room for.
#[tokio::test]
async fn room_offers_what_waits_in_its_old_order() {
    let fleet = Fleet::start().await;
    let budget = limit(&fleet, "workspace", None, of("usd_micros", 100)).await;
    let goal = fleet.goal(tasks(4, &json!({"usd_micros": 60}))).await;
    let agent = fleet.worker().await;
    let first = agent.claim(4).await.remove(0);
    fleet.expect_states(&goal, "t0:running t1:parked t2:parked t3:parked").await;
    let shown = fleet.task(&goal, "t1").await;
    assert_eq!(shown["waits_for_budget"]["limit"], 100, "{shown}");
    agent.complete(&first).await;
    fleet.expect_states(&goal, "t0:done t1:ready t2:parked t3:parked").await;
    change(&fleet, &budget, raised(130)).await;
    fleet.expect_states(&goal, "t0:done t1:ready t2:ready t3:ready").await;
    let names: Vec<String> = agent.claim(4).await.into_iter().map(|held| held.name).collect();
    assert_eq!(names, ["t1", "t2"]);
    fleet.expect_states(&goal, "t0:done t1:running t2:running t3:parked").await;
    change(&fleet, &budget, json!({"on_exhausted": "notify"})).await;
    fleet.expect_states(&goal, "t0:done t1:running t2:running t3:ready").await;
    agent.take().await;
    assert_eq!(holds(&fleet, &budget).await.1, 180);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn without_the_limit_nothing_waits_for_it() {
    let fleet = Fleet::start().await;
    let budget = limit(&fleet, "workspace", None, of("usd_micros", 0)).await;
    let goal = fleet.goal(tasks(1, &json!({"usd_micros": 60}))).await;
    let agent = fleet.worker().await;
    assert!(agent.claim(1).await.is_empty());
    assert_eq!(fleet.questions().await.len(), 1);
    change(&fleet, &budget, json!({"limits": []})).await;
    fleet.expect_states(&goal, "t0:ready").await;
    assert!(fleet.questions().await.is_empty());
    agent.take().await;
    verify(&fleet.pool).await;
}

/// A submitter may limit the goal that it posts, and change nothing afterwards; nor may an agent.
#[tokio::test]
async fn only_operators_raise_a_limit() {
    let fleet = Fleet::start().await;
    let submitter = fleet.client(&fleet.key("submitter").await);
    let goal = json!({
        "title": "g", "tasks": tasks(1, &json!({})),
        "budget": {"limits": [{"unit": "usd_micros", "amount": 5}]},
    });
    let goal = text(&submitter.post("/v1/goals", &goal).await.value(201)["id"]);
    let path = format!("/v1/budgets?node=goal&node_id={goal}");
    let page = submitter.get(path).await.value(200);
    let budget = text(&page["items"][0]["id"]);
    let path = format!("/v1/budgets/{budget}");
    let etag = submitter.get(&path).await.expect(200).etag();
    let agent = fleet.worker().await;
    for client in [&submitter, &agent.client] {
        let refused = client.patch(&path, &raised(9)).if_match(&etag).await;
        refused.problem(403, "forbidden");
    }
    let made = fleet.admin.post(
        "/v1/budgets",
        &json!({
            "node": "goal", "node_id": goal, "budget": of("usd_micros", 1),
        }),
    );
    made.await.problem(409, "already_exists");
    fleet.admin.patch(&path, &raised(9)).if_match(&etag).await.expect(200);
    fleet.admin.patch(&path, &raised(10)).if_match(&etag).await.problem(412, "precondition_failed");
}

#[tokio::test]
async fn budgets_that_are_none_are_refused() {
    let fleet = Fleet::start().await;
    let two = json!({"limits": [{"unit": "x", "amount": 1}, {"unit": "x", "amount": 2}]});
    for (body, pointer) in [
        (json!({"node": "goal", "budget": of("x", 1)}), "/node_id"),
        (json!({"node": "workspace", "budget": of("X", 1)}), "/budget/limits/0/unit"),
        (json!({"node": "workspace", "budget": of("x", -1)}), "/budget/limits/0/amount"),
        (json!({"node": "workspace", "budget": two}), "/budget/limits/1"),
        (
            json!({"node": "workspace", "budget": {"limits": [], "time_zone": "Mars"}}),
            "/budget/time_zone",
        ),
        (
            json!({"node": "workspace", "budget": {"limits": [], "warn_percent": [80, 50]}}),
            "/budget/warn_percent",
        ),
        (
            json!({"node": "workspace", "budget": {"limits": [],
                   "reserve": {"x": {"want": 1, "min": 2}}}}),
            "/budget/reserve/x/min",
        ),
        (
            json!({"node": "workspace", "budget": {"limits": [], "allocated": true}}),
            "/budget/allocated",
        ),
    ] {
        let answer = fleet.admin.post("/v1/budgets", &body).await;
        assert_eq!(answer.problem(422, "invalid")[0], pointer, "{body}");
    }
    let nowhere = json!({"node": "task", "node_id": fleet.no_id(), "budget": of("x", 1)});
    fleet.admin.post("/v1/budgets", &nowhere).await.problem(404, "not_found");
}

/// An allocated goal sets its whole limit aside above it: the project's other goals see it gone, its
/// own claims touch only its own limits, and what it did not use comes back when it has ended.
#[tokio::test]
async fn an_allocated_goal_holds_its_whole_limit() {
    let fleet = Fleet::start().await;
    let whole = limit(&fleet, "workspace", None, of("usd_micros", 100)).await;
    let goal = |amount: i64| {
        json!({
            "title": "g", "tasks": tasks(2, &json!({"usd_micros": 30})),
            "budget": {"limits": [{"unit": "usd_micros", "amount": amount}], "allocated": true},
        })
    };
    let refused = fleet.admin.post("/v1/goals", &goal(101)).await;
    assert_eq!(refused.problem(409, "budget_exhausted"), ["/usd_micros"]);
    let says = "left 100, requested 101; at most 100 can be set aside for the goal";
    assert!(refused.describe().contains(says), "{}", refused.describe());
    let posted = fleet.post_goal(goal(70)).await;
    assert_eq!(holds(&fleet, &whole).await, (0, 70, 0));
    let agent = fleet.worker().await;
    let held = agent.claim(2).await;
    assert_eq!(held.len(), 2);
    assert_eq!(holds(&fleet, &whole).await, (0, 70, 0));
    let other = fleet.goal(tasks(1, &json!({"usd_micros": 31}))).await;
    assert!(agent.claim(1).await.is_empty());
    let page = fleet.admin.get(format!("/v1/budgets?node=goal&node_id={posted}")).await.value(200);
    let own = text(&page["items"][0]["id"]);
    change(&fleet, &own, raised(69)).await;
    assert_eq!(holds(&fleet, &whole).await, (0, 69, 0));
    let above = fleet.admin.get(format!("/v1/budgets/{own}")).await.expect(200).etag();
    let path = format!("/v1/budgets/{own}");
    let answer = fleet.admin.patch(&path, &raised(101)).if_match(&above).await;
    answer.problem(409, "budget_exhausted");
    for held in &held {
        let spend = json!({"entries": [{"key": "a", "amounts": {"usd_micros": 12}}]});
        agent.write(held, "complete", json!({"spend": spend})).await.expect(200);
    }
    verify(&fleet.pool).await;
    fleet.round().await;
    assert_eq!(holds(&fleet, &whole).await, (24, 0, 0));
    fleet.expect_states(&other, "t0:ready").await;
    let late = json!({"entries": [{"key": "late", "amounts": {"usd_micros": 3}}]});
    agent.write(&held[0], "spend", late).await.expect(200);
    assert_eq!(holds(&fleet, &whole).await, (27, 0, 0));
    verify(&fleet.pool).await;
}
