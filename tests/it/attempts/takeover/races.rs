//! Taking races with everything that the holder does.

use futures_util::future::join;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use super::people::held;
use crate::support::{
    fleet::{Fleet, seed, text},
    invariants::{verify, verify_rested},
};

/// Either the result came first and nothing is left to take, or the task was taken and the result is
/// refused: never both, never neither.
#[tokio::test]
async fn of_a_takeover_and_a_completion_one_wins() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let mut random = StdRng::seed_from_u64(seed());
    let mut wins = [0, 0];
    for round in 0..30 {
        let goal = fleet.lone_task(json!({"approval": {"result": round % 3 == 0}})).await;
        let mine = agent.take().await;
        let path = format!("/v1/tasks/{}/takeover", mine.task);
        let take = fleet.admin.post(path, &json!({}));
        let complete = agent.write(&mine, "complete", json!({"result": 1}));
        // A completion has to wait for its batch: without a head start it always comes second.
        let head_start = random.random_range(0..40);
        let late = async {
            for _ in 0..head_start {
                tokio::task::yield_now().await;
            }
            take.await
        };
        let (completed, taken) = join(async { complete.await }, late).await;
        if taken.status == 201 {
            wins[0] += 1;
            completed.problem(409, "lease_lost");
            let claim = held(&taken.json::<Value>());
            let body = json!({"lease": claim.lease, "result": 2});
            let path = format!("/v1/attempts/{}/complete", claim.attempt);
            fleet.admin.post(path, &body).await.expect(200);
        } else {
            wins[1] += 1;
            completed.expect(200);
            let code = text(&taken.json::<Value>()["code"]);
            assert!(["task_ended", "wrong_state", "goal_ended"].contains(&code.as_str()), "{code}");
        }
        let attempts: i64 = sqlx::query_scalar(
            "select count(*) from attempts where goal_id = $1::uuid and state in ('accepted', 'submitted')",
        )
        .bind(&goal)
        .fetch_one(&fleet.pool)
        .await
        .unwrap();
        assert_eq!(attempts, 1, "round {round}");
    }
    println!("takeovers won {}, completions {}", wins[0], wins[1]);
    fleet.round().await;
    verify(&fleet.pool).await;
}

/// A reassignment races with a claim, a release and the sweeper: the task is never with two, and what
/// was kept for an agent is never given to another.
#[tokio::test]
async fn a_reassignment_never_gives_a_task_to_two() {
    let fleet = Fleet::start().await;
    let first = fleet.agent("first", &[], 5).await;
    let second = fleet.agent("second", &[], 5).await;
    for round in 0..30 {
        let goal = fleet.lone_task(json!({})).await;
        let task = fleet.task_id(&goal, "a").await;
        let body = json!({"agent_id": second.id});
        let reassign = fleet.admin.post(format!("/v1/tasks/{task}/reassign"), &body);
        let (reassigned, claimed) =
            join(async { reassign.await }, async { first.claim(1).await }).await;
        reassigned.expect(200);
        for mine in &claimed {
            let answer = first.write(mine, "release", json!({})).await;
            answer.problem(409, "lease_lost");
        }
        let found = first.claim(1).await;
        assert!(found.is_empty(), "round {round}: given to another: {found:#?}");
        let got = second.take().await;
        assert_eq!(got.task, task);
        second.complete(&got).await;
    }
    fleet.round().await;
    verify_rested(&fleet.pool, fleet.now()).await;
}

/// Of two people who take over at once both have had the task, one after the other, and the second
/// has it.
#[tokio::test]
async fn the_last_of_two_takeovers_holds_the_task() {
    let fleet = Fleet::start().await;
    let bob = fleet.client(&fleet.key("operator").await);
    for _ in 0..20 {
        let goal = fleet.lone_task(json!({})).await;
        let path = format!("/v1/tasks/{}/takeover", fleet.task_id(&goal, "a").await);
        let (one, other) = join(async { fleet.admin.post(&path, &json!({})).await }, async {
            bob.post(&path, &json!({})).await
        })
        .await;
        let (one, other) = (held(&one.value(201)), held(&other.value(201)));
        assert_ne!(one.number, other.number);
        let ((last, with), (lost, without)) = if one.number > other.number {
            ((&one, &fleet.admin), (&other, &bob))
        } else {
            ((&other, &bob), (&one, &fleet.admin))
        };
        let path = |of: &str| format!("/v1/attempts/{of}/complete");
        let refused = without.post(path(&lost.attempt), &json!({"lease": lost.lease})).await;
        refused.problem(409, "lease_lost");
        with.post(path(&last.attempt), &json!({"lease": last.lease})).await.expect(200);
    }
    fleet.round().await;
    verify(&fleet.pool).await;
}
