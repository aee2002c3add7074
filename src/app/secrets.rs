//! Secrets of others: stored encrypted, opened only to be sent.
//!
//! No use case returns a value to a caller. The keys come from a [`KeySource`] at every use, so a key
//! file that a rotation replaces is in force at once. Without keys everything else works, and secrets
//! are refused with the reason.
//!
//! **Rotation.** The key file first gets the new key above the old one; then each unit of
//! [`LocalAdmin::rotate_secrets`] encrypts one batch anew; then the old key leaves the file. Every step
//! leaves all secrets readable, so a killed rotation is repeated. A unit of the rotation runs alone in
//! its workspace, and [`LocalAdmin::set_secret`] reads the keys inside of its unit: a secret that was
//! set with the old file is committed before the last unit looks, or was set with the new file.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};
use serde::Serialize;
use serde_json::json;

use super::{App, Error, Result, Unit, access::keys::LocalAdmin, caller::Actor};
use crate::{
    domain::{
        check::Checks,
        ids::{SecretId, WorkspaceId},
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
        secret::{self, Context, MasterKeys, NotOpened, Purpose, Randomness, Sealed},
        settings,
    },
    entropy::Entropy,
    store::{self, secrets::SecretRow},
};

/// Secrets that one unit of a rotation encrypts anew.
const BATCH: i64 = 100;

/// Why there are no master keys, and what to do: for people.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct NoKeys(pub String);

/// Where the master keys are.
pub trait KeySource: fmt::Debug + Send + Sync {
    /// The keys at this moment.
    ///
    /// # Errors
    /// When there are none, or they cannot be read.
    fn keys(&self) -> std::result::Result<MasterKeys, NoKeys>;
}

/// A service without master keys.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keyless;

impl KeySource for Keyless {
    fn keys(&self) -> std::result::Result<MasterKeys, NoKeys> {
        let why = "there is no master key for secrets: set MUSTER_SECRET_KEY_FILE to a file with the \
                   output of `openssl rand -hex 32`";
        Err(NoKeys(why.to_owned()))
    }
}

/// A secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Secret {
    /// Id of the secret.
    pub id: SecretId,
    /// For what it is sent.
    pub purpose: Purpose,
    /// Unique per purpose.
    pub name: String,
    /// Fingerprint of the master key that it is encrypted under.
    pub master_key_fingerprint: String,
    /// When it got its first value.
    pub created_at: DateTime<Utc>,
    /// When it got its present value.
    pub updated_at: DateTime<Utc>,
}

impl From<SecretRow> for Secret {
    fn from(row: SecretRow) -> Self {
        let SecretRow { secret_id, purpose, name, master_key_fingerprint, created_at, updated_at } =
            row;
        let master_key_fingerprint = master_key_fingerprint.as_str().to_owned();
        Self { id: secret_id, purpose, name, master_key_fingerprint, created_at, updated_at }
    }
}

/// Progress of a rotation in one workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rotated {
    /// Secrets that this step encrypted anew.
    pub secrets: u64,
    /// Whether every secret is under the current master key.
    pub done: bool,
}

fn refused(error: impl fmt::Display) -> Error {
    Refusal::new(Code::WrongState, error.to_string()).into()
}

fn not_opened(error: NotOpened) -> Error {
    refused(error)
}

fn randomness(entropy: &Entropy) -> Randomness {
    Randomness {
        data_key: Zeroizing::new(entropy.bytes()),
        key_nonce: entropy.bytes(),
        value_nonce: entropy.bytes(),
    }
}

fn seal(
    entropy: &Entropy,
    keys: &MasterKeys,
    context: Context,
    value: &SecretString,
) -> Result<Sealed> {
    let sealed = secret::seal(keys.current(), context, value.expose_secret(), &randomness(entropy));
    sealed.ok_or_else(|| Error::Corrupt("a secret could not be encrypted".into()))
}

impl App {
    /// The same app with master keys.
    #[must_use]
    pub fn with_master_keys(self, keys: Arc<dyn KeySource>) -> Self {
        Self { master_keys: keys, ..self }
    }

    pub(in crate::app) fn master_keys(&self) -> Result<MasterKeys> {
        self.master_keys.keys().map_err(refused)
    }

    /// Opens a secret in order to send it. `None`: there is none with this name.
    ///
    /// # Errors
    /// `wrong_state` if there is no master key, another one, or the row was changed.
    pub async fn open_secret(
        &self,
        workspace: WorkspaceId,
        purpose: Purpose,
        name: &str,
    ) -> Result<Option<SecretString>> {
        let mut tx = self.reader(workspace).await?;
        let Some(row) = store::secrets::find(&mut tx, purpose, name).await? else {
            return Ok(None);
        };
        let context = Context { workspace, secret: row.secret_id, purpose };
        let opened = secret::open(&self.master_keys()?, context, &row.sealed);
        opened.map(Some).map_err(not_opened)
    }

    /// Why secrets of any workspace cannot be read with the present keys; `None`: all can, as far as
    /// the fingerprints of their keys tell.
    pub async fn unreadable_secrets(&self) -> Result<Option<String>> {
        for workspace in self.workspaces().await? {
            let mut tx = self.reader(workspace).await?;
            let used = store::secrets::master_keys(&mut tx).await?;
            if used.is_empty() {
                continue;
            }
            let keys = match self.master_keys.keys() {
                Ok(keys) => keys,
                Err(NoKeys(why)) => return Ok(Some(why)),
            };
            if let Some(wanted) = used.into_iter().find(|used| keys.find(used).is_none()) {
                let known = keys.fingerprints();
                return Ok(Some(NotOpened::UnknownKey { wanted, known }.to_string()));
            }
        }
        Ok(None)
    }
}

