//! Whole workspaces as rows: read for an export, stored by an import.
//!
//! **Any table, any column.** The tables are those of [`TABLES`](super::tables::TABLES) but the
//! [`STAYING`]; the columns come from the catalogue of the database ([`shapes`]), so a new column needs no code. Generated columns are left out: the database
//! computes them again.
//!
//! **Dynamic SQL.** A statement over a table of a list cannot be checked by a macro. Its text is built
//! only from the names in that list and from columns and types of the catalogue, which the database
//! quotes. Nothing of a file is ever part of a statement: rows are an argument.
//!
//! **Lossless.** A row is the JSON that PostgreSQL writes and reads itself: integers with all digits,
//! times with microseconds, bytes as hex. A `json` or `jsonb` column travels as its text, because as
//! JSON within JSON a null would become no value, and the digests of the journal are over the text.
//!
//! **One order everywhere.** Rows are in the order of the primary key, texts by their bytes, whatever
//! the collation of the database is: two servers with the same rows write the same lines.
//!
//! **Nothing crosses workspaces.** Ids and names are unique within a workspace only (a test of the
//! schema holds it), so a workspace never collides with the others of a server.

use futures_util::stream::BoxStream;
use sqlx::AssertSqlSafe;

use super::{SystemTx, Tx, traced};

mod shape;
mod tables;

pub use shape::{Shape, shapes};
pub use tables::{STAYING, Staying, moved};

/// Prepares the transaction for work that lasts as long as it lasts, with one spelling of values.
pub async fn prepare(tx: &mut SystemTx) -> sqlx::Result<()> {
    sqlx::query!(
        r#"select set_config('statement_timeout', '0', true) as "statement",
                  set_config('idle_in_transaction_session_timeout', '0', true) as "idle",
                  set_config('work_mem', '64MB', true) as "memory",
                  set_config('timezone', 'UTC', true) as "zone",
                  set_config('bytea_output', 'hex', true) as "bytes",
                  set_config('intervalstyle', 'postgres', true) as "intervals",
                  set_config('extra_float_digits', '1', true) as "floats""#
    )
    .fetch_one(traced!(tx, "moving.prepare"))
    .await?;
    Ok(())
}

/// Checks deferrable references at the end of the transaction only.
pub async fn defer_references(tx: &mut Tx) -> sqlx::Result<()> {
    sqlx::query!("set constraints all deferred")
        .execute(traced!(tx, "moving.defer_references"))
        .await?;
    Ok(())
}

/// Checks the deferred references now.
pub async fn check_references(tx: &mut Tx) -> sqlx::Result<()> {
    sqlx::query!("set constraints all immediate")
        .execute(traced!(tx, "moving.check_references"))
        .await?;
    Ok(())
}

/// The rows of a table in the order of its key, each a JSON object on one line. They arrive one by one.
pub fn rows<'a>(tx: &'a mut Tx, shape: &Shape) -> BoxStream<'a, sqlx::Result<String>> {
    let workspace = tx.workspace.0;
    sqlx::query_scalar::<_, String>(AssertSqlSafe(shape.select()))
        .bind(workspace)
        .fetch(traced!(tx, "moving.rows"))
}

/// Stores rows of a table: a JSON array of objects. Those of other workspaces are left out.
///
/// # Errors
/// When a row is not one of the table, or breaks a constraint.
pub async fn insert(tx: &mut Tx, shape: &Shape, rows: &str) -> sqlx::Result<()> {
    let workspace = tx.workspace.0;
    sqlx::query(AssertSqlSafe(shape.insert()))
        .bind(rows)
        .bind(workspace)
        .execute(traced!(tx, "moving.insert"))
        .await?;
    Ok(())
}
