//! A whole service for one test: database, app, router, an admin's key, and agents that work.
//!
//! Time stands still unless the test moves it; randomness comes from a seed that is printed, so a
//! failure can be repeated with `MUSTER_TEST_SEED`.

use std::{pin::Pin, sync::Arc, time::Duration};

use super::{
    agent::Agent,
    artifacts::Memory,
    client::Client,
    database::{self, TestDatabase, fresh_database},
};
use axum::Router;
use chrono::{DateTime, TimeZone as _, Utc};
use metrics_exporter_prometheus::PrometheusBuilder;
use muster::{
    app::{
        App,
        access::{bootstrap::Bootstrap, keys::NewKey},
    },
    clock::{Clock, ManualClock},
    domain::{access::role::Role, ids::WorkspaceId},
    entropy::Entropy,
    http::state::{Check, HttpState, Limits, Readiness},
    store::{self, SystemTx, Tx},
    supervisor,
};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::net::TcpListener;

/// A service of one test.
pub struct Fleet {
    pub app: App,
    pub clock: ManualClock,
    /// Its own, however many others there are beside it.
    pub workspace: WorkspaceId,
    /// With the key of an admin.
    pub admin: Client,
    pub admin_key: String,
    /// With the key of an operator who posts the goals and registers the agents, and so decides nothing
    /// about them.
    pub poster: Client,
    pub pool: PgPool,
    pub database: TestDatabase,
    /// Bytes of artifacts, in memory.
    pub artifacts: Memory,
    router: Router,
}

#[derive(Debug)]
struct AlwaysReady;

impl Readiness for AlwaysReady {
    fn check(&self) -> Pin<Box<dyn Future<Output = Vec<Check>> + Send + '_>> {
        Box::pin(async { vec![Check::new("database", true)] })
    }
}

/// A seed of this run, printed: that of `MUSTER_TEST_SEED`, else a random one.
pub fn seed() -> u64 {
    let given = std::env::var("MUSTER_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    println!("to repeat this: MUSTER_TEST_SEED={seed}");
    seed
}

pub fn router(app: &App) -> Router {
    limited(app, Limits::default())
}

/// The same with these limits.
pub fn limited(app: &App, limits: Limits) -> Router {
    muster::http::router(&HttpState {
        app: Arc::new(app.clone()),
        readiness: Arc::new(AlwaysReady),
        metrics: Arc::new(PrometheusBuilder::new().build_recorder().handle()),
        limits: Arc::new(limits),
    })
}

/// A key of a workspace, made at the command line.
pub async fn local_key(
    app: &App,
    workspace: WorkspaceId,
    role: Role,
    person: Option<&str>,
) -> String {
    let person = person.map(|name| name.parse().unwrap());
    let new = NewKey {
        name: role.to_string(),
        role,
        person,
        expires_in_seconds: None,
        scope: Default::default(),
        dies_with_maker: false,
    };
    app.local_admin(Some(workspace)).await.unwrap().create_key(&new).await.unwrap().token
}

/// Serves a router over TCP for as long as the test's runtime lives; returns its base URL.
pub async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(muster::http::serve::serve(listener, router, std::future::pending()));
    format!("http://{address}")
}

impl Fleet {
    /// A service whose clock stands still.
    pub async fn start() -> Self {
        Self::seeded(seed()).await
    }

    /// The same with this seed, which the caller has printed.
    pub async fn seeded(seed: u64) -> Self {
        Self::begin(seed, Clock::Manual, false).await
    }

    /// A service that captures finished tasks as lessons. Others do not, because it takes time in each of their rounds.
    pub async fn learning() -> Self {
        Self::begin(seed(), Clock::Manual, true).await
    }

    /// A service by the clock of its database, which nothing moves by hand.
    pub async fn on_time() -> Self {
        Self::begin(seed(), |_| Clock::Database, false).await
    }

