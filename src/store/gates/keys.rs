//! Concurrency keys: storing, finding by name, lists.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::{
    domain::ids::{AgentId, AttemptId, ConcurrencyKeyId, GoalId, KeyId, ProjectId, TaskId},
    store::{Tx, columns::uuids, traced},
};

/// Stores a key; `false` if its name is taken there.
pub async fn insert(
    tx: &mut Tx,
    key: ConcurrencyKeyId,
    project: Option<ProjectId>,
    name: &str,
    most: i32,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into concurrency_keys (workspace_id, concurrency_key_id, project_id, name, most,
                                       created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $6)
         on conflict on constraint concurrency_keys_name_unique do nothing",
        tx.workspace.0,
        key.0,
        project.map(|id| id.0),
        name,
        most,
        tx.now,
    )
    .execute(traced!(tx, "gates.keys.insert"))
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Stores keys of the workspace with one grant, which tasks name; returns those whose name was not taken. Names in
/// one order keep two transactions from waiting for each other.
pub async fn insert_for_tasks(
    tx: &mut Tx,
    keys: &[(ConcurrencyKeyId, &str)],
) -> sqlx::Result<Vec<(ConcurrencyKeyId, String)>> {
    let rows = sqlx::query!(
        r#"insert into concurrency_keys (workspace_id, concurrency_key_id, project_id, name, most, kept,
                                         created_at, updated_at)
           select $1, n.key_id, null, n.name, 1, false, $2, $2
           from unnest($3::uuid[], $4::text[]) with ordinality as n (key_id, name, place)
           order by n.place
           on conflict on constraint concurrency_keys_name_unique do nothing
           returning concurrency_key_id as "key: ConcurrencyKeyId", name"#,
        tx.workspace.0,
        tx.now,
        &keys.iter().map(|(key, _)| key.0).collect::<Vec<_>>(),
        &keys.iter().map(|(_, name)| (*name).to_owned()).collect::<Vec<_>>(),
    )
    .fetch_all(traced!(tx, "gates.keys.insert_for_tasks"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.name)).collect())
}

/// Number of keys.
pub async fn count(tx: &mut Tx) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from concurrency_keys where workspace_id = $1"#,
        tx.workspace.0,
    )
    .fetch_one(traced!(tx, "gates.keys.count"))
    .await
}

/// The keys that tasks of a goal mean by names: that of its project, or else that of the workspace. Nobody deletes them
/// until the transaction ends.
pub async fn named(
    tx: &mut Tx,
    goal: GoalId,
    names: &[String],
) -> sqlx::Result<Vec<(String, ConcurrencyKeyId)>> {
    let rows = sqlx::query!(
        r#"select k.name, k.concurrency_key_id as "key: ConcurrencyKeyId",
                  k.project_id is not null as "of_project!"
           from concurrency_keys k
           where k.workspace_id = $1 and k.name = any($3)
             and (k.scope_id = $1 or k.scope_id = resource_scope($1, $2))
           order by k.concurrency_key_id
           for key share"#,
        tx.workspace.0,
        goal.0,
        names,
    )
    .fetch_all(traced!(tx, "gates.keys.named"))
    .await?;
    let mut named: std::collections::BTreeMap<String, (bool, ConcurrencyKeyId)> =
        std::collections::BTreeMap::new();
    for row in rows {
        let better = named.get(&row.name).is_none_or(|(of_project, _)| !of_project);
        if better {
            named.insert(row.name, (row.of_project, row.key));
        }
    }
    Ok(named.into_iter().map(|(name, (_, key))| (name, key)).collect())
}

/// A key as edits read it.
#[derive(Debug)]
pub struct LockedKey {
    /// Most grants.
    pub most: i32,
    /// Version of the key.
    pub version: i32,
    /// Whether it stays when no open task names it.
    pub kept: bool,
}

/// Locks a key against its edits, its grants and new tasks that name it.
pub async fn lock(tx: &mut Tx, key: ConcurrencyKeyId) -> sqlx::Result<Option<LockedKey>> {
    sqlx::query_as!(
        LockedKey,
        "select most, version, kept from concurrency_keys
         where workspace_id = $1 and concurrency_key_id = $2 for update",
        tx.workspace.0,
        key.0,
    )
    .fetch_optional(traced!(tx, "gates.keys.lock"))
    .await
}

