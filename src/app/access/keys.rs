//! Making, listing and revoking keys.
//!
//! A key's secret leaves the service once, in the answer that makes it. A revoked key is refused
//! from the commit on. The last admin key that is valid cannot be revoked, because nobody could
//! make another; two admins who revoke each other at once are told apart by the lock that both take
//! on every valid admin key.
//!
//! The command line makes keys too ([`LocalAdmin`]): a person with access to the
//! database can change it anyway, and this is the way back in after the loss of every key.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    app::{
        App, Error, Result, Unit,
        caller::{Actor, AdminCaller, Caller as _},
        unit::idempotency::{self, Outcome, Request},
    },
    domain::{
        access::{
            key::{self, KeyState},
            person::Person,
            role::Role,
            token::Token,
        },
        check::Checks,
        ids::{AgentId, KeyId, WorkspaceId},
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
        settings,
    },
    store::{
        self,
        keys::{KeyRow, NewKeyRow},
    },
};

pub use crate::store::keys::KeyFilter;

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Key {
    /// Its id; the `actor_key_id` of the events that it causes.
    pub id: KeyId,
    /// Who or what holds it.
    #[schema(example = "ci of the importer")]
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The person who holds it; `null`: nobody in particular.
    pub person: Option<Person>,
    /// The agent that it is bound to; `null` unless the role is `agent`.
    pub agent_id: Option<AgentId>,
    /// Whether it is accepted now.
    pub state: KeyState,
    /// The key that made it; `null` when it was made on the command line or at the first start.
    pub created_by: Option<KeyId>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From then on it is refused; `null`: never.
    pub expires_at: Option<DateTime<Utc>>,
    /// Since then it is refused; `null`: it was not revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl Key {
    pub(in crate::app) fn of(row: KeyRow, now: DateTime<Utc>) -> Self {
        let state = key::state(row.revoked_at, row.expires_at, now);
        let KeyRow {
            key_id,
            name,
            role,
            person,
            agent_id,
            created_by,
            created_at,
            expires_at,
            revoked_at,
        } = row;
        Self {
            id: key_id,
            name,
            role,
            person,
            agent_id,
            state,
            created_by,
            created_at,
            expires_at,
            revoked_at,
        }
    }
}

/// A key to be made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// Who or what will hold it: one line, for people.
    #[schema(example = "ci of the importer", min_length = 1, max_length = 200)]
    pub name: String,
    /// What it may do: `admin`, `operator`, `submitter` or `viewer`. Agents get their keys when they
    /// are registered.
    #[schema(example = "submitter")]
    pub role: Role,
    /// The person who will hold the key. A person never decides about their own requests, with this key
    /// or another. Absent: a machine, or no person in particular.
    #[serde(default)]
    pub person: Option<Person>,
    /// After how many seconds it ends; absent: never.
    #[serde(default)]
    #[schema(example = 7_776_000, minimum = 1, maximum = 315_360_000)]
    pub expires_in_seconds: Option<u64>,
}

impl NewKey {
    fn check(&self) -> Result<()> {
        let mut checks = Checks::new();
        checks.line("/name", &self.name, settings::NAME_CHARS);
        checks.ensure(
            self.role != Role::Agent,
            "/role",
            "an agent gets its key when it is registered: POST /v1/agents",
        );
        if let Some(seconds) = self.expires_in_seconds {
            let longest = settings::KEY_EXPIRY_MAX.as_secs();
            checks.range("/expires_in_seconds", seconds, 1..=longest);
        }
        Ok(checks.finish()?)
    }
}

/// A key and its token, which is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IssuedKey {
    /// The key.
    pub key: Key,
    /// What to send as `Authorization: Bearer ...`. Keep it like a password: it is stored nowhere
    /// and cannot be shown again.
    #[schema(example = "mst_<public>_<secret>")]
    pub token: String,
}

/// What a key is made for.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct Issue<'a> {
    pub name: &'a str,
    pub role: Role,
    pub person: Option<&'a Person>,
    pub agent: Option<AgentId>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Makes a key in the unit.
