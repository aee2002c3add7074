//! Sign-in with an identity provider: what a browser sees, and what a provider may not get wrong.

mod provider;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::Method;
use muster::{
    app::sign_in::{CLIENT_SECRET as SECRET_NAME, SignIn},
    cli::sign_in::Client as ProviderClient,
    domain::{secret::Purpose, sign_in::claims::Mapping},
    outbound::oidc::{Oidc, OidcSettings},
};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::{
    client::{Answer, Call, Client},
    fleet::{about, router, text},
    service::Service,
    statements::{Statements, hear},
};
use provider::{
    ACCESS_TOKEN, CALLBACK, CLIENT_ID, CLIENT_SECRET, CODE_SECONDS, LocalProvider, Twist,
};

const ROLES: &str = "admins=admin;ops=operator;ci=submitter;watch=viewer";

/// How the service of a test is set up.
struct Setup {
    person_claim: &'static str,
    trust_person: bool,
    over_tls: bool,
    client_secret: Option<&'static str>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            person_claim: "email",
            trust_person: false,
            over_tls: false,
            client_secret: Some(CLIENT_SECRET),
        }
    }
}

struct Place {
    service: Service,
    provider: LocalProvider,
    /// Without a key, at the service with sign-in.
    anybody: Client,
    admin: Client,
}

impl Place {
    async fn new(setup: Setup) -> Self {
        let service = Service::start().await;
        let provider = LocalProvider::start(&service.clock).await;
        let anybody = at(&service, &provider, setup);
        let admin = anybody.with_key(&service.admin_token);
        Self { service, provider, anybody, admin }
    }

    fn browser(&self) -> Browser {
        Browser { client: self.anybody.clone(), cookies: BTreeMap::new() }
    }

    /// A browser in which Alice signed in.
    async fn signed_in(&self) -> Browser {
        let mut browser = self.browser();
        browser.sign_in(&self.provider).await.expect(303);
        browser
    }

    async fn refused(&self) {
        let mut browser = self.browser();
        browser.sign_in(&self.provider).await.problem(403, "sign_in_refused");
        assert!(!browser.cookies.contains_key("muster_session"));
    }

    async fn identity(&self) -> Value {
        self.admin.get("/v1/identities").await.value(200)["items"][0].clone()
    }

    async fn change(&self, change: Value) -> Value {
        let path = format!("/v1/identities/{}", text(&self.identity().await["id"]));
        self.admin.patch(path, &change).if_match("*").await.value(200)
    }

    async fn confirmed(&self) -> Browser {
        let browser = self.signed_in().await;
        self.change(json!({"person_confirmed": true})).await;
        browser
    }

    async fn sessions(&self) -> i64 {
        let query = "select count(*) from sessions";
        sqlx::query_scalar(query).fetch_one(self.service.app.pool()).await.unwrap()
    }
}

/// A client of a service with sign-in.
fn at(service: &Service, provider: &LocalProvider, setup: Setup) -> Client {
    let oidc = Oidc::new(OidcSettings {
        issuer: provider.issuer(),
        client_id: CLIENT_ID.to_owned(),
        redirect_url: CALLBACK.to_owned(),
        scopes: vec!["email".to_owned(), "profile".to_owned()],
    });
    let app = service.app.clone().with_sign_in(SignIn {
        provider: Arc::new(ProviderClient(oidc.unwrap())),
        workspace: service.workspace,
        mapping: Mapping::parse(setup.person_claim, "groups", ROLES).unwrap(),
        trust_person: setup.trust_person,
        client_secret: setup.client_secret.map(SecretString::from),
        over_tls: setup.over_tls,
    });
    Client::of(router(&app))
}

/// Keeps cookies, and says where requests come from, as a browser does.
#[derive(Clone)]
struct Browser {
    client: Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn call(&self, method: Method, path: impl Into<String>) -> Call {
        let pairs: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.client.call(method, path).header("cookie", &pairs.join("; "))
    }

    fn get(&self, path: impl Into<String>) -> Call {
        self.call(Method::GET, path)
    }

    fn post(&self, path: impl Into<String>, body: &Value) -> Call {
        self.call(Method::POST, path).json(body).header("sec-fetch-site", "same-origin")
    }

