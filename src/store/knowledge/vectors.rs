//! Vectors: the table of static word vectors of a workspace, and the vector of each document.
//!
//! A document records what made its vector, so vectors of different makers are never compared, and a new table finds the
//! documents that it has to do again.

use chrono::{DateTime, Utc};

use crate::store::{Tx, traced};

/// Which word vectors a workspace has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableHead {
    /// Time of the import.
    pub imported_at: DateTime<Utc>,
    /// Name of the file.
    pub model: String,
}

/// The word vectors of the workspace, without their bytes; `None`: it has none.
pub async fn head(tx: &mut Tx) -> sqlx::Result<Option<TableHead>> {
    sqlx::query_as!(
        TableHead,
        "select imported_at, model from word_vectors where workspace_id = $1",
        tx.workspace.0,
    )
    .fetch_optional(traced!(tx, "knowledge.vectors.head"))
    .await
}

/// The word vectors of the workspace, if they are those of `imported_at`.
pub async fn table(tx: &mut Tx, imported_at: DateTime<Utc>) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!(
        "select vectors from word_vectors where workspace_id = $1 and imported_at = $2",
        tx.workspace.0,
        imported_at,
    )
    .fetch_optional(traced!(tx, "knowledge.vectors.table"))
    .await
}

/// Stores the word vectors of the workspace in place of others.
pub async fn set(tx: &mut Tx, model: &str, table: &[u8]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into word_vectors (workspace_id, imported_at, model, vectors)
         values ($1, $2, $3, $4)
         on conflict (workspace_id) do update
         set imported_at = excluded.imported_at, model = excluded.model, vectors = excluded.vectors",
        tx.workspace.0,
        tx.now,
        model,
        table,
    )
    .execute(traced!(tx, "knowledge.vectors.set"))
    .await?;
    Ok(())
}

/// Removes the word vectors of the workspace. Returns whether there were some.
pub async fn remove(tx: &mut Tx) -> sqlx::Result<bool> {
    let removed = sqlx::query!("delete from word_vectors where workspace_id = $1", tx.workspace.0)
        .execute(traced!(tx, "knowledge.vectors.remove"))
        .await?;
    Ok(removed.rows_affected() > 0)
}

/// A document whose vector is missing, or by another maker.
#[derive(Debug, Clone)]
pub struct Undirected {
    /// Number of the document.
    pub doc: i64,
    /// Its title.
    pub title: String,
    /// Its body.
    pub body: String,
}

/// Up to `rows` documents without a vector by `maker`.
pub async fn undirected(tx: &mut Tx, maker: &str, rows: i64) -> sqlx::Result<Vec<Undirected>> {
    sqlx::query_as!(
        Undirected,
        r#"
        with without as materialized (
            (select doc, lesson_id from docs
             where workspace_id = $1 and vector_of is null
             order by doc limit $3)
            union all
            (select doc, lesson_id from docs
             where workspace_id = $1 and vector_of < $2
             order by vector_of, doc limit $3)
            union all
            (select doc, lesson_id from docs
             where workspace_id = $1 and vector_of > $2
             order by vector_of, doc limit $3)
            limit $3
        )
        select w.doc as "doc!", v.title, v.body
        from without w
        join lessons l on l.workspace_id = $1 and l.lesson_id = w.lesson_id
        join lesson_versions v on v.workspace_id = $1 and v.lesson_id = l.lesson_id and v.version = l.version
        order by w.doc
        "#,
        tx.workspace.0,
        maker,
        rows,
    )
    .fetch_all(traced!(tx, "knowledge.vectors.undirected"))
    .await
}

/// Stores vectors of documents: `None` if none of the words of a document has one.
pub async fn direct(
    tx: &mut Tx,
    maker: &str,
    vectors: &[(i64, Option<Vec<u8>>)],
) -> sqlx::Result<u64> {
    let stored = sqlx::query!(
        "update docs d set vector_of = $2, vector = n.vector
         from unnest($3::bigint[], $4::bytea[]) as n (doc, vector)
         where d.workspace_id = $1 and d.doc = n.doc",
        tx.workspace.0,
        maker,
        &vectors.iter().map(|(doc, _)| *doc).collect::<Vec<_>>(),
        &vectors.iter().map(|(_, vector)| vector.clone()).collect::<Vec<_>>()
            as &[Option<Vec<u8>>],
    )
    .execute(traced!(tx, "knowledge.vectors.direct"))
    .await?;
    Ok(stored.rows_affected())
}
