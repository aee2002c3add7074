//! Callers as types.
//!
//! A use case names its kind of caller in its signature. An operator's key cannot reach a use case
//! of [`AgentCaller`], and no use case that decides or administers accepts an agent. The only
//! source of these types is an authenticated [`Principal`], so a route without its check does not
//! compile.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use super::{App, Result, wake::Known};
pub use crate::domain::access::actor::Actor;
use crate::domain::{
    access::{
        credential::Credential,
        origin::Origin,
        person::Person,
        role::Role,
        scope::{Access, Admits, Scope},
        token::Token,
    },
    approval::excluded::Decider,
    ids::{AgentId, IdentityId, KeyId, SessionId, WorkspaceId},
    refusal::{Code, Refusal},
    task::holder::Holder,
};

/// An authenticated key.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The workspace of the key.
    pub workspace: WorkspaceId,
    /// The key itself: the actor in events.
    pub key: KeyId,
    /// Permissions of the key.
    pub role: Role,
    /// The person who holds the key.
    pub person: Option<Person>,
    /// As whom the key counts.
    pub origin: Origin,
    /// The agent of the key; present exactly if the role is `agent`.
    pub agent: Option<AgentId>,
    /// The owner of that agent.
    pub owner: Option<Person>,
    /// What the key may do below its role.
    pub scope: Scope,
    /// The session of an identity that acts with the key; `None`: the bearer of the key itself.
    pub session: Option<SessionId>,
    /// The id of the request that carried the key.
    pub request_id: Option<Arc<str>>,
    /// The bearer secret, or the token of the session, as presented: encrypts the secrets in stored
    /// idempotent answers.
    pub secret: SecretString,
}

impl Principal {
    /// The actor of events.
    #[must_use]
    pub fn actor(&self) -> Actor {
        let Self {
            workspace: _,
            key,
            role: _,
            person,
            origin: _,
            agent: _,
            owner,
            scope: _,
            session: _,
            request_id,
            secret: _,
        } = self;
        Actor {
            key: Some(*key),
            person: person.clone(),
            owner: owner.clone(),
            request_id: request_id.clone(),
            link: None,
        }
    }

    /// The workspace and the secret of a caller who waits: the key is asked for again after the wait.
    #[must_use]
    pub(super) fn waiting(&self) -> (WorkspaceId, Credential<'_>) {
        (self.workspace, self.credential())
    }

    /// What the caller presented.
    #[must_use]
    pub(super) fn credential(&self) -> Credential<'_> {
        let secret = self.secret.expose_secret();
        match self.session {
            None => Credential::Key(secret),
            Some(_) => Credential::Session(secret),
        }
    }

    /// Refuses a session: what needs the key itself.
    ///
    /// # Errors
    /// `forbidden`.
    pub(super) fn with_key(&self) -> std::result::Result<(), Refusal> {
        match self.session {
            None => Ok(()),
            Some(_) => {
                let detail = "this needs a key; a session has none";
                Err(Refusal::new(Code::Forbidden, detail))
            }
        }
    }

    /// The decider of approvals.
    #[must_use]
    pub fn decider(&self) -> Decider {
        let (person, origin) = (self.person.clone(), self.origin.clone());
        Decider { key: Some(self.key), person, origin, link: None }
    }
}

/// The kind of caller of a use case.
pub trait Caller: Sized + Send {
    /// The permitted roles; documented for every route.
    const ROLES: &'static [Role];
    /// The admitted scopes of keys; documented for every route.
    const ADMITS: Admits = Admits::NONE;
    /// Admits the principal, or refuses with 403.
    ///
    /// # Errors
    /// `forbidden` when the key's role is not one of [`Caller::ROLES`], or its scope is not in
    /// [`Caller::ADMITS`].
    fn admit(principal: Principal) -> std::result::Result<Self, Refusal>;
    /// The key of the caller.
    fn principal(&self) -> &Principal;

    /// Whether [`Caller::ROLES`] and [`Caller::ADMITS`] have the principal: whether it could do what this kind does.
    fn permits(principal: &Principal) -> bool {
        Self::ROLES.contains(&principal.role) && Self::ADMITS.admits(&principal.scope)
    }