    fn keep(&mut self, answer: &Answer) {
        for cookie in answer.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert!(attributes.contains("HttpOnly; SameSite=Lax"), "{cookie}");
            match attributes.contains("Max-Age=0;") {
                true => drop(self.cookies.remove(name)),
                false => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
    }

    /// Begins a sign-in: the address at the provider.
    async fn begin(&mut self) -> String {
        let begun = self.get("/v1/sign-in/oidc?return_to=/docs").await.expect(303);
        self.keep(&begun);
        begun.header("location").to_owned()
    }

    async fn sign_in(&mut self, provider: &LocalProvider) -> Answer {
        let location = self.begin().await;
        self.come_back(provider.approve(&location)).await
    }

    async fn come_back(&mut self, path: String) -> Answer {
        let answer = self.get(path).await;
        self.keep(&answer);
        answer
    }

    async fn whoami(&self) -> Value {
        self.get("/v1/whoami").await.value(200)
    }
}

#[tokio::test]
async fn a_person_signs_in_and_acts() {
    let place = Place::new(Setup::default()).await;
    let mut browser = place.browser();
    let location = browser.begin().await;
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), ["muster_sign_in"]);
    let done = browser.come_back(place.provider.approve(&location)).await.expect(303);
    assert_eq!(done.header("location"), "/docs");
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), ["muster_session"]);

    let whoami = browser.whoami().await;
    // The name is only claimed: the session acts as nobody.
    assert_eq!((&whoami["person"], &whoami["role"]), (&Value::Null, &json!("operator")));
    let identity = place.identity().await;
    assert_eq!(identity["subject"], "alice-1");
    assert_eq!(identity["person"], "alice@example.com");
    assert_eq!(identity["issuer"], place.provider.issuer());
    assert_eq!(identity["key_id"], whoami["key_id"]);

    // Unconfirmed: reads, and changes nothing.
    assert_eq!(whoami["scope"]["access"], "read_only");
    browser.get("/v1/goals").await.expect(200);
    let goal = json!({"title": "g", "tasks": [{"ref": "a", "title": "a"}]});
    browser.post("/v1/goals", &goal).await.problem(403, "forbidden");

    let confirmed = place.change(json!({"person_confirmed": true})).await;
    assert_eq!((&confirmed["version"], &confirmed["person_confirmed"]), (&json!(2), &json!(true)));
    let whoami = browser.whoami().await;
    assert_eq!(whoami["scope"]["access"], "all");
    assert_eq!(whoami["person"], "alice@example.com");
    let posted = browser.post("/v1/goals", &goal).idempotency_key("once").await.expect(201);
    let again = browser.post("/v1/goals", &goal).idempotency_key("once").await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(posted.body, again.body);
    let rows = place.admin.get("/v1/audit?kind=goal.created").await.value(200);
    let row = &rows["items"][0]["row"];
    assert_eq!(row["actor_key_id"], whoami["key_id"]);
    assert_eq!(row["actor_person"], "alice@example.com");
    // The next sign-in of the same person keeps what was confirmed, and the key.
    let second = place.signed_in().await;
    assert_eq!(second.whoami().await["key_id"], whoami["key_id"]);
    assert_eq!(second.whoami().await["person"], "alice@example.com");
    let rows = place.admin.get("/v1/audit?kind=session.begun").await.value(200);
    let people = rows["items"].as_array().unwrap().iter();
    let people: Vec<_> = people.map(|item| item["row"]["actor_person"].as_str()).collect();
    assert!(people.contains(&None) && people.contains(&Some("alice@example.com")), "{people:?}");
    // An answer is replayed within its session only.
    let other = second.post("/v1/goals", &goal).idempotency_key("once").await;
    other.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_session_changes_nothing_for_other_sites_and_is_no_key() {
    let place = Place::new(Setup { trust_person: true, ..Setup::default() }).await;
    let browser = place.signed_in().await;
    let goal = json!({"title": "g", "tasks": [{"ref": "a", "title": "a"}]});
    let bare = || browser.call(Method::POST, "/v1/goals").json(&goal);
    bare().await.problem(403, "forbidden");
    for site in ["cross-site", "same-site", "none"] {
        bare().header("sec-fetch-site", site).await.problem(403, "forbidden");
    }
    bare()
        .header("host", "muster.example")
        .header("origin", "https://evil.example")
        .await
        .problem(403, "forbidden");
    bare()
        .header("host", "muster.example")
        .header("origin", "https://muster.example")
        .await
        .expect(201);

    let token = &browser.cookies["muster_session"];
    place.anybody.with_key(token).get("/v1/whoami").await.problem(401, "unauthenticated");
    // Nobody gets a key out of a session.
    let rotate = browser.post("/v1/keys/rotate", &json!({"overlap_seconds": 60})).await;
    rotate.problem(403, "forbidden");
    browser.post("/v1/sessions", &json!({})).await.problem(403, "forbidden");
    let key = text(&browser.whoami().await["key_id"]);
    let rotate = place.admin.post(format!("/v1/keys/{key}/rotate"), &json!({})).await;
    rotate.problem(409, "wrong_state");
}