pub(in crate::app) async fn issue(unit: &mut Unit, new: Issue<'_>) -> Result<IssuedKey> {
    let token = Token::new(unit.workspace(), unit.id(), unit.entropy().bytes());
    let key = keep(unit, new, &token).await?;
    Ok(IssuedKey { key, token: token.expose().to_owned() })
}

/// Stores the key that `token` names.
pub(in crate::app) async fn keep(unit: &mut Unit, new: Issue<'_>, token: &Token) -> Result<Key> {
    let now = unit.now();
    let hash = token.hash();
    let row = NewKeyRow {
        key_id: token.key(),
        name: new.name,
        role: new.role,
        person: new.person,
        agent_id: new.agent,
        secret_sha256: hash.as_bytes(),
        created_by: unit.actor(),
        expires_at: new.expires_at,
    };
    let row = store::keys::insert(unit.tx(), &row).await?;
    let data =
        json!({"key_id": row.key_id, "name": row.name, "role": row.role, "person": row.person});
    let made = Key::of(row, now);
    unit.record(NewRow::new(Kind::KeyCreated).agent(new.agent).after(&made).data(data));
    Ok(made)
}

/// Revokes keys in the unit and records each.
pub(in crate::app) async fn revoke(
    unit: &mut Unit,
    keys: &[KeyId],
    agent: Option<AgentId>,
) -> Result<()> {
    let now = unit.now();
    let mut rows = Vec::with_capacity(keys.len());
    for key in keys {
        rows.push(lock(unit, *key).await?);
    }
    store::keys::revoke(unit.tx(), keys, now).await?;
    for row in rows {
        let revoked =
            NewRow::new(Kind::KeyRevoked).agent(agent).data(json!({"key_id": row.key_id}));
        let after = Key::of(KeyRow { revoked_at: Some(now), ..row.clone() }, now);
        unit.record(revoked.before(&Key::of(row, now)).after(&after));
    }
    Ok(())
}

async fn create(unit: &mut Unit, new: &NewKey) -> Result<IssuedKey> {
    let lasts = new.expires_in_seconds.map(Duration::from_secs);
    let issue_of = Issue {
        name: &new.name,
        role: new.role,
        person: new.person.as_ref(),
        agent: None,
        expires_at: lasts.map(|lasts| unit.now() + lasts),
    };
    issue(unit, issue_of).await
}

async fn revoke_one(unit: &mut Unit, key: KeyId) -> Result<Key> {
    let now = unit.now();
    // Before the key itself, and in the order of ids: two who revoke each other must not deadlock.
    let admins = store::keys::lock_valid_admins(unit.tx()).await?;
    let row = lock(unit, key).await?;
    if row.revoked_at.is_some() {
        return Ok(Key::of(row, now));
    }
    if admins == [key] {
        return Err(Refusal::new(
            Code::LastAdminKey,
            "this is the last valid admin key; make another one first, or nobody could",
        )
        .into());
    }
    revoke(unit, &[key], row.agent_id).await?;
    Ok(Key::of(lock(unit, key).await?, now))
}

async fn lock(unit: &mut Unit, key: KeyId) -> Result<KeyRow> {
    let row = store::keys::lock(unit.tx(), key).await?;
    Ok(row.ok_or_else(|| Refusal::not_found("key"))?)
}

impl App {
    /// Makes a key.
    ///
    /// # Errors
    /// `invalid`.
    pub async fn create_key(
        &self,
        caller: &AdminCaller,
        new: &NewKey,
        request: Option<&Request>,
    ) -> Result<Outcome<IssuedKey>> {
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let work = async |unit: &mut Unit| {
            if let Some(issued) = idempotency::replay(unit, principal, request).await? {
                return Ok(Outcome::replayed(issued));
            }
            new.check()?;
            let issued = create(unit, new).await?;
            idempotency::store(unit, principal, request, &issued).await?;
            Ok(Outcome::fresh(issued))
        };
        let outcome = work(&mut unit).await;
        self.conclude(unit, outcome).await
    }

