//! Artifacts: what is uploaded is what is read, and nothing else is kept.

mod broken;
mod killed;
mod references;
mod retention;
mod s3;
mod s3_server;

use axum::http::Method;
use muster::domain::cap::workspace::WorkspaceCaps;
use serde_json::{Value, json};

use crate::support::{
    artifacts::{LARGEST, digest, hex, path, put, upload},
    client::Client,
    fleet::{Fleet, router},
    invariants::verify,
};

/// Number of rows of a table.
async fn count(fleet: &Fleet, table: &'static str) -> i64 {
    let query = format!("select count(*) from {table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&fleet.pool).await.unwrap()
}

/// Panics if anything of an upload is left.
#[track_caller]
fn nothing_is_left(fleet: &Fleet) -> impl Future<Output = ()> + '_ {
    let place = std::panic::Location::caller();
    async move {
        assert_eq!(fleet.artifacts.holds(), (0, 0), "at {place}");
        let rows = (count(fleet, "artifacts").await, count(fleet, "artifact_uploads").await);
        assert_eq!(rows, (0, 0), "at {place}");
    }
}

#[tokio::test]
async fn what_is_uploaded_is_read_back_by_everybody_in_the_workspace() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let bytes: Vec<u8> = (0..5000_u32).map(|n| (n % 251) as u8).collect();
    let made = put(&agent.client, &bytes).await;
    assert_eq!(made.header("location"), path(&bytes));
    assert_eq!(made.header("etag"), format!("\"{}\"", hex(&bytes)));
    let made = made.value(201);
    assert_eq!(made["digest"], digest(&bytes));
    assert_eq!((&made["size"], &made["media_type"]), (&json!(5000), &json!("text/plain")));
    assert_eq!((&made["attempt_id"], &made["expires_at"]), (&Value::Null, &Value::Null));
    for role in ["viewer", "submitter", "operator"] {
        let read = fleet.client(&fleet.key(role).await).get(path(&bytes)).await.expect(200);
        assert_eq!(read.body, bytes);
    }
    let head = agent.client.call(Method::HEAD, path(&bytes)).await.expect(200);
    assert_eq!(head.header("content-length"), "5000");
    let list = fleet.admin.get("/v1/artifacts").await.value(200);
    assert_eq!(list["items"], json!([made]));
    let uploaded = "select count(*) from journal where kind = 'artifact.uploaded'
                    and data->>'digest' = $1";
    let uploaded: i64 =
        sqlx::query_scalar(uploaded).bind(digest(&bytes)).fetch_one(&fleet.pool).await.unwrap();
    assert_eq!(uploaded, 1);
}

#[tokio::test]
async fn a_browser_saves_the_bytes_and_does_nothing_else() {
    let fleet = Fleet::start().await;
    let page = b"<script>alert(1)</script>";
    let call =
        fleet.admin.call(Method::PUT, path(page)).bytes("Text/HTML; charset=utf-8", &page[..]);
    assert_eq!(call.await.value(201)["media_type"], "text/html");
    let read = fleet.admin.get(path(page)).await.expect(200);
    assert_eq!(read.header("content-type"), "text/html");
    let disposition = format!("attachment; filename=\"{}\"", hex(page));
    assert_eq!(read.header("content-disposition"), disposition);
    assert_eq!(read.header("x-content-type-options"), "nosniff");
    assert!(read.header("content-security-policy").contains("sandbox"));
    assert_eq!(read.header("cache-control"), "private, no-cache");
}

#[tokio::test]
async fn the_same_bytes_are_stored_once() {
    let fleet = Fleet::start().await;
    let first = put(&fleet.admin, b"same").await.value(201);
    fleet.pass(60);
    let agent = fleet.worker().await;
    let again = fleet.client(&agent.key).call(Method::PUT, path(b"same"));
    let again = again.bytes("image/png", &b"same"[..]).await.value(200);
    for field in ["upload_id", "media_type", "created_at", "created_by"] {
        assert_eq!(again[field], first[field], "{field}");
    }
    assert_ne!(again["uploaded_at"], first["uploaded_at"]);
    assert_eq!(fleet.artifacts.holds(), (1, 0));
    // Who sends other bytes under a known digest is told so.
    upload(&fleet.admin, path(b"same"), b"other").await.problem(422, "digest_mismatch");
    // Who asks first need not send.
    let asked = upload(&fleet.admin, path(b"same"), b"").header("expect", "100-continue");
    asked.await.expect(200);
    assert_eq!(count(&fleet, "artifact_uploads").await, 0);
}