#[tokio::test]
async fn wrong_tokens_sign_nobody_in() {
    let place = Place::new(Setup::default()).await;
    let now = place.service.clock.now().timestamp();
    for claims in [
        json!({"iss": "https://evil.example"}),
        json!({"iss": null}),
        json!({"aud": "another client"}),
        json!({"aud": [CLIENT_ID, "another client"]}),
        json!({"aud": []}),
        json!({"azp": "another client"}),
        json!({"nonce": "another"}),
        json!({"nonce": null}),
        json!({"exp": now}),
        json!({"exp": now - 1}),
        json!({"iat": now + 3600, "exp": now + 7200}),
        json!({"sub": ""}),
    ] {
        println!("{claims}");
        place.provider.twist(Twist::Claims(claims));
        place.refused().await;
    }
    for twist in
        [Twist::Unsigned, Twist::SharedSecret, Twist::PublicKey, Twist::Forged, Twist::Changed]
    {
        place.provider.twist(twist);
        place.refused().await;
    }
    assert_eq!(place.sessions().await, 0);
    assert_eq!(place.admin.get("/v1/identities").await.value(200)["items"], json!([]));
    place.provider.twist(Twist::None);
    place.signed_in().await;
}

#[tokio::test]
async fn claims_that_prove_nothing_sign_nobody_in() {
    let place = Place::new(Setup::default()).await;
    for claims in [
        json!({"groups": null}),
        json!({"groups": []}),
        json!({"groups": ["others", "operator"]}),
        json!({"groups": {"ops": true}}),
        json!({"groups": ["ops"], "email_verified": false}),
        json!({"email_verified": null}),
        json!({"email_verified": true, "email": null}),
        json!({"email": "not a person"}),
        json!({"email": ["alice@example.com"]}),
    ] {
        println!("{claims}");
        place.provider.person(claims);
        place.refused().await;
    }
    assert_eq!(place.sessions().await, 0);
    place.provider.person(json!({"email": "alice@example.com", "groups": "watch"}));
    assert_eq!(place.signed_in().await.whoami().await["role"], "viewer");
}

#[tokio::test]
async fn a_sign_in_is_completed_once_and_by_its_browser() {
    let place = Place::new(Setup::default()).await;
    let mut browser = place.browser();
    let location = browser.begin().await;
    let began = browser.clone();
    let (code, state) = place.provider.code(&location);
    let back =
        |code: &str, state: &str| format!("/v1/sign-in/oidc/callback?code={code}&state={state}");
    // Another browser, or one that began another sign-in, cannot use what was sent back.
    place.browser().come_back(back(&code, &state)).await.problem(403, "sign_in_refused");
    let mut other = place.browser();
    let others = other.begin().await;
    other.come_back(back(&code, &state)).await.problem(403, "sign_in_refused");
    for bad in ["", "x", &state[1..], &format!("{state}x")] {
        browser.come_back(back(&code, bad)).await.problem(403, "sign_in_refused");
    }
    for query in ["", "?error=access_denied", "?code=a&code=b"] {
        let path = format!("/v1/sign-in/oidc/callback{query}");
        let status = browser.come_back(path).await.status.as_u16();
        assert!(matches!(status, 403 | 422), "{status}");
    }
    let denied = format!("/v1/sign-in/oidc/callback?error=access_denied&state={state}");
    browser.come_back(denied).await.problem(403, "sign_in_refused");
    let issuer = "https%3A%2F%2Fevil.example";
    let mixed = format!("{}&iss={issuer}", back(&code, &state));
    browser.come_back(mixed).await.problem(403, "sign_in_refused");
    assert_eq!(place.provider.token_calls(), 0, "a code went to the provider");

    browser.come_back(back(&code, &state)).await.expect(303);
    // The code again, under a state of its own.
    let (_, fresh) = place.provider.code(&others);
    other.come_back(back(&code, &fresh)).await.problem(403, "sign_in_refused");
    // The state again, with a code that the provider redeems once more.
    let again = place.browser();
    let mut again = Browser { cookies: began.cookies.clone(), ..again };
    let repeated = place.provider.again(&location);
    again.come_back(back(&repeated, &state)).await.problem(403, "sign_in_refused");
    assert_eq!(place.sessions().await, 1);

    // Too late.
    let mut slow = place.browser();
    let location = slow.begin().await;
    place.service.clock.advance(Duration::from_secs(601));
    let late = place.provider.approve(&location);
    slow.come_back(late).await.problem(403, "sign_in_refused");
}