    /// Authenticates what a request presents as this kind of caller.
    ///
    /// # Errors
    /// `unauthenticated`, `forbidden`.
    fn identify(
        app: &App,
        presented: Credential<'_>,
        request_id: Arc<str>,
    ) -> impl Future<Output = Result<Self>> + Send {
        async move {
            let principal = app.prove(presented).await?;
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

/// Refuses a principal whose scope is not admitted.
fn in_scope(principal: &Principal, admits: Admits) -> std::result::Result<(), Refusal> {
    let scope = &principal.scope;
    if admits.admits(scope) {
        return Ok(());
    }
    let within = match scope.projects {
        Some(_) => " and only for single projects",
        None => "",
    };
    let detail = format!(
        "the scope of this key does not include this: it has the access `{}`{within}",
        scope.access
    );
    Err(Refusal::new(Code::Forbidden, detail))
}

macro_rules! callers {
    ($($(#[$meta:meta])* $name:ident: $($role:ident)|+ $(, $scope:ident)*;)+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone)]
        pub struct $name(Principal);

        impl Caller for $name {
            const ROLES: &'static [Role] = &[$(Role::$role),+];
            // One kind names every scope.
            #[allow(clippy::needless_update)]
            const ADMITS: Admits = Admits { $($scope: true,)* ..Admits::NONE };
            fn admit(principal: Principal) -> std::result::Result<Self, Refusal> {
                if !Self::ROLES.contains(&principal.role) {
                    return Err(forbidden(&principal, Self::ROLES));
                }
                in_scope(&principal, Self::ADMITS)?;
                Ok(Self(principal))
            }
            fn principal(&self) -> &Principal { &self.0 }
        }
    )+};
}

callers! {
    /// Makes and revokes keys.
    AdminCaller: Admin;
    /// Decides and administers.
    OperatorCaller: Admin | Operator;
    /// Decides and edits within the projects of its key. The use case checks the project.
    ProjectOperatorCaller: Admin | Operator, projects;
    /// Posts goals.
    SubmitterCaller: Admin | Operator | Submitter;
    /// Posts and cancels goals within the projects of its key. The use case checks the project.
    ProjectSubmitterCaller: Admin | Operator | Submitter, projects;
    /// Comments. The use case checks the project, whose goal it is, and what an agent works on.
    CommentCaller: Admin | Operator | Submitter | Agent, own_attempts, projects;
    /// Tries what it may not change.
    TryingCaller: Admin | Operator | Submitter | Viewer, read_only;
    /// Watches the service as a whole.
    MonitorCaller: Admin | Operator | Viewer, read_only;
    /// Reads reports.
    ReportCaller: Admin | Operator | Viewer, read_only, reports;
    /// Reads everything but keys.
    ReaderCaller: Admin | Operator | Submitter | Agent | Viewer, read_only;
    /// Reads within the projects of its key. The use case checks the project.
    ProjectReaderCaller: Admin | Operator | Submitter | Agent | Viewer, read_only, projects;
    /// Uploads artifacts.
    UploadCaller: Admin | Operator | Submitter | Agent, own_attempts;
    /// Reads an artifact whose digest it was told.
    ArtifactReaderCaller: Admin | Operator | Submitter | Agent | Viewer, read_only, own_attempts;
    /// Reads attempts; an agent's key with `own_attempts` only its own. The use case checks that.
    AttemptReaderCaller: Admin | Operator | Submitter | Agent | Viewer, read_only, own_attempts;
    /// A person, or a program for one, who signs in. No agent does.
    PersonCaller: Admin | Operator | Submitter | Viewer, read_only, reports, projects;
    /// Any key, about itself.
    SelfCaller: Admin | Operator | Submitter | Agent | Viewer,
        read_only, reports, own_attempts, projects;
}

/// An agent, with a key that is bound to it.
#[derive(Debug, Clone)]
pub struct AgentCaller {
    principal: Principal,
    agent: AgentId,
}

impl PersonCaller {
    /// Whether the caller may do for others what it does for itself.
    #[must_use]
    pub fn administers(&self) -> bool {
        self.0.role == Role::Admin && self.0.scope.is_whole()
    }
}

/// A person with a session, who reads the list of sessions.
#[derive(Debug, Clone)]
pub struct SessionCaller {
    /// The workspace of the session.
    pub workspace: WorkspaceId,
    /// The session itself.
    pub session: SessionId,
    /// The person who signed in; `None`: the key has none, or nobody confirmed the person of the identity.
    pub person: Option<Person>,
    /// The key that the session began with, or that of the identity.
    pub key: Option<KeyId>,
    /// The identity that signed in; `None`: the session began with a key.
    pub identity: Option<IdentityId>,
    /// Permissions of the session.
    pub role: Role,
    /// What the session may do below its role.
    pub scope: Scope,
}

impl SessionCaller {
    /// The principal that a session of an identity acts as; `None` for a session that began with a key.
    pub(super) fn into_principal(self, token: &str) -> Option<Principal> {
        let (Some(key), Some(_)) = (self.key, self.identity) else { return None };
        Some(Principal {
            workspace: self.workspace,
            key,
            role: self.role,
            origin: Origin { key: Some(key), person: self.person.clone() },
            person: self.person,
            agent: None,
            owner: None,
            scope: self.scope,
            session: Some(self.session),
            request_id: None,
            secret: SecretString::from(token),
        })
    }
}

impl AttemptReaderCaller {
    /// The only agent whose attempts the caller sees; `None`: all.
    #[must_use]
    pub fn only_of(&self) -> Option<AgentId> {
        match self.0.scope.access {
            Access::OwnAttempts => self.0.agent,
            Access::All | Access::ReadOnly | Access::Reports => None,
        }
    }
}

impl AgentCaller {
    /// The agent of the key.
    #[must_use]
    pub fn agent(&self) -> AgentId {
        self.agent
    }
}

impl Caller for AgentCaller {
    const ROLES: &'static [Role] = &[Role::Agent];
    const ADMITS: Admits = Admits { own_attempts: true, ..Admits::NONE };
    fn admit(principal: Principal) -> std::result::Result<Self, Refusal> {
        match (principal.role, principal.agent) {
            (Role::Agent, Some(agent)) => {
                in_scope(&principal, Self::ADMITS)?;
                Ok(Self { principal, agent })
            }
            (Role::Admin | Role::Operator | Role::Submitter | Role::Viewer | Role::Agent, _) => {
                Err(forbidden(&principal, Self::ROLES))
            }
        }
    }
    fn principal(&self) -> &Principal {
        &self.principal
    }
}

/// A possible holder of an attempt: an agent, or an operator who took a task over. The fence
/// decides whether the attempt is theirs: an operator's key may write only to attempts it took
/// over.
#[derive(Debug, Clone)]
pub struct HolderCaller {
    principal: Principal,
    holder: Holder,
}

impl HolderCaller {
    /// The caller as holder of an attempt.
    #[must_use]
    pub fn holder(&self) -> Holder {
        self.holder
    }
}

impl Caller for HolderCaller {
    const ROLES: &'static [Role] = &[Role::Admin, Role::Operator, Role::Agent];
    const ADMITS: Admits = Admits { own_attempts: true, ..Admits::NONE };
    fn admit(principal: Principal) -> std::result::Result<Self, Refusal> {
        let holder = match (principal.role, principal.agent) {
            (Role::Agent, Some(agent)) => Holder::Agent(agent),
            (Role::Admin | Role::Operator, _) => Holder::Key(principal.key),
            (Role::Submitter | Role::Viewer | Role::Agent, _) => {
                return Err(forbidden(&principal, Self::ROLES));
            }
        };
        in_scope(&principal, Self::ADMITS)?;
        Ok(Self { principal, holder })
    }
    fn principal(&self) -> &Principal {
        &self.principal
    }
}

/// An agent that claims. Thousands of waiting agents claim again and again, so a recently
/// authenticated key may be recognised from memory, without a query. That permits waiting and
/// nothing else ([`super::wake`]); the key is authenticated before the claim is answered.
#[derive(Debug, Clone)]
pub struct ClaimCaller {
    agent: AgentCaller,
    /// Capabilities of the agent when its key was last authenticated; `None` if that was just now.
    recognised: Option<Arc<[String]>>,
}

impl ClaimCaller {
    /// The agent that claims.
    #[must_use]
    pub fn agent(&self) -> &AgentCaller {
        &self.agent
    }

    /// Capabilities of the agent, if it is only recognised and not yet authenticated.
    #[must_use]
    pub(super) fn recognised(&self) -> Option<&Arc<[String]>> {
        self.recognised.as_ref()
    }

    /// Authenticates the key now.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub(super) async fn prove(&self, app: &App) -> Result<()> {
        app.authenticate(self.principal().secret.expose_secret()).await.map(drop)
    }
}

impl ClaimCaller {
    /// The entry to remember for a key that was just authenticated.
    pub(super) fn known(&self, able: &Arc<[String]>) -> Option<Known> {
        let token = Token::parse(self.principal().secret.expose_secret()).ok()?;
        let (agent, owner) = (self.agent.agent(), self.principal().owner.clone());
        Some(Known { secret: token.hash(), agent, owner, able: Arc::clone(able) })
    }
}

impl Caller for ClaimCaller {
    const ROLES: &'static [Role] = AgentCaller::ROLES;
    const ADMITS: Admits = AgentCaller::ADMITS;
    fn admit(principal: Principal) -> std::result::Result<Self, Refusal> {
        Ok(Self { agent: AgentCaller::admit(principal)?, recognised: None })
    }
    fn principal(&self) -> &Principal {
        self.agent.principal()
    }
    async fn identify(app: &App, presented: Credential<'_>, request_id: Arc<str>) -> Result<Self> {
        let request_id = Some(request_id);
        let known = match presented {
            Credential::Key(bearer) => app.recognise(bearer),
            Credential::Session(_) => None,
        };
        let Some((principal, able)) = known else {
            let principal = app.prove(presented).await?;
            return Ok(Self::admit(Principal { request_id, ..principal })?);
        };
        let principal = Principal { request_id, ..principal };
        Ok(Self { agent: AgentCaller::admit(principal)?, recognised: Some(able) })
    }
}
