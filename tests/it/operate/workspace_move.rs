//! Moving a whole workspace: what is exported is imported as it was, goes on there, and nothing else is
//! touched.

use std::{
    collections::BTreeSet,
    io::Cursor,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
    sync::atomic::{AtomicBool, Ordering},
};

use axum::Router;
use futures_util::future::join_all;
use muster::{
    app::{
        App,
        moving::{MoveError, import::Imported},
    },
    clock::Clock,
    domain::{
        ids::WorkspaceId,
        moving::{Header, Tally},
    },
    entropy::Entropy,
    http::docs,
    store::{
        self,
        moving::{STAYING, Staying, moved},
    },
};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    contract::upgrade::lively::lively,
    journal::{execute, seal_all},
    support::{
        agent::Agent,
        database::{TestDatabase, fresh_database},
        dump::{dump, same},
        fleet::{Fleet, router},
        invariants::{verify, verify_rested},
        scratch_dir,
    },
};

/// Another server, with an empty database.
struct Server {
    app: App,
    pool: PgPool,
    router: Router,
    database: TestDatabase,
}

async fn server(clock: Clock) -> Server {
    let database = fresh_database().await;
    let pool = store::connect(database.connect_options(), 5).await.unwrap();
    let app = App::new(pool.clone(), clock, Entropy::system());
    Server { router: router(&app), app, pool, database }
}

/// A server by the clock of the fleet.
async fn beside(fleet: &Fleet) -> Server {
    server(Clock::Manual(fleet.clock.clone())).await
}

async fn first(app: &App) -> WorkspaceId {
    app.workspaces().await.unwrap()[0]
}

async fn export(app: &App, workspace: WorkspaceId) -> String {
    let mut file = Vec::new();
    let admin = app.local_admin(Some(workspace)).await.unwrap();
    admin.export_workspace(&mut file).await.unwrap();
    String::from_utf8(file).unwrap()
}

async fn import(app: &App, file: &str, dry_run: bool) -> Result<Imported, MoveError> {
    app.import_workspace(&mut Cursor::new(file.as_bytes()), dry_run).await
}

/// The agent at another server.
fn at(agent: &Agent, server: &Server) -> Agent {
    Agent { client: agent.client.to(server.router.clone()), ..agent.clone() }
}

/// What stays, what is hard to write as JSON, and an identity.
const AWKWARD: &str = r#"
    insert into secrets (workspace_id, secret_id, purpose, name, master_key_fingerprint, wrapped_key,
                         sealed, created_at, updated_at)
    select workspace_id, gen_random_uuid(), 'planner_key', 'hidden-secret', repeat('0', 16),
           decode(repeat('00', 72), 'hex'), decode(repeat('00', 41), 'hex'), now(), now()
    from workspaces;
    insert into sessions (workspace_id, session_id, token_sha256, person, key_id, role, created_at,
                          last_seen_at, idle_ends_at, expires_at)
    select workspace_id, gen_random_uuid(), decode(repeat('00', 32), 'hex'), 'hidden-session', key_id,
           role, now(), now(), now(), now()
    from keys where role = 'admin';
    insert into identities (workspace_id, identity_id, issuer, subject, person, role, key_id, created_at,
                            updated_at, last_signed_in_at)
    select workspace_id, key_id, 'https://id.example.com', key_id::text, 'ann@example.com', role, key_id,
           now(), now(), now()
    from keys where role = 'operator';
    update goal_texts set brief = E'\u2028 " \\ \t \n \u0085 é \U0001F600',
        metadata = '{"n": 123456789012345678901234567890.1200, "least": 1e-30, "null": null}';
    update attempt_results set result = 'null' where result is not null;
"#;

/// Paths of the lists, which need no argument; without those about the server.
fn lists() -> Vec<String> {
    let document: Value = serde_json::from_str(&docs::document().unwrap()).unwrap();
    let apart = ["/v1/supervisor", "/v1/verify", "/v1/audit/verify", "/v1/whoami", "/v1/sessions"];
    let wants = |get: &Value| {
        let parameters = get["parameters"].as_array().cloned().unwrap_or_default();
        parameters.iter().any(|parameter| parameter["required"] == true)
    };
    let paths = document["paths"].as_object().unwrap().iter().filter(|(path, operations)| {
        let list = path.starts_with("/v1/") && !path.contains(['{']) && !path.contains("/sign-in/");
        list && !apart.contains(&path.as_str())
            && operations.get("get").is_some_and(|get| !wants(get))
    });
    paths.map(|(path, _)| path.clone()).collect()
}

