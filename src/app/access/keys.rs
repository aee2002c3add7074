//! Creating, listing and revoking keys.
//!
//! A key's secret leaves the service once, in the answer that creates it. A revoked key is refused
//! from the commit on. The last valid admin key cannot be revoked, because nobody could create
//! another. Two admins who revoke each other at the same time are serialized by a lock on every
//! valid admin key.
//!
//! The command line creates keys too ([`LocalAdmin`]): anyone with access to the database can
//! change it anyway, and this is the recovery after the loss of every key.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    app::{
        App, Error, Result, Unit,
        caller::{Actor, AdminCaller, Caller as _},
        caps,
        unit::idempotency::{Outcome, Request},
    },
    domain::{
        access::{
            key::{self, KeyState},
            person::Person,
            role::Role,
            scope::Scope,
            token::Token,
        },
        cap::workspace::Holding,
        check::Checks,
        ids::{AgentId, KeyId, WorkspaceId},
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
        settings,
    },
    store::{
        self, Hold,
        keys::{KeyRow, NewKeyRow},
    },
};

pub use crate::store::keys::KeyFilter;

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Key {
    /// Id of the key; the `actor_key_id` of its events.
    pub id: KeyId,
    /// The holder of the key, a person or a program; one line, for people.
    #[schema(example = "ci of the importer")]
    pub name: String,
    /// Permissions of the key; never changes.
    pub role: Role,
    /// The person who holds the key; `null`: a machine, or no person in particular.
    pub person: Option<Person>,
    /// The agent of the key; `null` unless the role is `agent`.
    pub agent_id: Option<AgentId>,
    /// Whether the key is accepted at the time of the answer.
    pub state: KeyState,
    /// The key that created this key; `null` if it was created on the command line or at the first
    /// start. A key that replaced itself has the creator of the old one.
    pub created_by: Option<KeyId>,
    /// When the key was created.
    pub created_at: DateTime<Utc>,
    /// When the key expires; it is refused from then on. `null`: never.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the key was revoked; it is refused from then on. `null`: it was not revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Time of the last request with the key, exact to a minute; written a little after the request.
    /// `null`: not used yet.
    #[serde(default)]
    pub last_used_at: Option<DateTime<Utc>>,
    /// What the key may do and see below its role; never changes.
    #[serde(default)]
    pub scope: Scope,
    /// Keys whose revocation or expiry ends this key at once. Empty: none.
    #[serde(default)]
    pub dies_with: Vec<KeyId>,
    /// The key that replaced this one; `null`: it was not rotated.
    #[serde(default)]
    pub rotated_to: Option<KeyId>,
}

impl Key {
    pub(in crate::app) fn of(row: KeyRow, now: DateTime<Utc>) -> Self {
        let state = key::state(row.ends(), now);
        let scope = row.scope();
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
            last_used_at,
            scope_access: _,
            scope_projects: _,
            dies_with,
            rotated_to,
            maker_ended: _,
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
            last_used_at,
            scope,
            dies_with: dies_with.unwrap_or_default(),
            rotated_to,
        }
    }
}

/// Request to create a key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// The holder of the key, a person or a program: one line, for people.
    #[schema(example = "ci of the importer", min_length = 1, max_length = 200)]
    pub name: String,
    /// Permissions of the key: `admin`, `operator`, `submitter` or `viewer`. An agent gets its key
    /// at registration.
    #[schema(example = "submitter")]
    pub role: Role,
    /// The person who holds the key. A person never decides about their own requests, with this key
    /// or another. Absent: a machine, or no person in particular.
    #[serde(default)]
    pub person: Option<Person>,
    /// Lifetime of the key in seconds; absent: it never expires.
    #[serde(default)]
    #[schema(example = 7_776_000, minimum = 1, maximum = 315_360_000)]
    pub expires_in_seconds: Option<u64>,
    /// What the key may do and see below its role. Absent: everything that the role permits.
    #[serde(default)]
    pub scope: Scope,
    /// Whether the key ends at once when the key that makes it is revoked or expires. A key made by
    /// such a key always ends with the keys that its maker ends with.
    #[serde(default)]
    pub dies_with_maker: bool,
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
        self.scope.check(&mut checks, self.role);
        Ok(checks.finish()?)
    }
}

