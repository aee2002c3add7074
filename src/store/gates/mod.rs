//! Gates: what tasks need to start, and the grants of running attempts.
//!
//! A grant is a row of one running attempt. [`super::attempts::end`] deletes it in the statement that ends the attempt,
//! so there is no other place that could forget to. Whoever grants first locks the concurrency keys in id order
//! ([`lock_keys`]), or the resources of the workspace ([`lock_resources`]), and reads what is held in a statement of its
//! own afterwards: that sees every grant committed before.

pub mod keys;

use uuid::Uuid;

use super::{Tx, columns::uuids, traced};
use crate::domain::{
    gate::resource::{Touch, TouchMode},
    ids::{AgentId, AttemptId, ConcurrencyKeyId, TaskId},
};
use sqlx::types::Json;

/// What a task needs to start.
#[derive(Debug)]
pub struct NeedRow {
    /// The task.
    pub task_id: TaskId,
    /// Where its resources conflict with others.
    pub scope: Uuid,
    /// Its concurrency keys.
    pub keys: Vec<Uuid>,
    /// Its resources.
    pub touches: Json<Vec<Touch>>,
}

/// Reads what tasks need to start.
pub async fn needs(tx: &mut Tx, tasks: &[TaskId]) -> sqlx::Result<Vec<NeedRow>> {
    sqlx::query_as!(
        NeedRow,
        r#"select t.task_id as "task_id: TaskId", resource_scope($1, t.goal_id) as "scope!",
                  array(select n.concurrency_key_id from task_concurrency_keys n
                        where n.workspace_id = $1 and n.task_id = t.task_id
                        order by n.concurrency_key_id) as "keys!",
                  coalesce((select jsonb_agg(jsonb_build_object('resource', n.resource, 'mode', n.mode)
                                             order by n.resource)
                            from task_touches n
                            where n.workspace_id = $1 and n.task_id = t.task_id), '[]')
                  as "touches!: Json<Vec<Touch>>"
           from tasks t where t.workspace_id = $1 and t.task_id = any($2)"#,
        tx.workspace.0,
        &uuids(tasks),
    )
    .fetch_all(traced!(tx, "gates.needs"))
    .await
}

/// Locks concurrency keys in id order. Excludes their other grants, so a count read afterwards is exact.
pub async fn lock_keys(tx: &mut Tx, keys: &[ConcurrencyKeyId]) -> sqlx::Result<()> {
    sqlx::query!(
        "select concurrency_key_id from concurrency_keys
         where workspace_id = $1 and concurrency_key_id = any($2)
         order by concurrency_key_id for no key update",
        tx.workspace.0,
        &uuids(keys),
    )
    .fetch_all(traced!(tx, "gates.lock_keys"))
    .await?;
    Ok(())
}

/// A concurrency key and its grants.
#[derive(Debug)]
pub struct KeyUseRow {
    /// The key.
    pub concurrency_key_id: ConcurrencyKeyId,
    /// Its name.
    pub name: String,
    /// Most grants.
    pub most: i32,
    /// Grants that there are.
    pub held: i64,
}

/// Counts the grants of concurrency keys. The caller has locked the keys.
pub async fn key_uses(tx: &mut Tx, keys: &[ConcurrencyKeyId]) -> sqlx::Result<Vec<KeyUseRow>> {
    sqlx::query_as!(
        KeyUseRow,
        r#"select k.concurrency_key_id as "concurrency_key_id: ConcurrencyKeyId", k.name, k.most,
                  (select count(*) from concurrency_grants g where g.workspace_id = $1
                   and g.concurrency_key_id = k.concurrency_key_id) as "held!"
           from concurrency_keys k
           where k.workspace_id = $1 and k.concurrency_key_id = any($2)"#,
        tx.workspace.0,
        &uuids(keys),
    )
    .fetch_all(traced!(tx, "gates.key_uses"))
    .await
}

/// Locks the resources of the workspace: nobody else takes one until the transaction ends. One lock and no row each,
/// because two resources may overlap that are not the same.
pub async fn lock_resources(tx: &mut Tx) -> sqlx::Result<()> {
    sqlx::query!(
        r#"select pg_advisory_xact_lock(hashtextextended('resources ' || $1::text, 0))::text as "locked""#,
        tx.workspace.0.to_string(),
    )
    .fetch_one(traced!(tx, "gates.lock_resources"))
    .await?;
    Ok(())
}

/// A resource that a running attempt holds.
#[derive(Debug)]
pub struct HeldRow {
    /// Where it conflicts with others.
    pub scope_id: Uuid,
    /// The resource.
    pub resource: String,
    /// How it is held.
    pub mode: TouchMode,
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Its task.
    pub task_id: TaskId,
    /// Its agent; `None`: a person holds it.
    pub agent_id: Option<AgentId>,
}

/// All resources held in some scopes. The caller has locked the resources.
pub async fn held_in(tx: &mut Tx, scopes: &[Uuid]) -> sqlx::Result<Vec<HeldRow>> {
    sqlx::query_as!(
        HeldRow,
        r#"select h.scope_id, h.resource, h.mode as "mode: TouchMode",
                  h.attempt_id as "attempt_id: AttemptId", a.task_id as "task_id: TaskId",
                  a.agent_id as "agent_id: AgentId"
           from resource_grants h
           join attempts a on a.workspace_id = $1 and a.attempt_id = h.attempt_id
           where h.workspace_id = $1 and h.scope_id = any($2)
           order by h.scope_id, h.attempt_id, h.resource"#,
        tx.workspace.0,
        scopes,
    )
    .fetch_all(traced!(tx, "gates.held_in"))
    .await
}