#[tokio::test]
async fn a_workspace_moves_with_everything_and_goes_on() {
    let fleet = lively().await;
    let agent = fleet.agent("mover", &["move"], 5).await;
    for _ in 0..2 {
        fleet.lone_task(json!({"capabilities": ["move"], "priority": 9})).await;
    }
    let held = agent.take().await;
    let goal = json!({"title": "once", "tasks": [{"ref": "a", "title": "a"}]});
    let posted = fleet.admin.post("/v1/goals", &goal).idempotency_key("moved").await.value(201);
    execute(&fleet.pool, AWKWARD).await;
    fleet.round().await;
    let all = fleet.app.workspaces().await.unwrap();
    let before = dump(&fleet.pool).await;

    let file = export(&fleet.app, all[0]).await;
    same("an export", &before, &dump(&fleet.pool).await);
    assert!(all.len() > 1);
    for other in &all[1..] {
        assert!(!file.contains(&other.to_string()), "a row of another workspace");
    }
    for hidden in ["hidden-secret", "hidden-session", "supervisor_duties"] {
        assert!(!file.contains(hidden), "{hidden} is in the file");
    }

    let copy = beside(&fleet).await;
    let found = import(&copy.app, &file, false).await.unwrap();
    assert!(found.stored && found.rows as usize == file.lines().count() - 2, "{found:?}");
    let copied = export(&copy.app, all[0]).await;
    for (copied, original) in copied.lines().zip(file.lines()) {
        assert_eq!(copied, original);
    }
    assert_eq!(copied.len(), file.len());
    let lists = lists();
    assert!(lists.len() > 15, "{lists:?}");
    for path in lists {
        let here = fleet.admin.get(&path).await.expect(200);
        let there = fleet.admin.to(copy.router.clone()).get(&path).await.expect(200);
        let [here, there] = [here, there].map(|answer| String::from_utf8(answer.body).unwrap());
        assert_eq!(here, there, "{path}");
    }
    verify_rested(&copy.pool, fleet.now()).await;

    let agent = at(&agent, &copy);
    agent.beat(&held).await;
    agent.complete(&held).await;
    agent.complete(&agent.take().await).await;
    let admin = fleet.admin.to(copy.router.clone());
    let again = admin.post("/v1/goals", &goal).idempotency_key("moved").await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json::<Value>()["id"], posted["id"]);
    admin.post("/v1/goals", &goal).await.expect(201);
    assert!(seal_all(&copy.app).await.holds);
    verify(&copy.pool).await;
}

/// A small workspace with some finished work, and its agent.
async fn small() -> (Fleet, Agent) {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let tasks = json!([
        {"ref": "child", "title": "t", "parent": "box"},
        {"ref": "box", "title": "t"},
        {"ref": "after", "title": "t", "needs": ["child"]},
    ]);
    fleet.post_goal(json!({"title": "small", "project": "p", "tasks": tasks})).await;
    agent.complete(&agent.take().await).await;
    (fleet, agent)
}

#[tokio::test]
async fn an_import_never_writes_over_anything() {
    let (fleet, agent) = small().await;
    let workspace = first(&fleet.app).await;
    let file = export(&fleet.app, workspace).await;
    let copy = beside(&fleet).await;
    copy.app.bootstrap(None).await.unwrap();

    let before = dump(&copy.pool).await;
    assert!(import(&copy.app, &file, true).await.unwrap().stored);
    same("a dry run", &before, &dump(&copy.pool).await);

    let (one, two) = tokio::join!(import(&copy.app, &file, false), import(&copy.app, &file, false));
    assert_ne!(one.unwrap().stored, two.unwrap().stored, "two at once");
    let imported = dump(&copy.pool).await;
    for dry_run in [false, true] {
        assert!(!import(&copy.app, &file, dry_run).await.unwrap().stored);
    }
    same("a second import", &imported, &dump(&copy.pool).await);

    let differs = async |said: &str| {
        let before = dump(&copy.pool).await;
        let error = import(&copy.app, &file, false).await.unwrap_err();
        assert!(matches!(error, MoveError::Differs(..)), "{error}");
        assert!(error.to_string().contains(said), "{error}");
        same("a refused import", &before, &dump(&copy.pool).await);
    };
    execute(&copy.pool, "delete from goal_texts").await;
    differs("is only in the file").await;
    execute(&copy.pool, "update projects set description = 'other'").await;
    differs("has another `description`").await;
    at(&agent, &copy).take().await;
    differs("The first difference: `").await;
}