#[tokio::test]
async fn a_code_is_good_for_its_sign_in_and_for_a_while() {
    let place = Place::new(Setup::default()).await;
    let mut victim = place.browser();
    let (stolen, _) = place.provider.code(&victim.begin().await);
    let mut thief = place.browser();
    let (_, state) = place.provider.code(&thief.begin().await);
    let back = format!("/v1/sign-in/oidc/callback?code={stolen}&state={state}");
    thief.come_back(back).await.problem(403, "sign_in_refused");
    assert_eq!(place.provider.token_calls(), 1);

    let mut slow = place.browser();
    let back = place.provider.approve(&slow.begin().await);
    place.service.clock.advance(Duration::from_secs(CODE_SECONDS.unsigned_abs() + 1));
    slow.come_back(back).await.problem(403, "sign_in_refused");
    assert_eq!(place.provider.token_calls(), 2);
    assert_eq!(place.sessions().await, 0);
}

#[tokio::test]
async fn rotated_keys_of_the_provider_are_read_again_but_not_for_everybody() {
    let place = Place::new(Setup::default()).await;
    place.signed_in().await;
    place.signed_in().await;
    assert_eq!(place.provider.key_reads(), 1);
    place.provider.rotate_keys("key-2");
    place.signed_in().await;
    assert_eq!(place.provider.key_reads(), 2);
    // Names of keys that nobody has make muster ask once in a while.
    for kid in ["key-3", "key-4", "key-5"] {
        place.provider.rotate_keys(kid);
        place.refused().await;
    }
    assert_eq!(place.provider.key_reads(), 2);
}

#[tokio::test]
async fn a_provider_signs_with_rsa() {
    let place = Place::new(Setup::default()).await;
    place.provider.use_rsa();
    place.signed_in().await;
    place.provider.twist(Twist::Changed);
    place.refused().await;
}

#[tokio::test]
async fn a_provider_that_is_down_is_a_temporary_problem() {
    let place = Place::new(Setup::default()).await;
    place.provider.down(true);
    place.browser().get("/v1/sign-in/oidc").await.problem(503, "unavailable");
    place.provider.down(false);
    let mut browser = place.browser();
    let location = browser.begin().await;
    place.provider.down(true);
    let back = place.provider.approve(&location);
    let answer = browser.come_back(back.clone()).await;
    answer.problem(503, "unavailable");
    let said = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(!said.contains(&place.provider.issuer()), "{said}");
    place.provider.down(false);
    browser.come_back(back).await.expect(303);
    place.provider.twist(Twist::Missing);
    place.browser().sign_in(&place.provider).await.problem(503, "unavailable");

    // Nobody listens at all.
    let nowhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", nowhere.local_addr().unwrap());
    drop(nowhere);
    let oidc = Oidc::new(OidcSettings {
        issuer,
        client_id: CLIENT_ID.to_owned(),
        redirect_url: CALLBACK.to_owned(),
        scopes: Vec::new(),
    });
    let app = place.service.app.clone().with_sign_in(SignIn {
        provider: Arc::new(ProviderClient(oidc.unwrap())),
        workspace: place.service.workspace,
        mapping: Mapping::parse("email", "groups", ROLES).unwrap(),
        trust_person: false,
        client_secret: None,
        over_tls: false,
    });
    Client::of(router(&app)).get("/v1/sign-in/oidc").await.problem(503, "unavailable");
}

#[tokio::test]
async fn a_provider_that_answers_as_no_provider_does_is_down() {
    for twist in [Twist::Impostor, Twist::Moved, Twist::Huge] {
        let place = Place::new(Setup::default()).await;
        place.provider.twist(twist);
        place.browser().get("/v1/sign-in/oidc").await.problem(503, "unavailable");
        place.provider.twist(Twist::None);
        let mut browser = place.browser();
        let location = browser.begin().await;
        // The code and the client secret follow no redirect.
        place.provider.twist(Twist::Moved);
        let back = place.provider.approve(&location);
        browser.come_back(back).await.problem(503, "unavailable");
        assert_eq!(place.provider.elsewhere_calls(), 0);
    }
}

