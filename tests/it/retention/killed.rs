//! The command, and a pruning that is killed: whole goals went, and a rerun finishes.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use sqlx::ConnectOptions as _;

use super::keep;
use crate::support::{fleet::Fleet, invariants::verify, scratch_dir};

fn command(fleet: &Fleet, exports: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command
        .arg("prune")
        .args(args)
        .env("DATABASE_URL", fleet.database.connect_options().to_url_lossy().to_string())
        .env("MUSTER_PRUNE_EXPORT_DIR", exports)
        .stdin(Stdio::null());
    command
}

fn reports(command: &mut Command) -> Value {
    let output = command.arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A cancelled goal of more tasks than two goals of one transaction may have.
async fn ended(fleet: &Fleet) -> String {
    let task = |n: usize| json!({"ref": format!("t{n}"), "title": "t"});
    let goal = fleet.goal((0..120).map(task).collect()).await;
    fleet.admin.post(format!("/v1/goals/{goal}/cancel"), &json!({})).await.expect(200);
    goal
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_pruning_has_deleted_whole_goals_and_a_rerun_finishes() {
    let fleet = Fleet::on_time().await;
    let (first, second) = (ended(&fleet).await, ended(&fleet).await);
    sqlx::query("update goals set ended_at = ended_at - interval '40 days'")
        .execute(&fleet.pool)
        .await
        .unwrap();
    let young = ended(&fleet).await;
    keep(&fleet.admin, Some(30), None).await;
    let dir = scratch_dir();
    let exports = dir.path().join("exports");
    let would = reports(&mut command(&fleet, &exports, &["--dry-run"]));
    assert_eq!((&would[0]["goals"], &would[0]["dry_run"]), (&json!(2), &json!(true)), "{would:#}");
    assert!(!exports.exists(), "a dry run writes nothing");
    let refused = command(&fleet, &exports, &[]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("make it first"), "{said}");
    assert!(!exports.exists(), "a mistyped directory is not made");
    std::fs::create_dir(&exports).unwrap();

    // It stands still in its second transaction.
    let mut lock = fleet.pool.begin().await.unwrap();
    sqlx::query("select from tasks where goal_id = $1::uuid for update")
        .bind(&second)
        .execute(&mut *lock)
        .await
        .unwrap();
    let mut child: Child = command(&fleet, &exports, &[]).stdout(Stdio::null()).spawn().unwrap();
    fleet.until_blocked(1).await;
    child.kill().unwrap();
    child.wait().unwrap();
    lock.rollback().await.unwrap();
    // PostgreSQL notices a moment later that nobody is there.
    let locked = "select not exists (select from pg_locks where relation = 'goals'::regclass
                  and mode = 'RowShareLock')";
    fleet.until(locked).await;
    fleet.admin.get(format!("/v1/goals/{first}")).await.problem(404, "not_found");
    for goal in [&second, &young] {
        assert_eq!(fleet.read_goal(goal).await["tasks"]["total"], 120);
    }
    verify(&fleet.pool).await;

    let done = reports(&mut command(&fleet, &exports, &[]));
    assert_eq!((&done[0]["goals"], &done[0]["exported"]), (&json!(1), &json!(1)), "{done:#}");
    fleet.admin.get(format!("/v1/goals/{second}")).await.problem(404, "not_found");
    fleet.read_goal(&young).await;
    verify(&fleet.pool).await;
    let mut names: Vec<String> = std::fs::read_dir(&exports)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let workspace = fleet.workspace;
    let mut expected = [&first, &second].map(|goal| format!("{workspace}.{goal}.ndjson"));
    expected.sort();
    assert_eq!(names, expected);
    let text = std::fs::read_to_string(exports.join(&names[0])).unwrap();
    assert!(text.lines().count() > 240 && text.ends_with("}\n"));
}
