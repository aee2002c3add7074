//! The key of a planner in a real process: it goes to the model, and nowhere else, whatever the model answers.

use std::{
    io::Write as _,
    sync::{Arc, PoisonError},
};

use hyper::Method;
use serde_json::{Value, json};

use crate::{
    promises::faults::server::{Heard, Server, Settings},
    support::{
        client::Client,
        dump::dump,
        fleet::{Fleet, text},
        model_stub::{Act, ModelStub},
    },
};

/// The keys of the service and of a workspace.
const SERVICE: &str = "sk-service-5b0e77c1d94a";
const WORKSPACE: &str = "sk-workspace-e1f29a6b30c8";
const BRIEF: &str = "# Importer\n\n- [ ] T001 Read the specification\n";

fn plan() -> String {
    let task = json!({"ref": "schema", "title": "Write the schema", "description": "", "needs": [], "parent": null,
                      "capabilities": ["rust"], "priority": null, "estimate": null,
                      "criteria": [{"text": "`cargo test` passes", "required": true}]});
    json!({"tasks": [task]}).to_string()
}

/// What a model may answer: a plan, and errors that repeat the key.
fn answers(key: &str, elsewhere: &str) -> Vec<(&'static str, Act)> {
    let page = format!("<p>bad key {key}</p>");
    vec![
        ("a plan", Act::Say(plan())),
        ("the key echoed", Act::Fault(401, "authentication_error", format!("bad key {key}"))),
        ("the key echoed in HTML", Act::Raw(403, "text/html", page.clone())),
        ("the key in a good answer", Act::Raw(200, "text/html", page)),
        ("a redirect", Act::Redirect(elsewhere.to_owned())),
        ("a redirect with the key", Act::Redirect(format!("{elsewhere}?key={key}"))),
        ("a refusal", Act::Refuse("I cannot help with that".to_owned())),
    ]
}

struct Scene {
    fleet: Fleet,
    stub: ModelStub,
    other: ModelStub,
    client: Client,
    heard: Heard,
    server: Server,
    // The server reads it when it uses a secret.
    _master: tempfile::NamedTempFile,
}

impl Scene {
    async fn start() -> Self {
        let fleet = Fleet::start().await;
        fleet.agent("coder", &["rust"], 1).await;
        let (stub, other) = (ModelStub::play([]).await, ModelStub::play([]).await);
        let mut master = tempfile::NamedTempFile::new().unwrap();
        let line: String = (1..=32).map(|byte| format!("{byte:02x}")).collect();
        writeln!(master, "{line}").unwrap();
        let heard = Heard::default();
        let settings = Settings {
            database_url: fleet.database.url(),
            listen: "127.0.0.1:0".to_owned(),
            bootstrap_key: fleet.admin_key.clone(),
            more: vec![
                ("MUSTER_LOG", "trace".to_owned()),
                ("MUSTER_SECRET_KEY_FILE", master.path().to_str().unwrap().to_owned()),
                ("MUSTER_PLANNER_API", "openai_chat".to_owned()),
                ("MUSTER_PLANNER_URL", stub.url()),
                ("MUSTER_PLANNER_MODEL", "a-model".to_owned()),
                ("MUSTER_PLANNER_KEY", SERVICE.to_owned()),
                ("MUSTER_PLANNER_HOSTS", stub.address.to_string()),
            ],
        };
        let server = Server::start_heard(settings, Arc::clone(&heard)).await;
        let base = format!("http://{}", server.address());
        let client = Client::at(base).with_key(&fleet.admin_key);
        Self { fleet, stub, other, client, heard, server, _master: master }
    }

    /// Has the model answer a first plan, and another answer a new plan.
    async fn plan(&self, act: Act) -> String {
        self.stub.then([act]);
        let body = json!({"title": "Importer", "brief": BRIEF, "planners": ["llm", "outline"]});
        let goal = self.client.post("/v1/goals?wait_seconds=60", &body).await.value(201);
        assert_eq!(goal["state"], "active", "{goal:#}");
        text(&goal["id"])
    }

    async fn plan_anew(&self, goal: &str, act: Act) {
        self.stub.then([act]);
        let body = json!({"planners": ["llm"], "reason": "again"});
        let path = format!("/v1/goals/{goal}/replan?wait_seconds=60");
        let answer = self.client.post(path, &body).await.value(200);
        assert_ne!(answer["outcome"], "planning", "{answer:#}");
    }

    /// Panics if a key is in an answer, a row, or anything that the server said so far.
    async fn hides(&self, what: &str, goal: &str) {
        let hidden = |place: &str, text: &str| {
            for key in [SERVICE, WORKSPACE] {
                assert!(!text.contains(key), "{what}: {place}: {text}");
            }
        };
        for path in [
            format!("/v1/goals/{goal}"),
            format!("/v1/goals/{goal}/plans"),
            format!("/v1/goals/{goal}/planning"),
            "/v1/planner".to_owned(),
            "/v1/events".to_owned(),
            "/v1/audit".to_owned(),
            "/v1/audit/export".to_owned(),
        ] {
            let shown = self.client.get(path.as_str()).await.expect(200);
            hidden(&path, &String::from_utf8_lossy(&shown.body));
        }
        for (table, rows) in dump(&self.fleet.pool).await {
            for row in rows {
                hidden(&table, &row);
            }
        }
        for line in self.heard.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            hidden("the log", line);
        }
    }

    /// Whether the model was sent this key.
    fn was_sent(&self, key: &str) -> bool {
        let received = self.stub.received();
        received
            .iter()
            .any(|request| request.header("authorization").is_some_and(|value| value.contains(key)))
    }

    async fn try_all(&self, key: &str) {
        for (what, act) in answers(key, &self.other.url()) {
            let goal = self.plan(act).await;
            self.hides(what, &goal).await;
        }
        for (what, act) in answers(key, &self.other.url()).into_iter().take(5) {
            let goal = self.plan(Act::Say(plan())).await;
            self.plan_anew(&goal, act).await;
            self.hides(what, &goal).await;
        }
        assert!(self.was_sent(key), "nobody was sent the key");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_a_planner_is_in_no_log_no_row_and_no_answer() {
    let scene = Scene::start().await;
    scene.try_all(SERVICE).await;

    let spec = json!({"api": "openai_chat", "url": scene.stub.url(), "model": "a-model", "key": WORKSPACE});
    let set = scene.client.call(Method::PUT, "/v1/planner").if_match("*");
    let set: Value = set.bytes("application/json", spec.to_string()).await.value(200);
    assert_eq!(set["has_key"], true);
    assert!(!scene.was_sent(WORKSPACE));
    scene.try_all(WORKSPACE).await;
    assert!(scene.other.received().is_empty(), "a redirect was followed");

    let Scene { server, heard, fleet, .. } = scene;
    server.signal(rustix::process::Signal::TERM);
    server.ended().await;
    let said = heard.lock().unwrap().join("\n");
    assert!(
        said.contains("\"level\":\"TRACE\"") && said.contains("/v1/goals"),
        "the log was not kept"
    );
    for key in [SERVICE, WORKSPACE] {
        assert!(!said.contains(key));
    }
    drop(fleet);
}
