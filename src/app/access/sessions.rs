//! Sessions: sign-ins of people in a browser.
//!
//! A session begins with a bearer key, or with a sign-in of an identity ([`crate::app::sign_in`]), which has a
//! key of its own. It has the role and the person of the sign-in and the scope of the key. It ends with a
//! sign-out, after a time without use, after its longest duration, or with its key. The token is
//! returned once, as a cookie, and stored as SHA-256.
//!
//! A session is no bearer key. That of an identity acts as a principal; that of a key reads the list of its
//! person's sessions and changes nothing.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    app::{
        App, Error, Result, Unit,
        caller::{Caller as _, PersonCaller, Principal, SessionCaller},
        unit::idempotency::{Outcome, Request},
    },
    domain::{
        access::{
            person::Person,
            role::Role,
            session::{Ends, SessionState, SessionToken},
        },
        ids::{IdentityId, KeyId, SessionId},
        journal::{Kind, NewRow},
        refusal::{Code, Refusal},
    },
    store::{
        self, Hold,
        sessions::{NewSession, SessionFilter, SessionRow},
    },
};

/// Sessions that one request ends at most.
const END_AT_ONCE: i64 = 10_000;

/// A sign-in of a person in a browser, without its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Session {
    /// Id of the session.
    pub id: SessionId,
    /// The person who signed in; `null`: the key of the session has no person.
    pub person: Option<Person>,
    /// The identity that signed in; `null`: the session began with a key.
    pub identity_id: Option<IdentityId>,
    /// The key that the session began with, or that of the identity; its end ends the session.
    pub key_id: Option<KeyId>,
    /// Permissions of the session: the role of its key.
    pub role: Role,
    /// Whether the session is accepted at the time of the answer.
    pub state: SessionState,
    /// When the person signed in.
    pub created_at: DateTime<Utc>,
    /// Time of the last request of the session, exact to a minute.
    pub last_seen_at: DateTime<Utc>,
    /// The session ends then unless it is used before; moved by its use.
    pub idle_ends_at: DateTime<Utc>,
    /// The session ends then, whatever its use.
    pub expires_at: DateTime<Utc>,
    /// When the person signed out, or was signed out; `null`: not signed out.
    pub ended_at: Option<DateTime<Utc>>,
}

impl Session {
    fn of(row: SessionRow, now: DateTime<Utc>) -> Self {
        Self {
            id: row.session_id,
            state: row.state(now),
            person: row.person,
            identity_id: row.identity_id,
            key_id: row.key_id,
            role: row.role,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            idle_ends_at: row.idle_ends_at,
            expires_at: row.expires_at,
            ended_at: row.ended_at,
        }
    }
}

/// A session with its token, which is shown once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BegunSession {
    /// The session.
    pub session: Session,
    /// The value of the cookie.
    pub token: String,
}

/// Who reads a list of sessions.
#[derive(Debug, Clone)]
pub enum SessionReader {
    /// A person with a bearer key.
    Key(PersonCaller),
    /// A person with a session.
    Session(SessionCaller),
}

/// Whose sessions.
#[derive(Debug, Clone)]
enum Whose {
    Person(Person),
    /// Those of a key without a person, or of an identity whose person is not confirmed.
    NobodysKey(KeyId),
}

impl Whose {
    fn filter(&self) -> SessionFilter<'_> {
        match self {
            Self::Person(person) => {
                SessionFilter { person: Some(person), ..SessionFilter::default() }
            }
            Self::NobodysKey(key) => {
                SessionFilter { nobodys_key: Some(*key), ..SessionFilter::default() }
            }
        }
    }

    /// The sessions of the caller; of `person`, if the caller administers.
    fn of_key(caller: &PersonCaller, person: Option<&Person>) -> Result<Self> {
        let principal = caller.principal();
        match (person, &principal.person) {
            (Some(asked), Some(own)) if asked == own => Ok(Self::Person(own.clone())),
            (Some(asked), _) if caller.administers() => Ok(Self::Person(asked.clone())),
            (Some(_), _) => Err(not_yours().into()),
            (None, Some(own)) => Ok(Self::Person(own.clone())),
            (None, None) => Ok(Self::NobodysKey(principal.key)),
        }
    }
}

fn not_yours() -> Refusal {
    let detail = "the sessions of other people are for admins; leave `person` out for your own";
    Refusal::new(Code::Forbidden, detail)
}

impl App {
    /// Begins a session of the person of the key.
    ///
    /// # Errors
    /// `forbidden` with a session.
    pub async fn begin_session(
        &self,
        caller: &PersonCaller,
        request: Option<&Request>,
    ) -> Result<Outcome<BegunSession>> {
        let principal = caller.principal();
        principal.with_key()?;
        self.create(principal, request, Hold::Share, async |unit| {
            let (id, ends) = (unit.id(), Ends::of_new(unit.now()));
            let token = SessionToken::new(principal.workspace, id, unit.entropy().bytes());
            let hash = token.hash();
            let new = NewSession {
                session_id: id,
                token_sha256: hash.as_bytes(),
                person: principal.person.as_ref(),
                key_id: principal.key,
                identity: None,
                role: principal.role,
                ends,
            };
            store::sessions::insert(unit.tx(), &new).await?;
            let session = read(unit, id).await?;
            let row = NewRow::new(Kind::SessionBegun).after(&session);
            unit.record(row.data(json!({"session_id": id, "key_id": principal.key})));
            Ok(BegunSession { session, token: token.expose().to_owned() })
        })
        .await
    }

