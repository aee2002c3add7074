//! Sign-in of people with an identity provider.
//!
//! 1. [`App::begin_sign_in`] sends the browser to the provider, with a cookie that remembers the sign-in
//!    ([`Flow`]). Nothing is stored.
//! 2. [`App::finish_sign_in`] checks what came back, redeems the code at the provider, maps the claims to a
//!    person and a role, and begins a session of the identity. No transaction is open while the provider is
//!    called.
//! 3. [`App::authenticate_session`] is the principal of the session: the key of the identity, with the role
//!    of the sign-in.
//!
//! **The person.** Policies and exclusions compare names of people. A name from a claim counts only after
//! an administrator confirmed it, or if the settings trust the provider; until then sessions of the identity
//! only read, and act as nobody. Another name at a later sign-in must be confirmed again.
//!
//! **The role** is that of the sign-in. Another role, or another person, is another key: the old one is
//! revoked, and with it end the sessions that had it.

pub mod identities;

use std::{fmt, pin::Pin, sync::Arc};

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::json;

use super::{
    App, Error, Result, Unit,
    access::{keys, sessions},
    caller::Actor,
    caps,
};
use crate::{
    domain::{
        access::{
            key::{self, KeyState},
            scope::Scope,
            session::{Ends, SessionToken},
        },
        cap::workspace::Holding,
        ids::{KeyId, WorkspaceId},
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
        secret::Purpose,
        settings,
        sign_in::{
            claims::{Claims, Mapped, Mapping},
            flow::Flow,
        },
    },
    store::{
        self,
        identities::{IdentityRow, Which},
        keys::NewKeyRow,
        sessions::NewSession,
    },
};

/// The name of the secret with the client secret, if no setting has it.
pub const CLIENT_SECRET: &str = "sign-in";
/// Longest code and state that are looked at.
const LONGEST: usize = 4096;

/// Why a provider did not sign somebody in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It does not answer, or not as a provider does.
    #[error("{0}")]
    Down(String),
    /// The code or the token is not good.
    #[error("{0}")]
    Refused(String),
}

/// The answer of a provider, later.
pub type Later<'a, T> =
    Pin<Box<dyn Future<Output = std::result::Result<T, ProviderError>> + Send + 'a>>;

/// What is redeemed.
#[derive(Debug, Clone, Copy)]
pub struct Redemption<'a> {
    /// The code that the provider gave the browser.
    pub code: &'a str,
    /// The sign-in that it belongs to.
    pub flow: &'a Flow,
    /// The secret of muster at the provider.
    pub client_secret: Option<&'a SecretString>,
    /// The time by which tokens are judged.
    pub now: DateTime<Utc>,
}

/// An identity provider.
pub trait Provider: fmt::Debug + Send + Sync {
    /// The issuer of its tokens.
    fn issuer(&self) -> &str;
    /// The address where a person signs in.
    fn authorization_url<'a>(&'a self, flow: &'a Flow) -> Later<'a, String>;
    /// The verified claims for a code.
    fn redeem<'a>(&'a self, redemption: Redemption<'a>) -> Later<'a, Claims>;
}

/// How people sign in.
#[derive(Debug)]
pub struct SignIn {
    /// The identity provider.
    pub provider: Arc<dyn Provider>,
    /// The workspace that people sign in to.
    pub workspace: WorkspaceId,
    /// From claims to a person and a role.
    pub mapping: Mapping,
    /// Whether the name of a person counts without an administrator.
    pub trust_person: bool,
    /// The secret of muster at the provider; otherwise that of the secret [`CLIENT_SECRET`], if there is one.
    pub client_secret: Option<SecretString>,
    /// Whether browsers reach the service over TLS.
    pub over_tls: bool,
}

/// A sign-in that began.
#[derive(Debug)]
pub struct Begun {
    /// The address to send the browser to.
    pub location: String,
    /// The cookie that remembers the sign-in.
    pub cookie: SecretString,
    /// Whether cookies are for TLS only.
    pub over_tls: bool,
}

/// What the provider sent back with the browser.
#[derive(Debug, Clone, Default)]
pub struct Returned {
    /// The code to redeem.
    pub code: Option<String>,
    /// The state of the sign-in.
    pub state: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
    /// Who sent it, if the provider says so.
    pub issuer: Option<String>,
}

/// A completed sign-in.
#[derive(Debug)]
pub struct Finished {
    /// The path of this service to return to.
    pub return_to: String,
    /// The token of the session, for the cookie.
    pub token: SecretString,
    /// Whether cookies are for TLS only.
    pub over_tls: bool,
}

fn refused(detail: &str) -> Error {
    Refusal::new(Code::SignInRefused, detail).into()
}

impl From<ProviderError> for Error {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Down(why) => {
                tracing::warn!(why, "the identity provider signs nobody in");
                Self::Unavailable(format!("the identity provider: {why}"))
            }
            ProviderError::Refused(why) => {
                tracing::warn!(why, "a sign-in was refused");
                refused("the identity provider's answer was not accepted; sign in again")
            }
        }
    }
}