/// A key with its token. The token is shown only in this answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IssuedKey {
    /// The key that was created.
    pub key: Key,
    /// The bearer token, to send as `Authorization: Bearer ...`. Keep it like a password: only its
    /// hash is stored, so it cannot be shown again.
    #[schema(example = "mst_<public>_<secret>")]
    pub token: String,
}

/// The contents of a new key.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct Issue<'a> {
    pub name: &'a str,
    pub role: Role,
    pub person: Option<&'a Person>,
    pub agent: Option<AgentId>,
    pub expires_at: Option<DateTime<Utc>>,
    pub scope: &'a Scope,
    pub created_by: Option<KeyId>,
    /// The key as which it counts unless it has a person: its maker, or the key that it replaces.
    pub counts_as: Option<KeyId>,
    pub dies_with: &'a [KeyId],
}

/// The keys that a new key ends with: those of its maker, and the maker if asked.
pub(in crate::app) async fn dies_with(unit: &mut Unit, maker_too: bool) -> Result<Vec<KeyId>> {
    let pointer = "/dies_with_maker";
    let Some(maker) = unit.actor() else {
        if maker_too {
            let detail = "the command line makes keys without a key: leave `dies_with_maker` out";
            return Err(Refusal::invalid_at(pointer, detail).into());
        }
        return Ok(Vec::new());
    };
    // Not locked, so that registrations with one key do not wait for each other: authentication looks
    // at the maker every time, and a key whose maker is rotated at this moment ends with the old one.
    let filter = KeyFilter { key: Some(maker), ..KeyFilter::default() };
    let row = store::keys::list(unit.tx(), filter, None, 1).await?.pop();
    let row = row.ok_or_else(|| Refusal::not_found("key"))?;
    let mut keys = row.dies_with.unwrap_or_default();
    if maker_too {
        keys.push(maker);
    }
    if keys.len() > settings::DIES_WITH {
        let detail = "the chain of keys that end with their makers is too long; use another key";
        return Err(Refusal::invalid_at(pointer, detail).into());
    }
    Ok(keys)
}

/// Refuses projects of a scope that do not exist.
async fn check_projects(unit: &mut Unit, scope: &Scope) -> Result<()> {
    let Some(projects) = &scope.projects else { return Ok(()) };
    let known = store::projects::existing(unit.tx(), projects).await?;
    match projects.iter().position(|project| !known.contains(project)) {
        None => Ok(()),
        Some(unknown) => {
            let pointer = format!("/scope/projects/{unknown}");
            Err(Refusal::invalid_at(pointer, "there is no such project in the workspace").into())
        }
    }
}

/// Creates a key in the unit.
pub(in crate::app) async fn issue(unit: &mut Unit, new: Issue<'_>) -> Result<IssuedKey> {
    let token = Token::new(unit.workspace(), unit.id(), unit.entropy().bytes());
    let key = keep(unit, new, &token).await?;
    Ok(IssuedKey { key, token: token.expose().to_owned() })
}

/// Stores the key named in `token`.
pub(in crate::app) async fn keep(unit: &mut Unit, new: Issue<'_>, token: &Token) -> Result<Key> {
    let hash = token.hash();
    let row = NewKeyRow {
        key_id: token.key(),
        name: new.name,
        role: new.role,
        person: new.person,
        agent_id: new.agent,
        secret_sha256: hash.as_bytes(),
        created_by: new.created_by,
        counts_as: new.counts_as,
        expires_at: new.expires_at,
        scope: new.scope,
        dies_with: new.dies_with,
    };
    keep_row(unit, &row).await
}

/// Stores a key.
pub(in crate::app) async fn keep_row(unit: &mut Unit, new: &NewKeyRow<'_>) -> Result<Key> {
    let now = unit.now();
    let row = store::keys::insert(unit.tx(), new).await?;
    let data =
        json!({"key_id": row.key_id, "name": row.name, "role": row.role, "person": row.person});
    let made = Key::of(row, now);
    unit.record(NewRow::new(Kind::KeyCreated).agent(new.agent_id).after(&made).data(data));
    Ok(made)
}

/// Revokes keys in the unit, with a journal row for each.
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
    store::keys::revoke(unit.tx(), keys).await?;
    for row in rows {
        let revoked =
            NewRow::new(Kind::KeyRevoked).agent(agent).data(json!({"key_id": row.key_id}));
        let after = Key::of(KeyRow { revoked_at: Some(now), ..row.clone() }, now);
        unit.record(revoked.before(&Key::of(row, now)).after(&after));
    }
    Ok(())
}

