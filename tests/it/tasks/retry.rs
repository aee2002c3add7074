//! Retrying a failed task: what comes back with it, how often it may be tried, what is refused.

use chrono::{DateTime, Utc};
use futures_util::future::join;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, claims},
    client::{Answer, Call},
    dump::{dump, same},
    fleet::{Fleet, seed, text},
    invariants::{verify, verify_rested},
};

/// The refs of a list of tasks in an answer.
pub fn names(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|task| text(&task["ref"])).collect()
}

/// A verb on a task of a goal.
pub async fn on_task(fleet: &Fleet, goal: &str, name: &str, verb: &str, body: Value) -> Answer {
    let id = fleet.task_id(goal, name).await;
    fleet.admin.post(format!("/v1/tasks/{id}/{verb}"), &body).await
}

async fn retry(fleet: &Fleet, goal: &str, name: &str) -> Value {
    on_task(fleet, goal, name, "retry", json!({})).await.value(200)
}

/// Works on every task that is offered; those of these names fail for good.
pub async fn work(agent: &Agent, failing: &[&str]) -> Vec<String> {
    let mut names = Vec::new();
    loop {
        let Some(held) = agent.claim(1).await.pop() else { return names };
        match failing.contains(&held.name.as_str()) {
            true => agent.fail(&held, "permanent").await,
            false => agent.complete(&held).await,
        };
        names.push(held.name);
    }
}

/// Two calls at once. The second gets a random head start, because the first may have to wait for its
/// batch.
pub async fn race(random: &mut StdRng, first: Call, second: Call) -> (Answer, Answer) {
    let head_start = random.random_range(0..40);
    let late = async {
        for _ in 0..head_start {
            tokio::task::yield_now().await;
        }
        second.await
    };
    join(async { first.await }, late).await
}

