//! At any time at most one attempt may change a task, and a refused change stores nothing.

use crate::support::{
    agent::{Agent, Held},
    client::Answer,
    dump::{dump, same},
    fleet::{Fleet, text},
    invariants::{verify, verify_rested},
};
use futures_util::future::join_all;
use muster::{
    domain::{ids::TaskId, states::TaskState},
    store::tasks::moves::{self, TaskMove},
};
use serde_json::{Value, json};

/// Every write that ends, keeps or uses a lease, with a body that would be accepted.
const WRITES: &[(&str, &str)] = &[
    (
        "heartbeat",
        r#"{"progress": {"percent": 7}, "checkpoint": 1,
                      "spend": {"totals": {"usd_micros": 5}}}"#,
    ),
    (
        "complete",
        r#"{"result": 1, "evidence": [{"text": "seen"}],
                     "spend": {"entries": [{"key": "k", "amounts": {"usd_micros": 5}}]}}"#,
    ),
    ("fail", r#"{"class": "transient", "spend": {"totals": {"usd_micros": 5}}}"#),
    ("release", r#"{"checkpoint": 1, "spend": {"totals": {"usd_micros": 5}}}"#),
    (
        "subtasks",
        r#"{"tasks": [{"ref": "sub", "title": "sub"}],
                     "spend": {"totals": {"usd_micros": 5}}}"#,
    ),
    (
        "approvals",
        r#"{"kind": "input", "title": "why?", "checkpoint": 1,
                      "spend": {"totals": {"usd_micros": 5}}}"#,
    ),
];

async fn write(agent: &Agent, held: &Held, verb: &str) -> Answer {
    let (_, body) = WRITES.iter().find(|(name, _)| *name == verb).unwrap();
    agent.write(held, verb, serde_json::from_str(body).unwrap()).await
}

/// Tries every write and panics unless each is refused with this problem and stores nothing.
async fn refused(fleet: &Fleet, agent: &Agent, held: &Held, status: u16, code: &str) {
    let before = dump(&fleet.pool).await;
    for (verb, _) in WRITES {
        write(agent, held, verb).await.problem(status, code);
        same(verb, &before, &dump(&fleet.pool).await);
    }
    let answer = beat_many(agent, held).await;
    assert_eq!(answer["problem"]["code"], code, "{answer}");
    assert_eq!(answer["answer"], Value::Null);
    same("heartbeats", &before, &dump(&fleet.pool).await);
}

async fn beat_many(agent: &Agent, held: &Held) -> Value {
    let beat = json!({
        "attempt_id": held.attempt, "lease": held.lease, "progress": {"percent": 7},
        "checkpoint": 1, "spend": {"totals": {"usd_micros": 5}},
    });
    let answer = agent.client.post("/v1/heartbeats", &json!({"heartbeats": [beat]})).await;
    answer.value(200)["outcomes"][0].clone()
}

async fn spend(agent: &Agent, held: &Held, key: &str) -> Answer {
    let entry = json!({"entries": [{"key": key, "amounts": {"usd_micros": 5}}]});
    agent.write(held, "spend", entry).await
}

