//! The row by which writers of lessons take turns: how far the journal is captured, and the next numbers.

use crate::store::{Tx, traced};

/// The row of a workspace, locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Rows of the journal up to this number are captured.
    pub number: i64,
    /// Number of the next document of the index.
    pub next_doc: i64,
    /// Number of the next shelf.
    pub next_shelf: i32,
}

impl Cursor {
    /// The number of a new document.
    pub fn doc(&mut self) -> i64 {
        let doc = self.next_doc;
        self.next_doc += 1;
        doc
    }
}

/// Locks the row of the workspace, which the first writer makes. Comes after every other lock of a unit of work but
/// the head of the journal.
pub async fn lock(tx: &mut Tx) -> sqlx::Result<Cursor> {
    sqlx::query!(
        "insert into knowledge_cursors (workspace_id) values ($1) on conflict do nothing",
        tx.workspace.0,
    )
    .execute(traced!(tx, "knowledge.cursors.lock"))
    .await?;
    sqlx::query_as!(
        Cursor,
        "select number, next_doc, next_shelf from knowledge_cursors
         where workspace_id = $1
         for no key update",
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "knowledge.cursors.lock"))
    .await
}

/// Writes the locked row.
pub async fn set(tx: &mut Tx, cursor: Cursor) -> sqlx::Result<()> {
    sqlx::query!(
        "update knowledge_cursors
         set number = $2, next_doc = $3, next_shelf = $4
         where workspace_id = $1",
        tx.workspace.0,
        cursor.number,
        cursor.next_doc,
        cursor.next_shelf,
    )
    .execute(traced!(tx, "knowledge.cursors.set"))
    .await?;
    Ok(())
}

/// How far the journal is captured, and how far it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread {
    /// Number of the last captured row.
    pub after: i64,
    /// Number of the newest row.
    pub newest: i64,
}

/// What of the journal is not captured yet.
pub async fn unread(tx: &mut Tx) -> sqlx::Result<Unread> {
    sqlx::query_as!(
        Unread,
        r#"select coalesce((select number from knowledge_cursors where workspace_id = $1), 0) as "after!",
                  coalesce((select last_number from journal_heads where workspace_id = $1), 0) as "newest!""#,
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "knowledge.cursors.unread"))
    .await
}