    async fn begin(seed: u64, by: impl Fn(ManualClock) -> Clock, captures: bool) -> Self {
        let database = fresh_database().await;
        let clock = ManualClock::at(Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).unwrap());
        let entropy = Entropy::seeded(seed);
        let pool = store::connect(database.connect_options(), 10).await.unwrap();
        let artifacts = Memory::default();
        let app = App::new(pool.clone(), by(clock.clone()), entropy);
        let app = app.with_artifacts(artifacts.service()).capturing(captures);
        let app = if captures { app.unhurried() } else { app };
        let Bootstrap::Made(token) = app.bootstrap(None).await.unwrap() else {
            panic!("the database was not empty");
        };
        let (workspace, admin_key) = (token.workspace(), token.expose().to_owned());
        let router = router(&app);
        let admin = Client::of(router.clone()).with_key(&admin_key);
        // Made at the command line: whoever made a key decides nothing that it asks for.
        let poster = local_key(&app, workspace, Role::Operator, Some("poster")).await;
        let poster = admin.with_key(poster);
        Self { app, clock, workspace, admin, admin_key, poster, pool, database, artifacts, router }
    }

    /// A connection in the workspace at the time of the clock.
    pub async fn tx(&self) -> Tx {
        SystemTx::from(self.pool.acquire().await.unwrap()).within(self.workspace, self.now())
    }

    /// One more process on the same database, with a pool of its own.
    pub async fn another_app(&self) -> App {
        let pool = store::connect(self.database.connect_options(), 10).await.unwrap();
        App::new(pool, Clock::Manual(self.clock.clone()), Entropy::system())
            .with_artifacts(self.artifacts.service())
    }

    /// A client of this service with another key.
    pub fn client(&self, key: &str) -> Client {
        Client::of(self.router.clone()).with_key(key)
    }

    /// Serves this service over TCP; returns its base URL.
    pub async fn listen(&self) -> String {
        serve(self.router.clone()).await
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Lets time pass; nothing notices before the next round or request.
    pub fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Waits until a query that returns one boolean returns true.
    pub async fn until(&self, query: &str) {
        database::until(&self.pool, query).await;
    }

    /// Waits until `count` transactions wait for locks of others.
    pub async fn until_blocked(&self, count: u32) {
        database::until_blocked(&self.pool, count).await;
    }

    /// Every background step once.
    pub async fn round(&self) -> u64 {
        supervisor::round(&self.app).await.unwrap()
    }

    /// Lets time pass and the supervisor notice.
    pub async fn after(&self, seconds: u64) -> u64 {
        self.pass(seconds);
        self.round().await
    }

    /// Registers an agent.
    pub async fn agent(&self, name: &str, capabilities: &[&str], max_concurrent: u32) -> Agent {
        let body = json!({
            "name": name, "capabilities": capabilities, "max_concurrent": max_concurrent,
        });
        register(&self.poster, body).await
    }

    /// An agent that can take anything without requirements, up to a hundred at once.
    pub async fn worker(&self) -> Agent {
        self.agent("worker", &[], 100).await
    }

    /// An id that nothing has.
    pub fn no_id(&self) -> String {
        "01890a5d-ac96-774b-bcce-b302099a8057".to_owned()
    }

    /// A workspace beside this one, in the same database; returns a client of its admin.
    pub async fn other_workspace(&self) -> Client {
        let workspace: WorkspaceId = self.app.entropy().id(self.now());
        sqlx::query("insert into workspaces values ($1, 'other', $2)")
            .bind(workspace.0)
            .bind(self.now())
            .execute(&self.pool)
            .await
            .unwrap();
        let local = self.app.local_admin(Some(workspace)).await.unwrap();
        let new = NewKey {
            name: "other".into(),
            role: Role::Admin,
            person: None,
            expires_in_seconds: None,
            scope: Default::default(),
            dies_with_maker: false,
        };
        self.client(&local.create_key(&new).await.unwrap().token)
    }

    /// An agent of another workspace.
    pub async fn stranger(&self) -> Agent {
        let admin = self.other_workspace().await;
        register(&admin, json!({"name": "stranger"})).await
    }

    /// A key of a role; not `agent`. Made at the command line, so it counts as nobody else.
    pub async fn key(&self, role: &str) -> String {
        let role = serde_json::from_value(json!(role)).unwrap();
        self.key_of(role, None).await
    }

    /// The same for this person.
    pub async fn key_of(&self, role: Role, person: Option<&str>) -> String {
        local_key(&self.app, self.workspace, role, person).await
    }

    /// Posts a goal of these tasks; returns its id.
    pub async fn goal(&self, tasks: Value) -> String {
        self.post_goal(json!({"title": "goal", "tasks": tasks})).await
    }

    /// Posts a goal; returns its id.
    pub async fn post_goal(&self, goal: Value) -> String {
        text(&self.poster.post("/v1/goals", &goal).await.value(201)["id"])
    }

    /// Posts a goal of one task `a` with these settings, and returns its id.
    pub async fn lone_task(&self, settings: Value) -> String {
        let mut task = json!({"ref": "a", "title": "a"});
        for (name, value) in settings.as_object().unwrap() {
            task[name] = value.clone();
        }
        self.goal(json!([task])).await
    }

    pub async fn read_goal(&self, goal: &str) -> Value {
        self.admin.get(format!("/v1/goals/{goal}")).await.value(200)
    }

    pub async fn goal_state(&self, goal: &str) -> String {
        text(&self.read_goal(goal).await["state"])
    }

    /// The id of a goal's task.
    pub async fn task_id(&self, goal: &str, name: &str) -> String {
        let found: Option<String> = sqlx::query_scalar(
            "select task_id::text from tasks where goal_id = $1::uuid and ref = $2",
        )
        .bind(goal)
        .bind(name)
        .fetch_optional(&self.pool)
        .await
        .unwrap();
        found.unwrap_or_else(|| panic!("the goal has no task {name}"))
    }

    /// A goal's task as it is shown.
    pub async fn task(&self, goal: &str, name: &str) -> Value {
        let id = self.task_id(goal, name).await;
        self.admin.get(format!("/v1/tasks/{id}")).await.value(200)
    }

    pub async fn state(&self, goal: &str, name: &str) -> String {
        text(&self.task(goal, name).await["state"])
    }

    /// Panics unless the tasks of the goal are in these states: `a:done b:ready`, in plan order.
    #[track_caller]
    pub fn expect_states<'a>(
        &'a self,
        goal: &'a str,
        want: &'a str,
    ) -> impl Future<Output = ()> + 'a {
        let place = std::panic::Location::caller();
        async move {
            let found: Vec<String> = sqlx::query_scalar(
                "select ref || ':' || state from tasks where goal_id = $1::uuid order by position",
            )
            .bind(goal)
            .fetch_all(&self.pool)
            .await
            .unwrap();
            assert_eq!(found.join(" "), want, "at {place}");
        }
    }

    /// The pending approvals, oldest first.
    pub async fn questions(&self) -> Vec<Value> {
        let page = self.admin.get("/v1/approvals?state=pending&limit=200").await.value(200);
        let mut items = page["items"].as_array().unwrap().clone();
        items.sort_by_key(|item| text(&item["id"]));
        items
    }

    /// The only pending approval.
    pub async fn question(&self) -> Value {
        let questions = self.questions().await;
        let [only] = questions.as_slice() else { panic!("not one question: {questions:#?}") };
        only.clone()
    }

    /// Decides the only pending approval, as it is now.
    pub async fn decide(&self, decision: Value) -> Value {
        let question = self.question().await;
        let path = format!("/v1/approvals/{}/decide", text(&question["id"]));
        self.admin.post(path, &about(&question, decision)).await.value(200)
    }
}

/// A decision about exactly what an approval asks.
pub fn about(approval: &Value, mut decision: Value) -> Value {
    decision["payload_sha256"] = approval["payload_sha256"].clone();
    decision
}

/// Registers an agent in the workspace of an admin.
pub async fn register(admin: &Client, body: Value) -> Agent {
    let answer = admin.post("/v1/agents", &body).await;
    assert!(answer.status.is_success(), "{}", answer.describe());
    let made: Value = answer.json();
    let key = text(&made["token"]);
    Agent::new(admin.with_key(&key), &key, text(&made["agent"]["id"]))
}

/// A JSON string.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}")).to_owned()
}
