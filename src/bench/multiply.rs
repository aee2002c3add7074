//! Finished tasks in bulk: copies of one completed goal.
//!
//! A million tasks through the API take an hour, and rows written by hand agree with the schema only
//! until its next change. So agents complete one goal, and its rows are copied with new ids, in every
//! table with a goal, a task or an attempt, whatever its other columns are. Totals over goals (the
//! last number of the journal, the spend of projects and agents) are raised accordingly, so that the
//! copies break no invariant.
//!
//! The database must have no other work, past or present.

use std::{collections::BTreeMap, fmt::Write as _};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use super::error::{BenchError, Result};

/// Copies of one transaction.
const AT_ONCE: u32 = 25;

/// The columns that get a new id in a copy.
const IDS: [&str; 8] = [
    "goal_id",
    "plan_id",
    "task_id",
    "parent_id",
    "needs_task_id",
    "attempt_id",
    "current_attempt_id",
    "approval_id",
];

/// The id of the `n`th copy: the same random bits, with a time earlier by `n` minutes. So the copies
/// are older than the original and have different times, as goals posted one after the other.
const COPY_OF: &str = "
    create function pg_temp.copy_of(id uuid, n bigint) returns uuid language sql immutable strict as $$
        select (lpad(to_hex(('x' || left(hex, 12))::bit(48)::bigint - n * 60000), 12, '0')
                || substr(hex, 13))::uuid
        from (select replace(id::text, '-', '') as hex) x
    $$
";

const COLUMNS: &str = "
    select c.table_name::text, c.column_name::text from information_schema.columns c
    join information_schema.tables t using (table_schema, table_name)
    where c.table_schema = 'public' and t.table_type = 'BASE TABLE' and c.is_generated = 'NEVER'
    order by c.table_name, c.ordinal_position
";

/// Copies the only goal of the database `copies` times. The role must be a superuser, because
/// references are not checked. Returns the number of tasks of the goal.
///
/// # Errors
/// The database has other goals, or the goal is not completed.
pub async fn multiply(connection: &mut PgConnection, copies: u32) -> Result<i64> {
    let goals: Vec<(Uuid, String, i32)> =
        sqlx::query_as("select goal_id, state, tasks_total from goals")
            .fetch_all(&mut *connection)
            .await?;
    let [(goal, state, tasks)] = goals.as_slice() else {
        return Err(BenchError::Impossible(format!("there are {} goals, not one", goals.len())));
    };
    if state != "completed" {
        return Err(BenchError::Impossible(format!("the goal to be copied is {state}")));
    }
    let tables = tables(connection).await?;
    sqlx::raw_sql("set synchronous_commit = off; set session_replication_role = replica")
        .execute(&mut *connection)
        .await?;
    sqlx::raw_sql(COPY_OF).execute(&mut *connection).await?;
    sqlx::raw_sql(
        "create temp table base_totals as select * from spend_totals;
         create temp table base_journal as
            select *, row_number() over (order by number) as place
            from journal where goal_id is not null;
         analyze base_totals; analyze base_journal",
    )
    .execute(&mut *connection)
    .await?;
    let mut first = 1;
    while first <= copies {
        let last = copies.min(first + AT_ONCE - 1);
        copy(connection, &tables, *goal, first, last).await?;
        first = last + 1;
    }
    sqlx::raw_sql("reset synchronous_commit; reset session_replication_role")
        .execute(&mut *connection)
        .await?;
    Ok(i64::from(*tasks))
}

type Tables = BTreeMap<String, Vec<String>>;

async fn tables(connection: &mut PgConnection) -> Result<Tables> {
    let columns: Vec<(String, String)> = sqlx::query_as(COLUMNS).fetch_all(connection).await?;
    let mut tables = Tables::new();
    for (table, column) in columns {
        tables.entry(table).or_default().push(column);
    }
    Ok(tables)
}

async fn copy(
    connection: &mut PgConnection,
    tables: &Tables,
    goal: Uuid,
    first: u32,
    last: u32,
) -> Result<()> {
    let mut transaction = connection.begin().await?;
    for (table, columns) in tables {
        let Some(insert) = insert(table, columns, goal, first, last) else { continue };
        sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut *transaction).await?;
    }
    for statement in [journal(tables, first, last), totals(tables, first, last)] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}