/// The file with other lines between the first and the last, and the right digest.
fn signed(file: &str, edit: impl Fn(&'static str, &str) -> Option<String>) -> String {
    let tables: Vec<&'static str> = moved().collect();
    let mut tally = Tally::new(&tables);
    let header = Header::read(file.lines().next().unwrap().as_bytes()).unwrap();
    let mut text = tally.header(&header);
    for line in file.lines().skip(1).filter(|line| line.starts_with("{\"table\":")) {
        let (table, row) = line.strip_suffix('}').unwrap().split_once("\",\"row\":").unwrap();
        let table = table.strip_prefix("{\"table\":\"").unwrap();
        let table = tables.iter().copied().find(|name| *name == table).unwrap();
        if let Some(row) = edit(table, row) {
            text += &tally.row(table, &row);
        }
    }
    text + &tally.end()
}

#[tokio::test]
async fn a_file_that_is_not_whole_is_refused_and_nothing_is_written() {
    let (fleet, _) = small().await;
    let file = export(&fleet.app, first(&fleet.app).await).await;
    assert_eq!(signed(&file, |_, row| Some(row.to_owned())), file);
    let audit = fleet.admin.get("/v1/audit/export").await.expect(200);
    let audit = String::from_utf8(audit.body).unwrap();
    let lines: Vec<&str> = file.lines().collect();
    let without = |place: usize| {
        let kept = lines.iter().enumerate().filter(|(line, _)| *line != place);
        kept.map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    let replaced = |from: &str, to: &str| {
        assert!(file.contains(from), "{from}");
        file.replacen(from, to, 1)
    };
    let schema = store::schema_version();
    let newer = format!("\"schema_version\":{}", schema + 1);
    let in_table = |name: &'static str, edit: &dyn Fn(&str) -> Option<String>| {
        signed(&file, |table, row| if table == name { edit(row) } else { Some(row.to_owned()) })
    };
    let workspace = first(&fleet.app).await.to_string();

    let copy = beside(&fleet).await;
    let before = dump(&copy.pool).await;
    for (file, said) in [
        (String::new(), "not an export"),
        ("PK\u{3}\u{4}".to_owned(), "not an export"),
        (audit, "not an export"),
        (file[..file.len() / 2].to_owned(), "cut off"),
        (without(lines.len() - 1), "cut off"),
        (without(5), "changed after the export"),
        (replaced("\"title\":\"small\"", "\"title\":\"large\""), "changed after the export"),
        (format!("{file}{file}"), "after the last line"),
        (replaced("\"format_version\":1", "\"format_version\":2"), "version 2 of the format"),
        (replaced(&format!("\"schema_version\":{schema}"), &newer), "import it with muster"),
        (in_table("projects", &|row| Some(row.replace(&workspace, &fleet.no_id()))), "is refused"),
        (
            in_table("agent_presence", &|row| Some(row.replace(&workspace, &fleet.no_id()))),
            "stored otherwise",
        ),
        (in_table("goals", &|_| None), "is refused"),
        (in_table("goals", &|row| Some(row.replacen('{', "{\"more\":1,", 1))), "stored otherwise"),
        (in_table("plans", &|row| Some(row[1..].to_owned())), "is refused"),
    ] {
        for dry_run in [true, false] {
            let error = import(&copy.app, &file, dry_run).await.unwrap_err().to_string();
            assert!(error.contains(said), "{said}: {error}");
            assert!(error.contains("nothing was changed"), "{error}");
            same(said, &before, &dump(&copy.pool).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_beside_agents_is_one_moment() {
    let fleet = Fleet::on_time().await;
    let agent = fleet.worker().await;
    let workspace = first(&fleet.app).await;
    let over = AtomicBool::new(false);
    let work = async {
        let names = ["a", "b", "c", "d", "e", "f"];
        let tasks = names.map(|name| json!({"ref": name, "title": name, "needs": []}));
        while !over.load(Ordering::Relaxed) {
            let held = agent.claim(5).await;
            if held.is_empty() {
                fleet.goal(json!(tasks)).await;
            }
            join_all(held.iter().map(|held| agent.complete(held))).await;
        }
    };
    let exports = async {
        let mut files = Vec::new();
        for number in [60, 160] {
            fleet.until(&format!("select last_number > {number} from journal_heads")).await;
            files.push(export(&fleet.app, workspace).await);
        }
        over.store(true, Ordering::Relaxed);
        files
    };
    let ((), files) = tokio::join!(work, exports);
    for file in files {
        let copy = server(Clock::Database).await;
        assert!(import(&copy.app, &file, false).await.unwrap().stored);
        verify(&copy.pool).await;
        assert!(seal_all(&copy.app).await.holds);
        at(&agent, &copy).work_off().await;
        verify(&copy.pool).await;
    }
}

#[tokio::test]
async fn every_table_moves_or_says_why_not() {
    let database = fresh_database().await;
    let pool = database.pool().await;
    let stored: BTreeSet<String> = sqlx::query_scalar(
        "select relname::text from pg_class where relnamespace = 'public'::regnamespace
           and relkind in ('r', 'p') and not relispartition and relname <> '_sqlx_migrations'",
    )
    .fetch_all(&pool)
    .await
    .unwrap()
    .into_iter()
    .collect();
    let mut listed: BTreeSet<String> = moved().map(str::to_owned).collect();
    for Staying { name, why } in STAYING {
        assert!(why.len() > 20, "{name} does not say why it stays");
        assert!(listed.insert((*name).to_owned()), "{name} moves and stays");
    }
    assert_eq!(listed, stored, "other tables move or stay than the schema has");

    let references: Vec<(String, String, String, bool)> = sqlx::query_as(
        "select conname::text, conrelid::regclass::text, confrelid::regclass::text, condeferrable
         from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let place = |name: &str| moved().position(|table| table == name);
    assert!(references.len() > 40, "{references:?}");
    for (name, from, to, deferrable) in references {
        let Some(from) = place(&from) else { continue };
        let to = place(&to).unwrap_or_else(|| panic!("{name} leads to a table that stays"));
        assert!(to < from || deferrable, "{name} leads to a table that is stored later");
    }

    let counted: Vec<String> = sqlx::query_scalar(
        "select table_name || '.' || column_name from information_schema.columns
         where table_schema = 'public' and table_name <> '_sqlx_migrations'
           and (is_identity = 'YES' or column_default like 'nextval%')",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(counted, [""; 0], "an import would not move the sequence of these columns");
}

fn muster(database: &TestDatabase, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.arg("workspace").args(args).env("DATABASE_URL", database.url());
    command.output().unwrap()
}

#[track_caller]
fn says(output: Output, status: i32, said: &str) -> String {
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(status), "{text:?}");
    assert!(text.concat().contains(said), "{said}: {text:?}");
    let [stdout, _] = text;
    stdout
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_moves_a_workspace() {
    let (fleet, _) = small().await;
    let workspace = first(&fleet.app).await.to_string();
    let copy = beside(&fleet).await;
    let dir = scratch_dir();
    let path = dir.path().join("default.ndjson");
    let file = path.to_str().unwrap();
    let export = |name: &str, output: &str| {
        muster(&fleet.database, &["export", "--workspace", name, "--output", output])
    };

    says(export("default", file), 0, &format!("exported workspace {workspace}: "));
    assert_eq!(std::fs::metadata(Path::new(file)).unwrap().permissions().mode() & 0o777, 0o600);
    says(export("default", file), 1, "File exists");
    says(export("nobody", "-"), 1, "there is no such workspace");
    let lines = says(export(&workspace, "-"), 0, "\"format\":\"muster-workspace\"");
    let written = std::fs::read_to_string(file).unwrap();
    let rows = |text: &str| text.lines().filter(|line| line.contains("\"table\":")).count();
    assert_eq!((rows(&lines), lines.lines().count()), (rows(&written), written.lines().count()));

    let import = |args: &[&str]| muster(&copy.database, &[&["import", file][..], args].concat());
    says(import(&["--dry-run"]), 0, "can be imported");
    assert!(copy.app.workspaces().await.unwrap().is_empty());
    says(import(&[]), 0, &format!("imported workspace {workspace}: "));
    says(import(&[]), 0, "is here already");
    execute(&copy.pool, "update workspaces set name = 'other'").await;
    says(import(&[]), 1, &format!("`workspaces` workspace_id \"{workspace}\" has another `name`"));

    fleet.other_workspace().await;
    says(muster(&fleet.database, &["export", "--output", "-"]), 1, "there are several workspaces");
}