    /// Looks up a session by its token, and notes its use at most twice a minute.
    ///
    /// # Errors
    /// `unauthenticated` if the token is unknown, or its session is over.
    pub async fn session(&self, token: &str) -> Result<SessionCaller> {
        let token = SessionToken::parse(token).ok_or_else(signed_out)?;
        let mut tx = self.reader(token.workspace()).await?;
        let filter = SessionFilter { session: Some(token.session()), ..SessionFilter::default() };
        let row = store::sessions::list(&mut tx, filter, None, 1).await?.pop();
        const UNKNOWN: [u8; 32] = [0; 32];
        let stored = row.as_ref().map_or(UNKNOWN.as_slice(), |row| row.token_sha256.as_slice());
        let proven = token.hash().matches(stored);
        let row = row.filter(|_| proven).ok_or_else(signed_out)?;
        match row.state(tx.now) {
            SessionState::Open => {}
            SessionState::Expired | SessionState::Ended => return Err(signed_out()),
        }
        if let Some(idle_ends_at) = row.ends().used(row.last_seen_at, tx.now) {
            store::sessions::touch(&mut tx, row.session_id, idle_ends_at).await?;
        }
        Ok(SessionCaller {
            workspace: token.workspace(),
            session: row.session_id,
            scope: row.scope(),
            role: row.role,
            person: row.acts_as().cloned(),
            key: row.key_id,
            identity: row.identity_id,
        })
    }

    /// The principal of a session of an identity.
    ///
    /// # Errors
    /// `unauthenticated` if the session is unknown or over, or began with a key.
    pub async fn authenticate_session(&self, token: &str) -> Result<Principal> {
        let caller = self.session(token).await?;
        caller.into_principal(token).ok_or_else(|| {
            let detail = "the session of a key only lists sessions; send the key itself";
            Refusal::new(Code::Unauthenticated, detail).into()
        })
    }

    /// Up to `rows` sessions after `after`, newest first: those of the reader, or of `person` for an
    /// admin's key.
    ///
    /// # Errors
    /// `forbidden` if `person` is another one.
    pub async fn list_sessions(
        &self,
        reader: &SessionReader,
        person: Option<&Person>,
        after: Option<SessionId>,
        rows: u32,
    ) -> Result<Vec<Session>> {
        let (workspace, whose) = match reader {
            SessionReader::Key(caller) => {
                (caller.principal().workspace, Whose::of_key(caller, person)?)
            }
            SessionReader::Session(caller) => (caller.workspace, of_session(caller, person)?),
        };
        let mut tx = self.reader(workspace).await?;
        let rows = store::sessions::list(&mut tx, whose.filter(), after, i64::from(rows)).await?;
        Ok(rows.into_iter().map(|row| Session::of(row, tx.now)).collect())
    }

    /// Ends a session. Ending an ended session changes nothing.
    ///
    /// # Errors
    /// `not_found`, also for a session of somebody else, unless the caller administers.
    pub async fn end_session(&self, caller: &PersonCaller, session: SessionId) -> Result<()> {
        let principal = caller.principal();
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let whose = Whose::of_key(caller, None)?;
        let seen = if caller.administers() { SessionFilter::default() } else { whose.filter() };
        let filter = SessionFilter { session: Some(session), ..seen };
        let found = store::sessions::list(unit.tx(), filter, None, 1).await?;
        if found.is_empty() {
            return Err(Refusal::not_found("session").into());
        }
        end(&mut unit, &[session]).await?;
        self.commit(unit).await
    }

    /// Ends every session of the caller; of `person`, if the caller administers.
    ///
    /// # Errors
    /// `forbidden` if `person` is another one.
    pub async fn end_sessions(&self, caller: &PersonCaller, person: Option<&Person>) -> Result<()> {
        let principal = caller.principal();
        let whose = Whose::of_key(caller, person)?;
        let mut unit = self.begin(principal.workspace, principal.actor()).await?;
        let filter = SessionFilter { not_ended: true, ..whose.filter() };
        let rows = store::sessions::list(unit.tx(), filter, None, END_AT_ONCE).await?;
        let ids: Vec<SessionId> = rows.into_iter().map(|row| row.session_id).collect();
        end(&mut unit, &ids).await?;
        self.commit(unit).await
    }
}

fn of_session(caller: &SessionCaller, person: Option<&Person>) -> Result<Whose> {
    if person.is_some() && person != caller.person.as_ref() {
        return Err(not_yours().into());
    }
    match (&caller.person, caller.key) {
        (Some(own), _) => Ok(Whose::Person(own.clone())),
        (None, Some(key)) => Ok(Whose::NobodysKey(key)),
        (None, None) => Err(signed_out()),
    }
}

pub(in crate::app) async fn read(unit: &mut Unit, session: SessionId) -> Result<Session> {
    let now = unit.now();
    let filter = SessionFilter { session: Some(session), ..SessionFilter::default() };
    let found = store::sessions::list(unit.tx(), filter, None, 1).await?.pop();
    Ok(Session::of(found.ok_or_else(|| Refusal::not_found("session"))?, now))
}

async fn end(unit: &mut Unit, sessions: &[SessionId]) -> Result<()> {
    let mut ended = store::sessions::end(unit.tx(), sessions).await?;
    ended.sort_unstable();
    for session in ended {
        unit.record(NewRow::new(Kind::SessionEnded).data(json!({"session_id": session})));
    }
    Ok(())
}

fn signed_out() -> Error {
    let detail = "this session is unknown or over; sign in again: POST /v1/sessions";
    Refusal::new(Code::Unauthenticated, detail).into()
}