/// The condition of the rows of the goal; none: the table has no such rows.
fn of_goal(columns: &[String], goal: Uuid) -> Option<String> {
    let has = |name: &str| columns.iter().any(|column| column == name);
    let among = |table: &str, id: &str| {
        format!("o.{id} in (select {id} from {table} where goal_id = '{goal}')")
    };
    if has("goal_id") {
        return Some(format!("o.goal_id = '{goal}'"));
    }
    if has("task_id") {
        return Some(among("tasks", "task_id"));
    }
    has("attempt_id").then(|| among("attempts", "attempt_id"))
}

fn insert(table: &str, columns: &[String], goal: Uuid, first: u32, last: u32) -> Option<String> {
    // Its rows have an order of their own.
    if table == "journal" {
        return None;
    }
    let belongs = of_goal(columns, goal)?;
    let names = columns.join(", ");
    let values = values(columns, &[]);
    Some(format!(
        "insert into {table} ({names}) select {values}
         from {table} o cross join generate_series({first}, {last}) n where {belongs} order by n"
    ))
}

/// The values of a copied row: new ids, and `others` for their columns.
fn values(columns: &[String], others: &[(&str, &str)]) -> String {
    let value = |column: &String| {
        if let Some((_, other)) = others.iter().find(|(name, _)| name == column) {
            return (*other).to_owned();
        }
        if IDS.contains(&column.as_str()) {
            return format!("pg_temp.copy_of(o.{column}, n)");
        }
        format!("o.{column}")
    };
    columns.iter().map(value).collect::<Vec<_>>().join(", ")
}

/// Rows of the journal keep their order within a copy, and are numbered on from the last. The service
/// seals them.
fn journal(tables: &Tables, first: u32, last: u32) -> String {
    let columns = tables.get("journal").cloned().unwrap_or_default();
    let number =
        format!("h.last_number + (n - {first}) * (select count(*) from base_journal) + o.place");
    let subject = "pg_temp.copy_of(o.subject_id, n)";
    let others = [("number", number.as_str()), ("subject_id", subject)];
    let (names, values) = (columns.join(", "), values(&columns, &others));
    let copies = last - first + 1;
    format!(
        "insert into journal ({names}) select {values}
         from base_journal o join journal_heads h using (workspace_id)
         cross join generate_series({first}, {last}) n;
         update journal_heads h set last_number = h.last_number + {copies} * b.rows
         from (select workspace_id, count(*) as rows from base_journal group by 1) b
         where b.workspace_id = h.workspace_id"
    )
}

/// The spend of goals is copied; that of projects and agents grows.
fn totals(tables: &Tables, first: u32, last: u32) -> String {
    let columns = tables.get("spend_totals").cloned().unwrap_or_default();
    let keys: Vec<&String> = columns.iter().filter(|column| *column != "amount").collect();
    let same = keys.iter().fold(String::from("true"), |mut same, key| {
        // Writing into a string cannot fail.
        let _ = write!(same, " and t.{key} = o.{key}");
        same
    });
    let copy = [("node_id", "pg_temp.copy_of(o.node_id, n)")];
    let (names, values) = (columns.join(", "), values(&columns, &copy));
    let copies = last - first + 1;
    format!(
        "insert into spend_totals ({names}) select {values}
         from base_totals o cross join generate_series({first}, {last}) n
         where o.node = 'goal' order by n;
         update spend_totals t set amount = t.amount + {copies} * o.amount
         from base_totals o where o.node <> 'goal' and {same}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn rows_that_hang_on_the_goal_are_copied_with_new_ids() {
        let goal = Uuid::nil();
        let text = insert("attempts", &columns(&["attempt_id", "goal_id", "state"]), goal, 1, 2);
        let text = text.unwrap();
        assert!(
            text.contains(
                "pg_temp.copy_of(o.attempt_id, n), pg_temp.copy_of(o.goal_id, n), o.state"
            )
        );
        assert!(text.contains("where o.goal_id = '"), "{text}");
        let text = insert("criteria", &columns(&["task_id", "text"]), goal, 1, 2).unwrap();
        assert!(text.contains("o.task_id in (select task_id from tasks"), "{text}");
        assert_eq!(insert("agents", &columns(&["agent_id", "name"]), goal, 1, 2), None);
        assert_eq!(insert("journal", &columns(&["goal_id", "number"]), goal, 1, 2), None);
    }
}