/// Revokes the oldest valid keys of a locked agent beyond [`settings::AGENT_KEYS`].
pub(in crate::app) async fn revoke_surplus(
    unit: &mut Unit,
    agent: AgentId,
    newest: KeyId,
) -> Result<()> {
    let others = settings::AGENT_KEYS - 1;
    let surplus = store::keys::surplus_of_agent(unit.tx(), agent, newest, others).await?;
    revoke(unit, &surplus, Some(agent)).await
}

async fn create(unit: &mut Unit, new: &NewKey) -> Result<IssuedKey> {
    check_projects(unit, &new.scope).await?;
    let dies_with = dies_with(unit, new.dies_with_maker).await?;
    let lasts = new.expires_in_seconds.map(Duration::from_secs);
    let issue_of = Issue {
        name: &new.name,
        role: new.role,
        person: new.person.as_ref(),
        agent: None,
        expires_at: lasts.map(|lasts| unit.now() + lasts),
        scope: &new.scope,
        created_by: unit.actor(),
        counts_as: unit.actor(),
        dies_with: &dies_with,
    };
    issue(unit, issue_of).await
}

async fn revoke_one(unit: &mut Unit, key: KeyId) -> Result<Key> {
    let now = unit.now();
    // Before the key itself and in the order of ids: two admins who revoke each other must not
    // deadlock.
    let admins = store::keys::lock_valid_admins(unit.tx()).await?;
    let row = lock(unit, key).await?;
    if row.revoked_at.is_some() {
        return Ok(Key::of(row, now));
    }
    if admins == [key] {
        return Err(Refusal::new(
            Code::LastAdminKey,
            "this is the last valid admin key; create another one first",
        )
        .into());
    }
    revoke(unit, &[key], row.agent_id).await?;
    Ok(Key::of(lock(unit, key).await?, now))
}

pub(super) async fn lock(unit: &mut Unit, key: KeyId) -> Result<KeyRow> {
    let row = store::keys::lock(unit.tx(), key).await?;
    Ok(row.ok_or_else(|| Refusal::not_found("key"))?)
}

impl App {
    /// Creates a key.
    ///
    /// # Errors
    /// `invalid`.
    pub async fn create_key(
        &self,
        caller: &AdminCaller,
        new: &NewKey,
        request: Option<&Request>,
    ) -> Result<Outcome<IssuedKey>> {
        self.create(caller.principal(), request, Hold::Share, async |unit| {
            new.check()?;
            caps::admit(unit, Holding::Keys, 1).await?;
            create(unit, new).await
        })
        .await
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

    /// Reads one key.
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

    /// Access from the command line to one workspace: the named one, or else the only one.
    ///
    /// # Errors
    /// `not_found` if the named workspace does not exist, or if none is named and there is none or
    /// several.
    pub async fn local_admin(&self, workspace: Option<WorkspaceId>) -> Result<LocalAdmin<'_>> {
        let mut tx = self.system().await?;
        let all = store::workspaces::all(&mut tx).await?;
        let mut fitting = all
            .into_iter()
            .map(|row| row.workspace_id)
            .filter(|id| workspace.is_none_or(|asked| asked == *id));
        match (fitting.next(), fitting.next()) {
            (Some(workspace), None) => Ok(LocalAdmin { app: self, workspace }),
            (None, _) => {
                Err(no_workspace("there is no such workspace; `muster serve` creates one"))
            }
            (Some(_), Some(_)) => Err(no_workspace("there are several workspaces; name one")),
        }
    }
}

fn no_workspace(detail: &str) -> Error {
    Refusal::new(Code::NotFound, detail).into()
}

/// Access from the command line of a machine with access to the database. Acts without a key:
/// events name no actor.
#[derive(Debug)]
pub struct LocalAdmin<'a> {
    app: &'a App,
    workspace: WorkspaceId,
}

impl LocalAdmin<'_> {
    pub(in crate::app) fn app(&self) -> &App {
        self.app
    }

    /// The workspace.
    #[must_use]
    pub fn workspace_id(&self) -> WorkspaceId {
        self.workspace
    }

    pub(in crate::app) fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// Like [`App::create_key`].
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

    /// Like [`App::list_keys`].
    pub async fn list_keys(&self, after: Option<KeyId>, rows: u32) -> Result<Vec<Key>> {
        self.app.keys_of(self.workspace, KeyFilter::default(), after, rows).await
    }

    /// Like [`App::revoke_key`].
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
