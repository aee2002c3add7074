//! A journal that is not sealed, because another program left a transaction open.

use serde_json::json;
use sqlx::Connection as _;

use super::{items, nothing, only};
use crate::support::fleet::{Fleet, text};

#[tokio::test]
async fn a_transaction_that_stops_sealing_is_told() {
    let fleet = Fleet::start().await;
    fleet.round().await;
    let workspace = fleet.workspace;
    let options = fleet.database.connect_options().application_name("a forgotten backup");
    let mut other = sqlx::PgConnection::connect_with(&options).await.unwrap();
    let pid: i32 =
        sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut other).await.unwrap();
    sqlx::raw_sql("begin; select * from journal_chains for update")
        .execute(&mut other)
        .await
        .unwrap();
    let since = fleet.now();
    fleet.worker().await;
    assert_eq!(fleet.app.seal_journal(workspace).await.unwrap(), 0, "the sealer does not wait");
    fleet.pass(59);
    nothing(&fleet).await;
    fleet.pass(2);
    let item = only(&fleet, "unsealed_journal").await;
    let detail = text(&item["detail"]);
    let pid = format!("backend pid {pid}, application `a forgotten backup`");
    assert!(detail.contains(&pid) && detail.contains("pg_terminate_backend"), "{detail}");
    assert_eq!(item["since"], json!(since));
    assert!(items(&fleet, &format!("&goal_id={}", fleet.no_id())).await.is_empty());
    let action = &item["action"];
    assert_eq!(action["method"], "GET");
    let shown = fleet.admin.get(text(&action["path"])).await.value(200);
    assert!(shown["unsealed"].as_i64().unwrap() > 0, "{shown:#}");

    sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();
    assert!(fleet.app.seal_journal(workspace).await.unwrap() > 0);
    nothing(&fleet).await;
}

/// An unsealed journal without a transaction in the way is told too.
#[tokio::test]
async fn a_supervisor_that_does_not_seal_is_told() {
    let fleet = Fleet::start().await;
    fleet.worker().await;
    fleet.pass(61);
    let found = fleet.admin.get("/v1/attention").await.value(200);
    let [item] = found["items"].as_array().unwrap().as_slice() else { panic!("{found:#}") };
    assert_eq!(item["kind"], "unsealed_journal");
    assert!(text(&item["detail"]).contains("/v1/supervisor"), "{item:#}");
    fleet.round().await;
    nothing(&fleet).await;
}