#[tokio::test]
async fn what_was_lost_comes_back_and_what_is_done_or_unwanted_stays() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "done", "title": "t", "priority": 9},
            {"ref": "a", "title": "t"},
            {"ref": "next", "title": "t", "needs": ["a"]},
            {"ref": "unwanted", "title": "t", "needs": ["a"]},
            {"ref": "box", "title": "t"},
            {"ref": "inside", "title": "t", "parent": "box", "needs": ["next"]},
            {"ref": "last", "title": "t", "needs": ["box"]},
        ]))
        .await;
    on_task(&fleet, &goal, "unwanted", "cancel", json!({})).await.expect(200);
    assert_eq!(work(&agent, &["a"]).await, ["done", "a"]);
    fleet
        .expect_states(
            &goal,
            "done:done a:failed next:cancelled unwanted:cancelled box:failed inside:cancelled \
             last:cancelled",
        )
        .await;
    assert_eq!(fleet.goal_state(&goal).await, "failed");
    fleet.after(60).await;

    let answer = retry(&fleet, &goal, "a").await;
    assert_eq!((&answer["state"], &answer["version"]), (&json!("ready"), &json!(5)));
    assert_eq!(
        (names(&answer["retried"]), &answer["retried_count"]),
        (vec!["a".into()], &json!(1))
    );
    assert_eq!(names(&answer["restored"]), ["next", "box", "inside", "last"]);
    assert_eq!(answer["restored_count"], 4);
    for gone in ["ended_at", "failure_class", "end_reason"] {
        assert_eq!(answer[gone], Value::Null, "{gone}");
    }
    fleet
        .expect_states(
            &goal,
            "done:done a:ready next:waiting unwanted:cancelled box:running inside:waiting \
             last:waiting",
        )
        .await;
    let read = fleet.read_goal(&goal).await;
    assert_eq!((&read["state"], &read["end_reason"]), (&json!("active"), &Value::Null));
    assert_eq!(read["ended_at"], Value::Null);
    let counts = json!({"total": 7, "open": 5, "done": 1, "failed": 0, "cancelled": 1});
    assert_eq!(read["tasks"], counts);
    assert_eq!(fleet.task(&goal, "next").await["end_reason"], Value::Null);
    verify_rested(&fleet.pool, fleet.now()).await;

    let held = agent.take().await;
    assert_eq!((held.name.as_str(), held.number), ("a", 2));
    assert_eq!(held.claim["earlier_attempts"][0]["failure_class"], "permanent");
    agent.complete(&held).await;
    assert_eq!(agent.work_off().await, ["next", "inside", "last"]);
    assert_eq!(fleet.goal_state(&goal).await, "cancelled", "one task was not wanted");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_needs_two_failed_tasks_comes_back_with_the_second() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "t"},
            {"ref": "b", "title": "t"},
            {"ref": "both", "title": "t", "needs": ["a", "b"]},
            {"ref": "goes on", "title": "t", "approval": {"start": true}},
        ]))
        .await;
    work(&agent, &["a", "b"]).await;
    assert_eq!(fleet.goal_state(&goal).await, "active");
    assert_eq!(retry(&fleet, &goal, "a").await["restored"], json!([]));
    fleet.expect_states(&goal, "a:ready b:failed both:cancelled goes on:parked").await;
    assert_eq!(names(&retry(&fleet, &goal, "b").await["restored"]), ["both"]);
    assert_eq!(agent.work_off().await.len(), 3);
    fleet.expect_states(&goal, "a:done b:done both:done goes on:parked").await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn attempts_are_granted_anew_and_deadlines_begin_anew() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let limits = json!({"max_attempts": 2, "start_within_seconds": 100,
        "finish_within_seconds": 1000, "estimate": {"usd_micros": 5}});
    let goal = fleet.lone_task(limits).await;
    agent.fail(&agent.take().await, "permanent").await;
    fleet.after(5000).await;
    let limit = |task: &Value, field: &str| {
        let at: DateTime<Utc> = serde_json::from_value(task[field].clone()).unwrap();
        (at - fleet.now()).num_seconds()
    };
    // As many as the plan gave: one was used, two more may fail.
    let task = retry(&fleet, &goal, "a").await;
    assert_eq!((&task["attempts_used"], &task["max_attempts"]), (&json!(1), &json!(3)));
    assert_eq!((limit(&task, "start_by"), limit(&task, "finish_by")), (100, 1000));
    agent.fail(&agent.take().await, "transient").await;
    fleet.after(10).await;
    agent.fail(&agent.take().await, "transient").await;
    assert_eq!(fleet.state(&goal, "a").await, "failed");
    // As many as asked for.
    let asked = json!({"attempts": 1, "start_within_seconds": 7, "finish_within_seconds": 70,
        "reason": "the provider is back"});
    let task = on_task(&fleet, &goal, "a", "retry", asked).await.value(200);
    assert_eq!((&task["attempts_used"], &task["max_attempts"]), (&json!(3), &json!(4)));
    assert_eq!((limit(&task, "start_by"), limit(&task, "finish_by")), (7, 70));
    // Nobody takes it in time, and the next retry grants what the plan gave, not more.
    fleet.after(7).await;
    assert_eq!(fleet.task(&goal, "a").await["failure_class"], "start_timeout");
    let task = retry(&fleet, &goal, "a").await;
    assert_eq!((&task["attempts_used"], &task["max_attempts"]), (&json!(3), &json!(5)));
    verify_rested(&fleet.pool, fleet.now()).await;
    agent.work_off().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");

    for (body, place) in [
        (json!({"attempts": 0}), "/attempts"),
        (json!({"attempts": 101}), "/attempts"),
        (json!({"start_within_seconds": 0}), "/start_within_seconds"),
        (json!({"finish_within_seconds": 2592001}), "/finish_within_seconds"),
        (json!({"reason": "x".repeat(16 * 1024 + 1)}), "/reason"),
    ] {
        let refused = on_task(&fleet, &goal, "a", "retry", body).await;
        assert_eq!(refused.problem(422, "invalid"), [place]);
    }
}

