//! Uploads that break, in every way they can: nothing is left.

use std::time::Duration;

use axum::http::Method;
use muster::{domain::cap::workspace::WorkspaceCaps, http::state::Limits};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::nothing_is_left;
use crate::support::{
    artifacts::{LARGEST, path, put, upload},
    client::Client,
    fleet::{Fleet, limited, router, serve},
    invariants::verify,
    process::PATIENCE,
};

/// A connection on which an upload of `announced` bytes began, and `sent` have arrived.
async fn begun(base: &str, key: &str, announced: usize, sent: &[u8]) -> TcpStream {
    let address = base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {announced}\r\n\r\n",
        path(b"whole")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(sent).await.unwrap();
    stream
}

/// Waits until this many uploads arrive.
async fn until_arriving(fleet: &Fleet, wanted: usize) {
    let arriving = async {
        while fleet.artifacts.holds().1 != wanted {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, arriving).await.expect("uploads in time");
}

#[tokio::test]
async fn a_digest_that_does_not_fit_is_refused_and_nothing_is_kept() {
    let fleet = Fleet::start().await;
    let refused = upload(&fleet.admin, path(b"this"), b"that").await;
    refused.problem(422, "digest_mismatch");
    assert!(refused.describe().contains("sha256:"), "both digests are named");
    fleet.admin.get(path(b"this")).await.problem(404, "not_found");
    fleet.admin.get(path(b"that")).await.problem(404, "not_found");
    nothing_is_left(&fleet).await;
    // The same request with the right bytes is not disturbed by the one before.
    put(&fleet.admin, b"this").await.expect(201);
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let fleet = Fleet::start().await;
    let base = fleet.listen().await;
    for sent in [&b""[..], b"who"] {
        let stream = begun(&base, &fleet.admin_key, 5, sent).await;
        until_arriving(&fleet, 1).await;
        drop(stream);
        until_arriving(&fleet, 0).await;
        fleet.until("select not exists (select from artifact_uploads)").await;
        nothing_is_left(&fleet).await;
    }
}

#[tokio::test]
async fn a_slow_upload_is_ended_and_leaves_nothing() {
    let fleet = Fleet::start().await;
    let limits = Limits { body: Duration::from_millis(300), ..Limits::default() };
    let base = serve(limited(&fleet.app, limits)).await;
    let mut stream = begun(&base, &fleet.admin_key, 5, b"who").await;
    let mut said = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut said)).await.unwrap().unwrap();
    assert!(said.starts_with("HTTP/1.1 408"), "{said}");
    nothing_is_left(&fleet).await;
}

