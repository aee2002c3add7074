//! Who is calling, as a type.
//!
//! A use case names the caller it serves in its signature: what asks for an [`AgentCaller`] cannot
//! be reached with an operator's key, and nothing that decides or administers takes an agent. The
//! only way to one of these types is from an authenticated [`Principal`], so a route that forgot
//! its check does not compile instead of being open.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use super::{App, Result, wake::Known};
pub use crate::domain::access::actor::Actor;
use crate::domain::{
    access::{person::Person, role::Role, token::Token},
    approval::excluded::Decider,
    ids::{AgentId, KeyId, WorkspaceId},
    refusal::{Code, Refusal},
    task::holder::Holder,
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
    /// The person who holds the key.
    pub person: Option<Person>,
    /// The agent that the key is bound to; present exactly when the role is `agent`.
    pub agent: Option<AgentId>,
    /// The person for whom that agent works.
    pub owner: Option<Person>,
    /// The request that the key came with.
    pub request_id: Option<Arc<str>>,
    /// The bearer secret as presented: seals what idempotent replays must show again.
    pub secret: SecretString,
}

impl Principal {
    /// As whom it acts.
    #[must_use]
    pub fn actor(&self) -> Actor {
        let Self { workspace: _, key, role: _, person, agent: _, owner, request_id, secret: _ } =
            self;
        Actor {
            key: Some(*key),
            person: person.clone(),
            owner: owner.clone(),
            request_id: request_id.clone(),
            link: None,
        }
    }

    /// As whom it decides.
    #[must_use]
    pub fn decider(&self) -> Decider {
        Decider { key: Some(self.key), person: self.person.clone() }
    }
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

    /// Who presents this bearer token with a request, as this kind of caller.
    ///
    /// # Errors
    /// `unauthenticated`, `forbidden`.
    fn identify(
        app: &App,
        bearer: &str,
        request_id: Arc<str>,
    ) -> impl Future<Output = Result<Self>> + Send {
        async {
            let principal = app.authenticate(bearer).await?;
            Ok(Self::admit(Principal { request_id: Some(request_id), ..principal })?)
        }
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

/// A possible holder of an attempt: a working agent, or an operator who took a task over. The fence
/// says whether the attempt is theirs: an operator's key may write to what it took over and to nothing
/// else.
#[derive(Debug, Clone)]
pub struct HolderCaller {
    principal: Principal,
    holder: Holder,
}

impl HolderCaller {
    /// Who it is to an attempt.
    #[must_use]
    pub fn holder(&self) -> Holder {
        self.holder
    }
}

impl Caller for HolderCaller {
    const ROLES: &'static [Role] = &[Role::Admin, Role::Operator, Role::Agent];
    fn admit(principal: Principal) -> std::result::Result<Self, Refusal> {
        let holder = match (principal.role, principal.agent) {
            (Role::Agent, Some(agent)) => Holder::Agent(agent),
            (Role::Admin | Role::Operator, _) => Holder::Key(principal.key),
            (Role::Submitter | Role::Viewer | Role::Agent, _) => {
                return Err(forbidden(&principal, Self::ROLES));
            }
        };
        Ok(Self { principal, holder })
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
        let (agent, owner) = (self.agent.agent(), self.principal().owner.clone());
        Some(Known { secret: token.hash(), agent, owner, able: Arc::clone(able) })
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
    async fn identify(app: &App, bearer: &str, request_id: Arc<str>) -> Result<Self> {
        let request_id = Some(request_id);
        let Some((principal, able)) = app.recognise(bearer) else {
            let principal = app.authenticate(bearer).await?;
            return Ok(Self::admit(Principal { request_id, ..principal })?);
        };
        let principal = Principal { request_id, ..principal };
        Ok(Self { agent: AgentCaller::admit(principal)?, recognised: Some(able) })
    }
}
