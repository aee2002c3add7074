//! API keys.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{SystemTx, Tx, traced};
use crate::domain::{
    access::{
        key::{self, StoredKey},
        origin::Origin,
        person::Person,
        role::Role,
    },
    ids::{AgentId, KeyId, WorkspaceId},
    states::AgentState,
};

/// A key without its secret; only the hash of that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Id of the key.
    pub key_id: KeyId,
    /// Name of the person or program that uses it.
    pub name: String,
    /// Its role: the permissions.
    pub role: Role,
    /// The person it belongs to.
    pub person: Option<Person>,
    /// The agent it is bound to.
    pub agent_id: Option<AgentId>,
    /// The key that created it.
    pub created_by: Option<KeyId>,
    /// Time of its creation.
    pub created_at: DateTime<Utc>,
    /// Time from which it is invalid.
    pub expires_at: Option<DateTime<Utc>>,
    /// Time of its revocation.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Finds keys for authentication: one answer per pair, in order. The same key may occur many times.
///
/// The only function for several workspaces: each pair is looked up in its own. Without `now` the
/// database's clock counts. The arrays stand in subselects, so that the planner does not plan once
/// per array length: planning takes longer than the lookup.
pub async fn find(
    tx: &mut SystemTx,
    asked: &[(WorkspaceId, KeyId)],
    now: Option<DateTime<Utc>>,
) -> sqlx::Result<Vec<Option<StoredKey>>> {
    let workspaces: Vec<Uuid> = asked.iter().map(|(workspace, _)| workspace.0).collect();
    let keys: Vec<Uuid> = asked.iter().map(|(_, key)| key.0).collect();
    let rows = sqlx::query!(
        r#"
        select asked.place as "place!", k.secret_sha256, k.role as "role: Role",
               k.person as "person: Person",
               k.agent_id as "agent_id: AgentId", a.state as "agent_state?: AgentState",
               a.owner as "owner?: Person",
               coalesce(k.origin, k.key_id) as "origin!: KeyId",
               k.origin_person as "origin_person: Person",
               k.expires_at, k.revoked_at, coalesce($3, clock_timestamp()) as "now!"
        from unnest((select $1::uuid[]), (select $2::uuid[]))
             with ordinality as asked (workspace_id, key_id, place)
        join keys k on k.workspace_id = asked.workspace_id and k.key_id = asked.key_id
        left join agents a on a.workspace_id = k.workspace_id and a.agent_id = k.agent_id
        "#,
        &workspaces as &[Uuid],
        &keys as &[Uuid],
        now,
    )
    .fetch_all(traced!(tx, "keys.find"))
    .await?;
    let mut found = vec![None; asked.len()];
    for row in rows {
        let place = usize::try_from(row.place - 1).unwrap_or(usize::MAX);
        if let Some(slot) = found.get_mut(place) {
            *slot = Some(StoredKey {
                secret_sha256: row.secret_sha256,
                role: row.role,
                person: row.person,
                origin: Origin { key: Some(row.origin), person: row.origin_person },
                owner: row.owner,
                agent: row.agent_id.zip(row.agent_state),
                state: key::state(row.revoked_at, row.expires_at, row.now),
            });
        }
    }
    Ok(found)
}

/// A key to be stored.
#[derive(Debug, Clone)]
pub struct NewKeyRow<'a> {
    /// Id of the key.
    pub key_id: KeyId,
    /// Name of the person or program that uses it.
    pub name: &'a str,
    /// Its role: the permissions.
    pub role: Role,
    /// The person it belongs to.
    pub person: Option<&'a Person>,
    /// The agent it is bound to; present exactly if the role is `agent`.
    pub agent_id: Option<AgentId>,
    /// SHA-256 of its secret.
    pub secret_sha256: &'a [u8],
    /// The key that creates it.
    pub created_by: Option<KeyId>,
    /// Time from which it is invalid.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Stores a key. A key without a person gets the origin of its maker.
pub async fn insert(tx: &mut Tx, key: &NewKeyRow<'_>) -> sqlx::Result<KeyRow> {
    sqlx::query_as!(
        KeyRow,
        r#"
        -- The maker, if the new key has no person of its own.
        with maker as materialized (
            select coalesce(origin, key_id) as origin, origin_person from keys
            where workspace_id = $1 and key_id = $7 and $10::text is null
        )
        insert into keys (workspace_id, key_id, name, role, agent_id, secret_sha256, created_by,
                          created_at, expires_at, person, origin, origin_person)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
                (select origin from maker),
                coalesce($10, (select origin_person from maker)))
        returning key_id as "key_id: KeyId", name, role as "role: Role", person as "person: Person",
                  agent_id as "agent_id: AgentId", created_by as "created_by: KeyId", created_at,
                  expires_at, revoked_at
        "#,
        tx.workspace.0,
        key.key_id.0,
        key.name,
        key.role.as_str(),
        key.agent_id.map(|id| id.0),
        key.secret_sha256,
        key.created_by.map(|id| id.0),
        tx.now,
        key.expires_at,
        key.person.map(Person::as_str),
    )
    .fetch_one(traced!(tx, "keys.insert"))
    .await
}

