//! How much of the journal one page of its list tests.

use serde_json::{Value, json};

use crate::support::service::Service;

/// Rows of a key that does nothing else, among many of other kinds.
async fn fill(service: &Service, count: i64) {
    // One row more would be of the writer: the head moves with the rows.
    sqlx::query(
        "insert into journal (workspace_id, number, at, kind, public, subject, subject_id,
                              data, data_version, salt)
         select $1, last_number + n, timestamptz '2031-01-01Z' + n * interval '1 second',
                'key.created', false, 'key', gen_random_uuid(), '{}', 1, decode('00112233445566778899aabbccddeeff', 'hex')
         from journal_heads, generate_series(1, $2) n
         where workspace_id = $1",
    )
    .bind(service.workspace.0)
    .bind(count)
    .execute(service.app.pool())
    .await
    .unwrap();
    sqlx::query("update journal_heads set last_number = last_number + $2 where workspace_id = $1")
        .bind(service.workspace.0)
        .bind(count)
        .execute(service.app.pool())
        .await
        .unwrap();
}

/// A page that tests many rows and finds nothing says where to go on, and the last one is found.
#[tokio::test]
async fn a_page_may_be_short_and_the_rest_is_found() {
    let service = Service::start().await;
    let goal = json!({"title": "old", "tasks": [{"ref": "a", "title": "a"}]});
    service.admin.post("/v1/goals", &goal).await.expect(201);
    fill(&service, 120_000).await;
    let mut path = "/v1/audit?kind=goal.created".to_owned();
    let mut counts = Vec::new();
    loop {
        let page = service.admin.get(&*path).await.value(200);
        counts.push(page["items"].as_array().unwrap().len());
        let Value::String(cursor) = &page["next_cursor"] else { break };
        path = format!("/v1/audit?kind=goal.created&cursor={cursor}");
        assert!(counts.len() < 10, "{counts:?}");
    }
    assert_eq!(counts, [0, 0, 1]);
}

/// A span of time needs no long way to its rows.
#[tokio::test]
async fn a_span_of_time_is_found_at_once() {
    let service = Service::start().await;
    service.with_role("viewer").await;
    fill(&service, 120_000).await;
    let path = "/v1/audit?kind=key.created&until=2030-06-01T00:00:00Z";
    let page = service.admin.get(path).await.value(200);
    assert!(!page["items"].as_array().unwrap().is_empty(), "{page}");
    assert_eq!(page["next_cursor"], Value::Null);
    let path = "/v1/audit?kind=never.was&from=2031-01-02T00:00:00Z&until=2031-01-02T00:10:00Z";
    let page = service.admin.get(path).await.value(200);
    assert_eq!((&page["items"], &page["next_cursor"]), (&json!([]), &Value::Null));
}