#[tokio::test]
async fn without_a_provider_there_is_no_sign_in() {
    let service = Service::start().await;
    service.anybody.get("/v1/sign-in/oidc").await.problem(404, "not_found");
    service.anybody.get("/v1/sign-in/oidc/callback?code=a&state=b").await.problem(404, "not_found");
}

#[tokio::test]
async fn only_paths_of_the_service_are_returned_to() {
    let place = Place::new(Setup { over_tls: true, ..Setup::default() }).await;
    for bad in ["https://evil.example", "//evil.example", "/%5Cevil.example", "docs"] {
        let path = format!("/v1/sign-in/oidc?return_to={bad}");
        place.anybody.get(path).await.problem(422, "invalid");
    }
    let begun = place.anybody.get("/v1/sign-in/oidc").await.expect(303);
    let cookie = begun.header("set-cookie");
    assert!(
        cookie.ends_with("; Path=/v1/sign-in/oidc; Max-Age=600; HttpOnly; SameSite=Lax; Secure"),
        "{cookie}"
    );
}

/// A role that the provider changes counts from the next sign-in on, and ends the sessions that had the
/// former one.
#[tokio::test]
async fn a_role_changes_at_the_next_sign_in() {
    let place = Place::new(Setup { trust_person: true, ..Setup::default() }).await;
    let first = place.signed_in().await;
    place.provider.person(json!({"groups": ["watch"]}));
    assert_eq!(first.whoami().await["role"], "operator");
    let second = place.signed_in().await;
    assert_eq!(second.whoami().await["role"], "viewer");
    first.get("/v1/whoami").await.problem(401, "unauthenticated");
    let identities = place.admin.get("/v1/identities").await.value(200);
    assert_eq!(identities["items"].as_array().unwrap().len(), 1);
    assert_eq!(identities["items"][0]["role"], "viewer");
    place.provider.person(json!({"groups": []}));
    place.refused().await;
}

/// The name of a person is taken by whoever an administrator gave it to. A provider does not give it away.
#[tokio::test]
async fn a_person_is_the_same_only_when_confirmed() {
    let place = Place::new(Setup { person_claim: "preferred_username", ..Setup::default() }).await;
    let key = json!({"name": "alice", "role": "operator", "person": "alice"});
    let key = text(&place.admin.post("/v1/keys", &key).await.value(201)["token"]);
    let alice = place.anybody.with_key(key);
    let goal = json!({"title": "g", "tasks": [
        {"ref": "a", "title": "a", "approval": {"start": true}}]});
    alice.post("/v1/goals", &goal).await.expect(201);
    let question = place.admin.get("/v1/approvals").await.value(200)["items"][0].clone();
    let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
    let decision = about(&question, json!({"decision": "approve"}));

    let own = text(&alice.post("/v1/sessions", &json!({})).await.value(201)["id"]);
    place.provider.person(json!({"preferred_username": "alice"}));
    let browser = place.signed_in().await;
    // What is claimed to be Alice sees and ends no session of hers.
    let seen = browser.get("/v1/sessions").await.value(200);
    assert_eq!(seen["items"].as_array().unwrap().len(), 1);
    assert_ne!(seen["items"][0]["id"], own);
    browser.get("/v1/sessions?person=alice").await.problem(403, "forbidden");
    for path in [format!("/v1/sessions/{own}"), "/v1/sessions?person=alice".to_owned()] {
        let end = browser.call(Method::DELETE, path).header("sec-fetch-site", "same-origin").await;
        assert!(matches!(end.status.as_u16(), 403 | 404), "{}", end.describe());
    }
    browser.post(&path, &decision).await.problem(403, "forbidden");
    // Confirmed, it is the Alice who asked, and still does not decide about it.
    place.change(json!({"person_confirmed": true})).await;
    browser.post(&path, &decision).await.problem(403, "separation_of_duties");
    // Under another name it must be confirmed again.
    place.provider.person(json!({"preferred_username": "bob"}));
    let other = place.signed_in().await;
    assert_eq!(other.whoami().await["scope"]["access"], "read_only");
    other.post(&path, &decision).await.problem(403, "forbidden");
    browser.get("/v1/whoami").await.problem(401, "unauthenticated");
    place.change(json!({"person_confirmed": true})).await;
    other.post(&path, &decision).await.expect(200);
}

