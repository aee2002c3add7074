//! `muster secrets`: sets, lists and deletes secrets, and rotates their master key.
//!
//! A value is read from standard input: other users of the machine can see arguments.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use secrecy::{SecretString, zeroize::Zeroizing};

use super::{
    database::Database,
    failure::Failure,
    key_file::{self, KeyFile},
    print,
};
use crate::{
    app::{
        App,
        secrets::{KeySource, NoKeys, Secret},
    },
    config::DatabaseConfig,
    domain::{
        ids::WorkspaceId,
        secret::{MasterKey, MasterKeys, Purpose},
        settings,
    },
    entropy::Entropy,
};

#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Make a secret, or give it another value: that of standard input, without its last line break
    Set(Named),
    /// List the secrets, without their values
    List(Target),
    /// Delete a secret
    Delete(Named),
    /// Encrypt every secret anew, under a new master key
    ///
    /// Without --new-key-file the key file itself gets the new key, beside a running service too; the
    /// old key is kept in a file of its own, for backups of the database. With --new-key-file the
    /// present key file is only read: start the service with the new file afterwards. A rotation that
    /// was cut off is completed by calling it again.
    Rotate(Rotate),
}

#[derive(Debug, Args)]
pub struct Target {
    /// The workspace, if there are several
    #[arg(long, value_name = "ID")]
    workspace: Option<WorkspaceId>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct Named {
    /// What the secret is for: planner_key, webhook_secret or oidc_client_secret
    #[arg(long)]
    purpose: Purpose,
    /// Name of the secret, unique per purpose
    #[arg(long)]
    name: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub struct Rotate {
    /// File of the new master key; made with a new key if it is missing
    #[arg(long, value_name = "FILE")]
    new_key_file: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(config: &DatabaseConfig, command: SecretsCommand) -> Result<(), Failure> {
    match command {
        SecretsCommand::Set(Named { purpose, name, target }) => {
            let value = from_stdin()?;
            let set = async |app: &App| {
                let app = app.clone().with_master_keys(keys_for_set(config)?);
                let admin = app.local_admin(target.workspace).await?;
                show(&[admin.set_secret(purpose, &name, &value).await?], &target)
            };
            Database::with_app(config, set).await
        }
        SecretsCommand::List(target) => {
            let list = async |app: &App| {
                show(&app.local_admin(target.workspace).await?.list_secrets().await?, &target)
            };
            Database::with_app(config, list).await
        }
        SecretsCommand::Delete(Named { purpose, name, target }) => {
            let delete = async |app: &App| {
                let admin = app.local_admin(target.workspace).await?;
                Ok(admin.delete_secret(purpose, &name).await?)
            };
            Database::with_app(config, delete).await
        }
        SecretsCommand::Rotate(Rotate { new_key_file: Some(new) }) => rotate_to(config, &new).await,
        SecretsCommand::Rotate(Rotate { new_key_file: None }) => rotate_in_place(config).await,
    }
}

/// The keys for a new value. The file beside a private PostgreSQL is made if no service made it yet.
fn keys_for_set(config: &DatabaseConfig) -> Result<Arc<dyn KeySource>, Failure> {
    match KeyFile::of(config)? {
        Some(file) if config.secret_key_file().is_none() => file.ensure(&Entropy::system())?,
        Some(_) | None => {}
    }
    key_file::of_command(config)
}

/// Two files: the keys of the first, which encrypt, before those of the second.
#[derive(Debug)]
struct Both {
    new: KeyFile,
    old: KeyFile,
}

impl KeySource for Both {
    fn keys(&self) -> Result<MasterKeys, NoKeys> {
        Ok(MasterKeys::before(self.new.keys()?.into_current(), self.old.keys()?))
    }
}

fn present(config: &DatabaseConfig) -> Result<KeyFile, Failure> {
    let file = KeyFile::of(config)?;
    let none = "there is no key file to rotate from: name it with MUSTER_SECRET_KEY_FILE";
    let file = file.ok_or(none)?;
    file.keys()?;
    Ok(file)
}

async fn rotate_to(config: &DatabaseConfig, new: &Path) -> Result<(), Failure> {
    let (new, old) = (KeyFile::at(new), present(config)?);
    new.ensure(&Entropy::system())?;
    let key = new.keys()?.into_current();
    let count = rotate(config, Arc::new(Both { new: new.clone(), old })).await?;
    let path = new.path().display();
    print::text(&format!(
        "{count} secrets are encrypted anew, all are under the master key {}.\n\
         Start the service with MUSTER_SECRET_KEY_FILE={path}. Keep the old key file as long as \
         backups of the database that were made before.\n",
        key.fingerprint()
    ))
}

async fn rotate_in_place(config: &DatabaseConfig) -> Result<(), Failure> {
    let file = present(config)?;
    let readable = async |app: &App| {
        let app = app.clone().with_master_keys(Arc::new(file.clone()));
        match app.unreadable_secrets().await? {
            Some(why) => Err(why.into()),
            None => Ok(()),
        }
    };
    Database::with_app(config, readable).await?;
    let mut keys = file.keys()?;
    if keys.older().is_empty() {
        let new = MasterKey::new(Entropy::system().bytes())?;
        keys = MasterKeys::before(new, keys);
        file.replace(&keys.text())?;
    }
    let count = rotate(config, Arc::new(file.clone())).await?;
    for old in keys.older() {
        let kept = format!("{}.{}", file.path().display(), old.fingerprint());
        KeyFile::at(Path::new(&kept)).make(&old.line())?;
        print::text(&format!("the old key is kept in {kept}, for backups made before\n"))?;
    }
    file.replace(&keys.current().line())?;
    print::text(&format!(
        "{count} secrets are encrypted anew, all are under the master key {}\n",
        keys.current().fingerprint()
    ))
}

/// Encrypts the secrets of every workspace anew.
async fn rotate(config: &DatabaseConfig, keys: Arc<dyn KeySource>) -> Result<u64, Failure> {
    let all = async |app: &App| {
        let app = app.clone().with_master_keys(Arc::clone(&keys));
        let mut count = 0;
        for workspace in app.workspaces().await? {
            let admin = app.local_admin(Some(workspace)).await?;
            loop {
                let rotated = admin.rotate_secrets().await?;
                count += rotated.secrets;
                if rotated.done {
                    break;
                }
            }
        }
        Ok(count)
    };
    Database::with_app(config, all).await
}

fn from_stdin() -> Result<SecretString, Failure> {
    let most = settings::SECRET_BYTES as u64 + 2;
    let mut text = Zeroizing::new(String::new());
    std::io::stdin().lock().take(most + 1).read_to_string(&mut text)?;
    let value = text.strip_suffix('\n').unwrap_or(&text);
    Ok(SecretString::from(value.strip_suffix('\r').unwrap_or(value)))
}

fn show(secrets: &[Secret], target: &Target) -> Result<(), Failure> {
    if target.json {
        return print::json(&secrets);
    }
    let header = ["ID", "PURPOSE", "NAME", "MASTER KEY", "SET"];
    let row = |secret: &Secret| {
        let Secret { id, purpose, name, master_key_fingerprint, created_at: _, updated_at } =
            secret;
        let (id, purpose) = (id.to_string(), purpose.to_string());
        [id, purpose, name.clone(), master_key_fingerprint.clone(), instant(*updated_at)]
    };
    print::table(header, secrets.iter().map(row), &[])
}

fn instant(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
