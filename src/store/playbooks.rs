//! Playbooks and their versions.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;

use super::{Tx, traced};
use crate::domain::ids::{KeyId, PlaybookId};

/// A playbook, with one of its versions.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct PlaybookRow {
    pub playbook_id: PlaybookId,
    pub name: String,
    pub latest: i32,
    pub archived_at: Option<DateTime<Utc>>,
    pub version: i32,
    pub document: Json<Value>,
    pub source: Option<String>,
    pub created_by: Option<KeyId>,
    pub created_at: DateTime<Utc>,
}

/// A version to be stored.
#[derive(Debug)]
pub struct NewVersion<'a> {
    /// The playbook.
    pub playbook_id: PlaybookId,
    /// Its number.
    pub version: i32,
    /// The document.
    pub document: &'a Value,
    /// The source, if it was sent as YAML.
    pub source: Option<&'a str>,
    /// SHA-256 of both.
    pub sha256: &'a [u8],
    /// The key that stores it.
    pub by: Option<KeyId>,
}

/// A playbook under its lock.
#[derive(Debug)]
pub struct LockedPlaybook {
    /// The playbook.
    pub playbook_id: PlaybookId,
    /// Number of its latest version.
    pub latest: i32,
    /// Whether lists leave it out.
    pub archived: bool,
}

/// Makes a playbook whose first version follows; returns `false` if the name is taken.
pub async fn insert(
    tx: &mut Tx,
    playbook: PlaybookId,
    name: &str,
    by: Option<KeyId>,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into playbooks (workspace_id, playbook_id, name, latest, created_by, created_at,
                                updated_at)
         values ($1, $2, $3, 1, $4, $5, $5)
         on conflict on constraint playbooks_name_unique do nothing",
        tx.workspace.0,
        playbook.0,
        name,
        by.map(|id| id.0),
        tx.now,
    )
    .execute(traced!(tx, "playbooks.insert"))
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Number of playbooks.
pub async fn count(tx: &mut Tx) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from playbooks where workspace_id = $1"#,
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "playbooks.count"))
    .await
}

/// Locks a playbook by its name. Alone: a join would see its versions as they were before the lock was waited for.
pub async fn lock(tx: &mut Tx, name: &str) -> sqlx::Result<Option<LockedPlaybook>> {
    sqlx::query_as!(
        LockedPlaybook,
        r#"select playbook_id as "playbook_id: PlaybookId", latest,
                  archived_at is not null as "archived!"
           from playbooks where workspace_id = $1 and name = $2 for no key update"#,
        tx.workspace.0,
        name,
    )
    .fetch_optional(traced!(tx, "playbooks.lock"))
    .await
}

/// SHA-256 of the text of a version.
pub async fn sha256(
    tx: &mut Tx,
    playbook: PlaybookId,
    version: i32,
) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!(
        "select document_sha256 from playbook_versions
         where workspace_id = $1 and playbook_id = $2 and version = $3",
        tx.workspace.0,
        playbook.0,
        version,
    )
    .fetch_optional(traced!(tx, "playbooks.sha256"))
    .await
}

/// Stores a version.
pub async fn insert_version(tx: &mut Tx, new: &NewVersion<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into playbook_versions (workspace_id, playbook_id, version, document, source,
                                        document_sha256, created_by, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        tx.workspace.0,
        new.playbook_id.0,
        new.version,
        new.document,
        new.source,
        new.sha256,
        new.by.map(|id| id.0),
        tx.now,
    )
    .execute(traced!(tx, "playbooks.insert_version"))
    .await?;
    Ok(())
}

/// Makes a version of a locked playbook its latest. It is in lists again.
pub async fn set_latest(tx: &mut Tx, playbook: PlaybookId, version: i32) -> sqlx::Result<()> {
    sqlx::query!(
        "update playbooks set latest = $3, updated_at = $4, archived_at = null
         where workspace_id = $1 and playbook_id = $2",
        tx.workspace.0,
        playbook.0,
        version,
        tx.now,
    )
    .execute(traced!(tx, "playbooks.set_latest"))
    .await?;
    Ok(())
}