#[tokio::test]
async fn admins_end_sessions_and_block_identities() {
    let place = Place::new(Setup::default()).await;
    let mut browser = place.confirmed().await;
    let own = browser.get("/v1/sessions").await.value(200);
    assert_eq!(own["items"][0]["identity_id"], place.identity().await["id"]);
    let listed = place.admin.get("/v1/sessions?person=alice@example.com").await.value(200);
    assert_eq!(listed["items"], own["items"]);
    let path = format!("/v1/sessions/{}", text(&own["items"][0]["id"]));
    place.admin.call(Method::DELETE, &path).await.expect(204);
    browser.get("/v1/whoami").await.problem(401, "unauthenticated");

    // People end their own; the newest is first.
    place.service.clock.advance(Duration::from_secs(1));
    browser.sign_in(&place.provider).await.expect(303);
    let id = text(&browser.get("/v1/sessions").await.value(200)["items"][0]["id"]);
    let end = browser.call(Method::DELETE, format!("/v1/sessions/{id}"));
    end.header("sec-fetch-site", "same-origin").await.expect(204);
    browser.get("/v1/whoami").await.problem(401, "unauthenticated");

    browser.sign_in(&place.provider).await.expect(303);
    place.change(json!({"blocked": true})).await;
    browser.get("/v1/whoami").await.problem(401, "unauthenticated");
    place.refused().await;
    place.change(json!({"blocked": false})).await;
    browser.sign_in(&place.provider).await.expect(303);
    // The key of an identity is one like others: its end is the end of the sessions.
    let key = text(&browser.whoami().await["key_id"]);
    place.admin.post(format!("/v1/keys/{key}/revoke"), &json!({})).await.expect(200);
    browser.get("/v1/whoami").await.problem(401, "unauthenticated");
    browser.sign_in(&place.provider).await.expect(303);
    assert_eq!(browser.whoami().await["scope"]["access"], "all");

    place.service.clock.advance(Duration::from_secs(8 * 3600));
    browser.get("/v1/whoami").await.problem(401, "unauthenticated");
    for role in ["operator", "viewer"] {
        let client = place.service.with_role(role).await;
        client.get("/v1/identities").await.problem(403, "forbidden");
    }
}

/// An administrator who signs in is no valid admin key: the last one cannot be revoked.
#[tokio::test]
async fn a_provider_does_not_count_as_the_last_admin() {
    let place = Place::new(Setup { trust_person: true, ..Setup::default() }).await;
    place.provider.person(json!({"groups": ["admins"]}));
    let browser = place.signed_in().await;
    assert_eq!(browser.whoami().await["role"], "admin");
    let own = text(&place.admin.get("/v1/whoami").await.value(200)["key_id"]);
    let revoke = browser.post(format!("/v1/keys/{own}/revoke"), &json!({})).await;
    revoke.problem(409, "last_admin_key");
    let made = json!({"name": "m", "role": "viewer", "person": "carol"});
    browser.post("/v1/keys", &made).await.expect(201);
}

