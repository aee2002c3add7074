//! Results are accepted criterion by criterion, and sent back a bounded number of times.

use futures_util::future::join;
use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Held},
    client::Answer,
    dump::{dump, same},
    fleet::{Fleet, about, text},
    invariants::{verify, verify_rested},
};

/// A task of three criteria, of which the last is not required, whose result needs a person.
async fn reviewed(settings: Value) -> (Fleet, Agent, String) {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let mut task = json!({
        "approval": {"result": true}, "max_attempts": 1,
        "criteria": [{"text": "it builds"}, {"text": "it is tested"},
                     {"text": "it is fast", "required": false}],
    });
    for (name, value) in settings.as_object().unwrap() {
        task[name] = value.clone();
    }
    let goal = fleet.lone_task(task).await;
    (fleet, agent, goal)
}

/// Hands in a result with evidence for these criteria.
async fn submit(agent: &Agent, shown: &[i16]) -> Held {
    let held = agent.take().await;
    let evidence: Vec<Value> =
        shown.iter().map(|n| json!({"criterion": n, "text": "see the log"})).collect();
    let body = json!({"result": held.number, "evidence": evidence});
    agent.write(&held, "complete", body).await.expect(200);
    held
}

async fn try_decide(fleet: &Fleet, decision: Value) -> Answer {
    let question = fleet.question().await;
    let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
    fleet.admin.post(path, &about(&question, decision)).await
}

fn reject(reason: &str) -> Value {
    json!({"decision": "reject", "reason": reason})
}

fn choose(action: &str) -> Value {
    let decision = if action == "accept" { "approve" } else { "reject" };
    json!({"decision": decision, "reason": "enough", "choice": {"action": action}})
}

