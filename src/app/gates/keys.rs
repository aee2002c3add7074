//! Concurrency keys: names under which at most so many attempts run at once.
//!
//! A key is of one project or of the workspace; a task means the one of its goal's project first. A lowered `most` ends
//! no attempt: nothing starts until enough have ended. A key that open tasks name is not deleted, because they would
//! run without a bound. A key that only tasks made is deleted some time after the last of them has ended; a task that
//! comes back names it anew.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::tasks::full;
use crate::{
    app::{
        App, Result,
        caller::{Actor, Caller as _, MonitorCaller, OperatorCaller},
        error::same_version,
        unit::idempotency::{Outcome, Request},
    },
    domain::{
        check::Checks,
        gate::check_name,
        ids::{AgentId, AttemptId, ConcurrencyKeyId, KeyId, ProjectId, TaskId, WorkspaceId},
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
        settings,
    },
    store::{
        self, Hold, Tx,
        gates::keys::{ConcurrencyKeyRow, Holder},
    },
};

pub use crate::store::gates::keys::KeyFilter;

/// Most holders shown with a key.
const HOLDERS: i64 = 100;
/// Waiting tasks and open tasks are counted up to this number.
const COUNTED: i64 = 10_000;
/// Most keys deleted in one transaction because nobody names them.
const PRUNED: i64 = 100;

/// A name under which at most so many attempts run at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ConcurrencyKey {
    /// Id of the key; stable for its life.
    pub id: ConcurrencyKeyId,
    /// Its name, by which tasks name it; unique in the project, or among those of the workspace. Never changes.
    #[schema(example = "deploy")]
    pub name: String,
    /// The project whose goals it is for; `null`: all goals of the workspace. Never changes.
    pub project_id: Option<ProjectId>,
    /// Most attempts that run under it at once; operators can change it.
    #[schema(example = 1, minimum = 1, maximum = 10000)]
    pub most: i32,
    /// Number of attempts that run under it now. More than `most` only after that was lowered.
    #[schema(example = 1, minimum = 0)]
    pub held: i64,
    /// Number of ready tasks that name it, counted up to 10,000.
    #[schema(example = 4, minimum = 0)]
    pub waiting: i64,
    /// The attempts that hold a grant, longest first; at most 100.
    pub holders: Vec<KeyHolder>,
    /// Whether it stays when no open task names it: an operator created or edited it. A key that only tasks made is
    /// deleted an hour or more after its creation when no open task names it.
    pub kept: bool,
    /// Version of the key; rises by one with every edit; the `ETag`.
    pub version: i32,
    /// When an operator created it, or the first task named it.
    pub created_at: DateTime<Utc>,
    /// When it was last edited.
    pub updated_at: DateTime<Utc>,
}

/// A running attempt that holds a grant of a concurrency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KeyHolder {
    /// Id of the attempt.
    pub attempt_id: AttemptId,
    /// Id of its task.
    pub task_id: TaskId,
    /// The agent that holds the attempt; `null` if a person does.
    pub agent_id: Option<AgentId>,
    /// The operator's key that holds the attempt; `null` if an agent does.
    pub held_by_key: Option<KeyId>,
    /// Since when: the start of the attempt.
    pub since: DateTime<Utc>,
}

impl From<ConcurrencyKeyRow> for ConcurrencyKey {
    fn from(row: ConcurrencyKeyRow) -> Self {
        let ConcurrencyKeyRow {
            concurrency_key_id,
            project_id,
            name,
            most,
            held,
            waiting,
            holders,
            kept,
            version,
            created_at,
            updated_at,
        } = row;
        let holder = |holder: Holder| {
            let Holder { attempt_id, task_id, agent_id, held_by_key, since } = holder;
            KeyHolder { attempt_id, task_id, agent_id, held_by_key, since }
        };
        Self {
            id: concurrency_key_id,
            name,
            project_id,
            most,
            held,
            waiting,
            holders: holders.0.into_iter().map(holder).collect(),
            kept,
            version,
            created_at,
            updated_at,
        }
    }
}

/// A concurrency key to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewConcurrencyKey {
    /// Its name, by which tasks name it.
    #[schema(example = "deploy", min_length = 1, max_length = 100)]
    pub name: String,
    /// The project whose goals it is for. Default: all goals of the workspace.
    #[serde(default)]
    pub project_id: Option<ProjectId>,
    /// Most attempts that run under it at once. Default 1.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 10000, default = 1)]
    pub most: i32,
}

const fn one() -> i32 {
    1
}

/// An edit of a concurrency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConcurrencyKeyChange {
    /// Most attempts that run under it at once. Lowering it ends none: nothing starts until enough have ended.
    #[schema(example = 3, minimum = 1, maximum = 10000)]
    pub most: i32,
}

fn check_most(checks: &mut Checks, most: i32) {
    checks.range("/most", most, 1..=settings::CONCURRENCY_MOST);
}

impl NewConcurrencyKey {
    fn check(&self) -> Result<()> {
        let mut checks = Checks::new();
        check_name(&mut checks, "/name", &self.name);
        check_most(&mut checks, self.most);
        Ok(checks.finish()?)
    }
}

