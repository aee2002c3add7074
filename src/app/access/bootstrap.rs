//! The first start: one workspace and one admin key.
//!
//! On a database without workspaces the first process makes the workspace `default` and an admin
//! key. Processes that start at the same moment wait for each other, so there is one of each.
//!
//! The key is either made here and handed back to be shown once, or given from outside, so that
//! somebody who sets up a whole system knows it beforehand. A given key names its workspace like
//! any other ([`crate::domain::access::token`]): the workspace is made with the id that the key names.

use super::keys::{self, Issue};
use crate::{
    app::{App, Result, Unit, caller::Actor},
    domain::{
        access::{role::Role, token::Token},
        ids::WorkspaceId,
    },
    store,
};

const WORKSPACE: &str = "default";
const KEY: &str = "bootstrap";

/// What the first start found or did.
#[derive(Debug)]
pub enum Bootstrap {
    /// There is a workspace: nothing was done.
    Existing {
        /// Whether the key that was given is one of this database, or none was given. A given key
        /// that is not is without effect, which its giver should know.
        given_key_known: bool,
    },
    /// The workspace and the given key were made.
    Given,
    /// The workspace and a key were made; this is the only time that its token is seen.
    Made(Token),
}

impl App {
    /// Makes the first workspace and its first admin key, unless there is a workspace.
    pub async fn bootstrap(&self, given: Option<&Token>) -> Result<Bootstrap> {
        let now = self.now().await?;
        let workspace: WorkspaceId = match given {
            Some(token) => token.workspace(),
            None => self.entropy.id(now),
        };
        let mut unit = self.begin(workspace, Actor::SERVICE).await?;
        store::workspaces::lock_first_start(unit.tx()).await?;
        if !store::workspaces::all(unit.tx()).await?.is_empty() {
            // Its connection is wanted for the look at the key.
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

    /// Makes one more workspace, and its first admin key.
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

/// Makes the workspace that `token` names, with `token` as its first admin key.
async fn make(unit: &mut Unit, name: &str, token: &Token) -> Result<()> {
    let now = unit.now();
    store::workspaces::insert(unit.tx(), name, now).await?;
    let issue = Issue { name: KEY, role: Role::Admin, person: None, agent: None, expires_at: None };
    keys::keep(unit, issue, token).await?;
    Ok(())
}