/// Sets the most grants of a key, which stays from now on.
pub async fn update(tx: &mut Tx, key: ConcurrencyKeyId, most: i32) -> sqlx::Result<()> {
    sqlx::query!(
        "update concurrency_keys set most = $3, kept = true, version = version + 1, updated_at = $4
         where workspace_id = $1 and concurrency_key_id = $2",
        tx.workspace.0,
        key.0,
        most,
        tx.now,
    )
    .execute(traced!(tx, "gates.keys.update"))
    .await?;
    Ok(())
}

/// Number of open tasks that name a key, counted up to `most`.
pub async fn open_tasks(tx: &mut Tx, key: ConcurrencyKeyId, most: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from (
               select from task_concurrency_keys n
               join tasks t on t.workspace_id = $1 and t.task_id = n.task_id
               where n.workspace_id = $1 and n.concurrency_key_id = $2 and t.ended_at is null
               limit $3) open"#,
        tx.workspace.0,
        key.0,
        most,
    )
    .fetch_one(traced!(tx, "gates.keys.open_tasks"))
    .await
}

/// Locks keys that only tasks made, before a time, and that no open task seems to name; those that somebody else has
/// locked are left out. The newest task is looked at first: a key in use is seldom named by old ones only.
pub async fn lock_unused(
    tx: &mut Tx,
    before: DateTime<Utc>,
    rows: i64,
) -> sqlx::Result<Vec<ConcurrencyKeyId>> {
    sqlx::query_scalar!(
        r#"select k.concurrency_key_id as "key: ConcurrencyKeyId" from concurrency_keys k
           where k.workspace_id = $1 and not k.kept and k.created_at < $2
             and (select t.task_id from task_concurrency_keys n
                  join tasks t on t.workspace_id = $1 and t.task_id = n.task_id
                  where n.workspace_id = $1 and n.concurrency_key_id = k.concurrency_key_id
                    and t.ended_at is null
                  order by n.task_id desc limit 1) is null
           order by k.concurrency_key_id limit $3
           for update of k skip locked"#,
        tx.workspace.0,
        before,
        rows,
    )
    .fetch_all(traced!(tx, "gates.keys.lock_unused"))
    .await
}

/// Deletes keys that no open task names, and returns them. `remember`: ended tasks keep the names ([`take_names`]), else
/// they name them no longer. The caller has locked the keys, in a statement before: so nobody names one meanwhile.
pub async fn delete(
    tx: &mut Tx,
    keys: &[ConcurrencyKeyId],
    remember: bool,
) -> sqlx::Result<Vec<ConcurrencyKeyId>> {
    let unused = sqlx::query_scalar!(
        r#"select k.concurrency_key_id as "key: ConcurrencyKeyId" from concurrency_keys k
           where k.workspace_id = $1 and k.concurrency_key_id = any($2)
             and (select t.task_id from task_concurrency_keys n
                  join tasks t on t.workspace_id = $1 and t.task_id = n.task_id
                  where n.workspace_id = $1 and n.concurrency_key_id = k.concurrency_key_id
                    and t.ended_at is null
                  order by n.task_id desc limit 1) is null
           order by k.concurrency_key_id"#,
        tx.workspace.0,
        &uuids(keys),
    )
    .fetch_all(traced!(tx, "gates.keys.delete"))
    .await?;
    sqlx::query!(
        "with named as (
             delete from task_concurrency_keys n using concurrency_keys k
             where n.workspace_id = $1 and n.concurrency_key_id = any($2)
               and k.workspace_id = $1 and k.concurrency_key_id = n.concurrency_key_id
             returning n.task_id, k.name
         )
         insert into task_key_names (workspace_id, task_id, name)
         select $1, task_id, name from named where $3 on conflict do nothing",
        tx.workspace.0,
        &uuids(&unused),
        remember,
    )
    .execute(traced!(tx, "gates.keys.delete"))
    .await?;
    sqlx::query!(
        "delete from concurrency_keys where workspace_id = $1 and concurrency_key_id = any($2)",
        tx.workspace.0,
        &uuids(&unused),
    )
    .execute(traced!(tx, "gates.keys.delete"))
    .await?;
    Ok(unused)
}