impl App {
    /// Creates a concurrency key.
    ///
    /// # Errors
    /// `invalid`; `not_found` if the project does not exist; `already_exists` if the name is taken; `workspace_full`.
    pub async fn create_concurrency_key(
        &self,
        caller: &OperatorCaller,
        new: &NewConcurrencyKey,
        request: Option<&Request>,
    ) -> Result<Outcome<ConcurrencyKey>> {
        new.check()?;
        self.create(caller.principal(), request, Hold::Share, async |unit| {
            if let Some(project) = new.project_id
                && !store::approvals::policies::project_exists(unit.tx(), project).await?
            {
                return Err(Refusal::not_found("project").into());
            }
            let count = store::gates::keys::count(unit.tx()).await?;
            if count >= settings::CONCURRENCY_KEYS {
                return Err(full(count).into());
            }
            let id: ConcurrencyKeyId = unit.id();
            let NewConcurrencyKey { name, project_id, most } = new;
            if !store::gates::keys::insert(unit.tx(), id, *project_id, name, *most).await? {
                let detail = format!(
                    "there is a concurrency key `{name}` by now, perhaps since a task named it; change its `most` \
                     with PATCH /v1/concurrency-keys/{{concurrency_key_id}}"
                );
                return Err(Refusal::new(Code::AlreadyExists, detail).into());
            }
            let made = read(unit.tx(), id).await?;
            unit.record(event(Kind::ConcurrencyKeyCreated, &made).after(&made));
            Ok(made)
        })
        .await
    }

    /// Reads one concurrency key.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn get_concurrency_key(
        &self,
        caller: &MonitorCaller,
        key: ConcurrencyKeyId,
    ) -> Result<ConcurrencyKey> {
        read(&mut self.reader(caller.principal().workspace).await?, key).await
    }

    /// Up to `rows` concurrency keys after `after`, newest first.
    pub async fn list_concurrency_keys(
        &self,
        caller: &MonitorCaller,
        filter: &KeyFilter,
        after: Option<ConcurrencyKeyId>,
        rows: u32,
    ) -> Result<Vec<ConcurrencyKey>> {
        let mut tx = self.reader(caller.principal().workspace).await?;
        let shown = (HOLDERS, COUNTED);
        let rows = store::gates::keys::list(&mut tx, filter, after, rows.into(), shown).await?;
        Ok(rows.into_iter().map(ConcurrencyKey::from).collect())
    }

    /// Edits a concurrency key, which stays from then on. `version`: the version the caller read (`If-Match`); `None`
    /// skips the check. An edit without a change makes no new version.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `invalid`.
    pub async fn update_concurrency_key(
        &self,
        caller: &OperatorCaller,
        key: ConcurrencyKeyId,
        version: Option<i64>,
        change: &ConcurrencyKeyChange,
    ) -> Result<ConcurrencyKey> {
        let mut checks = Checks::new();
        check_most(&mut checks, change.most);
        checks.finish()?;
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let stored = store::gates::keys::lock(unit.tx(), key).await?;
        let stored = stored.ok_or_else(|| Refusal::not_found("concurrency key"))?;
        if let Some(version) = version {
            same_version(stored.version.into(), version)?;
        }
        if stored.most != change.most || !stored.kept {
            let before = read(unit.tx(), key).await?;
            store::gates::keys::update(unit.tx(), key, change.most).await?;
            let after = read(unit.tx(), key).await?;
            let row = event(Kind::ConcurrencyKeyUpdated, &after).before(&before).after(&after);
            let mut data = row.data.clone();
            data.insert("most_before".to_owned(), json!(stored.most));
            unit.record(NewRow { data, ..row });
        }
        let key = read(unit.tx(), key).await?;
        self.commit(unit).await?;
        Ok(key)
    }

    /// Deletes a concurrency key that no open task names.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`; `wrong_state` while open tasks name it.
    pub async fn delete_concurrency_key(
        &self,
        caller: &OperatorCaller,
        key: ConcurrencyKeyId,
        version: Option<i64>,
    ) -> Result<()> {
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let stored = store::gates::keys::lock(unit.tx(), key).await?;
        let stored = stored.ok_or_else(|| Refusal::not_found("concurrency key"))?;
        if let Some(version) = version {
            same_version(stored.version.into(), version)?;
        }
        let open = store::gates::keys::open_tasks(unit.tx(), key, COUNTED).await?;
        if open > 0 {
            let detail = format!(
                "{open} open tasks name it and would run without a bound: raise its `most` instead, or delete it after \
                 they have ended"
            );
            return Err(Refusal::new(Code::WrongState, detail).into());
        }
        let before = read(unit.tx(), key).await?;
        store::gates::keys::delete(unit.tx(), &[key], false).await?;
        unit.record(event(Kind::ConcurrencyKeyDeleted, &before).before(&before));
        self.commit(unit).await
    }

    /// Deletes keys that only tasks made and no open task names, a hundred at most; returns how many.
    pub(in crate::app) async fn prune_concurrency_keys(
        &self,
        workspace: WorkspaceId,
    ) -> Result<u64> {
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        let before = unit.now() - settings::UNUSED_KEY_FOR;
        let locked = store::gates::keys::lock_unused(unit.tx(), before, PRUNED).await?;
        if locked.is_empty() {
            return Ok(0);
        }
        let mut shown = Vec::new();
        for key in &locked {
            shown.push(read(unit.tx(), *key).await?);
        }
        let deleted = store::gates::keys::delete(unit.tx(), &locked, true).await?;
        for before in shown.iter().filter(|before| deleted.contains(&before.id)) {
            unit.record(event(Kind::ConcurrencyKeyDeleted, before).before(before));
        }
        self.commit(unit).await?;
        Ok(deleted.len() as u64)
    }
}

async fn read(tx: &mut Tx, key: ConcurrencyKeyId) -> Result<ConcurrencyKey> {
    let filter = KeyFilter { key: Some(key), ..KeyFilter::default() };
    let found = store::gates::keys::list(tx, &filter, None, 1, (HOLDERS, COUNTED)).await?.pop();
    Ok(found.ok_or_else(|| Refusal::not_found("concurrency key"))?.into())
}

fn event(kind: Kind, key: &ConcurrencyKey) -> NewRow {
    NewRow::new(kind).project(key.project_id).data(json!({
        "concurrency_key_id": key.id, "name": key.name, "most": key.most,
    }))
}
