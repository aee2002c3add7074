//! The token of a link is nowhere but with whom it was given to.

use serde_json::json;

use super::{action, asked, links, make, nobody, page, path_for_alice, send};
use crate::support::{
    dump::{dump, same},
    fleet::text,
};

#[tokio::test]
async fn a_token_is_in_no_table_no_event_and_no_page() {
    let (fleet, approval) = asked(action()).await;
    let made = fleet
        .admin
        .post(links(&approval), &json!({"person": "alice"}))
        .idempotency_key("kept")
        .await
        .value(201);
    let (path, token) = (text(&made["path"]), text(&made["token"]));
    let secret = token.rsplit('_').next().unwrap();
    let client = nobody(&fleet);
    let mut shown = vec![page(client.get(&path).await, 200)];
    shown.push(page(send(&client, &path, &approval, &[("decision", "no")]).await, 422));
    shown.push(page(send(&client, &path, &approval, &[("decision", "approve")]).await, 200));
    for place in ["/v1/events?limit=200", &links(&approval)] {
        let answer = fleet.admin.get(place).await.expect(200);
        shown.push(String::from_utf8(answer.body).unwrap());
    }
    for (table, rows) in dump(&fleet.pool).await {
        shown.push(format!("{table}: {}", rows.concat()));
    }
    let found = shown.iter().find(|text| text.contains(secret));
    assert!(found.is_none(), "the token is in {found:?}");
}

#[tokio::test]
async fn what_is_no_link_is_answered_alike() {
    let (fleet, approval) = asked(action()).await;
    let path = path_for_alice(&fleet, &approval).await;
    let other = fleet.other_workspace().await;
    other.get(links(&approval)).await.problem(404, "not_found");
    let token = path.rsplit('/').next().unwrap();
    let (public, secret) = token.rsplit_once('_').unwrap();
    let flipped = |text: &str| {
        let (first, rest) = text.split_at(1);
        format!("{}{rest}", if first == "a" { "b" } else { "a" })
    };
    let body = public.strip_prefix("msl_").unwrap();
    let strangers = [
        format!("{public}_{}", flipped(secret)),
        format!("msl_{}_{secret}", flipped(body)),
        format!("{}_{secret}", &public[..public.len() - 1]),
        token.to_uppercase(),
        token[1..].to_owned(),
        fleet.admin_key.clone(),
        "x".to_owned(),
        "%00".to_owned(),
        "%ff%fe".to_owned(),
        "x".repeat(3000),
    ];
    let before = dump(&fleet.pool).await;
    let client = nobody(&fleet);
    let unknown = page(client.get(format!("/decide/{}", strangers[0])).await, 404);
    for stranger in &strangers {
        let at = format!("/decide/{stranger}");
        let opened = client.get(&at).await;
        let headers = opened.headers.len();
        assert_eq!(page(opened, 404), unknown, "{stranger}");
        let decided = send(&client, &at, &approval, &[("decision", "approve")]).await;
        assert_eq!(decided.headers.len(), headers);
        assert_eq!(page(decided, 404), unknown, "{stranger}");
    }
    same("what is no link", &before, &dump(&fleet.pool).await);
}

#[tokio::test]
async fn a_page_is_kept_and_told_nowhere() {
    let (fleet, approval) = asked(action()).await;
    let path = text(&make(&fleet, &approval, "alice").await["path"]);
    for answer in [
        nobody(&fleet).get(&path).await,
        nobody(&fleet).get("/decide/x").await,
        send(&nobody(&fleet), &path, &approval, &[("decision", "approve")]).await,
    ] {
        let policy = answer.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "style-src 'sha256-",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("script") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(answer.header("x-robots-tag").contains("noindex"));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let shown = String::from_utf8_lossy(&answer.body).into_owned();
        for markup in ["<script", " src=", " href=", "url(", " on", "<img", "<link", "@import"] {
            assert!(!shown.replace(" on ", "").contains(markup), "{markup}: {shown}");
        }
    }
}
