//! The first start: one workspace and one admin key.
//!
//! On a database without workspaces the first process creates the workspace `default` and an admin
//! key. Processes that start at the same time wait for each other, so there is exactly one of each.
//!
//! The key is either generated here and returned to be shown once, or configured, so that the
//! installer of a whole system knows it in advance. A configured key names its workspace like any
//! other key ([`crate::domain::access::token`]); the workspace is created with that id.

use super::keys::{self, Issue};
use crate::{
    app::{App, Result, Unit, caller::Actor},
    domain::{
        access::{role::Role, scope::Scope, token::Token},
        ids::WorkspaceId,
    },
    store,
};

const WORKSPACE: &str = "default";
const KEY: &str = "bootstrap";

/// The outcome of the first start.
#[derive(Debug)]
pub enum Bootstrap {
    /// A workspace exists: nothing was changed.
    Existing {
        /// Whether the configured key is a valid key of this database; true if none was configured.
        /// An unknown configured key has no effect, and the operator should be told.
        given_key_known: bool,
    },
    /// The workspace and the configured key were created.
    Given,
    /// The workspace and a key were created; the token is available only here.
    Made(Token),
}

impl App {
    /// Creates the first workspace and its first admin key, unless a workspace exists.
    pub async fn bootstrap(&self, given: Option<&Token>) -> Result<Bootstrap> {
        let now = self.now().await?;
        let workspace: WorkspaceId = match given {
            Some(token) => token.workspace(),
            None => self.entropy.id(now),
        };
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        store::workspaces::lock_first_start(unit.tx()).await?;
        if !store::workspaces::all(unit.tx()).await?.is_empty() {
            // Frees its connection for the look-up of the key.
            drop(unit);
            let given_key_known = self.is_known(given).await;
            return Ok(Bootstrap::Existing { given_key_known });
        }
        let made = match given {
            Some(_) => None,
            None => Some(Token::new(workspace, unit.id(), unit.entropy().bytes())),
        };
        if let Some(token) = given.or(made.as_ref()) {
            make(&mut unit, WORKSPACE, token).await?;
        }
        self.commit(unit).await?;
        Ok(made.map_or(Bootstrap::Given, Bootstrap::Made))
    }

    /// Creates another workspace and its first admin key.
    pub async fn add_workspace(&self, name: &str) -> Result<Token> {
        let workspace: WorkspaceId = self.entropy.id(self.now().await?);
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        let token = Token::new(workspace, unit.id(), unit.entropy().bytes());
        make(&mut unit, name, &token).await?;
        self.commit(unit).await?;
        Ok(token)
    }

    async fn is_known(&self, given: Option<&Token>) -> bool {
        match given {
            Some(token) => self.authenticate(token.expose()).await.is_ok(),
            None => true,
        }
    }

    /// Every workspace, for background work.
    pub async fn workspaces(&self) -> Result<Vec<WorkspaceId>> {
        let mut tx = self.system().await?;
        let rows = store::workspaces::all(&mut tx).await?;
        Ok(rows.into_iter().map(|row| row.workspace_id).collect())
    }
}

/// Creates the workspace named in `token`, with `token` as its first admin key.
async fn make(unit: &mut Unit, name: &str, token: &Token) -> Result<()> {
    store::workspaces::insert(unit.tx(), name).await?;
    let issue = Issue {
        name: KEY,
        role: Role::Admin,
        person: None,
        agent: None,
        expires_at: None,
        scope: &Scope::default(),
        created_by: None,
        counts_as: None,
        dies_with: &[],
    };
    keys::keep(unit, issue, token).await?;
    Ok(())
}