/// Takes the names of deleted keys from tasks that named them.
pub async fn take_names(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<(TaskId, String)>> {
    let rows = sqlx::query!(
        r#"delete from task_key_names where workspace_id = $1 and task_id = any($2)
           returning task_id as "task_id: TaskId", name"#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "gates.keys.take_names"))
    .await?;
    Ok(rows.into_iter().map(|row| (row.task_id, row.name)).collect())
}

/// A running attempt that holds a concurrency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Its task.
    pub task_id: TaskId,
    /// Its agent; `None`: a person holds it.
    pub agent_id: Option<AgentId>,
    /// The key of the person who holds it; `None`: an agent does.
    pub held_by_key: Option<KeyId>,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// A key with its holders.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of the tables, documented there")]
pub struct ConcurrencyKeyRow {
    pub concurrency_key_id: ConcurrencyKeyId,
    pub project_id: Option<ProjectId>,
    pub name: String,
    pub most: i32,
    pub held: i64,
    pub waiting: i64,
    pub holders: Json<Vec<Holder>>,
    pub kept: bool,
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Selection for [`list`].
#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    /// Only this one.
    pub key: Option<ConcurrencyKeyId>,
    /// Only with this name.
    pub name: Option<String>,
    /// Only of this project.
    pub project: Option<ProjectId>,
}

/// Up to `rows` keys after `after`, newest first, each with up to `holders` holders, and the number of ready tasks that
/// name it, counted up to `waiting`.
pub async fn list(
    tx: &mut Tx,
    filter: &KeyFilter,
    after: Option<ConcurrencyKeyId>,
    rows: i64,
    (holders, waiting): (i64, i64),
) -> sqlx::Result<Vec<ConcurrencyKeyRow>> {
    sqlx::query_as!(
        ConcurrencyKeyRow,
        r#"select k.concurrency_key_id as "concurrency_key_id: ConcurrencyKeyId",
                  k.project_id as "project_id: ProjectId", k.name, k.most,
                  (select count(*) from concurrency_grants g where g.workspace_id = $1
                   and g.concurrency_key_id = k.concurrency_key_id) as "held!",
                  (select count(*) from (
                       select from task_concurrency_keys n
                       join tasks t on t.workspace_id = $1 and t.task_id = n.task_id
                       where n.workspace_id = $1 and n.concurrency_key_id = k.concurrency_key_id
                         and t.state = 'ready' limit $7) w) as "waiting!",
                  coalesce((select jsonb_agg(jsonb_build_object(
                                'attempt_id', h.attempt_id, 'task_id', h.task_id,
                                'agent_id', h.agent_id, 'held_by_key', h.held_by_key,
                                'since', h.granted_at) order by h.granted_at, h.attempt_id)
                            from (select a.attempt_id, a.task_id, a.agent_id, a.held_by_key,
                                         g.granted_at
                                  from concurrency_grants g
                                  join attempts a on a.workspace_id = $1
                                       and a.attempt_id = g.attempt_id
                                  where g.workspace_id = $1
                                    and g.concurrency_key_id = k.concurrency_key_id
                                  order by g.granted_at, a.attempt_id limit $6) h), '[]')
                  as "holders!: Json<Vec<Holder>>",
                  k.kept, k.version, k.created_at, k.updated_at
           from concurrency_keys k
           where k.workspace_id = $1
             and ($2::uuid is null or k.concurrency_key_id = $2)
             and ($3::text is null or k.name = $3)
             and ($8::uuid is null or k.project_id = $8)
             and ($4::uuid is null or k.concurrency_key_id < $4)
           order by k.concurrency_key_id desc limit $5"#,
        tx.workspace.0,
        filter.key.map(|id| id.0),
        filter.name,
        after.map(|id| id.0),
        rows,
        holders,
        waiting,
        filter.project.map(|id| id.0),
    )
    .fetch_all(traced!(tx, "gates.keys.list"))
    .await
}
