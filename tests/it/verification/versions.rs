//! Evidence counts for the criteria that the claim of its attempt showed.

use serde_json::{Value, json};

use super::{complete, hold, verdicts};
use crate::support::{fleet::Fleet, invariants::verify_rested};

fn evidence() -> Value {
    json!({"evidence": [{"criterion": 1, "text": "seen"}]})
}

async fn version(fleet: &Fleet, goal: &str) -> Value {
    fleet.task(goal, "a").await["criteria_version"].clone()
}

#[tokio::test]
async fn criteria_do_not_change_below_an_attempt() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let (goal, held) = hold(&fleet, &worker, json!(["it works"]), json!({})).await;
    let path = format!("/v1/tasks/{}", held.task);
    let change = json!({"criteria": ["the data was not deleted"]});
    let refused = fleet.admin.patch(&path, &change).if_match("*").await;
    assert_eq!(refused.problem(409, "wrong_state"), ["/criteria"]);
    complete(&worker, &held, evidence()).await.expect(200);
    assert_eq!(version(&fleet, &goal).await, json!(1));
}

/// An edit and a new plan alike: the result was made for other criteria, and is refused whole.
#[tokio::test]
async fn a_late_completion_shows_nothing_of_criteria_that_were_replaced() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let changed = json!(["the data was not deleted"]);
    for by_plan in [false, true] {
        let (goal, late) = hold(&fleet, &worker, json!(["it works"]), json!({})).await;
        fleet.after(61).await;
        fleet.after(5).await;
        if by_plan {
            let tasks = json!([{"ref": "a", "title": "a", "criteria": changed}]);
            let path = format!("/v1/goals/{goal}/replan");
            fleet.admin.post(path, &json!({"tasks": tasks})).await.expect(200);
        } else {
            let path = format!("/v1/tasks/{}", late.task);
            let change = json!({"criteria": changed});
            fleet.admin.patch(path, &change).if_match("*").await.expect(200);
        }
        assert_eq!(version(&fleet, &goal).await, json!(2));
        let refused = complete(&worker, &late, evidence()).await;
        refused.problem(409, "lease_lost");
        assert!(refused.describe().contains("edited"), "{}", refused.describe());
        assert_eq!(verdicts(&fleet, &goal).await, ["1 open -"]);
        let again = worker.take().await;
        assert_eq!(again.claim["task"]["criteria"][0]["text"], "the data was not deleted");
        complete(&worker, &again, evidence()).await.expect(200);
        assert_eq!(fleet.task(&goal, "a").await["evidence"][0]["criteria_version"], json!(2));
        fleet.round().await;
        verify_rested(&fleet.pool, fleet.now()).await;
    }
}

#[tokio::test]
async fn an_edit_to_the_same_criteria_is_none() {
    let fleet = Fleet::start().await;
    let worker = fleet.worker().await;
    let (goal, late) = hold(&fleet, &worker, json!(["it works"]), json!({})).await;
    fleet.after(61).await;
    fleet.after(5).await;
    let path = format!("/v1/tasks/{}", late.task);
    let same = json!({"criteria": [{"text": "it works", "type": "text"}], "priority": 9});
    fleet.admin.patch(path, &same).if_match("*").await.expect(200);
    assert_eq!(version(&fleet, &goal).await, json!(1));
    complete(&worker, &late, evidence()).await.expect(200);
    assert_eq!(verdicts(&fleet, &goal).await, ["1 met claimed"]);
}
