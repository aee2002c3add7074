//! Sessions: sign-ins of people.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Tx, columns::uuids, traced};
use crate::domain::{
    access::{
        key::{self, KeyState},
        person::Person,
        role::Role,
        scope::{Access, Scope},
        session::{self, SessionState},
    },
    ids::{IdentityId, KeyId, ProjectId, SessionId},
};

/// A session without its token; only the hash of that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Id of the session.
    pub session_id: SessionId,
    /// SHA-256 of the secret of its token.
    pub token_sha256: Vec<u8>,
    /// The person who signed in.
    pub person: Option<Person>,
    /// The key that it began with.
    pub key_id: Option<KeyId>,
    /// The identity that signed in.
    pub identity_id: Option<IdentityId>,
    /// Whether the person of the identity is confirmed; `None` without an identity.
    pub person_confirmed: Option<bool>,
    /// Its permissions.
    pub role: Role,
    /// Time of the sign-in.
    pub created_at: DateTime<Utc>,
    /// Time of its last use, exact to a minute.
    pub last_seen_at: DateTime<Utc>,
    /// Time of its end unless it is used.
    pub idle_ends_at: DateTime<Utc>,
    /// Time of its end at the latest.
    pub expires_at: DateTime<Utc>,
    /// Time of the sign-out.
    pub ended_at: Option<DateTime<Utc>>,
    /// Time of the revocation of its key.
    pub key_revoked_at: Option<DateTime<Utc>>,
    /// Time of the expiry of its key.
    pub key_expires_at: Option<DateTime<Utc>>,
    /// Whether a key that its key dies with is revoked or expired.
    pub key_maker_ended: bool,
    /// What its key may do below its role; `None` without a key.
    pub scope_access: Option<Access>,
    /// The only projects that its key sees.
    pub scope_projects: Option<Vec<ProjectId>>,
}

impl SessionRow {
    /// Its ends without a sign-out.
    #[must_use]
    pub fn ends(&self) -> session::Ends {
        session::Ends { idle_at: self.idle_ends_at, at: self.expires_at }
    }

    /// Its state at `now`.
    #[must_use]
    pub fn state(&self, now: DateTime<Utc>) -> SessionState {
        let ends = key::Ends {
            revoked_at: self.key_revoked_at,
            expires_at: self.key_expires_at,
            maker_ended: self.key_maker_ended,
        };
        let key_valid = key::state(ends, now) == KeyState::Valid;
        session::state(self.ended_at, self.ends(), key_valid, now)
    }

    /// What it may do below its role. An identity whose person is not confirmed only reads.
    #[must_use]
    pub fn scope(&self) -> Scope {
        let access = match self.person_confirmed {
            Some(false) => Access::ReadOnly,
            Some(true) | None => self.scope_access.unwrap_or_default(),
        };
        Scope { access, projects: self.scope_projects.clone() }
    }

    /// The person that it acts as. While the person of its identity is not confirmed, that is nobody.
    #[must_use]
    pub fn acts_as(&self) -> Option<&Person> {
        match self.person_confirmed {
            Some(false) => None,
            Some(true) | None => self.person.as_ref(),
        }
    }
}

/// A session to be stored. Its ends count from the time of the unit of work.
#[derive(Debug, Clone)]
pub struct NewSession<'a> {
    /// Id of the session.
    pub session_id: SessionId,
    /// SHA-256 of the secret of its token.
    pub token_sha256: &'a [u8],
    /// The person who signs in.
    pub person: Option<&'a Person>,
    /// The key that it begins with, or that of the identity.
    pub key_id: KeyId,
    /// The identity, and the SHA-256 that names its sign-in.
    pub identity: Option<(IdentityId, &'a [u8; 32])>,
    /// Its permissions.
    pub role: Role,
    /// Its ends.
    pub ends: session::Ends,
}

