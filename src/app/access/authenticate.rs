//! Who presents a bearer token.
//!
//! Every request asks the database before it is answered with anything: there is no cache, so a
//! revoked key is refused from the moment its revocation is committed. (An agent that waits for
//! tasks may be recognised without asking, but only to be made to wait: [`crate::app::wake`].) What makes
//! that cheap is that concurrent requests ask together ([`crate::app::coalesce`]): a batch begins after
//! all of its requests came in, so none of them is answered from before it was made.
//!
//! Whatever is wrong with a token (unknown, expired, revoked, of a retired agent, a wrong secret),
//! the answer is the same, and so is the work: one look at the database and one comparison in
//! constant time. Only what is no token at all is refused before, which tells its sender nothing.

use std::sync::Arc;

use sqlx::PgPool;

use crate::{
    app::{App, Error, Result, caller::Principal, coalesce::Batched},
    clock::Clock,
    domain::{
        access::{
            key::{self, StoredKey},
            role::Role,
            token::Token,
        },
        ids::{KeyId, WorkspaceId},
        refusal::{Code, Refusal},
    },
    store::{self, SystemTx},
};

/// A look for one key.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct FindKey {
    workspace: WorkspaceId,
    key: KeyId,
}

/// What looking for keys needs.
#[derive(Debug, Clone)]
pub(in crate::app) struct KeyFinder {
    pool: PgPool,
    clock: Clock,
}

impl Batched for FindKey {
    type Context = KeyFinder;
    /// All workspaces share a batch: made-up tokens that name a thousand workspaces would
    /// otherwise be a thousand batches before the next honest one.
    type Group = ();
    type Answer = Option<StoredKey>;
    const KIND: &'static str = "authenticate";

    fn group(&self) {}

    async fn run(
        context: KeyFinder,
        (): (),
        batch: Vec<Self>,
    ) -> Result<Vec<Result<Option<StoredKey>>>> {
        let asked: Vec<_> = batch.iter().map(|find| (find.workspace, find.key)).collect();
        let mut tx: SystemTx = context.pool.acquire().await?.into();
        let found = store::keys::find(&mut tx, &asked, context.clock.set()).await?;
        Ok(found.into_iter().map(Ok).collect())
    }
}

impl App {
    /// Whose token this is.
    ///
    /// # Errors
    /// `unauthenticated` if the token is unknown, expired or revoked.
    pub async fn authenticate(&self, bearer: &str) -> Result<Principal> {
        let token = Token::parse(bearer).map_err(|_| unauthenticated())?;
        let find = FindKey { workspace: token.workspace(), key: token.key() };
        let finder = KeyFinder { pool: self.pool.clone(), clock: self.clock.clone() };
        let stored = self.key_finder.submit(&finder, find).await?;
        let (role, agent) =
            key::admit(stored.as_ref(), token.hash()).ok_or_else(unauthenticated)?;
        let (person, owner) = stored.map_or((None, None), |key| (key.person, key.owner));
        Ok(Principal {
            workspace: find.workspace,
            key: find.key,
            role,
            person,
            agent,
            owner,
            request_id: None,
            secret: token.into_text(),
        })
    }
}

impl App {
    /// Whose token this was a moment ago, and what its agent was able to do: an agent whose claims
    /// wait here. Says nothing about whether the key is still good.
    pub(in crate::app) fn recognise(&self, bearer: &str) -> Option<(Principal, Arc<[String]>)> {
        let token = Token::parse(bearer).ok()?;
        let (workspace, key) = (token.workspace(), token.key());
        let known = self.wake.recall(workspace, key)?;
        if !token.hash().matches(known.secret.as_bytes()) {
            return None;
        }
        let (role, agent) = (Role::Agent, Some(known.agent));
        let secret = token.into_text();
        // Keys of agents are nobody's.
        let (person, request_id) = (None, None);
        let owner = known.owner;
        let principal =
            Principal { workspace, key, role, person, agent, owner, request_id, secret };
        Some((principal, known.able))
    }
}

fn unauthenticated() -> Error {
    let detail = "this key is unknown, expired or revoked; ask an administrator for another";
    Refusal::new(Code::Unauthenticated, detail).into()
}
