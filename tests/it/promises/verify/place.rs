//! A busy workspace: something of every kind in every state that it can rest in.

use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};

use crate::support::{
    database::TestDatabase,
    fleet::{Fleet, text},
};

/// Makes it. Goals: `shown` and `after` are done; `box` failed; all others are of one that goes on;
/// and one is proposed.
pub async fn busy() -> Fleet {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let limits = json!([{"unit": "usd_micros", "amount": 1000}]);
    let budget = json!({"node": "workspace", "budget": {"limits": limits}});
    fleet.admin.post("/v1/budgets", &budget).await.expect(201);
    done(&fleet, &agent).await;
    failed(&fleet, &agent).await;
    going_on(&fleet, &agent).await;
    let proposed = json!({"title": "proposed", "approval": {"plan": true},
                          "tasks": [{"ref": "planned", "title": "t"}]});
    fleet.post_goal(proposed).await;
    fleet.round().await;
    fleet
}

async fn done(fleet: &Fleet, agent: &crate::support::agent::Agent) {
    let tasks = json!([
        {"ref": "ticked", "title": "t", "done": true},
        {"ref": "shown", "title": "t", "criteria": [{"text": "it works"}]},
        {"ref": "after", "title": "t", "needs": ["shown"]},
    ]);
    let goal = fleet.post_goal(json!({"title": "done", "project": "p", "tasks": tasks})).await;
    let held = agent.take().await;
    let spend = json!({"entries": [{"key": "one", "amounts": {"usd_micros": 5}}],
                       "totals": {"usd_micros": 7}});
    let evidence = json!([{"criterion": 1, "text": "see the log"}]);
    fleet.pass(1);
    let body = json!({"evidence": evidence, "spend": spend});
    agent.write(&held, "complete", body).await.value(200);
    assert_eq!(agent.work_off().await, ["after"]);
    assert_eq!(fleet.goal_state(&goal).await, "completed");
}

async fn failed(fleet: &Fleet, agent: &crate::support::agent::Agent) {
    let tasks = json!([
        {"ref": "box", "title": "t"},
        {"ref": "good", "title": "t", "parent": "box", "priority": 9},
        {"ref": "bad", "title": "t", "parent": "box"},
    ]);
    let goal = fleet.goal(tasks).await;
    fleet.pass(1);
    agent.complete(&agent.take().await).await;
    agent.fail(&agent.take().await, "permanent").await;
    assert_eq!(fleet.goal_state(&goal).await, "failed");
}

async fn going_on(fleet: &Fleet, agent: &crate::support::agent::Agent) {
    let tasks = json!([
        {"ref": "twice", "title": "t", "priority": 9},
        {"ref": "hopeless", "title": "t", "priority": 8},
        {"ref": "reviewed", "title": "t", "priority": 7, "approval": {"result": true}},
        {"ref": "later", "title": "t", "priority": 6},
        {"ref": "busy", "title": "t", "priority": 5},
        {"ref": "open", "title": "t", "priority": 4},
        {"ref": "blocked", "title": "t", "needs": ["open"]},
        {"ref": "asked", "title": "t", "approval": {"start": true}},
        {"ref": "closed", "title": "t", "needs": ["open"]},
        {"ref": "inner", "title": "t", "parent": "closed"},
        {"ref": "beside", "title": "t", "priority": 9, "capabilities": ["beside"],
         "lease_seconds": 3600, "concurrency_keys": ["deploy"], "touches": [{"resource": "src/**"}]},
    ]);
    let goal = fleet.goal(tasks).await;
    agent.release(&agent.take().await).await;
    fleet.pass(1);
    agent.complete(&agent.take().await).await;
    agent.fail(&agent.take().await, "permanent").await;
    agent.complete(&agent.take().await).await;
    agent
        .write(
            &agent.take().await,
            "fail",
            json!({"class": "transient",
        "retry_after_seconds": 3600}),
        )
        .await
        .value(200);
    agent.release(&agent.take().await).await;
    let held = agent.take().await;
    assert_eq!((held.name.as_str(), held.number), ("busy", 2));
    // The only one with grants, and the only one that its agent can do.
    let other = fleet.agent("beside", &["beside"], 1).await;
    assert_eq!(other.take().await.name, "beside");
    let expected = "twice:done hopeless:failed reviewed:reviewing later:waiting busy:running \
                    open:ready blocked:waiting asked:parked closed:waiting inner:waiting \
                    beside:running";
    fleet.expect_states(&goal, expected).await;
    assert_eq!(text(&fleet.read_goal(&goal).await["state"]), "active");
}

/// Takes away what stands in the way of damage, and gives it words.
pub async fn open_to_damage(database: &TestDatabase) -> PgPool {
    let pool = database.pool().await;
    for statement in TOOLS {
        execute(&pool, statement).await;
    }
    pool
}

pub async fn execute(pool: &PgPool, statement: &str) {
    let done = sqlx::query(AssertSqlSafe(statement)).execute(pool).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

const TOOLS: &[&str] = &[
    "do $$ declare c record; begin
        for c in select conrelid::regclass as t, conname from pg_constraint
                 where contype = 'c' and connamespace = 'public'::regnamespace
        loop execute format('alter table %s drop constraint %I', c.t, c.conname); end loop;
     end $$",
    "alter table journal disable trigger all",
    "drop index attempts_one_live_per_task",
    "create function task(name text) returns uuid language sql as
     'select task_id from tasks where ref = name'",
    "create function goal(task text) returns uuid language sql as
     'select goal_id from tasks where ref = task'",
    "create function attempt(task text, n int) returns uuid language sql as
     'select attempt_id from attempts where task_id = task(task) and number = n'",
    "create function tell(kind text, task uuid, goal uuid) returns void language sql as
     'update journal_heads set last_number = last_number + 1;
      insert into journal (workspace_id, number, at, kind, public, goal_id, task_id, subject,
                           subject_id, data, data_version)
      select h.workspace_id, h.last_number, w.created_at, kind, true, goal, task, ''task'',
             coalesce(task, goal), ''{}'', 1
      from journal_heads h join workspaces w using (workspace_id)'",
];
