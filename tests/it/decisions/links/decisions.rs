//! Opening changes nothing; one form decides; whoever comes later sees what is recorded.

use std::future::IntoFuture as _;

use axum::http::Method;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{
    FORM, action, ask, asked, count, form, make, nobody, page, path_for_alice, read, send,
};
use crate::support::{
    dump::{dump, same},
    fleet::{Fleet, about, text},
    invariants::{verify, verify_rested},
};

const APPROVE: &[(&str, &str)] = &[("decision", "approve"), ("reason", "")];

#[tokio::test]
async fn a_hundred_looks_change_nothing_and_one_form_decides() {
    let (fleet, approval) = asked(action()).await;
    let path = path_for_alice(&fleet, &approval).await;
    let over_tcp = crate::support::client::Client::at(fleet.listen().await);
    let clients = [nobody(&fleet), over_tcp, fleet.client(&fleet.key("viewer").await)];
    let before = dump(&fleet.pool).await;
    let looks = (0..100).map(|n| {
        let method = if n % 2 == 0 { Method::GET } else { Method::HEAD };
        clients[n % 3].call(method, &path).into_future()
    });
    for answer in join_all(looks).await {
        answer.expect(200);
    }
    // Programs that press whatever can be pressed have chosen nothing.
    let hash = text(&approval["payload_sha256"]);
    for body in ["", "decision=", &form(&[("payload_sha256", &hash)]), "x=1", "decision=approve"] {
        for client in &clients {
            client.call(Method::POST, &path).bytes(FORM, body).await.expect(422);
        }
    }
    same("looking at a link", &before, &dump(&fleet.pool).await);

    let decided = page(send(&clients[0], &path, &approval, APPROVE).await, 200);
    assert!(decided.contains("This was approved."), "{decided}");
    let now = read(&fleet, &approval).await;
    assert_eq!(now["state"], "approved");
    assert_eq!(now["decided_by_person"], "alice@example.com");
    assert_eq!(now["decided_by"], Value::Null);
    let after = dump(&fleet.pool).await;
    let reject = &[("decision", "reject"), ("reason", "no")];
    for pairs in [APPROVE, reject, &[]] {
        let again = page(send(&clients[1], &path, &approval, pairs).await, 200);
        assert!(again.contains("This was approved.") && again.contains("alice@example.com"));
    }
    let looked = page(clients[2].get(&path).await, 200);
    assert!(looked.contains("This was approved.") && !looked.contains("<form"), "{looked}");
    same("a second form", &after, &dump(&fleet.pool).await);
    assert_eq!(count(&fleet, "approval.decided").await, 1);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn of_twenty_forms_at_once_one_decides_and_all_see_the_same() {
    let (fleet, approval) = asked(action()).await;
    let path = path_for_alice(&fleet, &approval).await;
    let other = text(&make(&fleet, &approval, "bob").await["path"]);
    let client = nobody(&fleet);
    let forms = (0..20).map(|n| {
        let (path, pairs): (&str, &[(&str, &str)]) = match n % 4 {
            0 => (&other, &[("decision", "reject"), ("reason", "bob says no")]),
            _ => (&path, APPROVE),
        };
        let (client, approval) = (client.clone(), approval.clone());
        async move { page(send(&client, path, &approval, pairs).await, 200) }
    });
    let pages = join_all(forms).await;
    let outcome = |page: &String| page.contains("This was approved.");
    let approved = outcome(&pages[0]);
    assert!(pages.iter().all(|page| outcome(page) == approved), "{pages:#?}");
    assert_eq!(count(&fleet, "approval.decided").await, 1);
    let used: Vec<String> =
        sqlx::query_scalar("select person from approval_links where used_at is not null")
            .fetch_all(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(used, [if approved { "alice@example.com" } else { "bob" }]);
    let state = text(&read(&fleet, &approval).await["state"]);
    assert_eq!(state, if approved { "approved" } else { "rejected" });
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn the_asker_goes_on_with_what_was_decided_by_link() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    let approval = agent.write(&held, "approvals", action()).await.value(201);
    let path = path_for_alice(&fleet, &approval).await;
    let pairs = &[("decision", "reject"), ("reason", "first a backup,\r\nthen this")];
    send(&nobody(&fleet), &path, &approval, pairs).await.expect(200);
    let told = &agent.take().await.claim["decisions"][0];
    assert_eq!((&told["verdict"], &told["state"]), (&json!("reject"), &json!("rejected")));
    assert_eq!(told["reason"], "first a backup,\nthen this");
    let data: Value =
        sqlx::query_scalar("select data from journal where kind = 'approval.decided'")
            .fetch_one(&fleet.pool)
            .await
            .unwrap();
    assert_eq!(data["person"], "alice@example.com");
    verify_rested(&fleet.pool, fleet.now()).await;
}

#[tokio::test]
async fn what_was_decided_with_a_key_is_shown_by_a_link() {
    let (fleet, approval) = asked(action()).await;
    let path = path_for_alice(&fleet, &approval).await;
    fleet.decide(json!({"decision": "reject", "reason": "not on a Friday"})).await;
    let before = dump(&fleet.pool).await;
    for answer in
        [nobody(&fleet).get(&path).await, send(&nobody(&fleet), &path, &approval, APPROVE).await]
    {
        let shown = page(answer, 200);
        assert!(shown.contains("This was rejected.") && shown.contains("not on a Friday"));
        assert!(!shown.contains("drop table"), "{shown}");
    }
    same("a late link", &before, &dump(&fleet.pool).await);
}

#[tokio::test]
async fn a_revised_payload_is_not_what_the_link_decides() {
    let (fleet, approval) = asked(action()).await;
    let path = path_for_alice(&fleet, &approval).await;
    let id = text(&approval["id"]);
    let revise = about(&approval, json!({"payload": {"command": "drop database"}}));
    let revised = fleet.admin.post(format!("/v1/approvals/{id}/revise"), &revise).await.value(200);
    let before = dump(&fleet.pool).await;
    let client = nobody(&fleet);
    // With the hash of what was shown, and with that of what is there now.
    for answer in [
        client.get(&path).await,
        send(&client, &path, &approval, APPROVE).await,
        send(&client, &path, &revised, APPROVE).await,
    ] {
        let shown = page(answer, 409);
        assert!(shown.contains("revised after this link was created"), "{shown}");
        assert!(!shown.contains("<form") && !shown.contains("drop "), "{shown}");
    }
    same("an outdated link", &before, &dump(&fleet.pool).await);
    // Another form than the page's own.
    let (fresh, other) = (path_for_alice(&fleet, &revised).await, about(&approval, json!({})));
    let answer = send(&client, &fresh, &other, APPROVE).await;
    assert!(page(answer, 409).contains("Nothing was decided."));
    assert!(page(send(&client, &fresh, &revised, APPROVE).await, 200).contains("approved"));
}

#[tokio::test]
async fn a_revision_that_races_the_form_has_one_winner() {
    let fleet = Fleet::start().await;
    for round in 0..8 {
        let approval = ask(&fleet, action()).await;
        let path = path_for_alice(&fleet, &approval).await;
        let revise = about(&approval, json!({"payload": {"command": round}}));
        let at = format!("/v1/approvals/{}/revise", text(&approval["id"]));
        let client = nobody(&fleet);
        let (form, revised) = tokio::join!(
            send(&client, &path, &approval, APPROVE),
            fleet.admin.post(at, &revise).into_future(),
        );
        let now = read(&fleet, &approval).await;
        if form.status == 200 {
            assert_eq!((&now["state"], &now["revision"]), (&json!("approved"), &json!(1)));
            revised.problem(409, "already_decided");
        } else {
            form.expect(409);
            revised.expect(200);
            assert_eq!((&now["state"], &now["revision"]), (&json!("pending"), &json!(2)));
            fleet.decide(json!({"decision": "reject", "reason": "done"})).await;
        }
        let agent = fleet.worker().await;
        agent.work_off().await;
    }
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_revocation_that_races_the_form_is_before_or_after_it() {
    let fleet = Fleet::start().await;
    for _ in 0..8 {
        let approval = ask(&fleet, action()).await;
        let made = make(&fleet, &approval, "alice").await;
        let path = text(&made["path"]);
        let at = format!("{}/{}/revoke", super::links(&approval), text(&made["link"]["id"]));
        let client = nobody(&fleet);
        let (form, revoked) = tokio::join!(
            send(&client, &path, &approval, APPROVE),
            fleet.admin.call(Method::POST, at).into_future(),
        );
        let link = revoked.value(200);
        let state = text(&read(&fleet, &approval).await["state"]);
        let used = link["verdict"] == "approve"
            || sqlx::query_scalar::<_, bool>(
                "select used_at is not null from approval_links where link_id = $1::uuid",
            )
            .bind(text(&link["id"]))
            .fetch_one(&fleet.pool)
            .await
            .unwrap();
        assert_eq!(state == "approved", used, "{}", form.describe());
        assert!([200, 410].contains(&form.status.as_u16()), "{}", form.describe());
        if state == "pending" {
            fleet.decide(json!({"decision": "reject", "reason": "done"})).await;
        }
        fleet.worker().await.work_off().await;
    }
    verify(&fleet.pool).await;
}