/// Filter for [`list`].
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyFilter {
    /// Only this one.
    pub key: Option<KeyId>,
    /// Only keys with this role.
    pub role: Option<Role>,
    /// Only keys of this agent.
    pub agent_id: Option<AgentId>,
}

/// Lists keys after `after`, newest first (by id, descending).
pub async fn list(
    tx: &mut Tx,
    filter: KeyFilter,
    after: Option<KeyId>,
    rows: i64,
) -> sqlx::Result<Vec<KeyRow>> {
    sqlx::query_as!(
        KeyRow,
        r#"
        select key_id as "key_id: KeyId", name, role as "role: Role", person as "person: Person",
               agent_id as "agent_id: AgentId", created_by as "created_by: KeyId", created_at,
               expires_at, revoked_at
        from keys
        where workspace_id = $1
          and ($2::uuid is null or key_id = $2)
          and ($3::text is null or role = $3)
          and ($4::uuid is null or agent_id = $4)
          and ($5::uuid is null or key_id < $5)
        order by key_id desc
        limit $6
        "#,
        tx.workspace.0,
        filter.key.map(|id| id.0),
        filter.role.map(Role::as_str),
        filter.agent_id.map(|id| id.0),
        after.map(|id| id.0),
        rows,
    )
    .fetch_all(traced!(tx, "keys.list"))
    .await
}

/// Locks a key by id.
pub async fn lock(tx: &mut Tx, key: KeyId) -> sqlx::Result<Option<KeyRow>> {
    sqlx::query_as!(
        KeyRow,
        r#"
        select key_id as "key_id: KeyId", name, role as "role: Role", person as "person: Person",
               agent_id as "agent_id: AgentId", created_by as "created_by: KeyId", created_at,
               expires_at, revoked_at
        from keys where workspace_id = $1 and key_id = $2
        for no key update
        "#,
        tx.workspace.0,
        key.0,
    )
    .fetch_optional(traced!(tx, "keys.lock"))
    .await
}

/// Locks every admin key that is valid at `now`, in id order. Concurrent revocations of admin keys
/// therefore see each other.
pub async fn lock_valid_admins(tx: &mut Tx) -> sqlx::Result<Vec<KeyId>> {
    sqlx::query_scalar!(
        r#"
        select key_id as "key_id: KeyId" from keys
        where workspace_id = $1 and role = 'admin' and revoked_at is null
          and (expires_at is null or expires_at > $2)
        order by key_id
        for no key update
        "#,
        tx.workspace.0,
        tx.now,
    )
    .fetch_all(traced!(tx, "keys.lock_valid_admins"))
    .await
}

/// Revokes keys and returns the number of changed rows. Already revoked keys keep their time.
pub async fn revoke(tx: &mut Tx, keys: &[KeyId]) -> sqlx::Result<u64> {
    let keys: Vec<Uuid> = keys.iter().map(|key| key.0).collect();
    let revoked = sqlx::query!(
        "update keys set revoked_at = $3
         where workspace_id = $1 and key_id = any($2) and revoked_at is null",
        tx.workspace.0,
        &keys as &[Uuid],
        tx.now,
    )
    .execute(traced!(tx, "keys.revoke"))
    .await?;
    Ok(revoked.rows_affected())
}

/// The valid keys of an agent except `newest` and the `keep` newest others. The caller has locked
/// the agent.
pub async fn surplus_of_agent(
    tx: &mut Tx,
    agent: AgentId,
    newest: KeyId,
    keep: i64,
) -> sqlx::Result<Vec<KeyId>> {
    sqlx::query_scalar!(
        r#"
        select key_id as "key_id: KeyId" from keys
        where workspace_id = $1 and agent_id = $2 and key_id <> $3 and revoked_at is null
          and (expires_at is null or expires_at > $5)
        order by created_at desc, key_id desc
        offset $4
        "#,
        tx.workspace.0,
        agent.0,
        newest.0,
        keep,
        tx.now,
    )
    .fetch_all(traced!(tx, "keys.surplus_of_agent"))
    .await
}
