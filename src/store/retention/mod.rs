//! Pruning of ended goals: which are due, their locks, their rows and their deletion.
//!
//! The statements on tables are made of [`TABLES`], so they are built at run time; names and conditions are
//! constants of that list. Everything else is checked when it compiles.

pub mod fold;
pub mod single;

use super::{
    Tx,
    columns::uuids,
    tables::{Owned, Owner, TABLES, TablePruning},
    traced,
};
use crate::domain::{
    ids::{GoalId, ProjectId},
    retention::PruningHold,
    states::GoalState,
};
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;

/// An ended goal whose retention is over and that nothing holds.
#[derive(Debug, Clone, Copy)]
pub struct DueGoal {
    /// The goal.
    pub goal_id: GoalId,
    /// Time of its end.
    pub ended_at: DateTime<Utc>,
    /// Number of its tasks.
    pub tasks: i32,
}

/// Up to `rows` due goals that ended at or before a time, after `(time, goal)`, in the order of their ends.
pub async fn due(
    tx: &mut Tx,
    before: DateTime<Utc>,
    after: (DateTime<Utc>, GoalId),
    rows: i64,
) -> sqlx::Result<Vec<DueGoal>> {
    sqlx::query_as!(
        DueGoal,
        r#"select goal_id as "goal_id: GoalId", ended_at as "ended_at!", tasks_total as tasks
           from goals
           where workspace_id = $1 and ended_at <= $2 and (ended_at, goal_id) > ($3, $4)
             and pruning_hold(workspace_id, goal_id, $5) is null
           order by ended_at, goal_id limit $6"#,
        tx.workspace.0,
        before,
        after.0,
        after.1.0,
        tx.now,
        rows,
    )
    .fetch_all(traced!(tx, "retention.due"))
    .await
}

/// The number of goals that ended at or before a time and are held, by reason.
pub async fn held(tx: &mut Tx, before: DateTime<Utc>) -> sqlx::Result<Vec<(PruningHold, i64)>> {
    let rows = sqlx::query!(
        r#"select hold as "hold!: PruningHold", count(*) as "goals!"
           from (select pruning_hold(workspace_id, goal_id, $3) as hold from goals
                 where workspace_id = $1 and ended_at <= $2) h
           where hold is not null group by hold"#,
        tx.workspace.0,
        before,
        tx.now,
    )
    .fetch_all(traced!(tx, "retention.held"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.hold, row.goals)).collect())
}

/// A locked goal that is to be pruned.
#[derive(Debug, Clone)]
pub struct EndedGoal {
    /// The goal.
    pub goal_id: GoalId,
    /// Its project.
    pub project_id: Option<ProjectId>,
    /// Its state.
    pub state: GoalState,
    /// Number of its tasks.
    pub tasks: i32,
    /// Time of its end.
    pub ended_at: DateTime<Utc>,
    /// Its title.
    pub title: String,
}

/// Locks goals that ended at or before a time, then their tasks and attempts, each in id order. Leaves out
/// goals that others have locked, and those that are held: judged under the locks, so late spend is either
/// seen or comes after the deletion.
pub async fn lock(
    tx: &mut Tx,
    goals: &[GoalId],
    before: DateTime<Utc>,
) -> sqlx::Result<Vec<EndedGoal>> {
    let locked = sqlx::query_scalar!(
        r#"select goal_id as "goal_id: GoalId" from goals
           where workspace_id = $1 and goal_id = any($2) and ended_at <= $3
           order by goal_id
           for update skip locked"#,
        tx.workspace.0,
        &uuids(goals),
        before,
    )
    .fetch_all(traced!(tx, "retention.lock"))
    .await?;
    lock_work(tx, &locked).await?;
    sqlx::query_as!(
        EndedGoal,
        r#"select goal_id as "goal_id: GoalId", project_id as "project_id: ProjectId",
                  state as "state: GoalState", tasks_total as tasks, ended_at as "ended_at!", title
           from goals
           where workspace_id = $1 and goal_id = any($2)
             and pruning_hold(workspace_id, goal_id, $3) is null
           order by goal_id"#,
        tx.workspace.0,
        &uuids(&locked),
        tx.now,
    )
    .fetch_all(traced!(tx, "retention.lock"))
    .await
}

/// Locks the tasks of locked goals, then their attempts, each in id order.
async fn lock_work(tx: &mut Tx, goals: &[GoalId]) -> sqlx::Result<()> {
    let tasks = sqlx::query_scalar!(
        "select task_id from tasks
         where workspace_id = $1 and goal_id = any($2)
         order by task_id
         for update",
        tx.workspace.0,
        &uuids(goals),
    )
    .fetch_all(traced!(tx, "retention.lock_work"))
    .await?;
    sqlx::query!(
        "select attempt_id from attempts
         where workspace_id = $1 and task_id = any($2)
         order by attempt_id
         for update",
        tx.workspace.0,
        &tasks,
    )
    .fetch_all(traced!(tx, "retention.lock_work"))
    .await?;
    Ok(())
}

