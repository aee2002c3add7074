//! Reservations and authorized costs of attempts.
//!
//! The rows of an attempt need no lock of their own: only its starting transaction or the holder of
//! its lock writes them.

use chrono::{DateTime, Utc};

use crate::{
    domain::{budget::ledger::Reservation, ids::AttemptId},
    store::{Tx, columns::uuids, traced},
};

/// The reservation of an attempt in a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// The unit.
    pub unit: String,
    /// Granted, remaining and authorized amounts.
    pub reservation: Reservation,
    /// Time at which the rest was released.
    pub closed_at: Option<DateTime<Utc>>,
}

/// The reservations of attempts.
pub async fn of_attempts(tx: &mut Tx, attempts: &[AttemptId]) -> sqlx::Result<Vec<Row>> {
    let rows = sqlx::query!(
        r#"select attempt_id as "attempt_id: AttemptId", unit, granted, held, authorized, closed_at
           from reservations where workspace_id = $1 and attempt_id = any($2)"#,
        tx.workspace.0,
        &uuids(attempts),
    )
    .fetch_all(traced!(tx, "budgets.reservations.of_attempts"))
    .await?;
    let rows = rows.into_iter().map(|row| Row {
        attempt_id: row.attempt_id,
        unit: row.unit,
        reservation: Reservation {
            granted: row.granted,
            held: row.held,
            authorized: row.authorized,
        },
        closed_at: row.closed_at,
    });
    Ok(rows.collect())
}

/// Stores new reservations.
pub async fn begin(tx: &mut Tx, rows: &[Row]) -> sqlx::Result<()> {
    let Columns { attempts, units, granted, held, authorized, closed } = Columns::of(rows);
    sqlx::query!(
        r#"
        insert into reservations (workspace_id, attempt_id, unit, granted, held, authorized, closed_at)
        select $1, r.* from unnest((select $2::uuid[]), (select $3::text[]), (select $4::bigint[]),
            (select $5::bigint[]), (select $6::bigint[]), (select $7::timestamptz[])) as r
        "#,
        tx.workspace.0,
        &attempts,
        &units,
        &granted,
        &held,
        &authorized,
        &closed as &[Option<DateTime<Utc>>],
    )
    .execute(traced!(tx, "budgets.reservations.begin"))
    .await?;
    Ok(())
}

/// Stores changed reservations. Separate from [`begin`], because an upsert writes each row to the
/// WAL twice.
pub async fn change(tx: &mut Tx, rows: &[Row]) -> sqlx::Result<()> {
    let Columns { attempts, units, granted, held, authorized, closed } = Columns::of(rows);
    sqlx::query!(
        r#"
        update reservations r
        set granted = n.granted, held = n.held, authorized = n.authorized, closed_at = n.closed_at
        from unnest((select $2::uuid[]), (select $3::text[]), (select $4::bigint[]),
            (select $5::bigint[]), (select $6::bigint[]), (select $7::timestamptz[]))
            as n (attempt_id, unit, granted, held, authorized, closed_at)
        where r.workspace_id = $1 and r.attempt_id = n.attempt_id and r.unit = n.unit
        "#,
        tx.workspace.0,
        &attempts,
        &units,
        &granted,
        &held,
        &authorized,
        &closed as &[Option<DateTime<Utc>>],
    )
    .execute(traced!(tx, "budgets.reservations.change"))
    .await?;
    Ok(())
}

struct Columns {
    attempts: Vec<uuid::Uuid>,
    units: Vec<String>,
    granted: Vec<i64>,
    held: Vec<i64>,
    authorized: Vec<i64>,
    closed: Vec<Option<DateTime<Utc>>>,
}

impl Columns {
    fn of(rows: &[Row]) -> Self {
        Self {
            attempts: rows.iter().map(|row| row.attempt_id.0).collect(),
            units: rows.iter().map(|row| row.unit.clone()).collect(),
            granted: rows.iter().map(|row| row.reservation.granted).collect(),
            held: rows.iter().map(|row| row.reservation.held).collect(),
            authorized: rows.iter().map(|row| row.reservation.authorized).collect(),
            closed: rows.iter().map(|row| row.closed_at).collect(),
        }
    }
}

/// A cost authorized in advance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// The agent's key of the cost.
    pub cost_key: String,
    /// The unit.
    pub unit: String,
    /// Its highest amount.
    pub amount: i64,
    /// Whether the cost was reported, which ended its reservation.
    pub used: bool,
}

/// The authorized costs of attempts with any of `keys`.
pub async fn authorized(
    tx: &mut Tx,
    attempts: &[AttemptId],
    keys: &[String],
) -> sqlx::Result<Vec<Authorization>> {
    sqlx::query_as!(
        Authorization,
        r#"select attempt_id as "attempt_id: AttemptId", cost_key, unit, amount,
                  used_at is not null as "used!"
           from authorizations
           where workspace_id = $1 and attempt_id = any($2) and cost_key = any($3)"#,
        tx.workspace.0,
        &uuids(attempts),
        keys,
    )
    .fetch_all(traced!(tx, "budgets.reservations.authorized"))
    .await
}

/// Stores authorized costs.
pub async fn authorize(tx: &mut Tx, costs: &[Authorization]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into authorizations (workspace_id, created_at, attempt_id, cost_key, unit, amount)
         select $1, $2, c.* from unnest($3::uuid[], $4::text[], $5::text[], $6::bigint[]) as c",
        tx.workspace.0,
        tx.now,
        &costs.iter().map(|c| c.attempt_id.0).collect::<Vec<_>>(),
        &costs.iter().map(|c| c.cost_key.clone()).collect::<Vec<_>>(),
        &costs.iter().map(|c| c.unit.clone()).collect::<Vec<_>>(),
        &costs.iter().map(|c| c.amount).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "budgets.reservations.authorize"))
    .await?;
    Ok(())
}

/// Marks authorized costs as reported.
pub async fn use_up(tx: &mut Tx, costs: &[(AttemptId, String, String)]) -> sqlx::Result<()> {
    sqlx::query!(
        "update authorizations a set used_at = $2
         from unnest($3::uuid[], $4::text[], $5::text[]) as c (attempt_id, cost_key, unit)
         where a.workspace_id = $1 and a.attempt_id = c.attempt_id and a.cost_key = c.cost_key
           and a.unit = c.unit and a.used_at is null",
        tx.workspace.0,
        tx.now,
        &costs.iter().map(|(attempt, _, _)| attempt.0).collect::<Vec<_>>(),
        &costs.iter().map(|(_, key, _)| key.clone()).collect::<Vec<_>>(),
        &costs.iter().map(|(_, _, unit)| unit.clone()).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "budgets.reservations.use_up"))
    .await?;
    Ok(())
}
