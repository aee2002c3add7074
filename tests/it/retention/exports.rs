//! Exports: a goal is deleted only after what is deleted was kept.

use std::{
    io,
    sync::{Arc, Mutex},
};

use muster::{
    app::retention::export::{GoalFile, GoalFiles},
    domain::ids::{GoalId, WorkspaceId},
};
use serde_json::Value;
use sqlx::PgPool;
use tokio::runtime::Handle;

use super::{DAY, keep, worked_off};
use crate::support::{fleet::Fleet, invariants::verify};

/// What happens when a file is to be kept.
#[derive(Debug, Clone)]
enum Then {
    Kept,
    /// The disk is full.
    Fails,
    /// The goal changes at that moment.
    Changes(PgPool),
}

/// Keeps exports in memory.
#[derive(Debug, Clone)]
struct Memory {
    then: Then,
    kept: Arc<Mutex<Vec<(GoalId, String)>>>,
}

struct Text(Memory, GoalId, Vec<u8>);

impl GoalFiles for Memory {
    fn begin(&self, _: WorkspaceId, goal: GoalId) -> io::Result<Box<dyn GoalFile>> {
        Ok(Box::new(Text(self.clone(), goal, Vec::new())))
    }
}

impl GoalFile for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.2.extend(bytes);
        Ok(())
    }

    fn keep(self: Box<Self>) -> io::Result<()> {
        let Self(memory, goal, bytes) = *self;
        match memory.then {
            Then::Kept => {}
            Then::Fails => return Err(io::Error::other("no space left")),
            Then::Changes(pool) => {
                let change = sqlx::query("update task_texts set labels = '{late}'");
                Handle::current().block_on(change.execute(&pool)).unwrap();
            }
        }
        memory.kept.lock().unwrap().push((goal, String::from_utf8(bytes).unwrap()));
        Ok(())
    }
}

#[tokio::test]
async fn a_goal_is_exported_as_it_was_before_it_goes() {
    let fleet = Fleet::start().await;
    let agent = fleet.worker().await;
    let (goal, held) = worked_off(&fleet, &agent, "old").await;
    keep(&fleet.admin, Some(30), None).await;
    fleet.pass(31 * DAY);
    let workspace = fleet.workspace;
    let with = |then: Then| {
        let memory = Memory { then, kept: Arc::default() };
        (fleet.app.clone().with_goal_files(Arc::new(memory.clone())), memory.kept)
    };

    let (app, _) = with(Then::Fails);
    let failed = app.local_admin(Some(workspace)).await.unwrap().prune().await.unwrap_err();
    assert!(failed.to_string().contains("no space left"), "{failed}");
    fleet.read_goal(&goal).await;

    let (app, _) = with(Then::Changes(fleet.pool.clone()));
    let report = app.local_admin(Some(workspace)).await.unwrap().prune().await.unwrap();
    assert_eq!((report.goals, report.left), (0, 1), "{report:#?}");
    fleet.read_goal(&goal).await;

    let stored: i64 = super::count(&fleet, "select count(*) from journal").await;
    let (app, kept) = with(Then::Kept);
    let report = app.local_admin(Some(workspace)).await.unwrap().prune().await.unwrap();
    assert_eq!((report.goals, report.exported, report.left), (1, 1, 0), "{report:#?}");
    fleet.admin.get(format!("/v1/goals/{goal}")).await.problem(404, "not_found");
    assert_eq!(super::count(&fleet, "select count(*) from journal").await, stored + 1);
    verify(&fleet.pool).await;

    let kept = kept.lock().unwrap().clone();
    let [(id, text)] = kept.as_slice() else { panic!("not one export: {}", kept.len()) };
    assert_eq!(id.to_string(), goal);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["goal_export"]["goal_id"], *goal);
    let exported: i64 = report.tables.iter().map(|table| table.rows).sum();
    assert_eq!(lines.len() as i64 - 1, exported, "every row that went is in the export");
    // What others refer to comes first.
    assert_eq!(lines[1]["table"], "goals");
    let of = |table: &str| lines.iter().find(|line| line["table"] == table).unwrap()["row"].clone();
    assert_eq!(of("attempts")["attempt_id"], *held.attempt);
    assert_eq!(of("spend_entries")["amount"], 10);
    assert_eq!(of("task_texts")["labels"][0], "late");
    assert_eq!(of("attempt_results")["result"]["by"], "a");
}
