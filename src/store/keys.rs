//! API keys.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{SystemTx, Tx, columns::uuids, traced};
use crate::domain::{
    access::{
        key::{self, Ends, StoredKey},
        origin::Origin,
        person::Person,
        role::Role,
        scope::{Access, Scope},
    },
    ids::{AgentId, KeyId, ProjectId, WorkspaceId},
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
    /// Time of its last use, exact to a minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// What it may do below its role.
    pub scope_access: Access,
    /// The only projects that it sees.
    pub scope_projects: Option<Vec<ProjectId>>,
    /// Keys that it ends with.
    pub dies_with: Option<Vec<KeyId>>,
    /// The key that replaced it.
    pub rotated_to: Option<KeyId>,
    /// Whether one of `dies_with` is revoked or expired.
    pub maker_ended: bool,
}

impl KeyRow {
    /// What ends it.
    #[must_use]
    pub fn ends(&self) -> Ends {
        Ends {
            revoked_at: self.revoked_at,
            expires_at: self.expires_at,
            maker_ended: self.maker_ended,
        }
    }

    /// What it may do below its role.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope { access: self.scope_access, projects: self.scope_projects.clone() }
    }
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
               k.scope_access as "scope_access: Access",
               k.scope_projects as "scope_projects: Vec<ProjectId>",
               k.expires_at, k.revoked_at, coalesce($3, clock_timestamp()) as "now!",
               k.dies_with is not null and exists (
                   select from keys m
                   where m.workspace_id = k.workspace_id and m.key_id = any(k.dies_with)
                     and (m.revoked_at is not null
                          or m.expires_at <= coalesce($3, clock_timestamp()))) as "maker_ended!"
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
                scope: Scope { access: row.scope_access, projects: row.scope_projects },
                state: key::state(
                    Ends {
                        revoked_at: row.revoked_at,
                        expires_at: row.expires_at,
                        maker_ended: row.maker_ended,
                    },
                    row.now,
                ),
                at: row.now,
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
    /// The key as which it counts unless it has a person: its maker, or the key that it replaces.
    pub counts_as: Option<KeyId>,
    /// Time from which it is invalid.
    pub expires_at: Option<DateTime<Utc>>,
    /// What it may do below its role.
    pub scope: &'a Scope,
    /// Keys that it ends with; empty: none.
    pub dies_with: &'a [KeyId],
}

/// Stores a key. A key without a person gets the origin of the key as which it counts.
pub async fn insert(tx: &mut Tx, key: &NewKeyRow<'_>) -> sqlx::Result<KeyRow> {
    sqlx::query_as!(
        KeyRow,
        r#"
        -- The key as which the new one counts, if that has no person of its own.
        with before as materialized (
            select coalesce(origin, key_id) as origin, origin_person from keys
            where workspace_id = $1 and key_id = $14 and $10::text is null
        )
        insert into keys (workspace_id, key_id, name, role, agent_id, secret_sha256, created_by,
                          created_at, expires_at, person, scope_access, scope_projects, dies_with,
                          origin, origin_person)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
                (select origin from before),
                coalesce($10, (select origin_person from before)))
        returning key_id as "key_id: KeyId", name, role as "role: Role", person as "person: Person",
                  agent_id as "agent_id: AgentId", created_by as "created_by: KeyId", created_at,
                  expires_at, revoked_at, last_used_at, scope_access as "scope_access: Access",
                  scope_projects as "scope_projects: Vec<ProjectId>",
                  dies_with as "dies_with: Vec<KeyId>", rotated_to as "rotated_to: KeyId",
                  false as "maker_ended!"
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
        key.scope.access.as_str(),
        key.scope.projects.as_deref().map(uuids) as Option<Vec<Uuid>>,
        (!key.dies_with.is_empty()).then(|| uuids(key.dies_with)) as Option<Vec<Uuid>>,
        key.counts_as.map(|id| id.0),
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
               expires_at, revoked_at, last_used_at, scope_access as "scope_access: Access",
               scope_projects as "scope_projects: Vec<ProjectId>",
               dies_with as "dies_with: Vec<KeyId>", rotated_to as "rotated_to: KeyId",
               exists (select from keys m
                       where m.workspace_id = $1 and m.key_id = any(k.dies_with)
                         and (m.revoked_at is not null or m.expires_at <= $7))
               as "maker_ended!"
        from keys k
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
        tx.now,
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
               expires_at, revoked_at, last_used_at, scope_access as "scope_access: Access",
               scope_projects as "scope_projects: Vec<ProjectId>",
               dies_with as "dies_with: Vec<KeyId>", rotated_to as "rotated_to: KeyId",
               exists (select from keys m
                       where m.workspace_id = $1 and m.key_id = any(k.dies_with)
                         and (m.revoked_at is not null or m.expires_at <= $3))
               as "maker_ended!"
        from keys k where workspace_id = $1 and key_id = $2
        for no key update of k
        "#,
        tx.workspace.0,
        key.0,
        tx.now,
    )
    .fetch_optional(traced!(tx, "keys.lock"))
    .await
}