/// The time to the first claim begins when the task is ready, also if it waits first.
#[tokio::test]
async fn a_task_that_waits_first_is_claimed_in_time_or_fails() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "a", "title": "t"},
            {"ref": "b", "title": "t", "needs": ["a"], "start_within_seconds": 100},
        ]))
        .await;
    assert_eq!(work(&agent, &["b"]).await, ["a", "b"]);
    on_task(&fleet, &goal, "a", "reopen", json!({})).await.expect(200);
    assert_eq!(retry(&fleet, &goal, "b").await["start_by"], Value::Null);
    fleet.expect_states(&goal, "a:ready b:waiting").await;
    fleet.after(500).await;
    agent.complete(&agent.take().await).await;
    let by: DateTime<Utc> =
        serde_json::from_value(fleet.task(&goal, "b").await["start_by"].clone()).unwrap();
    assert_eq!((by - fleet.now()).num_seconds(), 100);
    verify_rested(&fleet.pool, fleet.now()).await;
    fleet.after(100).await;
    assert_eq!(fleet.task(&goal, "b").await["failure_class"], "start_timeout");
    // A claim ends it, and a further attempt of the same retry has no limit.
    retry(&fleet, &goal, "b").await;
    agent.fail(&agent.take().await, "transient").await;
    fleet.after(10).await;
    let again = fleet.task(&goal, "b").await;
    assert_eq!((&again["state"], &again["start_by"]), (&json!("ready"), &Value::Null));
    agent.work_off().await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// Three lost leases in a row quarantine a task; a retry begins the row anew.
#[tokio::test]
async fn a_retry_ends_a_quarantine() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({"max_attempts": 3, "lease_seconds": 10})).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held = agent.claim(1).await;
        fleet.after(11).await;
        fleet.after(60).await;
    }
    assert_eq!(fleet.task(&goal, "a").await["quarantined"], true);
    agent.write(&held[0], "complete", json!({})).await.problem(409, "lease_lost");
    assert_eq!(retry(&fleet, &goal, "a").await["quarantined"], false);
    verify(&fleet.pool).await;
    // The retry has taken the task back from the last attempt.
    agent.write(&held[0], "complete", json!({})).await.problem(409, "lease_lost");
    agent.complete(&agent.take().await).await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_container_is_retried_with_the_tasks_inside_it() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "box", "title": "t"},
            {"ref": "good", "title": "t", "parent": "box"},
            {"ref": "inner", "title": "t", "parent": "box"},
            {"ref": "bad", "title": "t", "parent": "inner"},
            {"ref": "worse", "title": "t", "parent": "inner"},
            {"ref": "after", "title": "t", "needs": ["box"]},
        ]))
        .await;
    work(&agent, &["bad", "worse"]).await;
    fleet
        .expect_states(
            &goal,
            "box:failed good:done inner:failed bad:failed worse:failed after:cancelled",
        )
        .await;
    // One of two: the container goes on, and fails again.
    let answer = retry(&fleet, &goal, "bad").await;
    assert_eq!(names(&answer["restored"]), ["box", "inner", "after"]);
    agent.work_off().await;
    fleet
        .expect_states(
            &goal,
            "box:failed good:done inner:failed bad:done worse:failed after:cancelled",
        )
        .await;
    let answer = retry(&fleet, &goal, "box").await;
    assert_eq!(
        (names(&answer["retried"]), &answer["state"]),
        (vec!["worse".into()], &json!("running"))
    );
    assert_eq!(names(&answer["restored"]), ["box", "inner", "after"]);
    verify(&fleet.pool).await;
    assert_eq!(agent.work_off().await, ["worse", "after"]);
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_subtask_is_retried_while_its_parent_waits_for_it() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    let subtasks = json!([
        {"ref": "s", "title": "t", "priority": 9},
        {"ref": "t", "title": "t", "needs": ["s"]},
        {"ref": "u", "title": "t"},
    ]);
    agent.subtasks(&held, subtasks).await;
    agent.fail(&agent.take().await, "permanent").await;
    fleet.expect_states(&goal, "a:parked s:failed t:cancelled u:ready").await;
    assert_eq!(names(&retry(&fleet, &goal, "s").await["restored"]), ["t"]);
    verify(&fleet.pool).await;
    agent.fail(&agent.take().await, "permanent").await;
    agent.complete(&agent.take().await).await;
    fleet.expect_states(&goal, "a:ready s:failed t:cancelled u:done").await;
    let refused = on_task(&fleet, &goal, "s", "retry", json!({})).await;
    refused.problem(409, "wrong_state");
    assert!(refused.describe().contains("goes on without it"), "{}", refused.describe());
    let answer = fleet.admin.post(format!("/v1/goals/{goal}/retry"), &json!({})).await;
    answer.problem(409, "wrong_state");
    assert_eq!(agent.work_off().await, ["a"]);
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn what_has_not_failed_is_refused_with_the_verb_that_fits() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet
        .goal(json!([
            {"ref": "done", "title": "t", "priority": 9},
            {"ref": "running", "title": "t", "priority": 8},
            {"ref": "failed", "title": "t", "priority": 7},
            {"ref": "lost", "title": "t", "needs": ["failed"]},
            {"ref": "cancelled", "title": "t"},
            {"ref": "ready", "title": "t"},
            {"ref": "waiting", "title": "t", "needs": ["ready"]},
            {"ref": "parked", "title": "t", "approval": {"start": true}},
        ]))
        .await;
    agent.complete(&agent.take().await).await;
    agent.take().await;
    agent.fail(&agent.take().await, "permanent").await;
    on_task(&fleet, &goal, "cancelled", "cancel", json!({})).await.expect(200);
    let before = dump(&fleet.pool).await;
    for (name, said) in [
        ("done", "/reopen"),
        ("running", "/reassign"),
        ("lost", "retry that one"),
        ("cancelled", "post the work again"),
        ("ready", "without a retry"),
        ("waiting", "without a retry"),
        ("parked", "/reassign"),
    ] {
        let refused = on_task(&fleet, &goal, name, "retry", json!({})).await;
        refused.problem(409, "wrong_state");
        assert!(refused.describe().contains(said), "{name}: {}", refused.describe());
    }
    same("refused retries", &before, &dump(&fleet.pool).await);
    let stranger = fleet.other_workspace().await;
    let path = format!("/v1/tasks/{}/retry", fleet.task_id(&goal, "failed").await);
    stranger.post(&path, &json!({})).await.problem(404, "not_found");
    fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    fleet.admin.post(&path, &json!({})).await.problem(409, "goal_ended");
}

