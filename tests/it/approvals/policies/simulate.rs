//! A policy that is tried on the past.

use serde_json::json;

use super::{Crowd, mail, mails, policy, spec};
use crate::support::{
    dump::{dump, same},
    fleet::text,
};

#[tokio::test]
async fn the_past_says_what_a_policy_would_have_meant() {
    let crowd = Crowd::of(&["ann", "bob", "eve"]).await;
    let fleet = &crowd.fleet;
    let mut asked = Vec::new();
    for (who, after) in [("ann", 10), ("bob", 10), ("eve", 10), ("ann", 100)] {
        let (approval, ..) = crowd.ask("action").await;
        fleet.pass(after);
        crowd.yes(who, &approval).await.expect(200);
        asked.push(approval);
    }
    let body = json!({"name": "owned", "max_concurrent": 9, "owner": mail("ann")});
    let owned = crate::support::fleet::register(&fleet.admin, body).await;
    fleet.lone_task(json!({})).await;
    let pending = owned.ask(&owned.take().await, "action").await;
    crowd.ask("input").await;
    let one = spec(json!({
        "name": "one", "match": {"kinds": ["action"]}, "stages": [{"approvers": mails(&["ann", "bob"])}],
        "expires_after_seconds": 60, "on_expiry": "reject",
    }));
    let one = policy(fleet, one).await;
    let two =
        json!({"name": "two", "stages": [{"approvers": mails(&["ann", "bob"]), "quorum": 2}]});
    let two = policy(fleet, two).await;
    let before = dump(&fleet.pool).await;
    let simulate = |policy: &serde_json::Value, body| {
        let path = format!("/v1/approval-policies/{}/simulate", text(&policy["id"]));
        fleet.admin.post(path, &body)
    };
    let told = simulate(&one, json!({})).await.value(200);
    assert_eq!((&told["examined"], &told["complete"]), (&json!(6), &json!(true)));
    assert_eq!(
        (&told["matched"], &told["undecided"], &told["same"]),
        (&json!(5), &json!(1), &json!(2))
    );
    assert_eq!((&told["not_an_approver"], &told["expired"]), (&json!(1), &json!(1)));
    let examples = json!([
        {"approval_id": asked[3]["id"], "kind": "action", "state": "approved",
         "risk": "medium", "risk_floor": null, "obstacles": ["expired"]},
        {"approval_id": asked[2]["id"], "kind": "action", "state": "approved",
         "risk": "medium", "risk_floor": null, "obstacles": ["not_an_approver", "too_few"]},
    ]);
    assert_eq!(told["examples"], examples);
    let told = simulate(&two, json!({})).await.value(200);
    assert_eq!(
        (&told["matched"], &told["too_few"], &told["same"]),
        (&json!(6), &json!(4), &json!(0))
    );
    let newest = simulate(&two, json!({"limit": 2})).await.value(200);
    assert_eq!((&newest["examined"], &newest["complete"]), (&json!(2), &json!(false)));
    let early = json!({"from": pending["created_at"]});
    assert_eq!(simulate(&two, early).await.value(200)["examined"], 2);
    let early = json!({"until": asked[1]["created_at"]});
    assert_eq!(simulate(&two, early).await.value(200)["examined"], 1);
    let wrong = simulate(&two, json!({"limit": 1001})).await;
    assert_eq!(wrong.problem(422, "invalid"), ["/limit"]);
    same("a simulation", &before, &dump(&fleet.pool).await);
}