/// Stores a session. Returns `false` if its sign-in was completed before.
pub async fn insert(tx: &mut Tx, new: &NewSession<'_>) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into sessions (workspace_id, session_id, token_sha256, person, key_id, role,
                               created_at, last_seen_at, idle_ends_at, expires_at, identity_id,
                               sign_in_sha256)
         values ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10, $11)
         on conflict on constraint sessions_sign_in_once do nothing",
        tx.workspace.0,
        new.session_id.0,
        new.token_sha256,
        new.person.map(Person::as_str),
        new.key_id.0,
        new.role.as_str(),
        tx.now,
        new.ends.idle_at,
        new.ends.at,
        new.identity.map(|(identity, _)| identity.0),
        new.identity.map(|(_, sign_in)| sign_in.as_slice()),
    )
    .execute(traced!(tx, "sessions.insert"))
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Filter for [`list`].
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionFilter<'a> {
    /// Only this one.
    pub session: Option<SessionId>,
    /// Only of this person.
    pub person: Option<&'a Person>,
    /// Only those that act with this key and have no person but one that a provider names.
    pub nobodys_key: Option<KeyId>,
    /// Only those that were not signed out.
    pub not_ended: bool,
}

/// Lists sessions after `after`, newest first.
pub async fn list(
    tx: &mut Tx,
    filter: SessionFilter<'_>,
    after: Option<SessionId>,
    rows: i64,
) -> sqlx::Result<Vec<SessionRow>> {
    sqlx::query_as!(
        SessionRow,
        r#"
        select s.session_id as "session_id: SessionId", s.token_sha256,
               s.person as "person: Person", s.key_id as "key_id: KeyId",
               s.identity_id as "identity_id: IdentityId",
               i.person_confirmed as "person_confirmed?",
               s.role as "role: Role", s.created_at, s.last_seen_at, s.idle_ends_at, s.expires_at,
               s.ended_at, k.revoked_at as "key_revoked_at?", k.expires_at as "key_expires_at?",
               exists (select from keys m
                       where m.workspace_id = $1 and m.key_id = any(k.dies_with)
                         and (m.revoked_at is not null or m.expires_at <= $8))
               as "key_maker_ended!",
               k.scope_access as "scope_access?: Access",
               k.scope_projects as "scope_projects?: Vec<ProjectId>"
        from sessions s
        left join keys k on k.workspace_id = s.workspace_id and k.key_id = s.key_id
        left join identities i
          on i.workspace_id = s.workspace_id and i.identity_id = s.identity_id
        where s.workspace_id = $1
          and ($2::uuid is null or s.session_id = $2)
          and ($3::text is null or s.person = $3)
          and ($4::uuid is null or (s.key_id = $4 and (s.person is null or s.identity_id is not null)))
          and (not $5::boolean or s.ended_at is null)
          and ($6::uuid is null or s.session_id < $6)
        order by s.session_id desc
        limit $7
        "#,
        tx.workspace.0,
        filter.session.map(|id| id.0),
        filter.person.map(Person::as_str),
        filter.nobodys_key.map(|id| id.0),
        filter.not_ended,
        after.map(|id| id.0),
        rows,
        tx.now,
    )
    .fetch_all(traced!(tx, "sessions.list"))
    .await
}

/// Writes the use of an open session.
pub async fn touch(
    tx: &mut Tx,
    session: SessionId,
    idle_ends_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update sessions set last_seen_at = $3, idle_ends_at = $4
         where workspace_id = $1 and session_id = $2 and ended_at is null",
        tx.workspace.0,
        session.0,
        tx.now,
        idle_ends_at,
    )
    .execute(traced!(tx, "sessions.touch"))
    .await?;
    Ok(())
}

/// Ends sessions, and returns those that were not ended before.
pub async fn end(tx: &mut Tx, sessions: &[SessionId]) -> sqlx::Result<Vec<SessionId>> {
    let sessions: Vec<Uuid> = uuids(sessions);
    sqlx::query_scalar!(
        r#"update sessions set ended_at = $3
           where workspace_id = $1 and session_id = any($2) and ended_at is null
           returning session_id as "session_id: SessionId""#,
        tx.workspace.0,
        &sessions as &[Uuid],
        tx.now,
    )
    .fetch_all(traced!(tx, "sessions.end"))
    .await
}