/// A submitter retries what they posted, an agent and a viewer nothing.
#[tokio::test]
async fn whose_goal_it_is_decides_who_retries() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let own = fleet.client(&fleet.key("submitter").await);
    let tasks = json!({"title": "g", "tasks": [{"ref": "a", "title": "a"}]});
    let mine = text(&own.post("/v1/goals", &tasks).await.value(201)["id"]);
    let other = fleet.lone_task(json!({})).await;
    work(&agent, &["a"]).await;
    for (goal, status) in [(&mine, 200), (&other, 403)] {
        for path in [
            format!("/v1/tasks/{}/retry", fleet.task_id(goal, "a").await),
            format!("/v1/goals/{goal}/retry"),
        ] {
            let answer = own.post(path, &json!({})).await;
            assert_eq!(answer.status, status, "{}", answer.describe());
            assert_eq!(status == 403, answer.describe().contains("a submitter retries"));
            work(&agent, &["a"]).await;
        }
    }
    let path = format!("/v1/tasks/{}/retry", fleet.task_id(&other, "a").await);
    let viewer = fleet.client(&fleet.key("viewer").await);
    for client in [&viewer, &agent.client] {
        client.post(&path, &json!({})).await.problem(403, "forbidden");
    }
    let operator = fleet.client(&fleet.key("operator").await);
    operator.post(&path, &json!({})).await.expect(200);
}