/// What goals own.
pub async fn owned(tx: &mut Tx, goals: &[GoalId]) -> sqlx::Result<Owned> {
    let goals = uuids(goals);
    let row = sqlx::query!(
        r#"
        with mine as materialized (
            select task_id from tasks where workspace_id = $1 and goal_id = any($2)
        ), nodes as materialized (
            select b.budget_id from unnest(array['goal', 'task']) k (node)
            cross join (select unnest($2::uuid[]) as id union all select task_id from mine) n
            join budgets b on b.workspace_id = $1 and b.node = k.node and b.node_id = n.id
        )
        select array(select task_id from mine) as "tasks!",
               array(select a.attempt_id from mine m
                     join attempts a on a.workspace_id = $1 and a.task_id = m.task_id) as "attempts!",
               array(select p.approval_id from approvals p
                     where p.workspace_id = $1 and p.goal_id = any($2)) as "approvals!",
               array(select budget_id from nodes) as "budgets!",
               array(select l.limit_id from nodes n
                     join budget_limits l on l.workspace_id = $1 and l.budget_id = n.budget_id)
                   as "limits!"
        "#,
        tx.workspace.0,
        &goals,
    )
    .fetch_one(traced!(tx, "retention.owned"))
    .await?;
    Ok(Owned {
        goals,
        tasks: row.tasks,
        attempts: row.attempts,
        approvals: row.approvals,
        budgets: row.budgets,
        limits: row.limits,
    })
}

/// Rows of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCount {
    /// Number of rows.
    pub rows: i64,
    /// Their size in bytes, without indexes.
    pub bytes: i64,
}

/// A table whose rows go with a goal.
#[derive(Debug, Clone, Copy)]
pub struct GoalTable {
    /// Its name.
    pub name: &'static str,
    of: Owner,
    key: &'static str,
}

/// The tables whose rows go with a goal, those last that others refer to.
pub fn goal_tables() -> impl DoubleEndedIterator<Item = GoalTable> {
    TABLES.iter().filter_map(|table| match table.pruning {
        TablePruning::WithGoal { of, key } => Some(GoalTable { name: table.name, of, key }),
        TablePruning::ByAge | TablePruning::Never => None,
    })
}

async fn count_each(
    tx: &mut Tx,
    owned: &Owned,
    statement: impl Fn(&str, &str) -> String,
) -> sqlx::Result<Vec<(&'static str, RowCount)>> {
    let mut counts = Vec::new();
    for GoalTable { name, of, key } in goal_tables() {
        let (rows, bytes) = sqlx::query_as::<_, (i64, i64)>(AssertSqlSafe(statement(name, key)))
            .bind(tx.workspace.0)
            .bind(owned.ids(of))
            .fetch_one(traced!(tx, "retention.count_each"))
            .await?;
        counts.push((name, RowCount { rows, bytes }));
    }
    Ok(counts)
}

/// Counts the rows that [`remove`] would delete.
pub async fn measure(tx: &mut Tx, owned: &Owned) -> sqlx::Result<Vec<(&'static str, RowCount)>> {
    let statement = |table: &str, key: &str| {
        format!(
            "select count(*), coalesce(sum(pg_column_size(t.*)), 0)::bigint
             from {table} t where t.workspace_id = $1 and {key} = any($2)"
        )
    };
    count_each(tx, owned, statement).await
}

/// Deletes all rows of goals. The caller has locked them and folded their spend.
pub async fn remove(tx: &mut Tx, owned: &Owned) -> sqlx::Result<Vec<(&'static str, RowCount)>> {
    let statement = |table: &str, key: &str| {
        format!(
            "with gone as (
                 delete from {table} t where t.workspace_id = $1 and {key} = any($2)
                 returning pg_column_size(t.*) as bytes)
             select count(*), coalesce(sum(bytes), 0)::bigint from gone"
        )
    };
    count_each(tx, owned, statement).await
}

/// A digest of the versions of all rows of goals, table by table: equal as long as no row was added, changed
/// or deleted. Reads no long text.
pub async fn versions(tx: &mut Tx, owned: &Owned) -> sqlx::Result<Vec<String>> {
    let mut digests = Vec::new();
    for GoalTable { name, of, key } in goal_tables() {
        let sql = format!(
            "select md5(coalesce(string_agg(v.version, ',' order by v.version), ''))
             from (select t.ctid::text || ' ' || t.xmin::text as version
                   from {name} t where t.workspace_id = $1 and {key} = any($2)) v"
        );
        let digest = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql))
            .bind(tx.workspace.0)
            .bind(owned.ids(of))
            .fetch_one(traced!(tx, "retention.versions"))
            .await?;
        digests.push(digest);
    }
    Ok(digests)
}

/// The rows of goals in a table, each a JSON object.
pub fn rows<'a>(
    tx: &'a mut Tx,
    owned: &Owned,
    table: GoalTable,
) -> BoxStream<'a, sqlx::Result<String>> {
    let GoalTable { name, of, key } = table;
    let sql = format!(
        "select to_jsonb(t)::text from {name} t
         where t.workspace_id = $1 and {key} = any($2)"
    );
    sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(tx.workspace.0)
        .bind(owned.ids(of))
        .fetch(traced!(tx, "retention.rows"))
}

/// Counts the rows of the journal after the pruned ones, up to a number.
pub async fn measure_journal(tx: &mut Tx, to: i64) -> sqlx::Result<RowCount> {
    sqlx::query_as!(
        RowCount,
        r#"select count(*) as "rows!", coalesce(sum(pg_column_size(j.*)), 0)::bigint as "bytes!"
           from journal j where j.workspace_id = $1 and j.number <= $2"#,
        tx.workspace.0,
        to,
    )
    .fetch_one(traced!(tx, "retention.measure_journal"))
    .await
}