/// A waiting read of a session is checked again, as that of a key is.
#[tokio::test]
async fn a_session_waits_and_ends_while_it_waits() {
    let place = Place::new(Setup::default()).await;
    let browser = place.confirmed().await;
    let newest = browser.get("/v1/events").await.value(200)["next_after"].clone();
    let path = format!("/v1/events?after={newest}&wait_seconds=30");
    let waiting = tokio::spawn(browser.get(&path).into_future());
    place.admin.post("/v1/projects", &json!({"name": "p"})).await.expect(201);
    assert_ne!(waiting.await.unwrap().value(200)["items"], json!([]));

    let newest = browser.get("/v1/events").await.value(200)["next_after"].clone();
    let path = format!("/v1/events?after={newest}&wait_seconds=30");
    let statements = Statements::record();
    let waiting = tokio::spawn(browser.get(&path).into_future());
    // It reads once, when it has begun to wait.
    let begun = async {
        let mut reads = 0;
        while reads < 1 {
            tokio::task::yield_now().await;
            let is_read = |name: &&&str| **name == "journal.events";
            reads += statements.take().iter().filter(is_read).count();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), begun).await.expect("a wait in time");
    // Blocking is an event: it ends the wait.
    place.change(json!({"blocked": true})).await;
    let answer = waiting.await.unwrap();
    answer.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_stored_client_secret_is_used() {
    #[derive(Debug)]
    struct Key;
    impl muster::app::secrets::KeySource for Key {
        fn keys(&self) -> Result<muster::domain::secret::MasterKeys, muster::app::secrets::NoKeys> {
            let digits = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
            Ok(muster::domain::secret::MasterKeys::parse(digits).unwrap())
        }
    }
    let mut service = Service::start().await;
    service.app = service.app.clone().with_master_keys(Arc::new(Key));
    let provider = LocalProvider::start(&service.clock).await;
    let client = at(&service, &provider, Setup { client_secret: None, ..Setup::default() });
    let mut browser = Browser { client, cookies: BTreeMap::new() };
    let local = service.app.local_admin(Some(service.workspace)).await.unwrap();
    let set = async |value: &str| {
        let value = SecretString::from(value);
        local.set_secret(Purpose::OidcClientSecret, SECRET_NAME, &value).await.unwrap();
    };
    set("a wrong one").await;
    browser.sign_in(&provider).await.problem(503, "unavailable");
    set(CLIENT_SECRET).await;
    browser.sign_in(&provider).await.expect(303);
    // The row was changed: a failure of this service, and not a way in.
    sqlx::query("update secrets set sealed = set_byte(sealed, 0, get_byte(sealed, 0) # 1)")
        .execute(service.app.pool())
        .await
        .unwrap();
    browser.sign_in(&provider).await.problem(503, "unavailable");
}

#[tokio::test]
async fn two_first_sign_ins_at_once_are_one_identity() {
    let place = Place::new(Setup::default()).await;
    let mut browsers: Vec<Browser> = (0..4).map(|_| place.browser()).collect();
    let mut running = Vec::new();
    for browser in &mut browsers {
        let location = browser.begin().await;
        let (mut browser, back) = (browser.clone(), place.provider.approve(&location));
        running.push(tokio::spawn(async move {
            browser.come_back(back).await.expect(303);
            browser
        }));
    }
    for browser in running {
        browser.await.unwrap().whoami().await;
    }
    let identities = place.admin.get("/v1/identities").await.value(200);
    assert_eq!(identities["items"].as_array().unwrap().len(), 1);
    assert_eq!(place.sessions().await, 4);
}

/// Lines of a log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Logs everything that the thread does until the guard is dropped.
    fn begin(&self) -> tracing::subscriber::DefaultGuard {
        let writer = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        hear(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// Nothing of a sign-in that opens anything is stored or logged, however it ends.
#[tokio::test]
async fn no_secret_of_a_sign_in_is_kept() {
    let place = Place::new(Setup::default()).await;
    let log = Log::default();
    let logging = log.begin();
    let mut secrets = vec![CLIENT_SECRET.to_owned(), ACCESS_TOKEN.to_owned()];
    for twist in [Twist::None, Twist::Changed, Twist::Missing, Twist::Garbled, Twist::Moved] {
        let mut browser = place.browser();
        let location = browser.begin().await;
        let flow = browser.cookies["muster_sign_in"].clone();
        let (code, state) = place.provider.code(&location);
        place.provider.twist(twist);
        let back = format!("/v1/sign-in/oidc/callback?code={code}&state={state}");
        let answer = browser.come_back(back).await;
        let told = format!("{:?}{}", answer.headers, String::from_utf8_lossy(&answer.body));
        assert!(!told.contains(&code) && !told.contains(&state), "{told}");
        if let Some(token) = browser.cookies.get("muster_session") {
            secrets.push(token.rsplit_once('_').unwrap().1.to_owned());
        }
        let asked = location.split_once('?').unwrap().1.as_bytes();
        let nonce = form_urlencoded::parse(asked).find(|(name, _)| name == "nonce").unwrap();
        secrets.extend([flow.split_once('.').unwrap().0.to_owned(), code, state]);
        secrets.push(nonce.1.into_owned());
    }
    drop(logging);
    let log = log.text();
    assert!(log.contains("a sign-in was refused"), "{log}");
    let dump = crate::support::dump::dump(place.service.app.pool()).await;
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in the log:\n{log}");
        for rows in dump.values().flatten() {
            assert!(!rows.contains(&secret), "{rows}");
        }
    }
}