impl LocalAdmin<'_> {
    /// Makes a secret, or gives it another value.
    ///
    /// # Errors
    /// `invalid`; `wrong_state` if there is no master key, or there are too many secrets.
    pub async fn set_secret(
        &self,
        purpose: Purpose,
        name: &str,
        value: &SecretString,
    ) -> Result<Secret> {
        let mut checks = Checks::new();
        secret::check(&mut checks, name, value.expose_secret());
        checks.finish()?;
        let mut unit = self.app().begin(self.workspace(), Actor::SERVICE).await?;
        let keys = self.app().master_keys()?;
        let secret = set(&mut unit, &keys, purpose, name, value).await?;
        self.app().commit(unit).await?;
        Ok(secret)
    }

    /// Every secret, without its value, in the order of purpose and name.
    pub async fn list_secrets(&self) -> Result<Vec<Secret>> {
        let mut tx = self.app().reader(self.workspace()).await?;
        let rows = store::secrets::list(&mut tx, settings::SECRETS).await?;
        Ok(rows.into_iter().map(Secret::from).collect())
    }

    /// Deletes a secret.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn delete_secret(&self, purpose: Purpose, name: &str) -> Result<()> {
        let mut unit = self.app().begin(self.workspace(), Actor::SERVICE).await?;
        let found = store::secrets::lock(unit.tx(), purpose, name).await?;
        let found = found.ok_or_else(|| Refusal::not_found("secret"))?;
        delete(&mut unit, found).await?;
        self.app().commit(unit).await
    }

    /// One step of a rotation: encrypts up to 100 secrets of the workspace anew, under the first key of
    /// the key source.
    ///
    /// # Errors
    /// `wrong_state` if a secret does not open; nothing of the step is changed then.
    pub async fn rotate_secrets(&self) -> Result<Rotated> {
        let mut unit = self.app().begin_alone(self.workspace(), Actor::SERVICE).await?;
        let keys = self.app().master_keys()?;
        let rotated = rotate(&mut unit, &keys).await?;
        self.app().commit(unit).await?;
        Ok(rotated)
    }
}

pub(in crate::app) async fn set(
    unit: &mut Unit,
    keys: &MasterKeys,
    purpose: Purpose,
    name: &str,
    value: &SecretString,
) -> Result<Secret> {
    let (workspace, entropy) = (unit.workspace(), unit.entropy().clone());
    let context = |secret| Context { workspace, secret, purpose };
    let mut found = store::secrets::lock(unit.tx(), purpose, name).await?;
    if found.is_none() {
        if store::secrets::count(unit.tx()).await? >= settings::SECRETS {
            let most = settings::SECRETS;
            return Err(refused(format!("a workspace has at most {most} secrets; delete some")));
        }
        let id = unit.id();
        let sealed = seal(&entropy, keys, context(id), value)?;
        let made = store::secrets::insert(unit.tx(), id, purpose, name, &sealed).await?;
        found = store::secrets::lock(unit.tx(), purpose, name).await?;
        if made && let Some(made) = found {
            let made = Secret::from(made);
            record(unit, Kind::SecretSet, &made);
            return Ok(made);
        }
    }
    let found = found.ok_or(Error::Again)?;
    let sealed = seal(&entropy, keys, context(found.secret_id), value)?;
    store::secrets::update(unit.tx(), found.secret_id, &sealed).await?;
    let changed = SecretRow {
        master_key_fingerprint: sealed.master_key_fingerprint,
        updated_at: unit.now(),
        ..found
    };
    let changed = Secret::from(changed);
    record(unit, Kind::SecretSet, &changed);
    Ok(changed)
}

/// Deletes a locked secret.
pub(in crate::app) async fn delete(unit: &mut Unit, found: SecretRow) -> Result<()> {
    store::secrets::delete(unit.tx(), found.secret_id).await?;
    record(unit, Kind::SecretDeleted, &Secret::from(found));
    Ok(())
}

async fn rotate(unit: &mut Unit, keys: &MasterKeys) -> Result<Rotated> {
    let (workspace, entropy) = (unit.workspace(), unit.entropy().clone());
    let target = keys.current().fingerprint();
    let rows = store::secrets::lock_not_under(unit.tx(), target, BATCH).await?;
    let mut sealed = Vec::with_capacity(rows.len());
    for row in &rows {
        let context = Context { workspace, secret: row.secret_id, purpose: row.purpose };
        let value = secret::open(keys, context, &row.sealed).map_err(not_opened)?;
        sealed.push((row.secret_id, seal(&entropy, keys, context, &value)?));
    }
    if sealed.is_empty() {
        return Ok(Rotated { secrets: 0, done: true });
    }
    let secrets = store::secrets::reseal(unit.tx(), target, &sealed).await?;
    let data = json!({"secrets": secrets, "master_key_fingerprint": target.as_str()});
    unit.record(NewRow::new(Kind::SecretsRotated).data(data));
    Ok(Rotated { secrets, done: rows.len() < BATCH as usize })
}

fn record(unit: &mut Unit, kind: Kind, secret: &Secret) {
    let Secret { id, purpose, name, .. } = secret;
    let data = json!({"secret_id": id, "purpose": purpose, "name": name});
    unit.record(NewRow::new(kind).data(data));
}