impl App {
    /// The same app with an identity provider.
    #[must_use]
    pub fn with_sign_in(self, sign_in: SignIn) -> Self {
        Self { sign_in: Some(Arc::new(sign_in)), ..self }
    }

    fn sign_in(&self) -> Result<&SignIn> {
        let none = || {
            let detail = "sign-in with an identity provider is not set up (MUSTER_OIDC_ISSUER)";
            Refusal::new(Code::NotFound, detail)
        };
        Ok(self.sign_in.as_deref().ok_or_else(none)?)
    }

    /// Begins a sign-in.
    ///
    /// # Errors
    /// `not_found` without a provider; `invalid`; `unavailable` if the provider does not answer.
    pub async fn begin_sign_in(&self, return_to: Option<&str>) -> Result<Begun> {
        let sign_in = self.sign_in()?;
        let flow = Flow::begin(self.now().await?, self.entropy.bytes(), return_to)?;
        let location = sign_in.provider.authorization_url(&flow).await?;
        Ok(Begun { location, cookie: flow.cookie(), over_tls: sign_in.over_tls })
    }

    /// Completes a sign-in with what the provider sent back, and begins a session.
    ///
    /// # Errors
    /// `not_found` without a provider; `sign_in_refused`; `workspace_full` if it needs a key and there are too
    /// many; `unavailable` if the provider does not answer.
    pub async fn finish_sign_in(
        &self,
        cookie: Option<&str>,
        returned: &Returned,
        request_id: Arc<str>,
    ) -> Result<Finished> {
        let sign_in = self.sign_in()?;
        let (flow, code) = checked(sign_in, cookie, returned, self.now().await?)?;
        let client_secret = self.client_secret(sign_in).await?;
        let client_secret = client_secret.as_ref();
        let now = self.now().await?;
        let redemption = Redemption { code, flow: &flow, client_secret, now };
        let claims = sign_in.provider.redeem(redemption).await?;
        let mapped = sign_in.mapping.map(&claims)?;
        let token = match self.admit_person(sign_in, &flow, &claims, &mapped, &request_id).await {
            // Two first sign-ins of one identity at once: the later one finds what the earlier made.
            Err(Error::Again) => {
                self.admit_person(sign_in, &flow, &claims, &mapped, &request_id).await?
            }
            done => done?,
        };
        let return_to = flow.return_to().to_owned();
        Ok(Finished { return_to, token, over_tls: sign_in.over_tls })
    }

    async fn client_secret(&self, sign_in: &SignIn) -> Result<Option<SecretString>> {
        if let Some(secret) = &sign_in.client_secret {
            return Ok(Some(secret.clone()));
        }
        let purpose = Purpose::OidcClientSecret;
        let opened = self.open_secret(sign_in.workspace, purpose, CLIENT_SECRET).await;
        opened.map_err(|error| Error::Unavailable(format!("the client secret: {error}")))
    }

    async fn admit_person(
        &self,
        sign_in: &SignIn,
        flow: &Flow,
        claims: &Claims,
        mapped: &Mapped,
        request_id: &Arc<str>,
    ) -> Result<SecretString> {
        // Not the person: until an administrator confirms the name, it is only claimed.
        let actor = Actor { request_id: Some(Arc::clone(request_id)), ..Actor::SERVICE };
        let mut unit = self.begin(sign_in.workspace, actor).await?;
        match sign_in_once(&mut unit, sign_in, flow, claims, mapped).await {
            Ok(token) => {
                self.commit(unit).await?;
                Ok(SecretString::from(token.expose()))
            }
            Err(error) => {
                self.undo(unit).await?;
                Err(error)
            }
        }
    }
}

/// The sign-in of the cookie and the code, if they fit together.
fn checked<'a>(
    sign_in: &SignIn,
    cookie: Option<&str>,
    returned: &'a Returned,
    now: DateTime<Utc>,
) -> Result<(Flow, &'a str)> {
    let lost = "this browser did not begin the sign-in, or its cookie is gone; sign in again";
    let flow = cookie.and_then(Flow::parse).ok_or_else(|| refused(lost))?;
    flow.check(returned.state.as_deref().unwrap_or_default(), now)?;
    if returned.issuer.as_ref().is_some_and(|issuer| issuer != sign_in.provider.issuer()) {
        return Err(refused("another identity provider answered"));
    }
    if returned.error.is_some() {
        return Err(refused("the identity provider did not sign you in"));
    }
    let code = returned.code.as_deref().filter(|code| (1..=LONGEST).contains(&code.len()));
    Ok((flow, code.ok_or_else(|| refused("the identity provider sent no code"))?))
}