#[tokio::test]
async fn many_uploads_of_the_same_bytes_at_once_make_one_artifact() {
    let fleet = Fleet::start().await;
    let calls = (0..12).map(|_| {
        let call = upload(&fleet.admin, path(b"race"), b"race");
        tokio::spawn(async move { call.await })
    });
    let mut statuses = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        statuses.push(call.await.unwrap().status.as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses[11], 201, "{statuses:?}");
    assert!(statuses[..11].iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(fleet.artifacts.holds(), (1, 0));
    assert_eq!(count(&fleet, "artifact_uploads").await, 0);
}

#[tokio::test]
async fn another_workspace_finds_nothing_although_the_bytes_are_there() {
    let fleet = Fleet::start().await;
    let other = fleet.other_workspace().await;
    put(&fleet.admin, b"ours").await.expect(201);
    other.get(path(b"ours")).await.problem(404, "not_found");
    other.call(Method::DELETE, path(b"ours")).await.problem(404, "not_found");
    assert_eq!(other.get("/v1/artifacts").await.value(200)["items"], json!([]));
    // Their own bytes, which nobody else's deletion touches.
    put(&other, b"ours").await.expect(201);
    fleet.admin.call(Method::DELETE, path(b"ours")).await.expect(204);
    assert_eq!(other.get(path(b"ours")).await.expect(200).body, b"ours");
    assert_eq!(fleet.artifacts.holds(), (1, 0));
}

#[tokio::test]
async fn parts_are_read_and_what_is_known_is_not_sent() {
    let fleet = Fleet::start().await;
    put(&fleet.admin, b"0123456789").await.expect(201);
    let get = |range: &str| fleet.admin.get(path(b"0123456789")).header("range", range);
    let part = get("bytes=2-4").await.expect(206);
    assert_eq!((part.body.as_slice(), part.header("content-range")), (&b"234"[..], "bytes 2-4/10"));
    assert_eq!(get("bytes=-3").await.expect(206).body, b"789");
    assert_eq!(get("bytes=8-99").await.expect(206).body, b"89");
    assert_eq!(get("bytes=1-2,4-5").await.expect(200).body, b"0123456789");
    get("bytes=10-").await.problem(416, "range_not_satisfiable");
    let other = get("bytes=2-4").header("if-range", "\"v1\"").await.expect(200);
    assert_eq!(other.body.len(), 10);
    let tag = format!("\"{}\"", hex(b"0123456789"));
    fleet.admin.get(path(b"0123456789")).if_none_match(&tag).await.expect(304);
}

#[tokio::test]
async fn bytes_that_were_changed_in_the_store_do_not_arrive_whole() {
    let fleet = Fleet::start().await;
    let bytes = vec![b'x'; 5000];
    put(&fleet.admin, &bytes).await.expect(201);
    fleet.artifacts.damage();
    let url = format!("{}{}", fleet.listen().await, path(&bytes));
    // A small answer may break off before its head was sent, a large one in its body.
    let answer = reqwest::Client::new().get(url).bearer_auth(&fleet.admin_key).send().await;
    match answer {
        Ok(response) => {
            assert_eq!(response.status(), 200);
            assert!(response.bytes().await.is_err(), "the end must not come");
        }
        Err(error) => assert!(error.is_request() && !error.is_connect(), "{error:?}"),
    }
    // Nothing else was wrong: the bytes as they were arrive.
    fleet.artifacts.damage();
    assert_eq!(fleet.admin.get(path(&bytes)).await.expect(200).body, bytes);
}

#[tokio::test]
async fn caps_bound_one_artifact_and_all_of_a_workspace() {
    let fleet = Fleet::start().await;
    let large = vec![7; LARGEST as usize + 1];
    put(&fleet.admin, &large).await.problem(413, "body_too_large");
    nothing_is_left(&fleet).await;
    let caps = WorkspaceCaps { artifact_bytes: 10_000, ..WorkspaceCaps::default() };
    let app = fleet.app.clone().capped(caps);
    let admin = Client::of(router(&app)).with_key(&fleet.admin_key);
    put(&admin, &[1; 9000]).await.expect(201);
    put(&admin, &[2; 2000]).await.problem(409, "workspace_full");
    let whoami = admin.get("/v1/whoami").await.value(200);
    let cap = whoami["caps"].as_array().unwrap().iter().find(|cap| cap["name"] == "artifact_bytes");
    assert_eq!(cap.unwrap()["used"], 9000);
    assert_eq!(fleet.artifacts.holds(), (1, 0));
    // The same bytes again add nothing.
    put(&admin, &[1; 9000]).await.expect(200);
    admin.call(Method::DELETE, path(&[1; 9000])).await.expect(204);
    put(&admin, &[2; 2000]).await.expect(201);
    // Small ones count as blocks: their number is bounded too.
    put(&admin, b"a").await.expect(201);
    put(&admin, b"b").await.problem(409, "workspace_full");
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn uploads_at_once_do_not_pass_the_cap_together() {
    let fleet = Fleet::start().await;
    let caps = WorkspaceCaps { artifact_bytes: 20_400, ..WorkspaceCaps::default() };
    let client = |app: &muster::app::App| {
        Client::of(router(&app.clone().capped(caps))).with_key(&fleet.admin_key)
    };
    let servers = [client(&fleet.app), client(&fleet.another_app().await)];
    let calls = (0..12_usize).map(|n| {
        let bytes = vec![n as u8; 8_000];
        let call = upload(&servers[n % 2], path(&bytes), &bytes);
        tokio::spawn(async move { call.await })
    });
    let mut statuses = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        statuses.push(call.await.unwrap().status.as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses[..2], [201, 201], "{statuses:?}");
    assert!(statuses[2..].iter().all(|status| *status == 409), "{statuses:?}");
    assert_eq!(count(&fleet, "artifact_uploads").await, 0);
    // Nothing is reserved for those that were refused.
    put(&servers[0], &[100; 4_500]).await.problem(409, "workspace_full");
    put(&servers[0], &[100; 4_400]).await.expect(201);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn a_workspace_says_which_media_types_it_takes() {
    let fleet = Fleet::start().await;
    let change = json!({"artifact_media_types": ["image/*", "text/plain"]});
    let workspace = fleet.admin.patch("/v1/workspace", &change).if_match("*").await.value(200);
    assert_eq!(workspace["artifact_media_types"], change["artifact_media_types"]);
    put(&fleet.admin, b"a").await.expect(201);
    for (kind, status) in [("image/png", 201), ("text/html", 415), ("nonsense", 415)] {
        let bytes = kind.as_bytes();
        let call = fleet.admin.call(Method::PUT, path(bytes)).bytes(kind, bytes);
        assert_eq!(call.await.status.as_u16(), status, "{kind}");
    }
    let wrong = json!({"artifact_media_types": ["image/*", "TEXT"]});
    let refused = fleet.admin.patch("/v1/workspace", &wrong).if_match("*").await;
    assert_eq!(refused.problem(422, "invalid"), ["/artifact_media_types/1"]);
}

#[tokio::test]
async fn only_who_may_uploads_and_only_its_own_attempt_is_named() {
    let fleet = Fleet::start().await;
    let viewer = fleet.client(&fleet.key("viewer").await);
    put(&viewer, b"a").await.problem(403, "forbidden");
    let agent = fleet.worker().await;
    let other = fleet.agent("other", &[], 1).await;
    fleet.lone_task(json!({})).await;
    let held = agent.take().await;
    let named = |bytes: &[u8]| format!("{}?attempt_id={}", path(bytes), held.attempt);
    let made = upload(&agent.client, named(b"a"), b"a").await.value(201);
    assert_eq!(made["attempt_id"], held.attempt);
    for client in [&other.client, &fleet.admin] {
        upload(client, named(b"b"), b"b").await.problem(403, "not_your_attempt");
    }
    fleet.admin.get("/v1/artifacts/abc").await.problem(404, "not_found");
    let upper = format!("/v1/artifacts/{}", hex(b"a").to_uppercase());
    fleet.admin.get(upper).await.problem(404, "not_found");
    let encoded = upload(&agent.client, path(b"c"), b"c").header("content-encoding", "gzip");
    encoded.await.problem(415, "unsupported_media_type");
}
