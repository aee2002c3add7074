//! Spend: entries, what attempts reported, and totals per node.

pub mod prices;
pub mod usual;

use uuid::Uuid;

use super::{Tx, columns::uuids, traced};
use crate::domain::{
    ids::{AttemptId, GoalId, ProjectId},
    spend::{Charge, UnitSpend},
    states::SpendNode,
};

/// A line to be stored.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// The attempt it is charged to.
    pub attempt_id: AttemptId,
    /// The line.
    pub charge: Charge,
    /// Whether the attempt had ended.
    pub late: bool,
}

/// A line that was stored now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// The entry's key.
    pub key: String,
    /// The unit.
    pub unit: String,
    /// How much.
    pub amount: i64,
    /// Millionths beside it.
    pub fraction: i32,
}

/// Stores lines whose key is new; returns, for each stored line, its place in `entries`.
pub async fn insert_entries(tx: &mut Tx, entries: &[NewEntry]) -> sqlx::Result<Vec<Fresh>> {
    macro_rules! column {
        ($of:expr) => {
            &entries.iter().map($of).collect::<Vec<_>>()
        };
    }
    let rows = sqlx::query!(
        r#"
        insert into spend_entries (workspace_id, recorded_at, attempt_id, entry_key, unit, amount,
                                   late, model, note, fraction, provider)
        select $1, $2, e.*
        from unnest($3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::bool[], $8::text[],
                    $9::text[], $10::int[], $11::text[]) as e
        on conflict do nothing
        returning attempt_id as "attempt_id: AttemptId", entry_key, unit, amount, fraction, late
        "#,
        tx.workspace.0,
        tx.now,
        column!(|e| e.attempt_id.0),
        column!(|e| e.charge.key.clone()),
        column!(|e| e.charge.unit.clone()),
        column!(|e| e.charge.amount),
        column!(|e| e.late),
        column!(|e| e.charge.model.clone()) as &[Option<String>],
        column!(|e| e.charge.note.clone()) as &[Option<String>],
        column!(|e| e.charge.fraction),
        column!(|e| e.charge.provider.clone()) as &[Option<String>],
    )
    .fetch_all(traced!(tx, "spend.insert_entries"))
    .await?;
    let fresh = rows.into_iter().map(|row| Fresh {
        attempt_id: row.attempt_id,
        key: row.entry_key,
        unit: row.unit,
        amount: row.amount,
        fraction: row.fraction,
    });
    Ok(fresh.collect())
}

/// What attempts have used, per unit. The attempts' rows are locked by the caller.
pub async fn of_attempts(
    tx: &mut Tx,
    attempts: &[AttemptId],
) -> sqlx::Result<Vec<(AttemptId, String, UnitSpend)>> {
    let rows = sqlx::query!(
        r#"select attempt_id as "attempt_id: AttemptId", unit, entries, reported, fraction
           from attempt_spend
           where workspace_id = $1 and attempt_id = any($2)"#,
        tx.workspace.0,
        &uuids(attempts),
    )
    .fetch_all(traced!(tx, "spend.of_attempts"))
    .await?;
    let spent = rows.into_iter().map(|row| {
        let spend =
            UnitSpend { entries: row.entries, reported: row.reported, fraction: row.fraction };
        (row.attempt_id, row.unit, spend)
    });
    Ok(spent.collect())
}

/// Stores what attempts have used by now.
pub async fn set_of_attempts(
    tx: &mut Tx,
    spend: &[(AttemptId, String, UnitSpend)],
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into attempt_spend (workspace_id, attempt_id, unit, entries, reported, fraction)
         select $1, * from unnest($2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
         on conflict (workspace_id, attempt_id, unit) do update
             set entries = excluded.entries, reported = excluded.reported,
                 fraction = excluded.fraction",
        tx.workspace.0,
        &spend.iter().map(|(id, _, _)| id.0).collect::<Vec<_>>(),
        &spend.iter().map(|(_, unit, _)| unit.clone()).collect::<Vec<_>>(),
        &spend.iter().map(|(_, _, spend)| spend.entries).collect::<Vec<_>>(),
        &spend.iter().map(|(_, _, spend)| spend.reported).collect::<Vec<_>>(),
        &spend.iter().map(|(_, _, spend)| spend.fraction).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "spend.set_of_attempts"))
    .await?;
    Ok(())
}

/// A rise of a node's total.
#[derive(Debug, Clone)]
pub struct Rise {
    /// The kind of node.
    pub node: SpendNode,
    /// The node.
    pub id: Uuid,
    /// The unit.
    pub unit: String,
    /// By how much.
    pub amount: i64,
    /// Millionths beside it.
    pub fraction: i64,
}

/// Parts of the total of a node that many attempts share: transactions that raise it at once seldom
/// meet in one row.
pub const SLOTS: i16 = 8;

/// Raises totals in their part `slot`, each row once. The rises come sorted and without doubles, so
/// that two transactions touch the rows they share in the same order.
pub async fn raise_totals(tx: &mut Tx, slot: i16, rises: &[Rise]) -> sqlx::Result<()> {
    let nodes: Vec<&str> = rises.iter().map(|rise| rise.node.as_str()).collect();
    // A total that would overflow stays at the largest number instead of refusing spend.
    sqlx::query!(
        r#"
        insert into spend_totals as old (workspace_id, slot, node, node_id, unit, amount, fraction)
        select $1, $2, r.*
        from unnest($3::text[], $4::uuid[], $5::text[], $6::bigint[], $7::bigint[]) as r
        on conflict (workspace_id, node, node_id, unit, slot) do update
            set amount = least(old.amount::numeric + excluded.amount, 9223372036854775807)::bigint,
                fraction = old.fraction + excluded.fraction
        "#,
        tx.workspace.0,
        slot,
        &nodes as &[&str],
        &rises.iter().map(|rise| rise.id).collect::<Vec<_>>(),
        &rises.iter().map(|rise| rise.unit.clone()).collect::<Vec<_>>(),
        &rises.iter().map(|rise| rise.amount).collect::<Vec<_>>(),
        &rises.iter().map(|rise| rise.fraction).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "spend.raise_totals"))
    .await?;
    Ok(())
}

/// The projects of goals; goals without one are left out.
pub async fn projects_of(tx: &mut Tx, goals: &[GoalId]) -> sqlx::Result<Vec<(GoalId, ProjectId)>> {
    let rows = sqlx::query!(
        r#"select goal_id as "goal_id: GoalId", project_id as "project_id!: ProjectId" from goals
           where workspace_id = $1 and goal_id = any($2) and project_id is not null"#,
        tx.workspace.0,
        &uuids(goals),
    )
    .fetch_all(traced!(tx, "spend.projects_of"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.goal_id, row.project_id)).collect())
}