/// An allocated goal gives back what it did not use when it ends, and needs it again for a retry.
#[tokio::test]
async fn an_allocated_goal_reserves_again() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let limits = |amount: i64| json!([{"unit": "usd_micros", "amount": amount}]);
    let budget =
        json!({"node": "workspace", "budget": {"limits": limits(100), "on_exhausted": "park"}});
    fleet.admin.post("/v1/budgets", &budget).await.expect(201);
    let goal = fleet
        .post_goal(json!({
            "title": "g", "budget": {"limits": limits(80), "allocated": true},
            "tasks": [{"ref": "a", "title": "a", "estimate": {"usd_micros": 10}}],
        }))
        .await;
    let held = agent.take().await;
    let spend = json!({"class": "permanent", "spend": {"totals": {"usd_micros": 7}}});
    agent.write(&held, "fail", spend).await.expect(200);
    fleet.after(1).await;
    let other = json!({"title": "other", "budget": {"limits": limits(50), "allocated": true},
        "tasks": [{"ref": "b", "title": "b", "estimate": {"usd_micros": 10}}]});
    let other = fleet.post_goal(other).await;
    let before = dump(&fleet.pool).await;
    let refused = on_task(&fleet, &goal, "a", "retry", json!({})).await;
    refused.problem(409, "budget_exhausted");
    let says = "limit 100, settled 7, reserved 50, left 43, requested 80; 7 of what is settled";
    assert!(refused.describe().contains(says), "{}", refused.describe());
    assert!(refused.describe().contains("at most 50"), "{}", refused.describe());
    same("a refused retry", &before, &dump(&fleet.pool).await);
    fleet.admin.post(format!("/v1/goals/{other}/cancel"), &json!({})).await.expect(200);
    fleet.after(1).await;

    retry(&fleet, &goal, "a").await;
    verify(&fleet.pool).await;
    let reserved: i64 = sqlx::query_scalar(
        "select w.reserved from budget_windows w join budget_limits l using (workspace_id, limit_id)
         where l.node = 'workspace'",
    )
    .fetch_one(&fleet.pool)
    .await
    .unwrap();
    assert_eq!(reserved, 80);
    agent.work_off().await;
    fleet.after(1).await;
    assert_eq!(fleet.goal_state(&goal).await, "completed");
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// Goals of which `a` has failed, and `b` is offered to the second agent.
pub async fn half_failed(fleet: &Fleet, agent: &Agent, count: usize) -> Vec<String> {
    let tasks = json!([{"ref": "a", "title": "a"}, {"ref": "lost", "title": "t", "needs": ["a"]},
                       {"ref": "b", "title": "b", "capabilities": ["b"]}]);
    let mut goals = Vec::new();
    for _ in 0..count {
        goals.push(fleet.goal(tasks.clone()).await);
        // Tasks are claimed in the order of their goals.
        fleet.pass(1);
    }
    for held in agent.claim(100).await {
        agent.fail(&held, "permanent").await;
    }
    goals
}

/// Races a retry, 64 tries each: with a claim, with the completion of the other task, which may end
/// the goal, and with the cancellation of the goal.
pub async fn race_all(fleet: &Fleet, path: impl AsyncFn(&str) -> String) {
    let agent = fleet.worker().await;
    let second = fleet.agent("second", &["b"], 1).await;
    // Goals do not take turns: the second agent gets the tasks in the order of their goals.
    let fifo = json!({"routing": "fifo"});
    fleet.admin.patch("/v1/workspace", &fifo).if_match("*").await.expect(200);
    let mut random = StdRng::seed_from_u64(seed());
    for goal in half_failed(fleet, &agent, 64).await {
        let claim = agent.client.post("/v1/claims", &json!({}));
        let retry = fleet.admin.post(path(&goal).await, &json!({}));
        let (claimed, retried) = race(&mut random, claim, retry).await;
        retried.expect(200);
        assert!([200, 204].contains(&claimed.status.as_u16()), "{}", claimed.describe());
        for held in claims(&claimed) {
            agent.complete(&held).await;
        }
        agent.work_off().await;
        second.complete(&second.take().await).await;
        fleet.expect_states(&goal, "a:done lost:done b:done").await;
    }
    for goal in half_failed(fleet, &agent, 64).await {
        let held = second.take().await;
        let complete = second.write(&held, "complete", json!({}));
        let retry = fleet.admin.post(path(&goal).await, &json!({}));
        let (completed, retried) = race(&mut random, complete, retry).await;
        completed.expect(200);
        retried.expect(200);
        assert_eq!(fleet.goal_state(&goal).await, "active");
        agent.work_off().await;
        assert_eq!(fleet.goal_state(&goal).await, "completed");
    }
    for goal in half_failed(fleet, &agent, 64).await {
        let cancel = fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({}));
        let retry = fleet.admin.post(path(&goal).await, &json!({}));
        let (cancelled, retried) = race(&mut random, cancel, retry).await;
        cancelled.expect(200);
        if retried.status == 200 {
            fleet.expect_states(&goal, "a:cancelled lost:cancelled b:cancelled").await;
        } else {
            retried.problem(409, "goal_ended");
            fleet.expect_states(&goal, "a:failed lost:cancelled b:cancelled").await;
        }
        assert_eq!(fleet.goal_state(&goal).await, "cancelled");
    }
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn a_retry_races_with_everything() {
    let fleet = Fleet::start().await;
    race_all(&fleet, async |goal| format!("/v1/tasks/{}/retry", fleet.task_id(goal, "a").await))
        .await;
}
