//! Authentication of bearer tokens.
//!
//! Every request queries the database before it gets any answer. There is no cache, so a revoked
//! key is refused from the commit of its revocation on. (A waiting agent may be recognised from
//! memory, but only in order to wait: [`crate::app::wake`].) Concurrent requests share a query
//! ([`crate::app::coalesce`]), which makes this cheap. A batch begins after all of its requests
//! arrived, so no answer is older than its request.
//!
//! For every bad token (unknown, expired, revoked, of a retired agent, wrong secret) the answer and
//! the work are the same: one query and one comparison in constant time. Only a malformed token is
//! refused earlier, which tells its sender nothing.

use std::sync::Arc;

use sqlx::PgPool;

use crate::{
    app::{App, Error, Result, caller::Principal, coalesce::Batched},
    clock::Clock,
    domain::{
        access::{
            credential::Credential,
            key::{self, StoredKey},
            origin::Origin,
            role::Role,
            scope::Scope,
            token::Token,
        },
        ids::{KeyId, WorkspaceId},
        refusal::{Code, Refusal},
    },
    store::{self, SystemTx},
};

/// Look-up of one key.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct FindKey {
    workspace: WorkspaceId,
    key: KeyId,
}

/// Context of key look-ups.
#[derive(Debug, Clone)]
pub(in crate::app) struct KeyFinder {
    pool: PgPool,
    clock: Clock,
}

impl Batched for FindKey {
    type Context = KeyFinder;
    /// All workspaces share a batch. Otherwise forged tokens that name a thousand workspaces would
    /// make a thousand batches ahead of the next honest one.
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
    /// Authenticates a bearer token.
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
        let Some(StoredKey { person, origin, owner, scope, at, .. }) = stored else {
            return Err(unauthenticated());
        };
        self.key_uses.note(find.workspace, find.key, at);
        Ok(Principal {
            workspace: find.workspace,
            key: find.key,
            role,
            person,
            origin,
            agent,
            owner,
            scope,
            session: None,
            request_id: None,
            secret: token.into_text(),
        })
    }
}

impl App {
    /// Authenticates what a caller presents.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub async fn prove(&self, presented: Credential<'_>) -> Result<Principal> {
        match presented {
            Credential::Key(bearer) => self.authenticate(bearer).await,
            // On the heap: its transaction would be the larger part of every request with a key.
            Credential::Session(token) => Box::pin(self.authenticate_session(token)).await,
        }
    }

    /// Recognises the token of an agent whose claims recently waited here: the principal, and the
    /// agent's capabilities at that time. Does not say whether the key is still valid.
    pub(in crate::app) fn recognise(&self, bearer: &str) -> Option<(Principal, Arc<[String]>)> {
        let token = Token::parse(bearer).ok()?;
        let (workspace, key) = (token.workspace(), token.key());
        let known = self.wake.recall(workspace, key)?;
        if !token.hash().matches(known.secret.as_bytes()) {
            return None;
        }
        let (role, agent) = (Role::Agent, Some(known.agent));
        let secret = token.into_text();
        // Keys of agents have no person.
        let (person, request_id) = (None, None);
        let owner = known.owner;
        // Nor does an agent decide: nobody asks as whom it counts.
        let origin = Origin { key: Some(key), person: None };
        let scope = Scope::LEAST_OF_AGENTS;
        let principal = Principal {
            workspace,
            key,
            role,
            person,
            origin,
            agent,
            owner,
            scope,
            session: None,
            request_id,
            secret,
        };
        Some((principal, known.able))
    }
}

fn unauthenticated() -> Error {
    let detail = "this key is unknown, expired or revoked; ask an administrator for another";
    Refusal::new(Code::Unauthenticated, detail).into()
}
