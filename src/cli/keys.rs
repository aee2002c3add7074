//! `muster keys`: creates, lists and revokes keys without the service.

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};

use super::{database::Database, failure::Failure, print};
use crate::{
    app::access::keys::{IssuedKey, Key, LocalAdmin, NewKey},
    config::DatabaseConfig,
    domain::{
        access::{
            person::Person,
            role::Role,
            scope::{Access, Scope},
            token::Token,
        },
        ids::{KeyId, ProjectId, WorkspaceId},
    },
    entropy::Entropy,
};

/// Keys of one read.
const PAGE: u32 = 200;

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Create a key, and print its token once
    Create(Create),
    /// List the keys, newest first
    List(Target),
    /// Revoke a key at once
    Revoke(Revoke),
    /// Print a new token for MUSTER_BOOTSTRAP_KEY, without a database
    Generate,
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
pub struct Create {
    /// Name of its holder, a person or a program
    #[arg(long)]
    name: String,
    /// Its role: admin, operator, submitter or viewer
    #[arg(long)]
    role: Role,
    /// The person who holds it, such as an e-mail address
    #[arg(long)]
    person: Option<Person>,
    /// Seconds until it expires; never, if left out
    #[arg(long, value_name = "SECONDS")]
    expires_in_seconds: Option<u64>,
    /// What it may do within its role: all, read_only or reports
    #[arg(long, default_value_t = Access::All)]
    access: Access,
    /// Id of a project that it sees, and no other; may be given many times
    #[arg(long, value_name = "ID")]
    project: Vec<ProjectId>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub struct Revoke {
    /// The id of the key, as in `muster keys list`
    key_id: KeyId,
    #[command(flatten)]
    target: Target,
}

/// Runs the command.
pub async fn run(config: &DatabaseConfig, command: KeysCommand) -> Result<(), Failure> {
    if let KeysCommand::Generate = command {
        return print::text(&format!("{}\n", generate(&Entropy::system()).expose()));
    }
    Database::with_app(config, async |app| on_database(app, command).await).await
}

/// A token of a workspace and a key that the first start creates. Their ids have the earliest time, so
/// that the first key is the oldest in lists.
fn generate(entropy: &Entropy) -> Token {
    let first = DateTime::<Utc>::UNIX_EPOCH;
    Token::new(entropy.id(first), entropy.id(first), entropy.bytes())
}

async fn on_database(app: &crate::app::App, command: KeysCommand) -> Result<(), Failure> {
    let admin = async |target: &Target| app.local_admin(target.workspace).await;
    match command {
        KeysCommand::Create(Create {
            name,
            role,
            person,
            expires_in_seconds,
            access,
            project,
            target,
        }) => {
            let projects = (!project.is_empty()).then_some(project);
            let (scope, dies_with_maker) = (Scope { access, projects }, false);
            let new = NewKey { name, role, person, expires_in_seconds, scope, dies_with_maker };
            show_issued(&admin(&target).await?.create_key(&new).await?, &target)
        }
        KeysCommand::List(target) => show(&all(&admin(&target).await?).await?, &target),
        KeysCommand::Revoke(Revoke { key_id, target }) => {
            show(&[admin(&target).await?.revoke_key(key_id).await?], &target)
        }
        KeysCommand::Generate => Ok(()),
    }
}

async fn all(admin: &LocalAdmin<'_>) -> Result<Vec<Key>, Failure> {
    let mut keys: Vec<Key> = Vec::new();
    loop {
        let after = keys.last().map(|key| key.id);
        let page = admin.list_keys(after, PAGE).await?;
        let last = page.len() < PAGE as usize;
        keys.extend(page);
        if last {
            return Ok(keys);
        }
    }
}

fn show_issued(issued: &IssuedKey, target: &Target) -> Result<(), Failure> {
    if target.json {
        return print::json(issued);
    }
    show(std::slice::from_ref(&issued.key), target)?;
    print::text(&format!("\nIts token, shown only now:\n{}\n", issued.token))
}

fn show(keys: &[Key], target: &Target) -> Result<(), Failure> {
    if target.json {
        return print::json(&keys);
    }
    let header = ["ID", "NAME", "ROLE", "PERSON", "STATE", "MADE", "ENDS"];
    print::table(header, keys.iter().map(row), &[])
}

fn row(key: &Key) -> [String; 7] {
    let ends = key.revoked_at.or(key.expires_at);
    [
        key.id.to_string(),
        key.name.clone(),
        key.role.to_string(),
        key.person.as_ref().map(Person::to_string).unwrap_or_default(),
        key.state.to_string(),
        instant(key.created_at),
        ends.map_or_else(|| "never".to_owned(), instant),
    ]
}

fn instant(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
