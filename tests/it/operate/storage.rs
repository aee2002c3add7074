//! A database without room: requests are told so, and the service is not ready while it lasts.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::{
    promises::faults::server::{Server, Settings},
    support::{
        client::Client,
        fleet::{Fleet, text},
        process::PATIENCE,
    },
};

/// What PostgreSQL says when the disk is full.
const FULL: &str = "create function full_disk() returns trigger language plpgsql as $$ begin
        raise exception 'could not extend file \"base/16384/16385\": No space left on device'
            using errcode = '53100';
    end $$;
    create trigger full_disk before insert on goals for each row execute function full_disk();
    create function no_new_table() returns event_trigger language plpgsql as $$ begin
        raise exception 'could not extend file \"base/16384/16386\": No space left on device'
            using errcode = '53100';
    end $$;
    create event trigger no_new_table on ddl_command_start when tag in ('CREATE TABLE AS')
        execute function no_new_table()";
const ROOM: &str = "drop trigger full_disk on goals; drop event trigger no_new_table";

async fn execute(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_unavailable_with_its_reason_until_there_is_room() {
    let fleet = Fleet::start().await;
    let goal = json!({"title": "g", "tasks": [{"ref": "a", "title": "a"}]});
    fleet.app.check_storage().await.unwrap();
    assert!(!fleet.app.storage().is_failing());
    execute(&fleet.pool, FULL).await;
    let answer = fleet.poster.post("/v1/goals", &goal).await;
    answer.problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    let problem: Value = answer.json();
    let detail = text(&problem["detail"]);
    assert!(detail.starts_with("the disk of the database is full"), "{detail}");
    assert!(!detail.contains("16385"), "{detail}");
    assert!(fleet.app.storage().is_failing());
    // Reads go on, and do not say that all is well.
    fleet.poster.get("/v1/goals").await.expect(200);
    fleet.app.check_storage().await.unwrap_err();
    assert!(fleet.app.storage().is_failing());

    execute(&fleet.pool, ROOM).await;
    fleet.app.check_storage().await.unwrap();
    assert!(!fleet.app.storage().is_failing());
    fleet.poster.post("/v1/goals", &goal).await.expect(201);
}

async fn checks(base: &str) -> Option<(u16, Value)> {
    let answer = reqwest::get(format!("{base}/readyz")).await.ok()?;
    Some((answer.status().as_u16(), answer.json().await.ok()?))
}

/// Returns when `/readyz` has this status.
async fn until(base: &str, status: u16) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match checks(base).await {
            Some((found, body)) if found == status => return body,
            other => assert!(Instant::now() < deadline, "/readyz is not {status}: {other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A server whose database is full says so at `/readyz`, and by itself finds out when it is not.
#[tokio::test]
async fn a_server_is_not_ready_while_its_disk_is_full() {
    let fleet = Fleet::start().await;
    let server = Server::start(Settings {
        database_url: fleet.database.url(),
        listen: "127.0.0.1:0".to_owned(),
        bootstrap_key: fleet.admin_key.clone(),
        more: Vec::new(),
    });
    let server = server.await;
    let base = format!("http://{}", server.address());
    until(&base, 200).await;
    execute(&fleet.pool, FULL).await;
    let client = Client::at(&base).with_key(&fleet.admin_key);
    let goal = json!({"title": "g", "tasks": [{"ref": "a", "title": "a"}]});
    client.post("/v1/goals", &goal).await.problem(503, "unavailable");
    let body = until(&base, 503).await;
    let storage =
        body["checks"].as_array().unwrap().iter().find(|check| !check["ok"].as_bool().unwrap());
    assert_eq!(storage.unwrap()["name"], "storage", "{body:#}");
    execute(&fleet.pool, ROOM).await;
    until(&base, 200).await;
    client.post("/v1/goals", &goal).await.expect(201);
}
