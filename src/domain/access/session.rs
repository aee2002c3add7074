//! Sessions: sign-ins of people in a browser.
//!
//! A session token is `mss_<public>_<secret>`, of the form of a key ([`super::token`]); `<public>` is
//! the workspace id and the session id. It travels in a cookie only. It is no bearer key: the prefixes
//! differ, and each is looked up in its own table.

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;

use super::token::{Parts, SecretHash};
use crate::domain::{
    ids::{SessionId, WorkspaceId},
    settings,
    words::words,
};

/// How every session token begins. Keys never do.
const PREFIX: &str = "mss_";

words! {
    /// The state of a session. Only an `open` session is accepted.
    pub enum SessionState {
        /// Accepted.
        Open => "open",
        /// Not used for too long, or past its longest duration, or its key is not valid.
        Expired => "expired",
        /// Signed out.
        Ended => "ended",
    }
}

/// The state of a session at `now`; `key_valid`: whether the key that it began with is valid.
#[must_use]
pub fn state(
    ended_at: Option<DateTime<Utc>>,
    ends: Ends,
    key_valid: bool,
    now: DateTime<Utc>,
) -> SessionState {
    if ended_at.is_some() {
        return SessionState::Ended;
    }
    if ends.idle_at <= now || ends.at <= now || !key_valid {
        return SessionState::Expired;
    }
    SessionState::Open
}

/// When a session ends without a sign-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// Unless it is used before.
    pub idle_at: DateTime<Utc>,
    /// Whatever its use.
    pub at: DateTime<Utc>,
}

impl Ends {
    /// Of a session that begins now.
    #[must_use]
    pub fn of_new(now: DateTime<Utc>) -> Self {
        let at = now + settings::SESSION_LONGEST;
        Self { idle_at: (now + settings::SESSION_IDLE).min(at), at }
    }

    /// The new idle end of a session that is used now; `None` if it was written a moment ago.
    #[must_use]
    pub fn used(self, last_seen_at: DateTime<Utc>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if now < last_seen_at + settings::USE_EXACT_TO {
            return None;
        }
        Some((now + settings::SESSION_IDLE).min(self.at))
    }
}

/// A well-formed session token; the session need not exist.
#[derive(Debug, Clone)]
pub struct SessionToken(Parts);

impl SessionToken {
    /// A token of a session from 256 random bits.
    #[must_use]
    pub fn new(workspace: WorkspaceId, session: SessionId, random: [u8; 32]) -> Self {
        Self(Parts::new(PREFIX, workspace, session.0, random))
    }

    /// Reads a presented token; `None` if it has another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Parts::parse(PREFIX, text).map(Self)
    }

    /// Workspace named by the token.
    #[must_use]
    pub fn workspace(&self) -> WorkspaceId {
        self.0.workspace
    }

    /// Session named by the token.
    #[must_use]
    pub fn session(&self) -> SessionId {
        SessionId(self.0.id)
    }

    /// Hash of the secret.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        self.0.hash
    }

    /// The full text, for the cookie.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.text.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::access::token::Token;

    proptest! {
        #[test]
        fn a_token_names_its_session_and_is_no_key(
            ids in any::<[u128; 2]>(), random in any::<[u8; 32]>(),
        ) {
            let [workspace, session] = ids.map(Uuid::from_u128);
            let token = SessionToken::new(WorkspaceId(workspace), SessionId(session), random);
            let read = SessionToken::parse(token.expose()).unwrap();
            prop_assert_eq!((read.workspace().0, read.session().0), (workspace, session));
            prop_assert!(read.hash().matches(token.hash().as_bytes()));
            prop_assert!(Token::parse(token.expose()).is_err());
        }

        #[test]
        fn a_session_never_lasts_longer_than_it_may(steps in proptest::collection::vec(1u64..100_000, 1..40)) {
            let start = DateTime::<Utc>::UNIX_EPOCH;
            let (mut now, mut seen, mut ends) = (start, start, Ends::of_new(start));
            for step in steps {
                now += Duration::from_secs(step);
                if state(None, ends, true, now) != SessionState::Open {
                    break;
                }
                prop_assert!(now < start + settings::SESSION_LONGEST);
                prop_assert!(now < seen + settings::SESSION_IDLE);
                if let Some(idle_at) = ends.used(seen, now) {
                    (seen, ends) = (now, Ends { idle_at, ..ends });
                }
            }
        }
    }

    #[test]
    fn a_session_without_its_key_is_over() {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        assert_eq!(state(None, Ends::of_new(now), true, now), SessionState::Open);
        assert_eq!(state(None, Ends::of_new(now), false, now), SessionState::Expired);
        assert_eq!(state(Some(now), Ends::of_new(now), true, now), SessionState::Ended);
    }
}