async fn sign_in_once(
    unit: &mut Unit,
    sign_in: &SignIn,
    flow: &Flow,
    claims: &Claims,
    mapped: &Mapped,
) -> Result<SessionToken> {
    let identity = admit(unit, sign_in, claims, mapped).await?;
    let (id, ends) = (unit.id(), Ends::of_new(unit.now()));
    let token = SessionToken::new(unit.workspace(), id, unit.entropy().bytes());
    let hash = token.hash();
    let fingerprint = flow.fingerprint();
    let new = NewSession {
        session_id: id,
        token_sha256: hash.as_bytes(),
        person: Some(&mapped.person),
        key_id: identity.key_id,
        identity: Some((identity.identity_id, &fingerprint)),
        role: mapped.role,
        ends,
    };
    if !store::sessions::insert(unit.tx(), &new).await? {
        return Err(refused("this sign-in was completed before; sign in again"));
    }
    let session = sessions::read(unit, id).await?;
    let data = json!({"session_id": id, "key_id": identity.key_id,
                      "identity_id": identity.identity_id});
    let actor = Actor {
        key: Some(identity.key_id),
        person: identity.person_confirmed.then_some(identity.person),
        ..unit.acting().clone()
    };
    unit.record(NewRow::new(Kind::SessionBegun).by(actor).after(&session).data(data));
    Ok(token)
}

/// The identity of the claims, with the person, the role and a valid key of this sign-in.
async fn admit(
    unit: &mut Unit,
    sign_in: &SignIn,
    claims: &Claims,
    mapped: &Mapped,
) -> Result<IdentityRow> {
    let which = Which::Subject { issuer: &claims.issuer, subject: &claims.subject };
    let Some(stored) = store::identities::lock(unit.tx(), which).await? else {
        return make(unit, sign_in, claims, mapped).await;
    };
    if stored.blocked {
        return Err(refused("an administrator blocked your sign-in"));
    }
    let same_person = stored.person == mapped.person;
    let usable = same_person && stored.role == mapped.role && is_valid(unit, stored.key_id).await?;
    let key_id = match usable {
        true => stored.key_id,
        false => {
            end_key(unit, stored.key_id).await?;
            make_key(unit, mapped).await?
        }
    };
    let confirmed = (stored.person_confirmed && same_person) || sign_in.trust_person;
    let mut now = IdentityRow {
        person: mapped.person.clone(),
        role: mapped.role,
        key_id,
        person_confirmed: confirmed,
        last_signed_in_at: unit.now(),
        ..stored.clone()
    };
    let changed = !usable || confirmed != stored.person_confirmed;
    if changed {
        (now.version, now.updated_at) = (stored.version + 1, unit.now());
    }
    store::identities::update(unit.tx(), &now).await?;
    if changed {
        identities::record(unit, Kind::IdentityUpdated, Some(stored), &now);
    }
    Ok(now)
}

async fn make(
    unit: &mut Unit,
    sign_in: &SignIn,
    claims: &Claims,
    mapped: &Mapped,
) -> Result<IdentityRow> {
    if claims.issuer.chars().count() > settings::ISSUER_CHARS
        || !(1..=settings::SUBJECT_CHARS).contains(&claims.subject.chars().count())
    {
        return Err(refused("the identity provider sends no usable subject"));
    }
    let key_id = make_key(unit, mapped).await?;
    let now = unit.now();
    let row = IdentityRow {
        identity_id: unit.id(),
        issuer: claims.issuer.clone(),
        subject: claims.subject.clone(),
        person: mapped.person.clone(),
        role: mapped.role,
        key_id,
        person_confirmed: sign_in.trust_person,
        blocked: false,
        version: 1,
        created_at: now,
        updated_at: now,
        last_signed_in_at: now,
    };
    if !store::identities::insert(unit.tx(), &row).await? {
        return Err(Error::Again);
    }
    identities::record(unit, Kind::IdentityCreated, None, &row);
    Ok(row)
}

async fn is_valid(unit: &mut Unit, key: KeyId) -> Result<bool> {
    let now = unit.now();
    let row = store::keys::lock(unit.tx(), key).await?;
    Ok(row.is_some_and(|row| key::state(row.ends(), now) == KeyState::Valid))
}

/// Revokes the key of an identity, unless it was revoked before.
async fn end_key(unit: &mut Unit, key: KeyId) -> Result<()> {
    let row = store::keys::lock(unit.tx(), key).await?;
    match row {
        Some(row) if row.revoked_at.is_none() => keys::revoke(unit, &[key], None).await,
        Some(_) | None => Ok(()),
    }
}

/// Makes a key whose secret nobody has: the stored hash is random.
async fn make_key(unit: &mut Unit, mapped: &Mapped) -> Result<KeyId> {
    caps::admit(unit, Holding::Keys, 1).await?;
    let hash: [u8; 32] = unit.entropy().bytes();
    let name: String =
        format!("sign-in of {}", mapped.person).chars().take(settings::NAME_CHARS).collect();
    let new = NewKeyRow {
        key_id: unit.id(),
        name: &name,
        role: mapped.role,
        person: Some(&mapped.person),
        agent_id: None,
        secret_sha256: &hash,
        created_by: None,
        expires_at: None,
        scope: &Scope::default(),
        counts_as: None,
        dies_with: &[],
    };
    Ok(keys::keep_row(unit, &new).await?.id)
}
