//! What a caller presents: a key, or a session.

use uuid::Uuid;

use super::{
    session::SessionToken,
    token::{SecretHash, Token},
};
use crate::domain::ids::WorkspaceId;

/// What a caller presents. One is never taken for the other.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// A bearer key.
    Key(&'a str),
    /// The token of a session, from a cookie.
    Session(&'a str),
}

/// A well-formed credential; the key or session need not exist.
#[derive(Debug, Clone, Copy)]
pub struct Presented {
    /// The workspace that it names.
    pub workspace: WorkspaceId,
    /// The key or session that it names.
    pub id: Uuid,
    /// The hash of its secret.
    pub secret: SecretHash,
}

impl Presented {
    /// Reads a credential; `None` if it is malformed.
    #[must_use]
    pub fn of(credential: Credential<'_>) -> Option<Self> {
        match credential {
            Credential::Key(text) => {
                let token = Token::parse(text).ok()?;
                let (workspace, id) = (token.workspace(), token.key().0);
                Some(Self { workspace, id, secret: token.hash() })
            }
            Credential::Session(text) => {
                let token = SessionToken::parse(text)?;
                let (workspace, id) = (token.workspace(), token.session().0);
                Some(Self { workspace, id, secret: token.hash() })
            }
        }
    }
}
