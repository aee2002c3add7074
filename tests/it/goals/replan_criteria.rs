//! Criteria of goals that follow an edited brief.

use serde_json::{Value, json};

use super::verifying::{check, evidence};
use crate::support::{
    fleet::{Fleet, text},
    invariants::{verify, verify_rested},
};

/// A brief of one task and these criteria of the goal: `[ ] text` or `[x] text`.
fn brief(criteria: &[&str]) -> String {
    let mut brief = "## Tasks\n\n- [ ] T001 Write the importer\n\n## Done criteria\n\n".to_owned();
    for criterion in criteria {
        brief.push_str(&format!("- {criterion}\n"));
    }
    brief
}

async fn post(fleet: &Fleet, criteria: &[&str], more: Value) -> String {
    let mut body = json!({"title": "Ship it", "brief": brief(criteria)});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    fleet.post_goal(body).await
}

async fn replan(fleet: &Fleet, goal: &str, criteria: &[&str]) -> Value {
    let body = json!({"brief": brief(criteria)});
    fleet.admin.post(format!("/v1/goals/{goal}/replan"), &body).await.value(200)
}

/// `number:state text` of each criterion of a goal.
async fn criteria(fleet: &Fleet, goal: &str) -> Vec<String> {
    let goal = fleet.read_goal(goal).await;
    let shown = |criterion: &Value| {
        format!(
            "{}:{} {}",
            criterion["number"],
            text(&criterion["state"]),
            text(&criterion["text"])
        )
    };
    goal["criteria"].as_array().unwrap().iter().map(shown).collect()
}

/// `action:reason` of each criterion in a diff.
fn told(answer: &Value) -> String {
    let entries = answer["diff"]["criteria"].as_array().map(Vec::as_slice).unwrap_or_default();
    let told = entries
        .iter()
        .map(|entry| format!("{}:{}", text(&entry["action"]), text(&entry["reason"])));
    told.collect::<Vec<_>>().join(" ")
}

/// The kinds of the events about a goal itself since a number, in order.
async fn events(fleet: &Fleet, goal: &str, after: i64) -> Vec<String> {
    sqlx::query_scalar(
        "select kind from journal where goal_id = $1::uuid and number > $2
         and (kind like 'goal.%' or kind like 'plan.%') order by number",
    )
    .bind(goal)
    .bind(after)
    .fetch_all(&fleet.pool)
    .await
    .unwrap()
}

async fn last(fleet: &Fleet) -> i64 {
    let last = "select coalesce(max(number), 0) from journal";
    sqlx::query_scalar(last).fetch_one(&fleet.pool).await.unwrap()
}