    /// Up to `rows` keys after `after`, newest first.
    pub async fn list_keys(
        &self,
        caller: &AdminCaller,
        filter: KeyFilter,
        after: Option<KeyId>,
        rows: u32,
    ) -> Result<Vec<Key>> {
        self.keys_of(caller.principal().workspace, filter, after, rows).await
    }

    async fn keys_of(
        &self,
        workspace: WorkspaceId,
        filter: KeyFilter,
        after: Option<KeyId>,
        rows: u32,
    ) -> Result<Vec<Key>> {
        let mut tx = self.reader(workspace).await?;
        let rows = store::keys::list(&mut tx, filter, after, i64::from(rows)).await?;
        Ok(rows.into_iter().map(|row| Key::of(row, tx.now)).collect())
    }

    /// One key.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get_key(&self, caller: &AdminCaller, key: KeyId) -> Result<Key> {
        let filter = KeyFilter { key: Some(key), ..KeyFilter::default() };
        let found = self.list_keys(caller, filter, None, 1).await?.pop();
        Ok(found.ok_or_else(|| Refusal::not_found("key"))?)
    }

    /// Revokes a key at once. Revoking a revoked key changes nothing.
    ///
    /// # Errors
    /// `not_found`; `last_admin_key`.
    pub async fn revoke_key(&self, caller: &AdminCaller, key: KeyId) -> Result<Key> {
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let key = revoke_one(&mut unit, key).await?;
        self.commit(unit).await?;
        Ok(key)
    }

    /// Somebody at the command line, for one workspace: the only one, unless it is named.
    ///
    /// # Errors
    /// `not_found` when there is no such workspace, or none yet, or several and none is named.
    pub async fn local_admin(&self, workspace: Option<WorkspaceId>) -> Result<LocalAdmin<'_>> {
        let mut tx = self.system().await?;
        let all = store::workspaces::all(&mut tx).await?;
        let mut fitting = all
            .into_iter()
            .map(|row| row.workspace_id)
            .filter(|id| workspace.is_none_or(|asked| asked == *id));
        match (fitting.next(), fitting.next()) {
            (Some(workspace), None) => Ok(LocalAdmin { app: self, workspace }),
            (None, _) => Err(no_workspace("there is no such workspace; `muster serve` makes one")),
            (Some(_), Some(_)) => Err(no_workspace("there are several workspaces; name one")),
        }
    }
}

fn no_workspace(detail: &str) -> Error {
    Refusal::new(Code::NotFound, detail).into()
}

/// Somebody at the command line of the machine that has the database. Acts without a key: events
/// name no actor.
#[derive(Debug)]
pub struct LocalAdmin<'a> {
    app: &'a App,
    workspace: WorkspaceId,
}

impl LocalAdmin<'_> {
    pub(in crate::app) fn app(&self) -> &App {
        self.app
    }

    pub(in crate::app) fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// As [`App::create_key`].
    ///
    /// # Errors
    /// `invalid`.
    pub async fn create_key(&self, new: &NewKey) -> Result<IssuedKey> {
        new.check()?;
        let mut unit = self.app.begin(self.workspace, Actor::SERVICE).await?;
        let issued = create(&mut unit, new).await?;
        self.app.commit(unit).await?;
        Ok(issued)
    }

    /// As [`App::list_keys`].
    pub async fn list_keys(&self, after: Option<KeyId>, rows: u32) -> Result<Vec<Key>> {
        self.app.keys_of(self.workspace, KeyFilter::default(), after, rows).await
    }

    /// As [`App::revoke_key`].
    ///
    /// # Errors
    /// `not_found`; `last_admin_key`.
    pub async fn revoke_key(&self, key: KeyId) -> Result<Key> {
        let mut unit = self.app.begin(self.workspace, Actor::SERVICE).await?;
        let key = revoke_one(&mut unit, key).await?;
        self.app.commit(unit).await?;
        Ok(key)
    }
}
