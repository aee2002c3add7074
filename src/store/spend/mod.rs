//! Spend: entries, sums per attempt, and totals per node.

pub mod planned;
pub mod prices;
pub mod usual;
pub mod waits;

use uuid::Uuid;

use super::{Tx, columns::uuids, traced};
use crate::domain::{
    ids::{AttemptId, GoalId, ProjectId},
    spend::{Charge, UnitSpend, most::PART_MAX},
    states::SpendNode,
};

/// A spend entry to be stored.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// The attempt it is charged to.
    pub attempt_id: AttemptId,
    /// Its key, unit and amount.
    pub charge: Charge,
    /// Whether it was reported after the attempt ended.
    pub late: bool,
}

/// A spend entry that was new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Key of the entry.
    pub key: String,
    /// The unit.
    pub unit: String,
    /// Whole units.
    pub amount: i64,
    /// Millionths of a unit, in addition.
    pub fraction: i32,
    /// Whether the workspace has quota windows.
    pub metered: bool,
}

/// Stores entries with new keys; returns those. Ignores known keys.
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
        returning attempt_id as "attempt_id: AttemptId", entry_key, unit, amount, fraction, late,
                  (select exists (select from quota_windows where workspace_id = $1)) as "metered!"
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
        metered: row.metered,
    });
    Ok(fresh.collect())
}

/// Spend of attempts per unit. The caller has locked the attempts.
pub async fn of_attempts(
    tx: &mut Tx,
    attempts: &[AttemptId],
) -> sqlx::Result<Vec<(AttemptId, String, UnitSpend)>> {
    let rows = sqlx::query!(
        r#"select attempt_id as "attempt_id: AttemptId", unit, entries, reported, fraction,
                  reported_fraction
           from attempt_spend
           where workspace_id = $1 and attempt_id = any($2)"#,
        tx.workspace.0,
        &uuids(attempts),
    )
    .fetch_all(traced!(tx, "spend.of_attempts"))
    .await?;
    let spent = rows.into_iter().map(|row| {
        let spend = UnitSpend {
            entries: row.entries,
            reported: row.reported,
            fraction: row.fraction,
            reported_fraction: row.reported_fraction,
        };
        (row.attempt_id, row.unit, spend)
    });
    Ok(spent.collect())
}

/// Stores the spend of attempts.
pub async fn set_of_attempts(
    tx: &mut Tx,
    spend: &[(AttemptId, String, UnitSpend)],
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into attempt_spend (workspace_id, attempt_id, unit, entries, reported, fraction,
                                    reported_fraction)
         select $1, * from unnest($2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[],
                                  $7::bigint[])
         on conflict (workspace_id, attempt_id, unit) do update
             set entries = excluded.entries, reported = excluded.reported,
                 fraction = excluded.fraction, reported_fraction = excluded.reported_fraction",
        tx.workspace.0,
        &spend.iter().map(|(id, _, _)| id.0).collect::<Vec<_>>(),
        &spend.iter().map(|(_, unit, _)| unit.clone()).collect::<Vec<_>>(),
        &spend.iter().map(|(_, _, spend)| spend.entries).collect::<Vec<_>>(),
        &spend.iter().map(|(_, _, spend)| spend.reported).collect::<Vec<_>>(),
        &spend.iter().map(|(_, _, spend)| spend.fraction).collect::<Vec<_>>(),
        &spend.iter().map(|(_, _, spend)| spend.reported_fraction).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "spend.set_of_attempts"))
    .await?;
    Ok(())
}

/// An increase of a node's total.
#[derive(Debug, Clone)]
pub struct Rise {
    /// The kind of node.
    pub node: SpendNode,
    /// Id of the node.
    pub id: Uuid,
    /// The unit.
    pub unit: String,
    /// Whole units.
    pub amount: i64,
    /// Millionths of a unit, in addition.
    pub fraction: i64,
}

