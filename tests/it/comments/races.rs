//! A comment of an agent against the end of its attempt.

use futures_util::future::join;
use serde_json::{Value, json};

use crate::support::{fleet::Fleet, invariants::verify};

/// Whatever comes first, no comment of an agent is newer than the end of its attempt, and a refused one
/// is nowhere.
#[tokio::test]
async fn no_comment_is_newer_than_the_end_of_its_attempt() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let mut accepted = 0;
    for turn in 0..64 {
        // An agent writes at most thirty a minute.
        fleet.pass(3);
        let goal = fleet.lone_task(json!({})).await;
        let held = worker.take().await;
        let path = match turn % 2 {
            0 => format!("/v1/tasks/{}/comments", held.task),
            _ => format!("/v1/goals/{goal}/comments"),
        };
        let comment = async { worker.client.post(path, &json!({"text": "hm"})).await };
        let cancel = format!("/v1/goals/{goal}/cancel");
        let end = async {
            match turn % 3 {
                0 => worker.write(&held, "complete", json!({})).await,
                1 => worker.write(&held, "fail", json!({"class": "permanent"})).await,
                // It lets the attempt run until the agent has heard of it.
                _ => fleet.admin.post(cancel, &json!({})).await,
            }
        };
        let (comment, end) = join(comment, end).await;
        end.expect(200);
        if comment.status == 201 {
            accepted += 1;
        } else {
            comment.problem(403, "not_your_attempt");
        }
        if turn % 3 == 2 {
            worker.write(&held, "release", json!({})).await.expect(200);
        }
    }
    let stored: i64 =
        sqlx::query_scalar("select count(*) from comments").fetch_one(&fleet.pool).await.unwrap();
    assert_eq!(stored, accepted);
    let late: Vec<Value> = sqlx::query_scalar(
        "select to_jsonb(c) from journal c join journal e on e.attempt_id = c.attempt_id
         where c.kind = 'comment.created' and e.number < c.number
           and e.kind in ('task.done', 'task.failed', 'task.cancelled')",
    )
    .fetch_all(&fleet.pool)
    .await
    .unwrap();
    assert!(late.is_empty(), "{late:#?}");
    verify(&fleet.pool).await;
}