/// Archives a locked playbook, or puts it back.
pub async fn set_archived(tx: &mut Tx, playbook: PlaybookId, archived: bool) -> sqlx::Result<()> {
    sqlx::query!(
        "update playbooks
         set updated_at = $4, archived_at = case when $3 then $4::timestamptz end
         where workspace_id = $1 and playbook_id = $2",
        tx.workspace.0,
        playbook.0,
        archived,
        tx.now,
    )
    .execute(traced!(tx, "playbooks.set_archived"))
    .await?;
    Ok(())
}

/// Playbooks after the name `after` with their latest versions, by name.
pub async fn list(
    tx: &mut Tx,
    archived: bool,
    after: Option<&str>,
    rows: u32,
) -> sqlx::Result<Vec<PlaybookRow>> {
    sqlx::query_as!(
        PlaybookRow,
        r#"select p.playbook_id as "playbook_id: PlaybookId", p.name, p.latest, p.archived_at, v.version,
                  v.document as "document: Json<Value>", v.source,
                  v.created_by as "created_by: KeyId", v.created_at
           from playbooks p
           join playbook_versions v on v.workspace_id = $1 and v.playbook_id = p.playbook_id
                                   and v.version = p.latest
           where p.workspace_id = $1 and (p.archived_at is not null) = $2
             and ($3::text is null or p.name > $3)
           order by p.name
           limit $4"#,
        tx.workspace.0,
        archived,
        after,
        i64::from(rows),
    )
    .fetch_all(traced!(tx, "playbooks.list"))
    .await
}

/// Names of these that are stored and not archived.
pub async fn shown(tx: &mut Tx, names: &[String]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "select name from playbooks
         where workspace_id = $1 and name = any($2) and archived_at is null",
        tx.workspace.0,
        names,
    )
    .fetch_all(traced!(tx, "playbooks.shown"))
    .await
}

/// Versions of a playbook below a number, latest first.
pub async fn versions(
    tx: &mut Tx,
    name: &str,
    below: Option<i32>,
    rows: u32,
) -> sqlx::Result<Vec<PlaybookRow>> {
    sqlx::query_as!(
        PlaybookRow,
        r#"select p.playbook_id as "playbook_id: PlaybookId", p.name, p.latest, p.archived_at, v.version,
                  v.document as "document: Json<Value>", v.source,
                  v.created_by as "created_by: KeyId", v.created_at
           from playbooks p
           join playbook_versions v on v.workspace_id = $1 and v.playbook_id = p.playbook_id
           where p.workspace_id = $1 and p.name = $2 and ($3::int is null or v.version < $3)
           order by v.version desc
           limit $4"#,
        tx.workspace.0,
        name,
        below,
        i64::from(rows),
    )
    .fetch_all(traced!(tx, "playbooks.versions"))
    .await
}

/// The playbooks of names and versions, those that exist. Version -1 is the latest.
pub async fn find(tx: &mut Tx, wanted: &[(String, Option<i32>)]) -> sqlx::Result<Vec<PlaybookRow>> {
    let names: Vec<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
    let versions: Vec<i32> =
        wanted.iter().map(|(_, version)| version.map_or(-1, |v| v.max(0))).collect();
    sqlx::query_as!(
        PlaybookRow,
        r#"select distinct on (p.playbook_id, v.version)
                  p.playbook_id as "playbook_id: PlaybookId", p.name, p.latest, p.archived_at, v.version,
                  v.document as "document: Json<Value>", v.source,
                  v.created_by as "created_by: KeyId", v.created_at
           from unnest($2::text[], $3::int[]) as w (name, version)
           join playbooks p on p.workspace_id = $1 and p.name = w.name
           join playbook_versions v on v.workspace_id = $1 and v.playbook_id = p.playbook_id
                and v.version = case when w.version = -1 then p.latest else w.version end
           order by p.playbook_id, v.version"#,
        tx.workspace.0,
        &names as &[&str],
        &versions,
    )
    .fetch_all(traced!(tx, "playbooks.find"))
    .await
}