#[tokio::test]
async fn a_body_without_a_length_is_cut_off_at_the_largest() {
    let fleet = Fleet::start().await;
    let base = fleet.listen().await;
    let pieces =
        futures_util::stream::iter((0..40).map(|_| Ok::<_, std::io::Error>(vec![0; 64 * 1024])));
    let answer = reqwest::Client::new()
        .put(format!("{base}{}", path(b"whole")))
        .bearer_auth(&fleet.admin_key)
        .body(reqwest::Body::wrap(http_body_util::StreamBody::new(
            futures_util::TryStreamExt::map_ok(pieces, |piece| {
                hyper::body::Frame::data(axum::body::Bytes::from(piece))
            }),
        )))
        .send()
        .await;
    // The server may close before it has read everything; then there is no answer to read.
    if let Ok(answer) = answer {
        assert_eq!(answer.status(), 413);
    }
    until_arriving(&fleet, 0).await;
    fleet.until("select not exists (select from artifact_uploads)").await;
    nothing_is_left(&fleet).await;
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_no_error_of_the_caller_and_leaves_nothing() {
    let fleet = Fleet::start().await;
    put(&fleet.admin, b"before").await.expect(201);
    fleet.artifacts.down(true);
    put(&fleet.admin, b"whole").await.problem(503, "unavailable");
    fleet.admin.get(path(b"before")).await.problem(503, "unavailable");
    // The row goes at once; bytes that cannot be removed are swept.
    fleet.admin.call(Method::DELETE, path(b"before")).await.expect(204);
    fleet.admin.get(path(b"before")).await.problem(404, "not_found");
    assert_eq!(fleet.artifacts.holds(), (1, 0));
    fleet.artifacts.down(false);
    // Longer than the upload that failed might have taken.
    fleet.after(3600).await;
    nothing_is_left(&fleet).await;
}

#[tokio::test]
async fn transfers_have_places_of_their_own() {
    let fleet = Fleet::start().await;
    let limits = Limits { transfers: 1, ..Limits::default() };
    let router = limited(&fleet.app, limits);
    let client = Client::of(router.clone()).with_key(&fleet.admin_key);
    let base = serve(router).await;
    let stream = begun(&base, &fleet.admin_key, 5, b"who").await;
    until_arriving(&fleet, 1).await;
    let refused = put(&client, b"x").await;
    assert!(matches!(refused.status.as_u16(), 429 | 503), "{}", refused.describe());
    // Everything else goes on.
    client.get("/v1/artifacts").await.expect(200);
    drop(stream);
    until_arriving(&fleet, 0).await;
}

/// A body whose length is not announced.
async fn put_unannounced(base: &str, key: &str, bytes: &'static [u8]) -> u16 {
    let piece = futures_util::stream::iter([Ok::<_, std::io::Error>(bytes)]);
    let body = reqwest::Body::wrap(http_body_util::StreamBody::new(
        futures_util::TryStreamExt::map_ok(piece, |piece| {
            hyper::body::Frame::data(axum::body::Bytes::from_static(piece))
        }),
    ));
    let call = reqwest::Client::new().put(format!("{base}{}", path(bytes))).bearer_auth(key);
    call.body(body).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn running_uploads_count_against_the_cap() {
    let fleet = Fleet::start().await;
    let caps = WorkspaceCaps { artifact_bytes: LARGEST + 10_000, ..WorkspaceCaps::default() };
    let router = router(&fleet.app.clone().capped(caps));
    let client = Client::of(router.clone()).with_key(&fleet.admin_key);
    let base = serve(router).await;
    let stream = begun(&base, &fleet.admin_key, LARGEST as usize, b"who").await;
    until_arriving(&fleet, 1).await;
    put(&client, &[1; 10_001]).await.problem(409, "workspace_full");
    // It may be as large as any.
    assert_eq!(put_unannounced(&base, &fleet.admin_key, b"small").await, 409);
    put(&client, &[1; 10_000]).await.expect(201);
    drop(stream);
    until_arriving(&fleet, 0).await;
    fleet.until("select not exists (select from artifact_uploads)").await;
    // What has arrived counts as what it is.
    assert_eq!(put_unannounced(&base, &fleet.admin_key, b"small").await, 201);
    let whoami = client.get("/v1/whoami").await.value(200);
    let used = whoami["caps"].as_array().unwrap();
    let used = used.iter().find(|cap| cap["name"] == "artifact_bytes").unwrap();
    assert_eq!(used["used"], 10_000 + 4_096);
    verify(&fleet.pool).await;
}

#[tokio::test]
async fn what_is_kept_after_it_was_swept_is_removed() {
    let fleet = Fleet::start().await;
    for (down, status, left) in [(false, 408, 0), (true, 408, 1)] {
        let keeping = fleet.artifacts.keeping();
        fleet.artifacts.stop(true);
        let call = upload(&fleet.admin, path(b"late"), b"late");
        let call = tokio::spawn(async move { call.await });
        let asked = async {
            while fleet.artifacts.keeping() == keeping {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.expect("bytes to keep in time");
        // As if the sweep had come, while nothing was there to remove.
        sqlx::query("delete from artifact_uploads").execute(&fleet.pool).await.unwrap();
        fleet.artifacts.stuck(down.then_some(&b"late"[..]));
        fleet.artifacts.stop(false);
        assert_eq!(call.await.unwrap().status.as_u16(), status);
        assert_eq!(fleet.artifacts.holds(), (left, 0));
    }
    fleet.artifacts.stuck(None);
    fleet.after(3600).await;
    nothing_is_left(&fleet).await;
}

#[tokio::test]
async fn the_sweep_waits_for_a_store_that_takes_its_time() {
    let fleet = Fleet::start().await;
    let begun = fleet.now();
    fleet.artifacts.stop(true);
    let base = fleet.listen().await;
    let mut stream = self::begun(&base, &fleet.admin_key, 5, b"who").await;
    until_arriving(&fleet, 1).await;
    // The sender takes nearly all of its time, and so does the store.
    fleet.pass(590);
    stream.write_all(b"le").await.unwrap();
    let asked = async {
        while fleet.artifacts.keeping() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("bytes to keep in time");
    fleet.after(590).await;
    assert!(fleet.now() - begun > chrono::TimeDelta::seconds(900));
    fleet.artifacts.stop(false);
    fleet.until("select exists (select from artifacts)").await;
    assert_eq!(fleet.admin.get(path(b"whole")).await.expect(200).body, b"whole");
    drop(stream);
}