/// Adds to totals in their part `slot`. `rises` must be sorted and without duplicates, so that
/// transactions lock common rows in the same order. Returns the node and the unit of every total that
/// was raised; a part that would pass [`PART_MAX`] is left as it is. Concurrent transactions rarely
/// update the same part.
pub async fn raise_totals(
    tx: &mut Tx,
    slot: i16,
    rises: &[Rise],
) -> sqlx::Result<Vec<(Uuid, String)>> {
    let nodes: Vec<&str> = rises.iter().map(|rise| rise.node.as_str()).collect();
    let rows = sqlx::query!(
        r#"
        insert into spend_totals as old (workspace_id, slot, node, node_id, unit, amount, fraction)
        select $1, $2, r.*
        from unnest($3::text[], $4::uuid[], $5::text[], $6::bigint[], $7::bigint[]) as r
        on conflict (workspace_id, node, node_id, unit, slot) do update
            set amount = old.amount + excluded.amount, fraction = old.fraction + excluded.fraction
            where excluded.amount <= 0 or old.amount <= $8::bigint - excluded.amount
        returning node_id, unit
        "#,
        tx.workspace.0,
        slot,
        &nodes as &[&str],
        &rises.iter().map(|rise| rise.id).collect::<Vec<_>>(),
        &rises.iter().map(|rise| rise.unit.clone()).collect::<Vec<_>>(),
        &rises.iter().map(|rise| rise.amount).collect::<Vec<_>>(),
        &rises.iter().map(|rise| rise.fraction).collect::<Vec<_>>(),
        PART_MAX,
    )
    .fetch_all(traced!(tx, "spend.raise_totals"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.node_id, row.unit)).collect())
}

/// One part of a total.
#[derive(Debug, Clone)]
pub struct Part {
    /// Id of the node.
    pub node_id: Uuid,
    /// The unit.
    pub unit: String,
    /// Number of the part.
    pub slot: i16,
    /// Whole units.
    pub amount: i64,
}

/// Locks and reads all parts of the totals of `rises`.
pub async fn lock_parts(tx: &mut Tx, rises: &[Rise]) -> sqlx::Result<Vec<Part>> {
    let nodes: Vec<&str> = rises.iter().map(|rise| rise.node.as_str()).collect();
    sqlx::query_as!(
        Part,
        r#"
        select t.node_id, t.unit, t.slot, t.amount
        from unnest((select $2::text[]), (select $3::uuid[]), (select $4::text[]))
             as r (node, node_id, unit)
        join spend_totals t on t.workspace_id = $1 and t.node = r.node and t.node_id = r.node_id
             and t.unit = r.unit
        order by t.node, t.node_id, t.unit, t.slot
        for no key update of t
        "#,
        tx.workspace.0,
        &nodes as &[&str],
        &rises.iter().map(|rise| rise.id).collect::<Vec<_>>(),
        &rises.iter().map(|rise| rise.unit.clone()).collect::<Vec<_>>(),
    )
    .fetch_all(traced!(tx, "spend.lock_parts"))
    .await
}

/// Changes single parts of totals by the amounts of `changes`, whatever their size.
pub async fn change_parts(tx: &mut Tx, changes: &[(i16, Rise)]) -> sqlx::Result<()> {
    let nodes: Vec<&str> = changes.iter().map(|(_, change)| change.node.as_str()).collect();
    sqlx::query!(
        r#"
        insert into spend_totals as old (workspace_id, slot, node, node_id, unit, amount, fraction)
        select $1, c.*
        from unnest($2::smallint[], $3::text[], $4::uuid[], $5::text[], $6::bigint[], $7::bigint[])
             as c
        on conflict (workspace_id, node, node_id, unit, slot) do update
            set amount = old.amount + excluded.amount, fraction = old.fraction + excluded.fraction
        "#,
        tx.workspace.0,
        &changes.iter().map(|(slot, _)| *slot).collect::<Vec<_>>(),
        &nodes as &[&str],
        &changes.iter().map(|(_, change)| change.id).collect::<Vec<_>>(),
        &changes.iter().map(|(_, change)| change.unit.clone()).collect::<Vec<_>>(),
        &changes.iter().map(|(_, change)| change.amount).collect::<Vec<_>>(),
        &changes.iter().map(|(_, change)| change.fraction).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "spend.change_parts"))
    .await?;
    Ok(())
}

/// The projects of goals; omits goals without one.
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