#[tokio::test]
async fn what_is_not_shown_is_waived_by_name_or_not_accepted() {
    let (fleet, agent, goal) = reviewed(json!({})).await;
    submit(&agent, &[1]).await;
    let before = dump(&fleet.pool).await;
    let answer = try_decide(&fleet, json!({"decision": "approve"})).await;
    assert_eq!(answer.problem(422, "evidence_missing"), ["/waive"]);
    assert!(
        text(&answer.json::<Value>()["detail"]).contains("criteria 2;"),
        "{}",
        answer.describe()
    );
    let waiver = |n: i16| json!({"criterion": n, "reason": "by hand"});
    for (waive, pointers) in [
        (json!([waiver(2), waiver(1)]), vec!["/waive/1/criterion"]),
        (json!([waiver(3), waiver(2)]), vec!["/waive/0/criterion"]),
        (json!([waiver(9)]), vec!["/waive/0/criterion"]),
        (json!([waiver(2), waiver(2)]), vec!["/waive/1/criterion"]),
        (json!([{"criterion": 2, "reason": " "}]), vec!["/waive/0/reason"]),
    ] {
        let answer = try_decide(&fleet, json!({"decision": "approve", "waive": waive})).await;
        assert_eq!(answer.problem(422, "invalid"), pointers, "{waive}");
    }
    for (decision, pointer) in [
        (json!({"decision": "reject", "reason": "no", "waive": [waiver(2)]}), "/waive"),
        (json!({"decision": "approve", "feedback": [{"text": "x"}]}), "/feedback"),
        (choose("accept"), "/choice"),
    ] {
        let answer = try_decide(&fleet, decision.clone()).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{decision}");
    }
    same("refused", &before, &dump(&fleet.pool).await);

    let decided = fleet.decide(json!({"decision": "approve", "waive": [waiver(2)]})).await;
    let waived = &decided["waived"][0];
    assert_eq!((&waived["criterion"], &waived["reason"]), (&json!(2), &json!("by hand")));
    assert_eq!(waived["waived_by"], decided["decided_by"]);
    let task = fleet.task(&goal, "a").await;
    assert_eq!((&task["state"], &task["waived"][0]), (&json!("done"), waived));
    let path = format!("/v1/attempts/{}", text(&task["attempt_id"]));
    assert_eq!(&fleet.admin.get(path).await.value(200)["waived"][0], waived);
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// Without a reviewer nothing that is required goes unshown.
#[tokio::test]
async fn without_a_reviewer_a_result_without_evidence_is_refused() {
    let (fleet, agent, goal) = reviewed(json!({"approval": {"result": false}})).await;
    let held = agent.take().await;
    let answer = agent.write(&held, "complete", json!({})).await;
    assert_eq!(answer.problem(422, "evidence_missing"), ["/evidence"]);
    fleet.expect_states(&goal, "a:running").await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_rejection_tells_the_next_attempt_what_is_wrong_and_costs_no_try() {
    let limits = json!([{"unit": "usd_micros", "amount": 10}]);
    let settings = json!({"budget": {"limits": limits}, "estimate": {"usd_micros": 6}});
    let (fleet, agent, goal) = reviewed(settings).await;
    let held = submit(&agent, &[1, 2]).await;
    agent.write(&held, "spend", json!({"totals": {"usd_micros": 4}})).await.expect(200);
    let feedback = json!([
        {"criterion": 2, "text": "only the empty list is tested"},
        {"text": "name things", "must": false},
    ]);
    let wrong =
        json!({"decision": "reject", "reason": "no", "feedback": [{"criterion": 7, "text": "x"}]});
    let answer = try_decide(&fleet, wrong).await;
    assert_eq!(answer.problem(422, "invalid"), ["/feedback/0/criterion"]);
    let decision = json!({"decision": "reject", "reason": "not yet", "feedback": feedback});
    fleet.decide(decision).await;
    let task = fleet.task(&goal, "a").await;
    assert_eq!((&task["attempts_used"], &task["reworks"]), (&json!(0), &json!(1)));
    // 4 of 10 are used, and the 6 that are left are set aside.
    let next = agent.take().await;
    let earlier = &next.claim["earlier_attempts"][0];
    assert_eq!((&earlier["number"], &earlier["feedback"]), (&json!(1), &json!("not yet")));
    let told = json!([
        {"criterion": 2, "text": "only the empty list is tested", "must": true},
        {"criterion": null, "text": "name things", "must": false},
    ]);
    assert_eq!(earlier["feedback_points"], told);
    let path = format!("/v1/attempts/{}", held.attempt);
    assert_eq!(fleet.admin.get(path).await.value(200)["feedback_points"], told);
    let body = json!({"evidence": [{"criterion": 1, "text": "x"}, {"criterion": 2, "text": "x"}]});
    agent.write(&next, "complete", body).await.expect(200);
    fleet.decide(json!({"decision": "approve"})).await;
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// Brings the task to where a person must choose.
async fn used_up(settings: Value) -> (Fleet, Agent, String) {
    let mut with = settings;
    with["max_rework"] = json!(2);
    let (fleet, agent, goal) = reviewed(with).await;
    submit(&agent, &[1, 2]).await;
    fleet.decide(reject("first")).await;
    fleet.expect_states(&goal, "a:ready").await;
    submit(&agent, &[1]).await;
    let decided = fleet.decide(reject("second")).await;
    assert_eq!((&decided["state"], &decided["choices"]), (&json!("rejected"), &json!([])));
    fleet.expect_states(&goal, "a:reviewing").await;
    agent.find_nothing().await;
    let asked = fleet.question().await;
    assert_eq!(asked["choices"], json!(["accept", "reassign", "split", "cancel"]));
    assert_eq!(asked["kind"], "result");
    (fleet, agent, goal)
}

#[tokio::test]
async fn after_the_last_round_the_result_can_still_be_accepted() {
    let (fleet, _, goal) = used_up(json!({})).await;
    let path = format!("/v1/approvals/{}", text(&fleet.question().await["id"]));
    let payload = fleet.admin.get(path).await.value(200)["payload"].clone();
    assert_eq!((&payload["result"], &payload["rejections"]), (&json!(2), &json!(2)));
    assert_eq!(payload["rejected_for"]["reason"], "second");
    let before = dump(&fleet.pool).await;
    for (decision, pointer) in [
        (json!({"decision": "approve"}), "/choice"),
        (reject("no"), "/choice"),
        (json!({"decision": "approve", "choice": {"action": "cancel"}}), "/choice/action"),
        (
            json!({"decision": "reject", "reason": "n", "choice": {"action": "split"}}),
            "/choice/tasks",
        ),
        (
            json!({"decision": "reject", "reason": "n",
                "choice": {"action": "cancel", "agent_id": fleet.no_id()}}),
            "/choice/agent_id",
        ),
        (
            json!({"decision": "reject", "reason": "n",
                "choice": {"action": "reassign", "agent_id": fleet.no_id()}}),
            "/choice/agent_id",
        ),
    ] {
        let answer = try_decide(&fleet, decision.clone()).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{decision}");
    }
    let answer = try_decide(&fleet, choose("accept")).await;
    assert_eq!(answer.problem(422, "evidence_missing"), ["/waive"]);
    same("refused", &before, &dump(&fleet.pool).await);
    let mut decision = choose("accept");
    decision["waive"] = json!([{"criterion": 2, "reason": "seen by hand"}]);
    let decided = fleet.decide(decision).await;
    assert_eq!((&decided["state"], &decided["choice"]), (&json!("approved"), &json!("accept")));
    let task = fleet.task(&goal, "a").await;
    assert_eq!((&task["state"], &task["result"]), (&json!("done"), &json!(2)));
    assert_eq!(task["waived"][0]["criterion"], 2);
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn after_the_last_round_another_agent_gets_one_more() {
    let (fleet, agent, goal) = used_up(json!({})).await;
    let other = fleet.agent("other", &[], 1).await;
    let mut decision = choose("reassign");
    decision["choice"]["agent_id"] = json!(other.id);
    decision["feedback"] = json!([{"criterion": 1, "text": "begin anew"}]);
    fleet.decide(decision).await;
    fleet.expect_states(&goal, "a:ready").await;
    agent.find_nothing().await;
    let held = submit(&other, &[1, 2]).await;
    let earlier = &held.claim["earlier_attempts"][1];
    assert_eq!(
        (&earlier["state"], &earlier["feedback"]),
        (&json!("rejected"), &json!("second\n\nenough"))
    );
    assert_eq!(earlier["feedback_points"][0]["text"], "begin anew");
    // One round it was.
    fleet.decide(reject("third")).await;
    fleet.expect_states(&goal, "a:reviewing").await;
    fleet.decide(choose("reassign")).await;
    other.find_nothing().await;
    submit(&agent, &[1, 2]).await;
    fleet.decide(json!({"decision": "approve"})).await;
    fleet.expect_states(&goal, "a:done").await;
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn after_the_last_round_the_task_is_split_or_cancelled() {
    let (fleet, agent, goal) = used_up(json!({})).await;
    let mut decision = choose("split");
    decision["choice"]["tasks"] = json!([{"ref": "x", "title": "x"}, {"ref": "x", "title": "x"}]);
    let answer = try_decide(&fleet, decision.clone()).await;
    assert_eq!(answer.problem(422, "plan_invalid"), ["/choice/tasks/1/ref"]);
    decision["choice"]["tasks"] = json!([{"ref": "x", "title": "x"}, {"ref": "y", "title": "y"}]);
    fleet.decide(decision).await;
    fleet.expect_states(&goal, "a:parked x:ready y:ready").await;
    agent.complete(&agent.take().await).await;
    agent.complete(&agent.take().await).await;
    let held = submit(&agent, &[1, 2]).await;
    assert_eq!(held.claim["children"].as_array().unwrap().len(), 2);
    fleet.decide(reject("still not")).await;
    fleet.expect_states(&goal, "a:reviewing x:done y:done").await;
    fleet.decide(choose("cancel")).await;
    fleet.expect_states(&goal, "a:cancelled x:done y:done").await;
    assert!(text(&fleet.task(&goal, "a").await["end_reason"]).contains("enough"));
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// Two people choose at once, or one chooses while another cancels the goal: one decision, one effect.
#[tokio::test]
async fn of_racing_choices_one_has_its_effect() {
    for round in 0..8 {
        let (fleet, _, goal) = used_up(json!({})).await;
        let bob = fleet.client(&fleet.key("operator").await);
        let question = fleet.question().await;
        let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
        let mut split = choose("split");
        split["choice"]["tasks"] = json!([{"ref": "x", "title": "x"}]);
        let first = about(&question, split);
        let second = about(&question, choose("reassign"));
        let cancel = format!("/v1/goals/{goal}/cancel");
        let (chosen, other) = join(async { fleet.admin.post(&path, &first).await }, async {
            if round % 2 == 0 {
                bob.post(&path, &second).await
            } else {
                bob.post(&cancel, &json!({})).await
            }
        })
        .await;
        if round % 2 == 0 {
            let statuses = [chosen.status.as_u16(), other.status.as_u16()];
            assert!(statuses == [200, 409] || statuses == [409, 200], "{statuses:?}");
            let want = if chosen.status == 200 { "a:parked x:ready" } else { "a:ready" };
            fleet.expect_states(&goal, want).await;
        } else {
            other.expect(200);
            if chosen.status == 200 {
                fleet.expect_states(&goal, "a:cancelled x:cancelled").await;
            } else {
                chosen.problem(409, "already_decided");
                fleet.expect_states(&goal, "a:cancelled").await;
            }
        }
        verify(&fleet.pool).await;
    }
}

/// A task may say how often, and a goal for all its tasks.
#[tokio::test]
async fn how_often_is_said_by_the_task_or_its_goal() {
    let fleet = Fleet::start().await;
    let goal = json!({"title": "g", "task_defaults": {"max_rework": 5}, "tasks": [
        {"ref": "a", "title": "a"}, {"ref": "b", "title": "b", "max_rework": 1}]});
    let goal = fleet.post_goal(goal).await;
    assert_eq!(fleet.task(&goal, "a").await["max_rework"], 5);
    assert_eq!(fleet.task(&goal, "b").await["max_rework"], 1);
    let wrong = json!({"title": "g", "tasks": [{"ref": "a", "title": "a", "max_rework": 21}]});
    let answer = fleet.admin.post("/v1/goals", &wrong).await;
    assert_eq!(answer.problem(422, "plan_invalid"), ["/tasks/0/max_rework"]);
}

async fn policy(fleet: &Fleet, mut policy: Value) {
    policy["name"] = json!("p");
    fleet.admin.post("/v1/approval-policies", &policy).await.expect(201);
}

/// Of several who must agree each names what the result lacks; what the last says has its effect.
#[tokio::test]
async fn everybody_who_accepts_names_what_is_missing() {
    let (fleet, agent, goal) = reviewed(json!({})).await;
    policy(&fleet, json!({"stages": [{"quorum": 2}]})).await;
    submit(&agent, &[1]).await;
    let waive = json!([{"criterion": 2, "reason": "by hand"}]);
    let yes = json!({"decision": "approve", "waive": waive});
    let answer = try_decide(&fleet, json!({"decision": "approve"})).await;
    assert_eq!(answer.problem(422, "evidence_missing"), ["/waive"]);
    try_decide(&fleet, yes.clone()).await.expect(200);
    fleet.expect_states(&goal, "a:reviewing").await;
    let bob = fleet.client(&fleet.key("operator").await);
    let question = fleet.question().await;
    let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
    let answer = bob.post(&path, &about(&question, json!({"decision": "approve"}))).await;
    assert_eq!(answer.problem(422, "evidence_missing"), ["/waive"]);
    bob.post(&path, &about(&question, yes)).await.expect(200);
    fleet.expect_states(&goal, "a:done").await;
    assert_eq!(fleet.task(&goal, "a").await["waived"][0]["criterion"], 2);
    verify(&fleet.pool).await;
}

/// When nobody decides in time, rejecting sends the result back as long as that can be, and then gives
/// the task up; accepting accepts only what lacks nothing.
#[tokio::test]
async fn time_that_runs_out_accepts_nothing_that_is_not_shown() {
    let (fleet, agent, goal) = reviewed(json!({"max_rework": 2})).await;
    let by_default = json!({"stages": [{}], "expires_after_seconds": 60, "on_expiry": "default",
                            "default": {"decision": "approve"}});
    policy(&fleet, by_default).await;
    submit(&agent, &[1]).await;
    fleet.after(61).await;
    fleet.expect_states(&goal, "a:ready").await;
    submit(&agent, &[1]).await;
    fleet.after(61).await;
    fleet.expect_states(&goal, "a:reviewing").await;
    assert_eq!(fleet.question().await["choices"].as_array().unwrap().len(), 4);
    fleet.after(61).await;
    fleet.expect_states(&goal, "a:cancelled").await;
    assert!(fleet.questions().await.is_empty());

    let goal = fleet.lone_task(json!({"approval": {"result": true}, "max_rework": 1})).await;
    submit(&agent, &[]).await;
    fleet.decide(reject("no")).await;
    fleet.after(61).await;
    fleet.expect_states(&goal, "a:done").await;
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}
