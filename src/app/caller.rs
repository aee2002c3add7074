//! Who is calling, as a type.
//!
//! A use case names the caller it serves in its signature: what asks for an [`AgentCaller`] cannot
//! be reached with an operator's key, and nothing that decides or administers takes an agent. The
//! only way to one of these types is from an authenticated [`Principal`], so a route that forgot
//! its check does not compile instead of being open.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use super::{App, Result, wake::Known};
use crate::domain::{
    ids::{AgentId, KeyId, WorkspaceId},
    refusal::{Code, Refusal},
    role::Role,
    token::Token,
};

/// An authenticated key.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The workspace that the key opens.
    pub workspace: WorkspaceId,
    /// The key itself: the actor in events.
    pub key: KeyId,
    /// What it may do.
    pub role: Role,
    /// The agent that the key is bound to; present exactly when the role is `agent`.
    pub agent: Option<AgentId>,
    /// The bearer secret as presented: seals what idempotent replays must show again.
    pub secret: SecretString,
}

/// A kind of caller that a use case asks for.
pub trait Caller: Sized {
    /// The roles that this caller may have; documented for every route.
    const ROLES: &'static [Role];
    /// Takes the principal in, or refuses with 403.
    ///
    /// # Errors
    /// `forbidden` when the key's role is not one of [`Caller::ROLES`].
    fn admit(principal: Principal) -> std::result::Result<Self, Refusal>;
    /// The key behind the caller.
    fn principal(&self) -> &Principal;

    /// Who presents this bearer token, as this kind of caller.
    ///
    /// # Errors
    /// `unauthenticated`, `forbidden`.
    fn identify(app: &App, bearer: &str) -> impl Future<Output = Result<Self>> + Send {
        async { Ok(Self::admit(app.authenticate(bearer).await?)?) }
    }
}

fn forbidden(principal: &Principal, roles: &[Role]) -> Refusal {
    let wanted = roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
    Refusal::new(
        Code::Forbidden,
        format!("this needs a key with the role {wanted}; yours is {}", principal.role),
    )
}

macro_rules! callers {
    ($($(#[$meta:meta])* $name:ident: $($role:ident)|+;)+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone)]
        pub struct $name(Principal);

        impl Caller for $name {
            const ROLES: &'static [Role] = &[$(Role::$role),+];
            fn admit(principal: Principal) -> std::result::Result<Self, Refusal> {
                match principal.role {
                    $(Role::$role)|+ => Ok(Self(principal)),
                    #[allow(unreachable_patterns)]
                    _ => Err(forbidden(&principal, Self::ROLES)),
                }
            }
            fn principal(&self) -> &Principal { &self.0 }
        }
    )+};
}

callers! {
    /// May make and revoke keys.
    AdminCaller: Admin;
    /// May decide and administer.
    OperatorCaller: Admin | Operator;
    /// May post goals.
    SubmitterCaller: Admin | Operator | Submitter;
    /// May watch the service as a whole.
    MonitorCaller: Admin | Operator | Viewer;
    /// May read everything but keys.
    ReaderCaller: Admin | Operator | Submitter | Agent | Viewer;
}

/// A working agent: the key is bound to it.
#[derive(Debug, Clone)]
pub struct AgentCaller {
    principal: Principal,
    agent: AgentId,
}

impl AgentCaller {
    /// The agent that the key is bound to.
    #[must_use]
    pub fn agent(&self) -> AgentId {
        self.agent
    }
}

impl Caller for AgentCaller {
    const ROLES: &'static [Role] = &[Role::Agent];
    fn admit(principal: Principal) -> std::result::Result<Self, Refusal> {
        match (principal.role, principal.agent) {
            (Role::Agent, Some(agent)) => Ok(Self { principal, agent }),
            (Role::Admin | Role::Operator | Role::Submitter | Role::Viewer | Role::Agent, _) => {
                Err(forbidden(&principal, Self::ROLES))
            }
        }
    }
    fn principal(&self) -> &Principal {
        &self.principal
    }
}

/// A working agent that claims. Thousands of agents that wait ask again and again: one that was
/// authenticated a moment ago may be recognised without asking the database, which is good enough
/// to be made to wait and for nothing else ([`super::wake`]). Before it is answered with anything,
/// it is authenticated.
#[derive(Debug, Clone)]
pub struct ClaimCaller {
    agent: AgentCaller,
    /// What the agent was able to do when its key was last authenticated; none: it was just now.
    recognised: Option<Arc<[String]>>,
}

impl ClaimCaller {
    /// The agent.
    #[must_use]
    pub fn agent(&self) -> &AgentCaller {
        &self.agent
    }

    /// What it is able to do, when it is only recognised and not yet authenticated.
    #[must_use]
    pub(super) fn recognised(&self) -> Option<&Arc<[String]>> {
        self.recognised.as_ref()
    }

    /// Asks the database whether the key is good at this moment.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub(super) async fn prove(&self, app: &App) -> Result<()> {
        app.authenticate(self.principal().secret.expose_secret()).await.map(drop)
    }
}

impl ClaimCaller {
    /// What is remembered of a key that was just authenticated.
    pub(super) fn known(&self, able: &Arc<[String]>) -> Option<Known> {
        let token = Token::parse(self.principal().secret.expose_secret()).ok()?;
        Some(Known { secret: token.hash(), agent: self.agent.agent(), able: Arc::clone(able) })
    }
}

impl Caller for ClaimCaller {
    const ROLES: &'static [Role] = AgentCaller::ROLES;
    fn admit(principal: Principal) -> std::result::Result<Self, Refusal> {
        Ok(Self { agent: AgentCaller::admit(principal)?, recognised: None })
    }
    fn principal(&self) -> &Principal {
        self.agent.principal()
    }
    async fn identify(app: &App, bearer: &str) -> Result<Self> {
        let Some((principal, able)) = app.recognise(bearer) else {
            return Ok(Self::admit(app.authenticate(bearer).await?)?);
        };
        Ok(Self { agent: AgentCaller::admit(principal)?, recognised: Some(able) })
    }
}