/// The resources that an attempt holds.
pub async fn held_by(tx: &mut Tx, attempt: AttemptId) -> sqlx::Result<Vec<Touch>> {
    let rows = sqlx::query!(
        r#"select resource, mode as "mode: TouchMode" from resource_grants
           where workspace_id = $1 and attempt_id = $2 order by resource"#,
        tx.workspace.0,
        attempt.0,
    )
    .fetch_all(traced!(tx, "gates.held_by"))
    .await?;
    Ok(rows.into_iter().map(|row| Touch { resource: row.resource, mode: row.mode }).collect())
}

/// Grants concurrency keys to running attempts. The caller has locked the keys, and there is room.
pub async fn grant_keys(tx: &mut Tx, grants: &[(AttemptId, ConcurrencyKeyId)]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into concurrency_grants (workspace_id, attempt_id, concurrency_key_id, granted_at)
         select $1, g.attempt_id, g.key_id, $2
         from unnest($3::uuid[], $4::uuid[]) as g (attempt_id, key_id)",
        tx.workspace.0,
        tx.now,
        &grants.iter().map(|(attempt, _)| attempt.0).collect::<Vec<_>>(),
        &grants.iter().map(|(_, key)| key.0).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "gates.grant_keys"))
    .await?;
    Ok(())
}

/// Grants resources to running attempts; one that the attempt holds gets the mode. The caller has locked the resources,
/// and nothing conflicts.
pub async fn grant_resources(tx: &mut Tx, grants: &[(AttemptId, Uuid, Touch)]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into resource_grants (workspace_id, attempt_id, scope_id, resource, mode, granted_at)
         select $1, g.attempt_id, g.scope_id, g.resource, g.mode, $2
         from unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[])
              as g (attempt_id, scope_id, resource, mode)
         on conflict (workspace_id, attempt_id, resource) do update set mode = excluded.mode",
        tx.workspace.0,
        tx.now,
        &grants.iter().map(|(attempt, _, _)| attempt.0).collect::<Vec<_>>(),
        &grants.iter().map(|(_, scope, _)| *scope).collect::<Vec<_>>(),
        &grants.iter().map(|(_, _, touch)| touch.resource.clone()).collect::<Vec<_>>(),
        &grants.iter().map(|(_, _, touch)| touch.mode.as_str().to_owned()).collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "gates.grant_resources"))
    .await?;
    Ok(())
}

/// Gives up resources of an attempt; returns those that it held.
pub async fn give_up(
    tx: &mut Tx,
    attempt: AttemptId,
    resources: &[String],
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "delete from resource_grants
         where workspace_id = $1 and attempt_id = $2 and resource = any($3) returning resource",
        tx.workspace.0,
        attempt.0,
        resources,
    )
    .fetch_all(traced!(tx, "gates.give_up"))
    .await
}

/// Stores the gates of new tasks.
pub async fn insert(
    tx: &mut Tx,
    keys: &[(TaskId, ConcurrencyKeyId)],
    touches: &[(TaskId, &Touch)],
) -> sqlx::Result<()> {
    if !keys.is_empty() {
        sqlx::query!(
            "insert into task_concurrency_keys (workspace_id, task_id, concurrency_key_id)
             select $1, n.task_id, n.key_id from unnest($2::uuid[], $3::uuid[]) as n (task_id, key_id)",
            tx.workspace.0,
            &keys.iter().map(|(task, _)| task.0).collect::<Vec<_>>(),
            &keys.iter().map(|(_, key)| key.0).collect::<Vec<_>>(),
        )
        .execute(traced!(tx, "gates.insert"))
        .await?;
    }
    if !touches.is_empty() {
        sqlx::query!(
            "insert into task_touches (workspace_id, task_id, resource, mode)
             select $1, n.task_id, n.resource, n.mode
             from unnest($2::uuid[], $3::text[], $4::text[]) as n (task_id, resource, mode)",
            tx.workspace.0,
            &touches.iter().map(|(task, _)| task.0).collect::<Vec<_>>(),
            &touches.iter().map(|(_, touch)| touch.resource.clone()).collect::<Vec<_>>(),
            &touches.iter().map(|(_, touch)| touch.mode.as_str().to_owned()).collect::<Vec<_>>(),
        )
        .execute(traced!(tx, "gates.insert"))
        .await?;
    }
    let keyed = keys.iter().map(|(task, _)| task.0);
    let gated: std::collections::BTreeSet<Uuid> =
        keyed.chain(touches.iter().map(|(task, _)| task.0)).collect();
    sqlx::query!(
        "update tasks set gated = true where workspace_id = $1 and task_id = any($2)",
        tx.workspace.0,
        &gated.into_iter().collect::<Vec<_>>(),
    )
    .execute(traced!(tx, "gates.insert"))
    .await?;
    Ok(())
}