#[tokio::test]
async fn boxes_are_added_reworded_ticked_and_removed() {
    let fleet = Fleet::start().await;
    let first = ["[ ] All files import", "[ ] It takes a minute", "[x] Users were asked"];
    let goal = post(&fleet, &first, json!({})).await;
    let answer = replan(&fleet, &goal, &first).await;
    assert_eq!(
        (&answer["outcome"], told(&answer)),
        (&json!("unchanged"), "keep:unchanged ".repeat(3).trim_end().to_owned())
    );
    let before = last(&fleet).await;
    let second = [
        "[x] All files import",
        "[ ] Nothing is lost on the way",
        "[ ] It takes at most a minute",
        "[x] The manual says how",
    ];
    let answer = replan(&fleet, &goal, &second).await;
    assert_eq!(answer["outcome"], "applied");
    assert_eq!(told(&answer), "change:ticked add:new change:reworded add:new remove:removed");
    assert_eq!(answer["diff"]["counts"]["kept"], 1, "the task stays");
    assert_eq!(answer["diff"]["criteria"][2]["before"], "It takes a minute");
    let after = [
        "1:satisfied All files import",
        "2:open It takes at most a minute",
        "4:open Nothing is lost on the way",
        "5:satisfied The manual says how",
    ];
    assert_eq!(criteria(&fleet, &goal).await, after);
    let kinds = events(&fleet, &goal, before).await;
    assert_eq!(kinds, ["plan.applied", "goal.updated", "goal.updated", "goal.criterion_satisfied"]);
    let data: Value =
        sqlx::query_scalar("select data from journal where kind = 'plan.applied' and number > $1")
            .bind(before)
            .fetch_one(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(data["criteria"], json!({"added": 2, "changed": 2, "removed": 1}));
    let answer = replan(&fleet, &goal, &second).await;
    assert_eq!((&answer["outcome"], &answer["base"]), (&json!("unchanged"), &json!(2)));
    verify(&fleet.pool).await;

    // A number is not given again: people decide criteria by it.
    replan(&fleet, &goal, &second[..2]).await;
    replan(&fleet, &goal, &[second[0], second[1], "[ ] Somebody reads it"]).await;
    let after = [
        "1:satisfied All files import",
        "4:open Nothing is lost on the way",
        "6:open Somebody reads it",
    ];
    assert_eq!(criteria(&fleet, &goal).await, after);
    // An unticked box takes its tick back.
    let answer =
        replan(&fleet, &goal, &["[ ] All files import", second[1], "[ ] Somebody reads it"]).await;
    assert_eq!(told(&answer), "change:unticked keep:unchanged keep:unchanged");
    assert_eq!(criteria(&fleet, &goal).await[0], "1:open All files import");
    verify(&fleet.pool).await;
}

/// What evidence satisfied is open again with other words, and with a reason; a rework of what is removed ends.
#[tokio::test]
async fn other_words_are_checked_again() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = post(&fleet, &["[ ] All files import", "[ ] It takes a minute"], json!({})).await;
    worker.complete(&worker.take().await).await;
    check(&worker, &[true, false]).await;
    let found = ["1:satisfied All files import", "2:rejected It takes a minute"];
    assert_eq!(criteria(&fleet, &goal).await, found);

    // A tick does not stand against what a check found.
    let answer = replan(&fleet, &goal, &["[x] All files import", "[x] It takes a minute"]).await;
    assert_eq!(
        (&answer["outcome"], told(&answer)),
        (&json!("unchanged"), "keep:unchanged keep:decided".into())
    );
    assert_eq!(criteria(&fleet, &goal).await, found);
    // Case and punctuation are no words.
    let answer = replan(&fleet, &goal, &["[ ] All files import!", "[ ] It takes a minute"]).await;
    assert_eq!(told(&answer), "change:spelling keep:unchanged");
    assert_eq!(criteria(&fleet, &goal).await[0], "1:satisfied All files import!");

    let before = last(&fleet).await;
    let answer = replan(&fleet, &goal, &["[ ] All files import without an error"]).await;
    assert_eq!(told(&answer), "change:reworded remove:removed");
    let why = text(&answer["diff"]["criteria"][0]["why"]);
    assert!(why.contains("evidence satisfied it"), "{why}");
    assert_eq!(criteria(&fleet, &goal).await, ["1:open All files import without an error"]);
    fleet.expect_states(&goal, "T001:done verify-1:done rework-2-1:cancelled verify-2:ready").await;
    let kinds = events(&fleet, &goal, before).await;
    assert_eq!(kinds, ["plan.applied", "goal.updated", "goal.updated", "goal.criterion_opened"]);
    assert_eq!(fleet.goal_state(&goal).await, "verifying");
    verify(&fleet.pool).await;
    let held = check(&worker, &[true]).await;
    assert_eq!(held.claim["task"]["criteria"][0]["text"], "All files import without an error");
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// A check goes on for the criteria that stay; what is reworded or added meanwhile is checked after it.
#[tokio::test]
async fn a_check_that_runs_goes_on_for_what_stays() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = post(&fleet, &["[ ] All files import", "[ ] It takes a minute"], json!({})).await;
    worker.complete(&worker.take().await).await;
    let held = worker.take().await;
    let new = ["[ ] All files import", "[ ] It takes half a minute", "[ ] Nothing is lost"];
    let answer = replan(&fleet, &goal, &new).await;
    assert_eq!(told(&answer), "keep:unchanged change:reworded add:new");
    verify(&fleet.pool).await;
    // Its evidence of the words before says nothing about the words now.
    worker.write(&held, "complete", evidence(&[true, true])).await.expect(200);
    let states =
        ["1:satisfied All files import", "2:open It takes half a minute", "3:open Nothing is lost"];
    assert_eq!(criteria(&fleet, &goal).await, states);
    let held = check(&worker, &[true, true]).await;
    assert_eq!(held.claim["task"]["criteria"].as_array().unwrap().len(), 2);
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_check_of_nothing_that_is_left_is_asked_to_stop() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = post(&fleet, &["[ ] All files import"], json!({})).await;
    worker.complete(&worker.take().await).await;
    let held = worker.take().await;
    let answer = replan(&fleet, &goal, &["[ ] All files of March import"]).await;
    assert_eq!(told(&answer), "change:reworded");
    assert!(
        text(&answer["diff"]["criteria"][0]["why"]).contains("its check was of the words before")
    );
    assert_eq!(worker.beat(&held).await["directive"], "stop");
    worker.release(&held).await;
    verify(&fleet.pool).await;
    check(&worker, &[true]).await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_verifying_goal_without_its_last_criterion_is_completed() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let goal = post(&fleet, &["[ ] All files import", "[x] Users were asked"], json!({})).await;
    worker.complete(&worker.take().await).await;
    assert_eq!(fleet.goal_state(&goal).await, "verifying");
    let answer = replan(&fleet, &goal, &["[x] Users were asked"]).await;
    assert_eq!(told(&answer), "keep:unchanged remove:removed");
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    fleet.expect_states(&goal, "T001:done verify-1:cancelled").await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// A brief changes what a brief said.
#[tokio::test]
async fn criteria_that_came_with_the_request_stay() {
    let fleet = Fleet::start().await;
    let more =
        json!({"criteria": [{"text": "It is fast"}, {"text": "It is cheap", "required": false}]});
    let goal = post(&fleet, &["[ ] All files import"], more).await;
    let answer = replan(&fleet, &goal, &["[ ] Users were asked", "[x] It is fast"]).await;
    assert_eq!(told(&answer), "change:reworded keep:given", "alone in its place");
    let kept = ["1:open Users were asked", "2:open It is fast", "3:open It is cheap"];
    assert_eq!(criteria(&fleet, &goal).await, kept);
    replan(&fleet, &goal, &[]).await;
    assert_eq!(criteria(&fleet, &goal).await, kept[1..]);
    // Other planners say nothing about criteria.
    let goal = post(&fleet, &["[ ] All files import"], json!({})).await;
    let tasks = json!({"tasks": [{"ref": "T001", "title": "Write it"}], "brief": "Otherwise."});
    let answer = fleet.admin.post(format!("/v1/goals/{goal}/replan"), &tasks).await.value(200);
    assert_eq!((&answer["outcome"], told(&answer)), (&json!("applied"), String::new()));
    assert_eq!(criteria(&fleet, &goal).await, ["1:open All files import"]);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn criteria_wait_for_the_approval_of_their_plan() {
    let fleet = Fleet::start().await;
    let more = json!({"approval": {"plan": true}});
    let goal = post(&fleet, &["[ ] All files import", "[ ] It takes a minute"], more).await;
    fleet.decide(json!({"decision": "approve"})).await;
    let body = json!({"brief": brief(&["[x] All files import", "[ ] Nothing is lost on the way"]), "dry_run": true});
    let path = format!("/v1/goals/{goal}/replan");
    let compared = fleet.poster.post(&path, &body).await.value(200);
    assert_eq!(told(&compared), "change:ticked change:reworded");
    let body = json!({"brief": body["brief"]});
    let proposed = fleet.poster.post(&path, &body).await.value(200);
    assert_eq!((&proposed["outcome"], told(&proposed)), (&json!("proposed"), told(&compared)));
    let before = ["1:open All files import", "2:open It takes a minute"];
    assert_eq!(criteria(&fleet, &goal).await, before);
    let question = text(&fleet.question().await["id"]);
    let shown = fleet.admin.get(format!("/v1/approvals/{question}")).await.value(200);
    let shown = text(&shown["body"]);
    for part in ["change (ticked): All files import", "before: It takes a minute"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    fleet.decide(json!({"decision": "approve"})).await;
    let after = ["1:satisfied All files import", "2:open Nothing is lost on the way"];
    assert_eq!(criteria(&fleet, &goal).await, after);
    let same = fleet.poster.post(&path, &body).await.value(200);
    assert_eq!(same["outcome"], "unchanged");
    verify(&fleet.pool).await;
}

/// A container has no result, so its criteria are the goal's, and begin with its name. Numbers that the document gives
/// anew change none of them.
#[tokio::test]
async fn criteria_of_containers_keep_their_names() {
    let fleet = Fleet::start().await;
    let part = |name: &str| {
        format!(
            "- [ ] Write the {name}\n  - [ ] Draft the {name}\n  - [ ] Finish the {name}\n  - Acceptance criteria:\n    - [ ] the {name} works\n"
        )
    };
    let body = json!({"title": "g", "brief": format!("{}{}", part("parser"), part("writer"))});
    let goal = fleet.post_goal(body).await;
    let before = criteria(&fleet, &goal).await;
    assert_eq!(before.len(), 2, "{before:?}");
    let body = json!({"brief": format!("{}{}{}", part("reader"), part("parser"), part("writer"))});
    let answer = fleet.admin.post(format!("/v1/goals/{goal}/replan"), &body).await.value(200);
    assert_eq!(told(&answer), "add:new keep:unchanged keep:unchanged");
    assert_eq!(criteria(&fleet, &goal).await[..2], before);
    let answer = fleet.admin.post(format!("/v1/goals/{goal}/replan"), &body).await.value(200);
    assert_eq!(answer["outcome"], "unchanged");
    verify(&fleet.pool).await;
}

/// Boxes inside a task are its criteria, and follow until the task is worked on.
#[tokio::test]
async fn boxes_of_tasks_follow() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let brief = |boxes: &[&str]| {
        let mut text = "- [ ] T001 Write the importer\n  - Acceptance criteria:\n".to_owned();
        for line in boxes {
            text.push_str(&format!("    - {line}\n"));
        }
        json!({"title": "g", "brief": text})
    };
    let goal = fleet.post_goal(brief(&["[ ] all files import", "[ ] it is fast"])).await;
    let replanned = async |boxes: &[&str]| {
        let body = json!({"brief": brief(boxes)["brief"]});
        fleet.admin.post(format!("/v1/goals/{goal}/replan"), &body).await.value(200)
    };
    let of_task = async || {
        let task = fleet.task(&goal, "T001").await;
        let shown =
            |criterion: &Value| format!("{} {}", criterion["satisfied"], text(&criterion["text"]));
        task["criteria"].as_array().unwrap().iter().map(shown).collect::<Vec<_>>()
    };
    let new = ["[x] all files of March import", "[ ] nothing is lost"];
    let answer = replanned(&new).await;
    assert_eq!(answer["diff"]["change"][0]["changes"][0]["field"], "criteria");
    assert_eq!(of_task().await, ["true all files of March import", "false nothing is lost"]);
    assert_eq!(replanned(&new).await["outcome"], "unchanged");
    worker.take().await;
    let answer = replanned(&["[ ] nothing is lost"]).await;
    assert_eq!(answer["diff"]["keep"][0]["reason"], "in_progress");
    assert_eq!(of_task().await.len(), 2, "an attempt works for them");
    verify(&fleet.pool).await;
}
