//! The whole service in this process: the use cases on a database of the test's own, with a clock
//! that the test moves by hand, behind the routes that it serves.

use std::{pin::Pin, sync::Arc};

use super::{
    client::Client,
    database::{TestDatabase, fresh_database},
    fleet::local_key,
};
use chrono::DateTime;
use metrics_exporter_prometheus::PrometheusBuilder;
use muster::{
    app::{App, access::bootstrap::Bootstrap},
    clock::{Clock, ManualClock},
    domain::{access::token::Token, ids::WorkspaceId},
    entropy::Entropy,
    http::{
        self,
        state::{Check, HttpState, Limits, Readiness},
    },
};
use serde_json::{Value, json};

/// A service of one test.
pub struct Service {
    pub app: App,
    /// Stands at 2030-01-01 until it is moved.
    pub clock: ManualClock,
    pub workspace: WorkspaceId,
    /// The first admin.
    pub admin: Client,
    /// The token of the first admin.
    pub admin_token: String,
    /// Without a key.
    pub anybody: Client,
    // The last to go: its database must outlive the pool.
    _database: TestDatabase,
}

#[derive(Debug)]
struct Always;

impl Readiness for Always {
    fn check(&self) -> Pin<Box<dyn Future<Output = Vec<Check>> + Send + '_>> {
        Box::pin(async { Vec::new() })
    }
}

impl Service {
    pub async fn start() -> Self {
        let database = fresh_database().await;
        let clock = ManualClock::at(DateTime::from_timestamp(1_893_456_000, 0).unwrap());
        let app = App::new(database.pool().await, Clock::Manual(clock.clone()), Entropy::system());
        let Bootstrap::Made(token) = app.bootstrap(None).await.unwrap() else {
            panic!("a fresh database has a workspace");
        };
        let anybody = client_of(&app);
        let admin_token = token.expose().to_owned();
        Self {
            workspace: token.workspace(),
            admin: anybody.with_key(&admin_token),
            admin_token,
            anybody,
            clock,
            app,
            _database: database,
        }
    }

    /// A client with a new key of this role.
    pub async fn with_role(&self, role: &str) -> Client {
        if role == "agent" {
            return self.agent("somebody", &[]).await.client;
        }
        let role = serde_json::from_value(json!(role)).unwrap();
        self.anybody.with_key(local_key(&self.app, self.workspace, role, None).await)
    }

    /// A registered agent.
    pub async fn agent(&self, name: &str, capabilities: &[&str]) -> Agent {
        let body = json!({"name": name, "capabilities": capabilities});
        let answer = self.admin.post("/v1/agents", &body).await;
        let registration: Value = answer.json();
        let token = registration["token"].as_str().expect("a registration").to_owned();
        Agent {
            id: registration["agent"]["id"].as_str().unwrap().to_owned(),
            client: self.anybody.with_key(&token),
            token,
        }
    }

    /// Another workspace in the same database, and its admin.
    pub async fn other_workspace(&self) -> Client {
        let token = Token::new(
            self.app.entropy().id(self.clock.now()),
            self.app.entropy().id(self.clock.now()),
            self.app.entropy().bytes(),
        );
        let (workspace, key) = (token.workspace().0, token.key().0);
        let pool = self.app.pool();
        sqlx::query("insert into workspaces values ($1, 'other', now())")
            .bind(workspace)
            .execute(pool)
            .await
            .unwrap();
        sqlx::query(
            "insert into keys (workspace_id, key_id, name, role, secret_sha256, created_at)
             values ($1, $2, 'other', 'admin', $3, now())",
        )
        .bind(workspace)
        .bind(key)
        .bind(token.hash().as_bytes())
        .execute(pool)
        .await
        .unwrap();
        self.anybody.with_key(token.expose())
    }
}

/// A registered agent.
pub struct Agent {
    pub id: String,
    pub token: String,
    pub client: Client,
}

fn client_of(app: &App) -> Client {
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    Client::of(http::router(&HttpState {
        app: Arc::new(app.clone()),
        readiness: Arc::new(Always),
        metrics: Arc::new(metrics),
        limits: Arc::new(Limits::default()),
    }))
}