#[tokio::test]
async fn whoever_lost_the_task_can_write_nothing() {
    let fleet = Fleet::start().await;
    let (old, new) = (fleet.agent("old", &[], 9).await, fleet.agent("new", &[], 9).await);
    fleet.lone_task(json!({})).await;
    let lost = old.take().await;
    assert_eq!(fleet.after(61).await, 1);
    fleet.after(5).await;
    let held = new.take().await;
    assert_eq!((held.task.as_str(), held.number), (lost.task.as_str(), 2));

    refused(&fleet, &old, &lost, 409, "lease_lost").await;
    verify(&fleet.pool).await;
    new.complete(&held).await;
    refused(&fleet, &old, &lost, 409, "lease_lost").await;
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn an_attempt_that_ended_in_any_way_can_write_nothing() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    for end in ["fail", "release", "subtasks", "approvals"] {
        let name = json!([{"ref": "a", "title": end}]);
        fleet.goal(name).await;
        let held = agent.take().await;
        let answer = match end {
            "subtasks" => json!({"tasks": [{"ref": "other", "title": "other", "not_before":
                                            "2030-01-01T00:00:00Z"}]}),
            "approvals" => json!({"kind": "action", "title": "go?"}),
            "fail" => json!({"class": "permanent"}),
            _ => json!({}),
        };
        assert!(agent.write(&held, end, answer).await.status.is_success());
        refused(&fleet, &agent, &held, 409, "lease_lost").await;
        // What it released is taken out of the way of the next.
        for again in agent.claim(1).await {
            agent.fail(&again, "permanent").await;
        }
    }
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_wrong_lease_another_agent_and_another_workspace_can_write_nothing() {
    let fleet = Fleet::start().await;
    let (agent, other) = (fleet.agent("own", &[], 9).await, fleet.agent("other", &[], 9).await);
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;

    let wrong = Held { lease: "lse_aaaaaaaaaaaaaaaaaaaaaaaaaa".into(), ..held.clone() };
    refused(&fleet, &agent, &wrong, 409, "lease_lost").await;
    spend(&agent, &wrong, "k").await.problem(409, "lease_lost");
    refused(&fleet, &other, &held, 403, "not_your_attempt").await;
    spend(&other, &held, "k").await.problem(403, "not_your_attempt");
    let nowhere = Held { attempt: fleet.no_id(), ..held.clone() };
    refused(&fleet, &agent, &nowhere, 404, "not_found").await;

    let stranger = fleet.stranger().await;
    refused(&fleet, &stranger, &held, 404, "not_found").await;
    spend(&stranger, &held, "k").await.problem(404, "not_found");
    stranger.find_nothing().await;
    let spent: i64 = sqlx::query_scalar("select count(*) from spend_entries")
        .fetch_one(&fleet.pool)
        .await
        .unwrap();
    assert_eq!(spent, 0);
    agent.complete(&held).await;
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn late_spend_is_stored_and_marked() {
    let fleet = Fleet::start().await;
    let (old, new) = (fleet.agent("old", &[], 9).await, fleet.agent("new", &[], 9).await);
    let goal = fleet.lone_task(json!({})).await;
    let lost = old.take().await;
    let answer = spend(&old, &lost, "in time").await.value(200);
    assert_eq!(answer["late"], false);
    fleet.after(61).await;
    fleet.after(5).await;
    let held = new.take().await;
    let answer = spend(&old, &lost, "late").await.value(200);
    assert_eq!(answer, json!({"attempt_spend": {"usd_micros": 10}, "late": true}));
    // Once more adds nothing, though it is later still.
    new.complete(&held).await;
    let answer = spend(&old, &lost, "late").await.value(200);
    assert_eq!(answer["attempt_spend"]["usd_micros"], 10);
    let lines = fleet.admin.get(format!("/v1/attempts/{}/spend", lost.attempt)).await.value(200);
    let late: Vec<(&str, bool)> = lines["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["key"].as_str().unwrap(), line["late"].as_bool().unwrap()))
        .collect();
    assert_eq!(late.len(), 2);
    assert!(late.contains(&("in time", false)) && late.contains(&("late", true)), "{late:?}");
    assert_eq!(fleet.read_goal(&goal).await["spend"]["usd_micros"], 10);
    verify(&fleet.pool).await;
}

/// The lease is over, and the sweeper has noticed or not: while nobody else was given the task, the
/// work that was done counts.
#[tokio::test]
async fn a_late_completion_counts_while_nobody_else_was_given_the_task() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    for (seconds, rounds) in [(3600, 0), (61, 1), (66, 2)] {
        let goal = fleet.lone_task(json!({"max_attempts": 2})).await;
        let held = agent.take().await;
        fleet.pass(seconds);
        for _ in 0..rounds {
            fleet.round().await;
            fleet.pass(5);
        }
        let answer = agent.complete(&held).await;
        assert_eq!(
            (&answer["attempt_state"], &answer["task_state"]),
            (&json!("accepted"), &json!("done"))
        );
        let task = fleet.task(&goal, "a").await;
        assert_eq!(task["attempts_used"], 0, "a success is no used attempt");
        assert_eq!(task["result"], json!({"by": "a"}));
        fleet.round().await;
        assert_eq!(fleet.goal_state(&goal).await, "completed");
        verify_rested(&fleet.pool, fleet.now()).await;
    }
}

#[tokio::test]
async fn a_late_heartbeat_is_told_whether_a_completion_is_still_accepted() {
    let fleet = Fleet::start().await;
    let (old, new) = (fleet.agent("old", &[], 9).await, fleet.agent("new", &[], 9).await);
    let goal = fleet.lone_task(json!({})).await;
    let late = old.take().await;
    fleet.after(61).await;
    let told = async |held: &Held| {
        let answer = write(&old, held, "heartbeat").await;
        answer.problem(409, "lease_lost");
        text(&answer.json::<Value>()["detail"])
    };
    assert!(told(&late).await.contains("`complete` is still accepted"));
    fleet.after(5).await;
    new.fail(&new.take().await, "permanent").await;
    assert!(!told(&late).await.contains("`complete`"), "somebody else had the task");
    fleet.expect_states(&goal, "a:failed").await;

    let goal = fleet.lone_task(json!({})).await;
    let late = old.take().await;
    fleet.after(61).await;
    assert!(told(&late).await.contains("`complete` is still accepted"));
    old.complete(&late).await;
    fleet.expect_states(&goal, "a:done").await;
}

#[tokio::test]
async fn a_late_completion_of_a_task_that_failed_for_good_does_not_count() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({"max_attempts": 1})).await;
    let held = agent.take().await;
    fleet.after(61).await;
    fleet.expect_states(&goal, "a:failed").await;
    refused(&fleet, &agent, &held, 409, "lease_lost").await;
    // A retry gives it to the next attempt, not back to this one.
    let retry = format!("/v1/tasks/{}/retry", held.task);
    fleet.admin.post(retry, &json!({})).await.expect(200);
    fleet.expect_states(&goal, "a:ready").await;
    refused(&fleet, &agent, &held, 409, "lease_lost").await;
    agent.complete(&agent.take().await).await;
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// What a claim hands over is fixed while its attempt runs. After the lease it may be changed, and then the
/// attempt has no more to do with it.
#[tokio::test]
async fn a_lapsed_attempt_completes_only_what_it_was_handed() {
    let fleet = Fleet::start().await;
    let (old, new) = (fleet.agent("old", &[], 9).await, fleet.agent("new", &[], 9).await);
    let done = json!({"result": 1, "evidence": [{"criterion": 1, "text": "seen"}]});
    for (verb, body, stays) in [
        ("", json!({"labels": ["l"], "priority": 9, "max_attempts": 9}), true),
        ("", json!({"lease_seconds": 5, "max_rework": 9, "title": "a"}), true),
        ("", json!({"title": "other"}), false),
        ("", json!({"description": "other", "priority": 1}), false),
        ("", json!({"input": {"path": "src"}}), false),
        ("", json!({"criteria": [{"text": "the data was not deleted"}]}), false),
        ("", json!({"capabilities": ["other"]}), false),
        ("", json!({"needs": ["z"]}), false),
        ("", json!({"not_before": "2027-01-01T00:00:00Z"}), false),
        ("/reassign", json!({"agent_id": new.id, "reason": "it is broken"}), false),
        ("/reassign", json!({}), false),
    ] {
        let goal = fleet
            .goal(json!([{"ref": "a", "title": "a", "criteria": [{"text": "green"}]},
                         {"ref": "z", "title": "z", "capabilities": ["nobody"]}]))
            .await;
        let held = old.take().await;
        fleet.after(61).await;
        fleet.after(5).await;
        fleet.expect_states(&goal, "a:ready z:ready").await;
        let path = format!("/v1/tasks/{}{verb}", held.task);
        match verb {
            "" => fleet.admin.patch(path, &body).if_match("*").await.expect(200),
            _ => fleet.admin.post(path, &body).await.expect(200),
        };
        let told = write(&old, &held, "heartbeat").await;
        told.problem(409, "lease_lost");
        assert_eq!(told.describe().contains("`complete` is still accepted"), stays, "{body}");
        let before = dump(&fleet.pool).await;
        let answer = old.write(&held, "complete", done.clone()).await;
        if stays {
            answer.expect(200);
            fleet.expect_states(&goal, "a:done z:ready").await;
        } else {
            answer.problem(409, "lease_lost");
            assert!(answer.describe().contains("since then"), "{}", answer.describe());
            same("a result of other work", &before, &dump(&fleet.pool).await);
        }
        verify(&fleet.pool).await;
        fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    }
}

#[tokio::test]
async fn a_late_completion_does_not_get_around_an_approval_that_is_asked_for_anew() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({"approval": {"start": true}})).await;
    fleet.decide(json!({"decision": "approve"})).await;
    let held = agent.take().await;
    fleet.after(61).await;
    fleet.after(5).await;
    let change = json!({"title": "Drop the table"});
    let path = format!("/v1/tasks/{}", held.task);
    let edited = fleet.admin.patch(path, &change).if_match("*").await.value(200);
    assert_eq!(edited["state"], "parked");
    refused(&fleet, &agent, &held, 409, "lease_lost").await;
    fleet.decide(json!({"decision": "approve"})).await;
    agent.complete(&agent.take().await).await;
    fleet.expect_states(&goal, "a:done").await;
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// An edit and the late completion of the same task at once: the second of the two is refused.
#[tokio::test]
async fn an_edit_races_a_late_completion() {
    let fleet = Fleet::start().await;
    let agent = fleet.agent("old", &[], 100).await;
    let tasks = (0..32).map(|n| json!({"ref": format!("t{n}"), "title": "t"}));
    fleet.goal(tasks.collect()).await;
    let held = agent.claim(32).await;
    assert_eq!(held.len(), 32);
    fleet.after(61).await;
    fleet.after(5).await;
    let races = held.iter().enumerate().map(|(n, held)| {
        let change = json!({"title": "other"});
        let path = format!("/v1/tasks/{}", held.task);
        let edit = fleet.admin.patch(path, &change).if_match("*");
        let complete = agent.write(held, "complete", json!({"result": 1}));
        async move {
            let (edited, completed) = if n % 2 == 0 {
                tokio::join!(async { edit.await }, async { complete.await })
            } else {
                let (completed, edited) =
                    tokio::join!(async { complete.await }, async { edit.await });
                (edited, completed)
            };
            let first = edited.status == 200;
            if first {
                completed.problem(409, "lease_lost");
            } else {
                edited.problem(409, "task_ended");
                completed.expect(200);
            }
            first
        }
    });
    let edited = join_all(races).await.into_iter().filter(|first| *first).count();
    println!("{edited} of 32 edits came first");
    for held in agent.claim(100).await {
        assert_eq!(held.claim["task"]["title"], "other");
        agent.complete(&held).await;
    }
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn the_same_completion_gets_the_same_answer_and_another_is_refused() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    for review in [false, true] {
        fleet.lone_task(json!({"approval": {"result": review}})).await;
        let held = agent.take().await;
        let body = json!({"result": {"n": 1}, "spend": {"totals": {"usd_micros": 3}}});
        let first = agent.write(&held, "complete", body.clone()).await.value(200);
        let before = dump(&fleet.pool).await;
        fleet.pass(3600);
        assert_eq!(agent.write(&held, "complete", body).await.value(200), first);
        let other = json!({"result": {"n": 2}});
        agent.write(&held, "complete", other).await.problem(409, "already_completed");
        write(&agent, &held, "fail").await.problem(409, "lease_lost");
        write(&agent, &held, "heartbeat").await.problem(409, "lease_lost");
        same("asking again", &before, &dump(&fleet.pool).await);
    }
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn the_same_failure_and_release_get_the_same_answer() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    for (verb, body) in
        [("release", json!({"message": "m"})), ("fail", json!({"class": "transient"}))]
    {
        let held = agent.take().await;
        let first = agent.write(&held, verb, body.clone()).await.value(200);
        let before = dump(&fleet.pool).await;
        assert_eq!(agent.write(&held, verb, body).await.value(200), first);
        same("asking again", &before, &dump(&fleet.pool).await);
    }
    verify(&fleet.pool).await;
}