/// Locks every admin key that is valid at `now`, in id order. Concurrent revocations of admin keys
/// therefore see each other. Keys with a scope, which make no keys, keys that end with others, and keys of
/// identities, which nobody has, do not count.
pub async fn lock_valid_admins(tx: &mut Tx) -> sqlx::Result<Vec<KeyId>> {
    sqlx::query_scalar!(
        r#"
        select key_id as "key_id: KeyId" from keys
        where workspace_id = $1 and role = 'admin' and revoked_at is null
          and (expires_at is null or expires_at > $2)
          and scope_access = 'all' and scope_projects is null and dies_with is null
          and not exists (select from identities i
                          where i.workspace_id = $1 and i.key_id = keys.key_id)
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

/// Hands a locked key over to another: it ends at `expires_at`, what ended with it ends with the
/// other, and the attempts that it took over are the other's.
pub async fn hand_over(
    tx: &mut Tx,
    key: KeyId,
    to: KeyId,
    expires_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update keys set rotated_to = $3, expires_at = $4
         where workspace_id = $1 and key_id = $2",
        tx.workspace.0,
        key.0,
        to.0,
        expires_at,
    )
    .execute(traced!(tx, "keys.hand_over"))
    .await?;
    sqlx::query!(
        "update keys set dies_with = array_replace(dies_with, $2, $3)
         where workspace_id = $1 and $2 = any(dies_with)",
        tx.workspace.0,
        key.0,
        to.0,
    )
    .execute(traced!(tx, "keys.hand_over"))
    .await?;
    sqlx::query!(
        "update attempts set held_by_key = $3
         where workspace_id = $1 and held_by_key = $2 and state in ('running', 'parked')",
        tx.workspace.0,
        key.0,
        to.0,
    )
    .execute(traced!(tx, "keys.hand_over"))
    .await?;
    Ok(())
}

/// Ends the valid keys of agents at `end` at the latest, and returns their number.
pub async fn end_agent_keys_by(tx: &mut Tx, end: DateTime<Utc>) -> sqlx::Result<u64> {
    let ended = sqlx::query!(
        "update keys set expires_at = $2
         where workspace_id = $1 and role = 'agent' and revoked_at is null
           and (expires_at is null or expires_at > $2)",
        tx.workspace.0,
        end,
    )
    .execute(traced!(tx, "keys.end_agent_keys_by"))
    .await?;
    Ok(ended.rows_affected())
}

/// Writes when keys were last used, unless what is stored is younger than `exact_to` before. Rows
/// that others hold are left for the next time.
pub async fn note_use(
    tx: &mut Tx,
    used: &[(KeyId, DateTime<Utc>)],
    exact_to: std::time::Duration,
) -> sqlx::Result<u64> {
    let keys: Vec<Uuid> = used.iter().map(|(key, _)| key.0).collect();
    let times: Vec<DateTime<Utc>> = used.iter().map(|(_, at)| *at).collect();
    let noted = sqlx::query!(
        r#"
        -- The keys whose stored time is old, in one order so that two processes do not deadlock.
        with stale as materialized (
            select k.key_id, used.at
            from unnest($2::uuid[], $3::timestamptz[]) as used (key_id, at)
            join keys k on k.workspace_id = $1 and k.key_id = used.key_id
            where k.last_used_at is null
               or k.last_used_at + make_interval(secs => $4) <= used.at
            order by k.key_id
            for no key update of k skip locked
        )
        update keys k set last_used_at = stale.at
        from stale
        where k.workspace_id = $1 and k.key_id = stale.key_id
        "#,
        tx.workspace.0,
        &keys as &[Uuid],
        &times as &[DateTime<Utc>],
        exact_to.as_secs_f64(),
    )
    .execute(traced!(tx, "keys.note_use"))
    .await?;
    Ok(noted.rows_affected())
}