/// Sixteen different results at once: one stands, and everybody else is told that there is one.
#[tokio::test]
async fn of_racing_completions_one_wins() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    let calls = (0..16).map(|n| {
        let body = json!({"result": n, "spend": {"totals": {"usd_micros": 1 + n}}});
        let call = agent.write(&held, "complete", body);
        async move { (n, call.await) }
    });
    let answers = join_all(calls).await;
    let (won, lost): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|(_, answer)| answer.status == 200);
    assert_eq!(won.len(), 1);
    for (_, answer) in lost {
        answer.problem(409, "already_completed");
    }
    let winner = won[0].0;
    assert_eq!(fleet.task(&goal, "a").await["result"], winner);
    assert_eq!(fleet.read_goal(&goal).await["spend"]["usd_micros"], 1 + winner);
    verify(&fleet.pool).await;
}

/// The sweeper and the agents, at the moment the leases end, whoever comes first: the work counts.
#[tokio::test]
async fn of_a_completion_and_the_sweeper_both_are_served() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    for sweeper_first in [false, true] {
        let tasks = (0..20).map(|n| json!({"ref": n.to_string(), "title": "t"})).collect();
        let goal = fleet.goal(tasks).await;
        let held = agent.claim(20).await;
        fleet.pass(61);
        let finish = join_all(held.iter().map(|held| {
            let call = agent.write(held, "complete", json!({}));
            async move { call.await }
        }));
        let (answers, _) = if sweeper_first {
            let (round, answers) = tokio::join!(fleet.round(), finish);
            (answers, round)
        } else {
            tokio::join!(finish, fleet.round())
        };
        for answer in answers {
            answer.expect(200);
        }
        fleet.round().await;
        assert_eq!(fleet.goal_state(&goal).await, "completed");
        verify_rested(&fleet.pool, fleet.now()).await;
    }
}

/// The rows are locked and judged before they are moved; were that ever forgotten somewhere, the
/// move itself does not touch what has ended.
#[tokio::test]
async fn a_task_that_has_ended_is_moved_by_nothing() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let goal = fleet.lone_task(json!({})).await;
    agent.complete(&agent.take().await).await;
    let task = fleet.task_id(&goal, "a").await;
    let again = TaskMove {
        task_id: TaskId(task.parse().unwrap()),
        state: TaskState::Ready,
        ready_from: fleet.now(),
        ranked_from: fleet.now(),
        attempts_used: 0,
        lost_in_row: 0,
        released_in_row: 0,
        needs_met: false,
        short: None,
        failure: None,
        reason: None,
    };
    let moved = moves::apply(&mut fleet.tx().await, &[again]).await;
    assert!(moved.is_err(), "it was moved, or nobody was told that it was not");
    fleet.expect_states(&goal, "a:done").await;
}
